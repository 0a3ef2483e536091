"""Bus and RoomDirectory: how rooms and application speak when they may live in different processes.

Owns the two protocols. `local_bus.py` implements them within one process, `redis_bus.py` between several;
tests/integration holds one contract suite for both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from signaling.events import RoomCommand, RoomEvent
from signaling.ticket import RoomId


class Delivery(Protocol):
    """One event, handed to one consumer. Unacknowledged events come again, after a restart too where the bus can."""

    @property
    def event(self) -> RoomEvent: ...
    async def acknowledge(self) -> None: ...


class Bus(Protocol):
    async def publish(self, event: RoomEvent) -> None:
        """Hand an event to the application, at least once, in order per room."""

    def deliveries(self, consumer: str) -> AsyncIterator[Delivery]:
        """Events, one at a time; several processes with the same consumer name share them."""

    async def order(self, command: RoomCommand) -> None:
        """Send a command to every process that may hold the room."""

    def commands(self) -> AsyncIterator[RoomCommand]:
        """Commands as they come; only the process with the room acts on one."""

    async def close(self) -> None: ...


class RoomDirectory(Protocol):
    """Which process holds a room. A node is the address of a media process, `http://host:port`.

    Claims and announcements lapse by themselves after a few seconds, so that a crashed process blocks nobody."""

    async def claim(self, room_id: RoomId, node: str) -> str:
        """Return the room's node: `node` if the room was free or already its, otherwise the other one."""

    async def renew(self, room_id: RoomId, node: str) -> bool:
        """Prolong the lease; False if it was lost."""

    async def release(self, room_id: RoomId, node: str) -> None: ...

    async def find(self, room_id: RoomId) -> str | None: ...

    async def place(self, room_id: RoomId) -> str | None:
        """Return the room's node; a room that nobody holds is claimed for the announced node with the least load.

        None if no node is announced, or if the directory has just begun anew: then every node first says what it holds.
        """

    async def announce(self, node: str, load: int = 0) -> None:
        """Say that a node is alive and takes new rooms; to be repeated while it is. load: sockets in its rooms."""

    async def withdraw(self, node: str) -> None:
        """Say that a node takes no new rooms any more."""

    async def nodes(self) -> list[str]:
        """The nodes that were announced lately, sorted."""

    async def close(self) -> None: ...
