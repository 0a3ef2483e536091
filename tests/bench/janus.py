"""Janus VideoRoom, as others would run it for the same calls: VP8 and Opus, recording to .mjr, two event loops.

Owns installing Debian's package, a configuration that stays on this machine, and a small client of its API over
WebSocket. Janus refuses the loopback interface, so it uses this machine's own address, as all servers here do.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import aiohttp

LIBRARIES = ("/usr/lib/x86_64-linux-gnu/janus", "/usr/lib/aarch64-linux-gnu/janus", "/usr/lib/janus")
ANSWER_LIMIT_S = 20
KEEP_ALIVE_S = 20
MAX_BPS = 2_000_000


def missing() -> str | None:
    """Return why Janus cannot be measured here, None if it can; installs it if we may."""
    if shutil.which("janus") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "janus"]
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"Janus could not be installed: {(done.stderr.strip().splitlines() or ['apt-get failed'])[-1]}"
    if shutil.which("janus") is None:
        return "Janus is not installed; as root this would install it, otherwise: apt-get install janus"
    if _library() is None:
        return "Janus is installed, but its plugins were not found"
    return None


def _library() -> str | None:
    return next((path for path in LIBRARIES if Path(path, "plugins").is_dir()), None)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def command(folder: Path, host: str, port: int) -> list[str]:
    """Write the configuration into folder and return the command that runs Janus with it."""
    library = _library()
    config = folder / "config"
    config.mkdir()
    (config / "janus.jcfg").write_text(
        f"""general: {{
  configs_folder = "{config}"
  plugins_folder = "{library}/plugins"
  transports_folder = "{library}/transports"
  events_folder = "{library}/events"
  loggers_folder = "{library}/loggers"
  debug_level = 2
  event_loops = 2
  interface = "{host}"
}}
media: {{ ipv6 = false }}
nat: {{ full_trickle = false
  ice_enforce_list = "{host}"
  ignore_mdns = true }}
plugins: {{ disable = "{_all_but(Path(library or "", "plugins"), "videoroom")}" }}
transports: {{ disable = "{_all_but(Path(library or "", "transports"), "websockets")}" }}
events: {{ broadcast = false }}
"""
    )
    (config / "janus.plugin.videoroom.jcfg").write_text("general: { }\n")
    (config / "janus.transport.websockets.jcfg").write_text(
        f"""general: {{ json = "compact"
  ws = true
  ws_port = {port}
  ws_ip = "127.0.0.1"
  wss = false
  ws_logging = "err" }}
admin: {{ admin_ws = false }}
"""
    )
    return ["janus", "-F", str(config), "-o"]


def _all_but(folder: Path, wanted: str) -> str:
    return ",".join(sorted(path.name for path in folder.glob("*.so") if wanted not in path.name))


class Janus:
    """One session of its API, with as many handles as there are connections."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._session: int | None = None
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._tasks = [asyncio.create_task(self._read(), name="janus answers")]

    @classmethod
    async def open(cls, http: aiohttp.ClientSession, port: int) -> Janus:
        socket = await http.ws_connect(f"http://127.0.0.1:{port}/", protocols=["janus-protocol"], compress=0)
        janus = cls(socket)
        janus._session = (await janus.ask("create"))["data"]["id"]
        janus._tasks.append(asyncio.create_task(janus._keep_alive(), name="janus keep-alive"))
        return janus

    async def close(self) -> None:
        await self.ask("destroy")  # which ends the recordings
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._socket.close()

    async def attach(self) -> int:
        """Return a new handle of the VideoRoom."""
        handle: int = (await self.ask("attach", plugin="janus.plugin.videoroom"))["data"]["id"]
        return handle

    async def tell(self, handle: int, body: dict[str, Any], jsep: dict[str, str] | None = None) -> dict[str, Any]:
        """Return the plugin's answer. Raises RuntimeError if it is an error."""
        extra = {"jsep": jsep} if jsep else {}
        answer = await self.ask("message", handle_id=handle, body=body, **extra)
        data = answer.get("plugindata", {}).get("data", {})
        if "error" in data or answer["janus"] == "error":
            raise RuntimeError(f"Janus refused {body['request']}: {data.get('error') or answer.get('error')}")
        return answer

    async def ask(self, what: str, **fields: Any) -> dict[str, Any]:
        transaction = secrets.token_hex(8)
        answered = self._waiting[transaction] = asyncio.get_running_loop().create_future()
        session = {"session_id": self._session} if self._session is not None else {}
        await self._socket.send_json({"janus": what, "transaction": transaction, **session, **fields})
        async with asyncio.timeout(ANSWER_LIMIT_S):
            result: dict[str, Any] = await answered
        return result

    async def _read(self) -> None:
        async for message in self._socket:
            answer = json.loads(message.data)
            if answer["janus"] == "ack" and answer.get("transaction") in self._waiting:
                continue  # the answer comes as an event
            waiting = self._waiting.pop(answer.get("transaction", ""), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(KEEP_ALIVE_S)
            await self._socket.send_json(
                {"janus": "keepalive", "session_id": self._session, "transaction": secrets.token_hex(8)}
            )
