"""Carries a process's room events to the bus, in order, as often as it takes."""

from __future__ import annotations

import asyncio
from collections import deque

import structlog

from signaling.bus import Bus
from signaling.events import RoomEvent, ViewShown

PUBLISH_S = 10
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 1.0
MANY_EVENTS = 10_000  # with more than these waiting, the Views among them go: the next one says the same again

log = structlog.get_logger(__name__)


class Publisher:
    """Keeps events until the bus has them. Nothing but Views is ever thrown away while the process lives."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: deque[RoomEvent] = deque()
        self._news = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def publish(self, event: RoomEvent) -> None:
        if len(self._waiting) >= MANY_EVENTS and isinstance(event, ViewShown):
            return
        self._waiting.append(event)
        self._empty.clear()
        self._news.set()

    async def run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            if not self._waiting:
                self._empty.set()
                self._news.clear()
                await self._news.wait()
            event = self._waiting[0]
            try:
                async with asyncio.timeout(PUBLISH_S):
                    await self._bus.publish(event)
            except Exception as error:
                log.warning("publish_failed", kind=type(event).__name__, error=type(error).__name__)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
                continue
            pause_s = FIRST_PAUSE_S
            self._waiting.popleft()

    async def flush(self, timeout_s: float) -> bool:
        """Wait until the bus has everything; False if it did not take it in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            log.error("events_not_published", count=len(self._waiting))
            return False
        return True
