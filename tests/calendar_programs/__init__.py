"""Two real calendar programs: Thunderbird's parser, which goes by VTIMEZONE, and khal, which goes by TZID."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KHAL_LINE = "{uid}|{start-long}|{end-long}|{title}|{status}"

needs_khal = pytest.mark.skipif(shutil.which("khal") is None, reason="khal is not installed")
needs_thunderbirds_parser = pytest.mark.skipif(
    shutil.which("node") is None or not (ROOT / "node_modules" / "ical.js").exists(),
    reason="Node or ical.js is not installed",
)


def read_as_thunderbird(calendars: list[bytes]) -> list[Any]:
    """Return what ical.js reads of each calendar: method and entries."""
    written = json.dumps([calendar.decode() for calendar in calendars])
    done = subprocess.run(
        ["node", HERE / "ical.mjs"], input=written, capture_output=True, text=True, check=True, timeout=60, cwd=ROOT
    )
    found: list[Any] = json.loads(done.stdout)
    return found


class Khal:
    """A khal with one calendar, in a zone of its own."""

    def __init__(self, folder: Path, time_zone: str) -> None:
        self._folder = folder
        self._config = folder / "khal.conf"
        (folder / "calendar").mkdir()
        self._config.write_text(
            f"[calendars]\n[[mine]]\npath = {folder}/calendar\n[sqlite]\npath = {folder}/khal.db\n[locale]\n"
            f"local_timezone = {time_zone}\ndefault_timezone = {time_zone}\ntimeformat = %H:%M\n"
            "dateformat = %Y-%m-%d\nlongdateformat = %Y-%m-%d\ndatetimeformat = %Y-%m-%d %H:%M\n"
            "longdatetimeformat = %Y-%m-%d %H:%M\n"
        )

    def open(self, calendar: bytes) -> None:
        """What opening a mail's entry does."""
        (self._folder / "opened.ics").write_bytes(calendar)
        self._run("import", "--batch", "-a", "mine", str(self._folder / "opened.ics"))

    def entries(self, day_from: str, days: int = 30) -> list[list[str]]:
        """uid, begin, end, title, status of every entry, in khal's own zone."""
        lines = self._run("list", "--day-format", "", "--format", KHAL_LINE, day_from, f"{days}d").splitlines()
        return [[part.strip() for part in line.split("|")] for line in lines if "|" in line]

    def _run(self, *arguments: str) -> str:
        command = ["khal", "-c", str(self._config), *arguments]
        env = {"PATH": "/usr/bin:/bin", "HOME": str(self._folder), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=env).stdout
