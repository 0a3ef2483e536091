"""Traffic: lets everybody send in time, and counts over a while what came of it.

Owns the clock of all streams. It watches itself too: if frames leave late, this machine is too slow to play so many
people, and the figures are about it rather than about the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import heapq
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from consult.load_test.caller import Caller
from consult.load_test.streams import Outgoing, random_phase

SHORTEST_SLEEP_S: Final = 0.001
MOST_AT_ONCE: Final = 64
TICK_EVERY_S: Final = 0.05
REPORT_EVERY_S: Final = 1.0
STRAGGLERS_S: Final = 1.0  # what was sent last still arrives


@dataclass(frozen=True, slots=True)
class Count:
    """What was sent in a while, and how it arrived.

    expected: frames, once for each who should get it. lost: of them, not received bit by bit. strange: whole frames
    received that nobody sent. late_ms: how long after their time frames were sent, the worst in a hundred.
    latencies_ms: from sending a frame's last packet to its arrival, sorted.
    """

    seconds: float
    expected: int
    lost: int
    strange: int
    repeated: int
    packets_sent: int
    packets_received: int
    unsent: int
    late_ms: float
    latencies_ms: list[float]

    @property
    def lost_percent(self) -> float:
        return 100 * self.lost / self.expected if self.expected else 100.0


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value that `part` of the sorted values are not above; 0 if there are none."""
    return values[min(len(values) - 1, int(len(values) * part))] if values else 0.0


class Traffic:
    def __init__(self, callers: Sequence[Caller]) -> None:
        self._callers = callers
        self._streams = [stream for caller in callers for stream in caller.outgoing.values()]
        self._packets = 0
        self._late_s: list[float] = []

    @contextlib.asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Send while the context is open."""
        gc.collect()
        gc.freeze()  # thousands of objects that stay: collecting them again and again would make us late
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._send(), name="load sends"),
                    group.create_task(self._keep_up(), name="load repairs"),
                ]
                try:
                    yield
                finally:
                    for task in tasks:
                        task.cancel()
        finally:
            gc.unfreeze()

    async def count(self, seconds: float) -> Count:
        """Count what is sent in the next seconds; use it while flowing."""
        for caller in self._callers:
            for stream in caller.incoming.values():
                stream.start_over()
        packets, unsent = self._packets, self._unsent()
        began_s = time.monotonic()
        self._late_s = []
        self._set_counting(True)
        await asyncio.sleep(seconds)
        self._set_counting(False)
        lasted_s = time.monotonic() - began_s
        packets = self._packets - packets
        incoming = [stream for caller in self._callers for stream in caller.incoming.values()]
        packets_received = sum(stream.packets_counted for stream in incoming)
        late_s = sorted(self._late_s)
        await asyncio.sleep(STRAGGLERS_S)
        expected = sum(stream.source.count for stream in incoming if stream.source is not None)
        return Count(
            seconds=lasted_s,
            expected=expected,
            lost=expected - sum(stream.frames for stream in incoming),
            strange=sum(stream.strange for stream in incoming),
            repeated=sum(stream.repeated for stream in incoming),
            packets_sent=packets,
            packets_received=packets_received,
            unsent=self._unsent() - unsent,
            late_ms=1000 * percentile(late_s, 0.99),
            latencies_ms=sorted(late for stream in incoming for late in stream.latencies_ms),
        )

    def _set_counting(self, on: bool) -> None:
        for stream in self._streams:
            stream.counting = on
            if on:
                stream.sent.count = 0

    def _unsent(self) -> int:
        return sum(caller.transport.unsent for caller in self._callers)

    async def _send(self) -> None:
        clock = asyncio.get_running_loop().time
        began_s = clock()
        due: list[tuple[float, int, Outgoing]] = [
            (began_s + random_phase(stream.step_s), number, stream) for number, stream in enumerate(self._streams)
        ]
        heapq.heapify(due)
        while due:
            now_s = clock()
            for _ in range(MOST_AT_ONCE):  # then it is the turn of what arrives
                due_s, number, stream = due[0]
                if due_s > now_s:
                    break
                self._packets += stream.send_frame()
                self._late_s.append(now_s - due_s)
                heapq.heapreplace(due, (due_s + stream.step_s, number, stream))
                now_s = clock()
            await asyncio.sleep(max(SHORTEST_SLEEP_S, due[0][0] - now_s))

    async def _keep_up(self) -> None:
        reported_s = time.monotonic()
        while True:
            await asyncio.sleep(TICK_EVERY_S)
            now_s = time.monotonic()
            for caller in self._callers:
                caller.tick(now_s)
            if now_s - reported_s >= REPORT_EVERY_S:
                reported_s = now_s
                for caller in self._callers:
                    caller.report()
