"""A whole Consult for a test: `web`, `worker` and, with Redis, `media` as processes of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.conftest import free_port, wait_for_port

TOP = Path(__file__).parents[2]
START_WITHIN_S = 150
MEDIA_PROCESSES = 2


class Consult:
    """Starts, kills and ends the processes on a migrated database.

    url: without a slash at its end; home: CONSULT_HOME. With REDIS_URL among the environment `media` can be started:
    its processes answer at `nodes`. Calls do not hold up the end unless DRAIN_S says so. media: the command that is run
    instead of `consult media`.
    """

    def __init__(
        self,
        database_url: str,
        home: Path,
        *,
        media_processes: int = MEDIA_PROCESSES,
        media: tuple[str, ...] = ("consult", "media"),
        **environment: str,
    ) -> None:
        self.home = home
        self.port, self._media_port = free_port(), free_ports(media_processes)
        self.url = f"http://localhost:{self.port}"
        self.nodes = [f"http://127.0.0.1:{self._media_port + place}" for place in range(media_processes)]
        self._media = media
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._environment = {
            **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")},
            "DATABASE_URL": database_url,
            "SECRET_KEY": "a secret for browser tests, long enough for anything",
            "PUBLIC_URL": self.url,
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "CONSULT_HOME": str(home),
            "MEDIA_HOSTS": "127.0.0.1",
            "MEDIA_PROCESSES": str(media_processes),
            "CLINIC_NAME": "Northlake Clinic",
            "DRAIN_S": "0",
            **environment,
        }

    def start(self, *commands: str) -> None:
        for command in commands:
            module = self._media if command == "media" else ("consult", command)
            with self.log(command).open("ab") as log:
                self._processes[command] = subprocess.Popen(
                    [sys.executable, "-m", *module],
                    cwd=TOP, env=self._environment_of(command), stdout=log, stderr=log,
                )  # fmt: skip
        if "web" in commands:
            wait_for_port(self.port, within_s=START_WITHIN_S)
        if "media" in commands:
            for node in self.nodes:
                self.wait_for_node(node)

    def log(self, command: str) -> Path:
        """Where a process writes to."""
        return self.home.parent / f"{command}.log"

    def _environment_of(self, command: str) -> dict[str, str]:
        if command != "media":
            return self._environment
        return self._environment | {"PORT": str(self._media_port), "MEDIA_NODE": self.nodes[0]}

    def process(self, command: str) -> subprocess.Popen[bytes]:
        return self._processes[command]

    def kill(self, command: str) -> None:
        """SIGKILL: no chance to tidy."""
        process = self._processes.pop(command)
        process.kill()
        process.wait(10)

    def node_process(self, node: str) -> psutil.Process:
        """The media process that listens at an address."""
        port = int(node.rpartition(":")[2])
        for child in psutil.Process(self._processes["media"].pid).children():
            try:
                listens = [one.laddr.port for one in child.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
            except psutil.NoSuchProcess:
                continue
            if port in listens:
                return child
        raise AssertionError(f"nobody listens at {node}: {self.log('media').read_text()}")

    def wait_for_node(self, node: str) -> None:
        wait_for_port(int(node.rpartition(":")[2]), within_s=START_WITHIN_S)

    def stop(self) -> None:
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            process.wait(30)
        self._processes.clear()

    def create_staff(
        self, *, email: str, name: str, role: str, time_zone: str, password: str, specialty: str = ""
    ) -> None:
        given = ["--email", email, "--name", name, "--role", role, "--time-zone", time_zone, "--specialty", specialty]
        subprocess.run(
            [sys.executable, "-m", "consult", "create-staff", *given],
            cwd=TOP, env=self._environment, input=password.encode() + b"\n", check=True, timeout=60,
        )  # fmt: skip


def free_ports(count: int) -> int:
    """Return the first of `count` ports in a row that were free a moment ago."""
    deadline = time.monotonic() + 10
    while True:
        first = free_port()
        probes = [socket.socket() for _ in range(count)]
        try:
            for place, probe in enumerate(probes):
                probe.bind(("127.0.0.1", first + place))
            return first
        except (OSError, OverflowError):
            assert time.monotonic() < deadline, "no ports are free"
        finally:
            for probe in probes:
                probe.close()
