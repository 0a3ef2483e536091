"""A whole Consult for a browser test: `web`, `worker` and, with Redis, `media` as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.conftest import free_port, wait_for_port

TOP = Path(__file__).parents[2]


class Consult:
    """Starts, kills and ends the processes on a migrated database.

    url: without a slash at its end; home: CONSULT_HOME. With REDIS_URL among the environment `media` can be started.
    """

    def __init__(self, database_url: str, home: Path, **environment: str) -> None:
        self.home = home
        self.port, self._media_port = free_port(), free_port()
        self.url = f"http://localhost:{self.port}"
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
            "CLINIC_NAME": "Northlake Clinic",
            **environment,
        }

    def start(self, *commands: str) -> None:
        for command in commands:
            with self.log(command).open("ab") as log:
                self._processes[command] = subprocess.Popen(
                    [sys.executable, "-m", "consult", command],
                    cwd=TOP, env=self._environment_of(command), stdout=log, stderr=log,
                )  # fmt: skip
        for command, port in (("web", self.port), ("media", self._media_port)):
            if command in commands:
                wait_for_port(port, within_s=60)

    def log(self, command: str) -> Path:
        """Where a process writes to."""
        return self.home.parent / f"{command}.log"

    def _environment_of(self, command: str) -> dict[str, str]:
        if command != "media":
            return self._environment
        port = str(self._media_port)
        return self._environment | {"PORT": port, "MEDIA_NODE": f"http://127.0.0.1:{port}"}

    def kill(self, command: str) -> None:
        """SIGKILL: no chance to tidy."""
        process = self._processes.pop(command)
        process.kill()
        process.wait(10)

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
