"""Bus and RoomDirectory within one process: what the demonstration and a single machine use.

Nothing is written down: events that nobody acknowledged are gone when the process dies.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from signaling.bus import Delivery
from signaling.events import RoomCommand, RoomEvent
from signaling.ticket import RoomId

REDELIVER_AFTER_S = 30.0
MAX_KEPT_EVENTS = 10_000  # for consumers that have not come yet; the oldest go first
MAX_COMMANDS = 1_000  # per listener; the oldest go first
LEASE_S = 3.0
SOCKETS_OF_A_CALL = 2  # what a room that was just placed will add to its node's load


@dataclass(slots=True)
class _Consumer:
    """ready: not handed out yet. handed_out: by number, when and which, until acknowledged. idle: there is neither."""

    ready: deque[RoomEvent] = field(default_factory=deque)
    handed_out: dict[int, tuple[float, RoomEvent]] = field(default_factory=dict)
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    def look(self) -> None:
        if self.ready or self.handed_out:
            self.idle.clear()
        else:
            self.idle.set()


@dataclass(frozen=True, slots=True)
class LocalDelivery:
    event: RoomEvent
    _number: int
    _consumer: _Consumer

    async def acknowledge(self) -> None:
        self._consumer.handed_out.pop(self._number, None)
        self._consumer.look()


class LocalBus:
    def __init__(self, *, redeliver_after_s: float = REDELIVER_AFTER_S) -> None:
        self._redeliver_after_s = redeliver_after_s
        self._history: deque[RoomEvent] = deque(maxlen=MAX_KEPT_EVENTS)
        self._consumers: dict[str, _Consumer] = {}
        self._numbers = itertools.count()
        self._news = asyncio.Condition()
        self._listeners: set[asyncio.Queue[RoomCommand | None]] = set()
        self._closed = False

    async def publish(self, event: RoomEvent) -> None:
        self._history.append(event)
        for consumer in self._consumers.values():
            consumer.ready.append(event)
            consumer.look()
        async with self._news:
            self._news.notify_all()

    async def deliveries(self, consumer: str) -> AsyncIterator[Delivery]:
        group = self._group(consumer)
        while not self._closed:
            handed = self._hand_out(group)
            if handed is not None:
                yield handed
                continue
            async with self._news:
                try:
                    async with asyncio.timeout(self._until_redelivery_s(group)):
                        await self._news.wait()
                except TimeoutError:
                    pass

    async def until_taken(self, consumer: str, within_s: float) -> bool:
        """Wait until a consumer has acknowledged every event; False if it did not in time."""
        try:
            async with asyncio.timeout(within_s):
                await self._group(consumer).idle.wait()
        except TimeoutError:
            return False
        return True

    async def order(self, command: RoomCommand) -> None:
        for listener in self._listeners:
            if listener.full():
                listener.get_nowait()
            listener.put_nowait(command)

    async def commands(self) -> AsyncIterator[RoomCommand]:
        listener: asyncio.Queue[RoomCommand | None] = asyncio.Queue(MAX_COMMANDS)
        self._listeners.add(listener)
        try:
            while not self._closed:
                command = await listener.get()
                if command is not None:
                    yield command
        finally:
            self._listeners.discard(listener)

    async def close(self) -> None:
        self._closed = True
        for listener in self._listeners:
            if listener.full():
                listener.get_nowait()
            listener.put_nowait(None)
        async with self._news:
            self._news.notify_all()

    def _group(self, consumer: str) -> _Consumer:
        if consumer not in self._consumers:
            self._consumers[consumer] = _Consumer(deque(self._history))
            self._consumers[consumer].look()
        return self._consumers[consumer]

    def _hand_out(self, group: _Consumer) -> LocalDelivery | None:
        now = time.monotonic()
        number = next(self._numbers)
        overdue = (one for one, (at, _) in group.handed_out.items() if now - at >= self._redeliver_after_s)
        late = next(overdue, None)
        if late is not None:
            event = group.handed_out.pop(late)[1]
        elif group.ready:
            event = group.ready.popleft()
        else:
            return None
        group.handed_out[number] = (now, event)
        return LocalDelivery(event, number, group)

    def _until_redelivery_s(self, group: _Consumer) -> float | None:
        if not group.handed_out:
            return None
        oldest = min(handed_at for handed_at, _ in group.handed_out.values())
        return max(0.0, oldest + self._redeliver_after_s - time.monotonic())


class LocalDirectory:
    def __init__(self, *, lease_s: float = LEASE_S) -> None:
        self._lease_s = lease_s
        self._rooms: dict[RoomId, tuple[str, float]] = {}  # node, until when
        self._nodes: dict[str, float] = {}  # until when
        self._loads: dict[str, int] = {}

    async def claim(self, room_id: RoomId, node: str) -> str:
        holder = await self.find(room_id)
        if holder is not None and holder != node:
            return holder
        self._rooms[room_id] = (node, time.monotonic() + self._lease_s)
        return node

    async def renew(self, room_id: RoomId, node: str) -> bool:
        if await self.find(room_id) != node:
            return False
        self._rooms[room_id] = (node, time.monotonic() + self._lease_s)
        return True

    async def release(self, room_id: RoomId, node: str) -> None:
        if await self.find(room_id) == node:
            del self._rooms[room_id]

    async def find(self, room_id: RoomId) -> str | None:
        node, until = self._rooms.get(room_id, ("", 0.0))
        return node if until > time.monotonic() else None

    async def place(self, room_id: RoomId) -> str | None:
        holder = await self.find(room_id)
        if holder is not None:
            return holder
        node = min(await self.nodes(), key=lambda one: self._loads[one], default=None)
        if node is None:
            return None
        self._loads[node] += SOCKETS_OF_A_CALL
        return await self.claim(room_id, node)

    async def announce(self, node: str, load: int = 0) -> None:
        self._nodes[node] = time.monotonic() + self._lease_s
        self._loads[node] = load

    async def withdraw(self, node: str) -> None:
        self._nodes.pop(node, None)

    async def nodes(self) -> list[str]:
        now = time.monotonic()
        return sorted(node for node, until in self._nodes.items() if until > now)

    async def close(self) -> None:
        self._rooms.clear()
        self._nodes.clear()
