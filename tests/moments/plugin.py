"""For pytest, see `python -m tests.moments`: puts the clock to the wanted moment before each test."""

from __future__ import annotations

import ctypes
import math
import os
import struct
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pytest

from consult.db import embedded

WANTED, FOLDER, SHIFT = "TEST_MOMENT", "TEST_MOMENT_FOLDER", "CLOCK_SHIFT"
CARRIED = ("LD_PRELOAD", SHIFT)


class Clock:
    """The clock of this process and of those that it starts; each of pytest's has its own."""

    def __init__(self, wanted: datetime, folder: Path) -> None:
        self._wanted_s = wanted.timestamp()
        self._shift_s = 0
        self._file = folder / str(os.getpid())
        self._put(0)
        os.environ[SHIFT] = str(self._file)
        if ctypes.CDLL(None).follow_shift(os.fsencode(self._file)) != 0:
            raise pytest.UsageError("The clock is not shifted: start with python -m tests.moments.")

    def put(self) -> None:
        """Let it be the wanted moment now, or within a second after it: shifts are whole seconds."""
        self._put(math.ceil(self._wanted_s - (time.time() - self._shift_s)))

    def _put(self, shift_s: int) -> None:
        with self._file.open("r+b" if self._file.exists() else "wb") as file:  # never empty: it is mapped
            file.write(struct.pack("q", shift_s))
        self._shift_s = shift_s

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        self.put()


def pytest_configure(config: pytest.Config) -> None:
    clock = Clock(datetime.fromisoformat(os.environ[WANTED]), Path(os.environ[FOLDER]))
    clock.put()
    config.pluginmanager.register(clock)
    usual = embedded._environment

    def with_clock(binaries: Path) -> Mapping[str, str]:
        return {**usual(binaries), **{name: os.environ[name] for name in CARRIED}}

    embedded._environment = with_clock  # PostgreSQL is started with nothing else of ours
