"""A real coturn with the configuration that operators get, on loopback and ports of its own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import free_port, wait_for_port

SHIPPED = Path(__file__).parents[1] / "deploy" / "turnserver.conf"
SECRET = "a secret that both servers share"
DENY_ALL = ("denied-peer-ip=0.0.0.0-255.255.255.255\n", "denied-peer-ip=::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\n")
# Loopback cannot be a peer without this; the shipped file has no such line.
LOOPBACK_PEERS = ("allow-loopback-peers", "allowed-peer-ip=127.0.0.1")


@dataclass(frozen=True, slots=True)
class TurnServer:
    port: int

    @property
    def url(self) -> str:
        return f"turn:127.0.0.1:{self.port}?transport=udp"


def find_coturn() -> str:
    """Return coturn's program, or skip the test and say aloud how to get it."""
    program = shutil.which("turnserver")
    if program is None:
        pytest.skip(
            "coturn is not on this machine, so TURN is not tested. On Debian and Ubuntu: apt-get install coturn"
        )
    return program


@contextmanager
def run_coturn(
    folder: Path, *, more: Sequence[str] = (), without: Sequence[str] = (), port: int = 0
) -> Iterator[TurnServer]:
    """more, without: lines added to the shipped file and taken out of it. port: a free one if none is given."""
    program, port = find_coturn(), port or free_port()
    text = SHIPPED.read_text()
    for line in without:
        assert line in text
        text = text.replace(line, "")
    own = [
        f"static-auth-secret={SECRET}", "listening-ip=127.0.0.1", "relay-ip=127.0.0.1", "relay-ip=::1",
        f"pidfile={folder}/pid",
        f"userdb={folder}/users", "log-file=stdout", "no-tls", "no-dtls",
    ]  # fmt: skip
    text = text.replace("listening-port=3478\n", f"listening-port={port}\n", 1)
    config = folder / "turnserver.conf"
    config.write_text("\n".join([text, *own, *more, ""]))
    with (folder / "coturn.log").open("wb") as log:
        process = subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log, cwd=folder)
        try:
            wait_for_port(port, within_s=30)
            yield TurnServer(port)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
