"""One browser's socket: hello first, then a reader and a bounded outbox until either side ends it.

Owns limits, the order of writing and the translation of errors and endings into messages and close codes. What a
message means is the room's to say; the socket itself comes from `endpoint.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import structlog

from signaling import messages as wire
from signaling.errors import (
    LobbyFull,
    MessageOutOfOrder,
    MessageTooLarge,
    ProtocolError,
    RoomElsewhere,
    RoomFull,
    SignalingError,
    TicketError,
    TooManyMessages,
    VersionUnsupported,
)
from signaling.hub import Hub
from signaling.limits import TokenBucket
from signaling.live_room import LiveRoom, new_reference
from signaling.ticket import Seat, verify

HELLO_S = 10.0
WRITE_S = 20.0
MAX_OUTBOX = 256
MAX_PROTOCOL_ERRORS = 20
MESSAGES_BEFORE_A_BREATH = 16  # then other sockets have their turn

log = structlog.get_logger(__name__)


class SocketClosed(Exception):
    """The other side is gone."""


class Socket(Protocol):
    """A WebSocket as this module needs it."""

    async def read(self) -> str:
        """Return the next text. Raises SocketClosed, or MessageMalformed for anything but text."""

    async def write(self, text: str) -> None:
        """Raises SocketClosed."""

    async def close(self, code: int) -> None:
        """Say goodbye, within seconds. Never raises; a second call does nothing."""

    def abort(self) -> None:
        """Cut the line."""


def close_code(why: SignalingError | wire.EndReason | None) -> int:
    """Return the WebSocket close code for an error or an ending (docs/protocol.md lists them)."""
    match why:
        case None | "ended" | "idle" | "cancelled":
            return 1000
        case "restarting":
            return 1012
        case "refused" | "removed" | "expired":
            return 4003
        case "superseded":
            return 4005
        case TicketError():
            return 4001
        case VersionUnsupported():
            return 4002
        case RoomElsewhere():
            return 4004
        case RoomFull() | LobbyFull():
            return 4006
        case TooManyMessages():
            return 4008
        case MessageTooLarge():
            return 1009
        case ProtocolError():
            return 1008
        case _:
            return 1011


@dataclass(frozen=True, slots=True)
class Greeting:
    """A seat that was proved, and the text that proved it."""

    seat: Seat
    text: str


async def read_greeting(socket: Socket, *, key: bytes, now: Callable[[], datetime]) -> Greeting | None:
    """Return the first message of a socket if it proves a seat; otherwise tell why not, close, and return None."""
    try:
        async with asyncio.timeout(HELLO_S):
            text = await socket.read()
        message = wire.decode(text)
        if not isinstance(message, wire.Hello):
            raise MessageOutOfOrder("hello comes first")
        if message.version != wire.VERSION:
            raise VersionUnsupported(str(message.version))
        return Greeting(verify(message.ticket, key, now=now()), text)
    except SocketClosed:
        await socket.close(1000)
    except TimeoutError:
        await refuse(socket, MessageOutOfOrder("no hello"), of="hello")
    except SignalingError as error:
        await refuse(socket, error, of="hello")
    return None


async def refuse(socket: Socket, error: SignalingError, *, of: str | None = None) -> None:
    """Tell an error on a socket that belongs to no room, and close it."""
    reference = new_reference()
    log.info("socket_refused", code=error.code, detail=str(error), reference=reference)
    try:
        async with asyncio.timeout(WRITE_S):
            await socket.write(wire.encode(wire.error_message(error, reference=reference, of=of)))
    except (SocketClosed, TimeoutError):
        pass
    await socket.close(close_code(error))


@dataclass(slots=True)
class _Outbox:
    """Texts to be written. A text that replaces an earlier one takes its place in the queue."""

    _texts: OrderedDict[object, str] = field(default_factory=OrderedDict)

    def put(self, text: str, replaces: str | None) -> bool:
        """Return False if there is no room."""
        key: object = object() if replaces is None else replaces
        if key not in self._texts and len(self._texts) >= MAX_OUTBOX:
            return False
        self._texts[key] = text
        return True

    def take(self) -> str | None:
        return self._texts.popitem(last=False)[1] if self._texts else None


class Connection:
    """A seated browser. As a LiveRoom's Outlet, `send` and `end` are called by the room."""

    def __init__(self, socket: Socket, seat: Seat) -> None:
        self._socket = socket
        self._seat = seat
        self._outbox = _Outbox()
        self._news = asyncio.Event()
        self._end_code: int | None = None
        self._messages = TokenBucket(per_s=120, burst=240)
        self._pointers = TokenBucket(per_s=60, burst=120)
        self._offers = TokenBucket(per_s=0.5, burst=10)
        self._bytes = TokenBucket(per_s=256 * 1024, burst=1024 * 1024)
        self._protocol_errors = 0

    # As an outlet --------------------------------------------------------------------------------------------------

    def send(self, text: str, *, replaces: str | None = None) -> None:
        if self._end_code is not None:
            return
        if not self._outbox.put(text, replaces):
            # Somebody who does not read must not cost memory; a new socket gets the whole state again.
            log.warning("outbox_full", member_id=self._seat.member_id)
            self._end_code = 1008
            self._socket.abort()
        self._news.set()

    def end(self, reason: wire.EndReason | None) -> None:
        if self._end_code is not None:
            return
        if reason is not None:
            self.send(wire.encode(wire.Ended(reason)))
        if self._end_code is None:
            self._end_with(close_code(reason))

    def _end_with(self, code: int) -> None:
        self._end_code = code
        self._news.set()

    # Life ----------------------------------------------------------------------------------------------------------

    async def run(self, hub: Hub) -> None:
        """Sit in a room until the socket ends."""
        room: LiveRoom | None = None
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(self._write(), name=f"writer of {self._seat.member_id}")
            try:
                room = await self._enter(hub)
                await self._read(room)
            except SocketClosed:
                pass
            finally:
                if room is not None:
                    room.lose(self._seat.member_id, self)
                if self._end_code is None:
                    writer.cancel()

    async def _enter(self, hub: Hub) -> LiveRoom | None:
        try:
            return await hub.enter(self._seat, self)
        except SignalingError as error:
            self._complain(error, of="hello", closes=True)
        except Exception:
            log.exception("enter_failed", member_id=self._seat.member_id)
            self._complain(SignalingError(), of="hello", closes=True)
        return None

    async def _read(self, room: LiveRoom | None) -> None:
        count = 0
        while True:
            try:
                text = await self._socket.read()
            except SignalingError as error:
                self._complain(error)
                continue
            if room is not None and self._end_code is None:
                self._receive(room, text)
            count += 1
            if count % MESSAGES_BEFORE_A_BREATH == 0:
                await asyncio.sleep(0)

    def _receive(self, room: LiveRoom, text: str) -> None:
        of: str | None = None
        try:
            self._spend(len(text))
            message = wire.decode(text)
            of = wire.type_name(message)
            if isinstance(message, wire.Point) and not self._pointers.take(time.monotonic()):
                return  # the next one says where the pointer is
            if isinstance(message, wire.Offer) and not self._offers.take(time.monotonic()):
                raise TooManyMessages("offers")
            room.receive(self._seat.member_id, self, message)
        except SignalingError as error:
            self._complain(error, of=of)
        except Exception:
            log.exception("message_failed", of=of, member_id=self._seat.member_id)
            self._complain(SignalingError(), of=of)

    def _spend(self, size: int) -> None:
        now_s = time.monotonic()
        if not self._messages.take(now_s):
            raise TooManyMessages("messages")
        if not self._bytes.take(now_s, size):
            raise TooManyMessages("bytes")

    def _complain(self, error: SignalingError, *, of: str | None = None, closes: bool = False) -> None:
        reference = new_reference()
        log.info(
            "message_refused",
            code=error.code,
            detail=str(error),
            of=of,
            member_id=self._seat.member_id,
            room_id=self._seat.room_id,
            reference=reference,
        )
        self.send(wire.encode(wire.error_message(error, reference=reference, of=of)))
        if isinstance(error, ProtocolError):
            self._protocol_errors += 1
        over = closes or error.closes or self._protocol_errors >= MAX_PROTOCOL_ERRORS
        if over and self._end_code is None:
            self._end_with(close_code(error))

    async def _write(self) -> None:
        try:
            while True:
                text = self._outbox.take()
                if text is not None:
                    async with asyncio.timeout(WRITE_S):
                        await self._socket.write(text)
                elif self._end_code is not None:
                    await self._socket.close(self._end_code)
                    return
                else:
                    self._news.clear()
                    await self._news.wait()
        except (SocketClosed, TimeoutError):
            self._socket.abort()
