"""A room while people are in it: carries out its effects, tells it the time, passes on what its media says.

Owns the sockets of one room, its one timer and its media. All calls come from the event loop; nothing here waits.
"""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from signaling import messages as wire
from signaling.effects import (
    AcceptOffer,
    CloseMedia,
    CloseSocket,
    DropMedia,
    Effect,
    Send,
    ShareScreen,
    Silence,
    SwitchRecording,
    Tell,
)
from signaling.errors import SignalingError
from signaling.events import RecordingFinished, RoomEvent
from signaling.media import MediaEvent, MediaFactory, SegmentFinished, SlotsChanged, SpoolFailed
from signaling.media_desk import MediaDesk, Spawn
from signaling.room import Room
from signaling.ticket import RoomId, Seat

log = structlog.get_logger(__name__)

_SEGMENTS = uuid.UUID("6a5c1d0e-61f4-4c0b-9d5e-6f1d4b7f0a11")  # a segment told twice is the same event


class Outlet(Protocol):
    """One socket, as a room sees it. Neither method waits or raises."""

    def send(self, text: str, *, replaces: str | None = None) -> None:
        """replaces: an earlier text of the same name that has not been written yet gives way."""

    def end(self, reason: wire.EndReason | None) -> None:
        """Close the socket after what was sent; with a reason, say it."""


class IceServers(Protocol):
    def __call__(self, member_id: str) -> wire.IceServers:
        """Return the STUN and TURN servers for one socket, with credentials of its own, and the policy."""


