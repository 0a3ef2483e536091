"""How fast this machine is at this moment: the CPU time of a fixed loop, again and again, in a process of its own.

CPU seconds of a noisy machine mean little. "norm" is what they would be on a machine where the loop takes 34 ms.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator

LOOP_STEPS = 600_000
LOOP_MS = 34.0
EVERY_S = 1.2
FIRST_LIMIT_S = 30.0


class Loops:
    """Results of the loop: (s on the monotonic clock, CPU ms)."""

    def __init__(self) -> None:
        self.results: list[tuple[float, float]] = []

    def mean_ms(self, first_s: float, last_s: float) -> float:
        """Return the mean in a while; of all results if it was too short for one."""
        within = [ms for at_s, ms in self.results if first_s <= at_s <= last_s]
        return statistics.mean(within or [ms for _, ms in self.results])


@contextlib.asynccontextmanager
async def calibrating() -> AsyncIterator[Loops]:
    """Run the loop now and then while the context is open; it has run once at the beginning."""
    command = [sys.executable, "-m", "tests.bench.calibration"]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    loops, first = Loops(), asyncio.Event()

    async def read() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            at_s, _, ms = line.decode().partition(" ")
            loops.results.append((float(at_s), float(ms)))
            first.set()

    reading = asyncio.create_task(read(), name="calibration")
    try:
        async with asyncio.timeout(FIRST_LIMIT_S):
            await first.wait()
        yield loops
    finally:
        process.kill()
        await process.wait()
        await reading


def _loop_ms() -> float:
    began_s = time.process_time()
    x = 0
    for i in range(LOOP_STEPS):
        x = (x * 31 + i) & 0xFFFFFFFF
    return (time.process_time() - began_s) * 1000


if __name__ == "__main__":
    while True:
        ms = _loop_ms()
        print(time.monotonic(), ms, flush=True)
        time.sleep(EVERY_S)
