"""A whole Consult for a browser test: `web` and `worker` as processes of their own, on a migrated database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.conftest import free_port, wait_for_port

TOP = Path(__file__).parents[2]


class Consult:
    """Starts, kills and ends the processes. url: without a slash at its end; home: CONSULT_HOME."""

    def __init__(self, database_url: str, home: Path, **environment: str) -> None:
        self.home = home
        self.port = free_port()
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
            with (self.home.parent / f"{command}.log").open("ab") as log:
                self._processes[command] = subprocess.Popen(
                    [sys.executable, "-m", "consult", command], cwd=TOP, env=self._environment, stdout=log, stderr=log
                )
        if "web" in commands:
            wait_for_port(self.port, within_s=30)

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