class LiveRoom:
    def __init__(
        self,
        room_id: RoomId,
        *,
        wall_ms: int,
        open_media: MediaFactory,
        publish: Callable[[RoomEvent], None],
        ice_servers: IceServers,
        spawn: Spawn,
    ) -> None:
        """wall_ms: now, ms since 1970 UTC. publish: hands an event to the application, in order. spawn: owns tasks."""
        self._loop = asyncio.get_running_loop()
        self._zero_s = self._loop.time()
        self._room = Room(room_id, wall_at_zero_ms=wall_ms, new_id=lambda: str(uuid.uuid4()))
        self._open_media = open_media
        self._publish = publish
        self._ice_servers = ice_servers
        self._spawn = spawn
        self._sockets: dict[str, Outlet] = {}
        self._desk: MediaDesk | None = None
        self._waiting: deque[Effect] = deque()
        self._performing = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_for_ms: int | None = None
        self._finished = asyncio.Event()

    @property
    def room_id(self) -> RoomId:
        return self._room.room_id

    @property
    def closed(self) -> str | None:
        """Why the room is closed, or None."""
        return self._room.closed

    @property
    def socket_count(self) -> int:
        return len(self._sockets)

    # What sockets do -----------------------------------------------------------------------------------------------

    def join(self, seat: Seat, outlet: Outlet) -> None:
        """Seat somebody on a socket; an earlier socket of the same device gives way. Raises RoomFull, LobbyFull."""
        effects = self._room.arrive(seat, self._now_ms())
        earlier = self._sockets.get(seat.member_id)
        self._sockets[seat.member_id] = outlet
        if earlier is not None:
            earlier.end("superseded")
        self._perform(effects)

    def receive(self, member_id: str, outlet: Outlet, message: wire.FromBrowser) -> None:
        """Carry out a member's message. Raises SignalingError."""
        if self._sockets.get(member_id) is outlet:
            self._perform(self._room.receive(member_id, message, self._now_ms()))

    def lose(self, member_id: str, outlet: Outlet) -> None:
        """The socket is gone, for whatever reason."""
        if self._sockets.get(member_id) is outlet:
            del self._sockets[member_id]
            self._perform(self._room.disconnect(member_id, self._now_ms()))

    # What the application orders -----------------------------------------------------------------------------------

    def remove_person(self, person_id: str, reason: str) -> None:
        self._perform(self._room.remove_person(person_id, reason, self._now_ms()))

    def close(self, reason: str) -> None:
        self._perform(self._room.close(reason, self._now_ms()))

    def suspend(self) -> None:
        """This process stops: segments are finished, browsers come back by themselves."""
        self._perform(self._room.suspend(self._now_ms()))

    async def wait_finished(self) -> None:
        """Wait until a closed room's media is closed and everything is told."""
        await self._finished.wait()

    # What media says -----------------------------------------------------------------------------------------------

    def hear_media(self, event: MediaEvent) -> None:
        match event:
            case SlotsChanged(member_id, attempt, slots):
                self._perform(self._room.media_slots(member_id, attempt, slots))
            case SegmentFinished():
                self._publish(recording_finished(event))
            case SpoolFailed(reason):
                log.error("spool_failed", room_id=self.room_id, reason=reason)
                self.recording_failed()
            case _:
                log.info("peer", room_id=self.room_id, fact=type(event).__name__, member_id=event.member_id)

    def offer_answered(self, member_id: str, attempt: int, sdp: str) -> None:
        self._perform(self._room.media_answer(member_id, attempt, sdp))

    def offer_failed(self, member_id: str, error: SignalingError) -> None:
        reference = new_reference()
        log.warning("offer_failed", room_id=self.room_id, member_id=member_id, code=error.code, reference=reference)
        outlet = self._sockets.get(member_id)
        if outlet is not None:
            outlet.send(wire.encode(wire.error_message(error, reference=reference, of="offer")))

    def recording_failed(self) -> None:
        self._perform(self._room.recording_failed(self._now_ms()))

    # Effects -------------------------------------------------------------------------------------------------------

    def _perform(self, effects: list[Effect]) -> None:
        # Media may speak while an effect is carried out; what follows from that comes after what was decided before.
        self._waiting.extend(effects)
        if self._performing:
            return
        self._performing = True
        try:
            while self._waiting:
                self._carry_out(self._waiting.popleft())
        finally:
            self._performing = False
        self._set_timer()

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send(to, message):
                self._send(to, message)
            case Tell(event):
                self._publish(event)
            case CloseSocket(member_id, reason):
                outlet = self._sockets.pop(member_id, None)
                if outlet is not None:
                    outlet.end(reason)
            case AcceptOffer():
                self._media_desk().accept(effect)
            case DropMedia(member_id):
                if self._desk is not None:
                    self._desk.drop(member_id)
            case Silence(member_id, on):
                self._media_desk().silence(member_id, on)
            case ShareScreen(member_id):
                self._media_desk().share_screen(member_id)
            case SwitchRecording(on):
                if on or self._desk is not None:
                    self._media_desk().switch_recording(on)
            case CloseMedia():
                rest = [later.event for later in self._waiting if isinstance(later, Tell)]
                self._waiting.clear()
                self._spawn(self._finish(rest), f"end of room {self.room_id}")

    def _send(self, to: tuple[str, ...], message: wire.ToBrowser) -> None:
        replaces = None
        if isinstance(message, wire.Pointed):
            replaces = f"pointer of {message.member_id}"
        elif isinstance(message, wire.ViewChanged):
            replaces = "view"
        elif isinstance(message, wire.QualityOf):
            replaces = f"quality of {message.member_id}"
        elif isinstance(message, wire.Welcome):
            ice = self._ice_servers(message.member_id)
            message = dataclasses.replace(
                message,
                ice_servers=ice.ice_servers,
                ice_policy=ice.ice_policy,
                media_attempt=self._desk.resume(message.member_id) if self._desk is not None else None,
            )
        elif isinstance(message, wire.IceServers):
            message = self._ice_servers(to[0])
        text = wire.encode(message)
        for member_id in to:
            outlet = self._sockets.get(member_id)
            if outlet is not None:
                outlet.send(text, replaces=replaces)

    def _media_desk(self) -> MediaDesk:
        if self._desk is None or self._desk.closed:
            media = self._open_media(
                self.room_id,
                clock=lambda: self._room.clock_ms(self._now_ms()),
                tell=self.hear_media,
                started_at=self._room.started_at(),
            )
            self._desk = MediaDesk(media, counter=self, spawn=self._spawn)
        return self._desk

    async def _finish(self, rest: list[RoomEvent]) -> None:
        try:
            if self._desk is not None:
                await self._desk.close()
            for _ in range(3):  # media tells on later turns of the loop; what it tells comes before the end
                await asyncio.sleep(0)
        finally:
            for event in rest:
                self._publish(event)
            self._finished.set()

    # Time ----------------------------------------------------------------------------------------------------------

    def _now_ms(self) -> int:
        return int((self._loop.time() - self._zero_s) * 1000)

    def _set_timer(self) -> None:
        due_ms = self._room.next_deadline_ms()
        if due_ms == self._timer_for_ms:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_for_ms = due_ms
        # A millisecond late, so that rounding never wakes us before the deadline.
        self._timer = (
            self._loop.call_at(self._zero_s + (due_ms + 1) / 1000, self._on_time) if due_ms is not None else None
        )

    def _on_time(self) -> None:
        self._timer_for_ms = self._timer = None
        self._perform(self._room.tick(self._now_ms()))


def recording_finished(segment: SegmentFinished) -> RecordingFinished:
    """Return the event of a finished segment; the same event whenever the same segment is told again."""
    at_ms = segment.offset_ms + segment.duration_ms
    happened_at = datetime.fromisoformat(segment.started_at) + timedelta(milliseconds=at_ms)
    return RecordingFinished(
        event_id=str(uuid.uuid5(_SEGMENTS, segment.segment_id)),
        at_ms=at_ms,
        happened_at=happened_at.isoformat(timespec="milliseconds"),
        **{field.name: getattr(segment, field.name) for field in dataclasses.fields(segment)},
    )


def new_reference() -> str:
    """Return what a person can read to us over the telephone, and what the log says beside an error."""
    return uuid.uuid4().hex[:8]
