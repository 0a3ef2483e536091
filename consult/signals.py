"""How a process hears that it should end."""

from __future__ import annotations

import asyncio
import os
import signal


def until_signal() -> asyncio.Event:
    """Return an event that SIGINT and SIGTERM set. A third signal ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    heard = 0

    def hear() -> None:
        nonlocal heard
        heard += 1
        if heard > 2:
            os._exit(1)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, hear)
    return stop
