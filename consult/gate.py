"""A gate for work that costs much memory: so many at once in a process, the others wait their turn."""

from __future__ import annotations

import asyncio


class Gate:
    """One per kind of work, as a module's constant; it serves whichever event loop runs."""

    def __init__(self, most_at_once: int) -> None:
        self._most = most_at_once
        self._gates: dict[asyncio.AbstractEventLoop, asyncio.Semaphore] = {}

    def __call__(self) -> asyncio.Semaphore:
        """Use as `async with gate():`. Loops that are closed are forgotten."""
        for loop in [loop for loop in self._gates if loop.is_closed()]:
            del self._gates[loop]
        return self._gates.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self._most))
