"""`make test-at`: a test run at another moment, in another zone, with waits that last as ever."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
INNER = """
import subprocess, threading, time
from datetime import datetime

import pytest


@pytest.mark.parametrize("number", range(4))
def test_it_is_late_on_the_last_day_of_february(number):
    assert f"{datetime.now().astimezone():%F %H:%M %z}" == "2028-02-28 23:58 -1100"
    assert subprocess.run(["date", "+%F %H:%M"], capture_output=True, text=True).stdout == "2028-02-28 23:58\\n"
    begun = time.monotonic()
    time.sleep(0.1)
    threading.Event().wait(0.1)
    assert 0.2 <= time.monotonic() - begun < 20
"""


@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="the clock is put back by a library in C, on Linux"
)
@pytest.mark.parametrize("options", [[], ["-n", "2"]], ids=["alone", "in parallel"])
def test_every_test_begins_at_the_moment_that_was_asked_for(tmp_path: Path, options: list[str]) -> None:
    inner = tmp_path / "test_inner.py"
    inner.write_text(INNER)
    command = [sys.executable, "-m", "tests.moments", "2028-02-29 10:58", "--zone", "Pacific/Niue", *options]
    ran = subprocess.run([*command, inner], cwd=TOP, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "4 passed" in ran.stdout
