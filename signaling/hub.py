"""The live rooms of this process.

Owns when a room begins and is forgotten, who holds it (the directory's lease), the tasks of all rooms, and the way of
events and commands. What happens in a room is `live_room.py`'s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from signaling import messages as wire
from signaling.bus import Bus, RoomDirectory
from signaling.errors import RoomElsewhere
from signaling.events import CloseRoom, RemovePerson, RoomCommand
from signaling.live_room import IceServers, LiveRoom, Outlet, recording_finished
from signaling.media import MediaFactory, SegmentFinished
from signaling.publisher import Publisher
from signaling.revocations import Revocations
from signaling.ticket import RoomId, Seat

REMEMBER_CLOSED_S = 60.0
RENEW_S = 1.0
DIRECTORY_S = 2.0
RECOVER_EVERY_S = 5.0
UNUSED_S = 15.0  # a room without sockets for so long keeps nobody from leaving
LOOK_S = 0.25
FINISH_S = 35.0
FLUSH_S = 5.0
COMMANDS_PAUSE_S = 0.5

log = structlog.get_logger(__name__)


class Hub:
    def __init__(
        self,
        *,
        bus: Bus,
        directory: RoomDirectory,
        open_media: MediaFactory,
        node: str,
        ice_servers: IceServers = lambda member_id: wire.IceServers(),
        recover_spool: Callable[[], Sequence[SegmentFinished]] | None = None,
        renew_s: float = RENEW_S,
        recover_every_s: float = RECOVER_EVERY_S,
        remember_closed_s: float = REMEMBER_CLOSED_S,
    ) -> None:
        """node: this process's address for the others. recover_spool: finishes what crashes left, of whichever process,
        and returns what waits to be filed; runs in a thread."""
        self.node = node
        self._directory = directory
        self._bus = bus
        self._open_media = open_media
        self._ice_servers = ice_servers
        self._recover_spool = recover_spool
        self._renew_s = renew_s
        self._recover_every_s = recover_every_s
        self._remember_closed_s = remember_closed_s
        self._publisher = Publisher(bus)
        self._revocations = Revocations()
        self._rooms: dict[RoomId, LiveRoom] = {}
        self._opening: dict[RoomId, asyncio.Lock] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._main: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._draining = False
        self._stopping = False

    @property
    def draining(self) -> bool:
        """Whether no new rooms are taken any more."""
        return self._draining or self._stopping

    @property
    def room_count(self) -> int:
        return len(self._rooms)

    def socket_count(self) -> int:
        return sum(room.socket_count for room in self._rooms.values())

    def holds(self, room_id: RoomId) -> bool:
        return room_id in self._rooms

    def takes(self, room_id: RoomId) -> bool:
        """Whether somebody who comes to a room is let into it here."""
        return not self._stopping and (not self._draining or self.holds(room_id))

    # Life ----------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        ready = asyncio.Event()
        self._main = asyncio.create_task(self._run(ready), name="hub")
        await ready.wait()

    async def drain(self) -> None:
        """Take no new rooms; return when no call is left. Those who are in a call, or come back to it, stay."""
        self._draining = True
        await self._ask_directory(self._directory.withdraw(self.node))
        loop = asyncio.get_running_loop()
        used_s = {room.room_id: loop.time() for room in self._rooms.values()}
        while not self._stopping:
            for room in self._rooms.values():
                if room.closed is None and room.socket_count:
                    used_s[room.room_id] = loop.time()
                elif room.closed is not None:
                    used_s.pop(room.room_id, None)
            if all(loop.time() - at_s > UNUSED_S for at_s in used_s.values()):
                return
            await asyncio.sleep(LOOK_S)

    async def close(self) -> None:
        """Finish the segments, send everybody away for a moment, tell everything; a second call does nothing more."""
        if self._main is None:
            return
        self._stopping = True
        rooms = list(self._rooms.values())
        for room in rooms:
            room.suspend()
        await self._wait_finished(rooms)
        await self._publisher.flush(FLUSH_S)
        for room in rooms:
            await self._release(room.room_id)
        await self._ask_directory(self._directory.withdraw(self.node))
        self._rooms.clear()
        self._stop.set()
        main, self._main = self._main, None
        await main

    async def _run(self, ready: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as self._tasks:
            own = [
                self._tasks.create_task(self._contain(self._publisher.run()), name="hub publishes events"),
                self._tasks.create_task(self._contain(self._keep_leases()), name="hub keeps its leases"),
                self._tasks.create_task(self._contain(self._obey()), name="hub hears commands"),
            ]
            if self._recover_spool is not None:
                own.append(self._tasks.create_task(self._contain(self._recover()), name="hub recovers the spool"))
            ready.set()
            await self._stop.wait()
            await _cancel(own)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        assert self._tasks is not None, "the hub was not started"
        self._tasks.create_task(self._contain(work), name=name)

    async def _contain(self, work: Coroutine[Any, Any, None]) -> None:
        # One room's accident must not end the others: a TaskGroup would cancel them all.
        try:
            await work
        except Exception:
            log.exception("task_failed", task=_task_name())

    # Sockets -------------------------------------------------------------------------------------------------------

    async def enter(self, seat: Seat, outlet: Outlet) -> LiveRoom | None:
        """Seat somebody; return their room, or None if they were told that the call is over for them.

        Raises RoomElsewhere, RoomFull, LobbyFull.
        """
        if self._stopping:
            outlet.end("restarting")
            return None
        revoked = self._revocations.reason(seat)
        if revoked is not None:
            outlet.end(revoked)
            return None
        if not self.takes(seat.room_id):
            raise RoomElsewhere(seat.room_id)
        room = await self._open(seat.room_id)
        room.join(seat, outlet)
        return room

    async def _open(self, room_id: RoomId) -> LiveRoom:
        async with self._opening.setdefault(room_id, asyncio.Lock()):
            room = self._rooms.get(room_id)
            if room is not None:
                return room
            async with asyncio.timeout(DIRECTORY_S):
                holder = await self._directory.claim(room_id, self.node)
            if holder != self.node:
                raise RoomElsewhere(room_id)
            if self.draining:
                await self._release(room_id)
                raise RoomElsewhere(room_id)
            room = LiveRoom(
                room_id,
                wall_ms=time.time_ns() // 1_000_000,
                open_media=self._open_media,
                publish=self._publisher.publish,
                ice_servers=self._ice_servers,
                spawn=self._spawn,
            )
            self._rooms[room_id] = room
            self._spawn(self._see_to_the_end(room), f"room {room_id}")
            return room

    async def _see_to_the_end(self, room: LiveRoom) -> None:
        await room.wait_finished()
        if room.closed != "idle" and not self._stopping:
            # Who comes too late should hear that the call is over, not open it again with an old ticket.
            await self._unless_stopped(self._remember_closed_s)
        if self._rooms.get(room.room_id) is room and not self._stopping:
            await self._release(room.room_id)
            self._forget(room)

    def _forget(self, room: LiveRoom) -> None:
        self._rooms.pop(room.room_id, None)
        self._opening.pop(room.room_id, None)

    async def _unless_stopped(self, delay_s: float) -> None:
        try:
            async with asyncio.timeout(delay_s):
                await self._stop.wait()
        except TimeoutError:
            pass

    async def _wait_finished(self, rooms: Sequence[LiveRoom]) -> None:
        try:
            async with asyncio.timeout(FINISH_S):
                for room in rooms:
                    await room.wait_finished()
        except TimeoutError:
            log.error("rooms_not_finished")

    # Bus and directory ---------------------------------------------------------------------------------------------

    async def _obey(self) -> None:
        while True:
            try:
                async for command in self._bus.commands():
                    self._carry_out(command)
            except Exception:
                log.exception("commands_lost")
            await asyncio.sleep(COMMANDS_PAUSE_S)

    def _carry_out(self, command: RoomCommand) -> None:
        room = self._rooms.get(RoomId(command.room_id))
        self._revocations.note(command, now_s=time.time())
        match command:
            case CloseRoom(reason=reason) if room is not None:
                room.close(reason)
            case RemovePerson(person_id=person_id, reason=reason) if room is not None:
                room.remove_person(person_id, reason)

    async def _recover(self) -> None:
        """What a process left that was killed is told by whichever of us finds it first; repeated events are known."""
        assert self._recover_spool is not None
        told: set[str] = set()
        while True:
            waiting = await asyncio.to_thread(self._recover_spool)
            for segment in waiting:
                if segment.segment_id not in told:
                    self._publisher.publish(recording_finished(segment))
            told = {segment.segment_id for segment in waiting}
            await asyncio.sleep(self._recover_every_s)

    async def _keep_leases(self) -> None:
        # Rooms first: who hears of this process may then rely on what the directory says about its rooms.
        while True:
            if await self._renew_all() and not self.draining:
                await self._ask_directory(self._directory.announce(self.node, self.socket_count()))
            await asyncio.sleep(self._renew_s)

    async def _renew_all(self) -> bool:
        for room in list(self._rooms.values()):
            if not await self._ask_directory(self._keep_lease(room)):
                return False  # the others would wait as long for the same answer
        return True

    async def _keep_lease(self, room: LiveRoom) -> None:
        if await self._directory.renew(room.room_id, self.node):
            return
        if await self._directory.claim(room.room_id, self.node) == self.node:
            return
        log.error("room_taken_over", room_id=room.room_id)
        self._forget(room)
        room.suspend()

    async def _release(self, room_id: RoomId) -> None:
        await self._ask_directory(self._directory.release(room_id, self.node))

    async def _ask_directory(self, question: Coroutine[Any, Any, None]) -> bool:
        """Ask; False without an answer. Without the directory calls go on; only new rooms must wait for it."""
        try:
            async with asyncio.timeout(DIRECTORY_S):
                await question
        except Exception as error:
            log.warning("directory_failed", error=type(error).__name__)
            return False
        return True


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    # Again and again: a library below may swallow a cancellation (Python 3.11's wait_for does).
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.2)


def _task_name() -> str:
    task = asyncio.current_task()
    return task.get_name() if task is not None else ""
