"""A real Firefox for browser tests, driven over WebDriver BiDi (https://www.w3.org/TR/webdriver-bidi/).

Playwright drives a patched Firefox alone, so this speaks to the one of the system: a process with fake devices, a page,
what is in it. Nothing beyond the loopback is reached.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.conftest import free_port

PREFERENCES: dict[str, bool | int | str] = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.peerconnection.ice.loopback": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    "media.gmp-manager.updateEnabled": False,
    "app.update.enabled": False,
    "app.normandy.enabled": False,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage": "about:blank",
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.ipc.processPrelaunch.enabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.type": 0,
    "services.settings.server": "data:,#nothing",
    "toolkit.telemetry.enabled": False,
}
START_LIMIT_S = 60
COMMAND_LIMIT_S = 60
STOP_LIMIT_S = 20
POLL_S = 0.2


def find_firefox() -> str:
    """Return Firefox's program, or skip the test and say aloud how to get it."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.skip(
            "Firefox is not on this machine, so calls with it are not tested. On Debian: apt-get install firefox-esr"
        )
    return program


class Page:
    """One tab."""

    def __init__(self, driver: _Driver, context: str) -> None:
        self._driver = driver
        self._context = context

    async def goto(self, url: str) -> None:
        await self._driver.tell("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def reload(self) -> None:
        await self._driver.tell("browsingContext.reload", context=self._context, wait="complete")

    async def set_cookie(self, url: str, name: str, value: str) -> None:
        host = urlsplit(url).hostname
        cookie = {"name": name, "value": {"type": "string", "value": value}, "domain": host, "path": "/"}
        await self._driver.tell("storage.setCookie", cookie=cookie)

    async def add_init_script(self, script: str) -> None:
        """Run in every document before its own scripts."""
        await self._driver.tell("script.addPreloadScript", functionDeclaration=f"() => {{ {script} }}")

    async def evaluate(self, function: str, argument: Any = None) -> Any:
        """Return what a function in the page returns, as JSON carries it."""
        told = await self._driver.tell(
            "script.callFunction",
            functionDeclaration=f"async (text) => JSON.stringify((await ({function})(JSON.parse(text))) ?? null)",
            arguments=[{"type": "string", "value": json.dumps(argument)}],
            target={"context": self._context},
            awaitPromise=True,
            userActivation=True,
        )
        if told["type"] == "exception":
            raise AssertionError(told["exceptionDetails"]["text"])
        return json.loads(told["result"]["value"])

    async def wait_for(self, function: str, argument: Any = None, *, limit_s: float = 60) -> Any:
        """Return the first true thing that a function in the page returns."""
        deadline_s = time.monotonic() + limit_s
        while not (found := await self.evaluate(function, argument)):
            assert time.monotonic() < deadline_s, f"{function} stayed untrue"
            await asyncio.sleep(POLL_S)
        return found

    async def wait_for_selector(self, selector: str, *, limit_s: float = 60) -> None:
        """Until such an element is there and shown."""
        await self.wait_for(
            "(selector) => [...document.querySelectorAll(selector)].some((one) => one.checkVisibility())",
            selector,
            limit_s=limit_s,
        )

    async def click(self, selector: str) -> None:
        await self.wait_for_selector(selector)
        await self.evaluate("(selector) => { document.querySelector(selector).click(); }", selector)


class _Driver:
    """The socket to one Firefox: a command, its answer."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def tell(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        async with asyncio.timeout(COMMAND_LIMIT_S):
            told = await answer
        assert told["type"] == "success", f"{method}: {told.get('message')}"
        return told["result"]

    async def listen(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            answer = self._answers.pop(told.get("id", 0), None)
            if answer is not None and not answer.done():
                answer.set_result(told)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ConnectionError("Firefox is gone"))


@asynccontextmanager
async def open_firefox(folder: Path) -> AsyncIterator[Page]:
    """A Firefox process with a profile of its own in `folder`, ended afterwards."""
    program, port = find_firefox(), free_port()
    profile = folder / "profile"
    profile.mkdir(parents=True)
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines))
    command = [program, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", str(port)]
    environment = {"HOME": str(folder), "PATH": "/usr/local/bin:/usr/bin:/bin", "MOZ_HEADLESS": "1", "LANG": "C.UTF-8"}
    with (folder / "firefox.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        async with aiohttp.ClientSession() as http:
            socket = await _connect(http, f"ws://127.0.0.1:{port}/session")
            driver = _Driver(socket)
            listening = asyncio.create_task(driver.listen(), name="firefox")
            try:
                await driver.tell("session.new", capabilities={})
                created = await driver.tell("browsingContext.create", type="tab")
                yield Page(driver, created["context"])
            finally:
                await socket.close()
                await listening
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)


async def _connect(http: aiohttp.ClientSession, url: str) -> aiohttp.ClientWebSocketResponse:
    async with asyncio.timeout(START_LIMIT_S):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                return await http.ws_connect(url, max_msg_size=0)
            await asyncio.sleep(POLL_S)
