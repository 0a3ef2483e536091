"""The UDP sockets that all links of a process share: one per offered address, so a firewall opens one port.

Owns who is behind which remote address, and what happens when a socket takes no more. A STUN check finds its link by
the user name in it; only when the link has authenticated it (aioice does) does its address count as the link's, and
media and DTLS are taken from there. Everything else is dropped unread. What a packet means is the link's business.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from signaling.compiled import ShortLine, ShortWay
from signaling.guard import MAX_DATAGRAM_BYTES
from signaling.ice import IceSettings, OpenSocket, open_sockets

logger = logging.getLogger(__name__)

Address = tuple[str, int]
Sendable = bytes | memoryview
Hold = Callable[[bytearray], tuple[Any, Any]]  # the same memory for libsrtp, and for slices that are bytes
OpenShortWay = Callable[[list[bytearray]], ShortWay | None]  # from the memory that datagrams are read into

BUFFER_BYTES: Final = 2048  # a larger datagram is cut off, and then too large
DATAGRAMS_PER_WAKE: Final = 32  # then timers and sockets of others have their turn
SMALL_BYTES: Final = 300  # sound and feedback
SRTCP_BYTES: Final = 20  # what encryption adds to the latter
MAX_WAITING: Final = 256

_BINDING_REQUEST, _BINDING_RESPONSE, _BINDING_ERROR = 0x0001, 0x0101, 0x0111
_MAGIC_COOKIE = 0x2112A442
_USERNAME = 0x0006
_MAX_ATTRIBUTES = 16
_read_stun = struct.Struct("!HHL").unpack_from
_read_attribute = struct.Struct("!HH").unpack_from


class Slot:
    """Room for one datagram. held: the same memory for libsrtp. taken: slices are bytes. view: slices copy nothing.

    size, address, socket: of what waits here to be sent.
    """

    __slots__ = ("address", "data", "held", "size", "socket", "taken", "view")

    def __init__(self, hold: Hold) -> None:
        self.data = bytearray(BUFFER_BYTES)
        self.held, self.taken = hold(self.data)
        self.view = memoryview(self.data)
        self.size = 0
        self.address: Address
        self.socket: PortSocket


class Line(Protocol):
    """One link's end at one socket. The port calls it with what came for the link. short: for its ordinary packets."""

    short: ShortLine | None

    def take_stun(self, data: bytes, address: Address) -> None:
        """A check for this link, or an answer to one of its own; neither is authenticated yet."""

    def take_dtls(self, data: bytes) -> None: ...

    def take_media(self, slot: Slot, size: int) -> None:
        """RTP or RTCP, as it arrived, in the first `size` bytes of the slot, which is the line's until it returns."""

    def take_clear(self, slot: Slot, size: int) -> None:
        """RTP that was decrypted on the short way and then left to us."""

    def waits_for(self, transaction_id: bytes) -> bool:
        """Return whether an answer to this check is still expected."""

    def fail(self) -> None:
        """What came for this link could not be handled: it ends, nobody else does."""


class PortSocket:
    """One UDP socket and whom its datagrams belong to. host: the address to offer. dropped: datagrams not sent."""

    def __init__(self, opened: OpenSocket, port: Port) -> None:
        self.host = opened.host
        self.port: int = opened.socket.getsockname()[1]
        self.dropped = 0
        self.sendto: Callable[[Sendable, Address], int] = opened.socket.sendto  # for who handles failure themselves
        self._socket = opened.socket
        self._is_ipv6 = opened.socket.family == socket.AF_INET6
        self.descriptor = opened.socket.fileno()
        self._port = port
        self._out = port.out
        self._incoming = port.incoming
        self._short = port.short
        self._table = port.short.make_table() if port.short is not None else None
        self._by_name: dict[bytes, Line] = {}
        self._by_address: dict[Address, Line] = {}
        self._challengers: dict[Address, Line] = {}
        self._waiting: deque[tuple[bytes, Address]] = deque()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.descriptor, self._drain if port.short is None else self._drain_shortly)

    def join(self, name: str, line: Line) -> None:
        """name: the ICE user name that others' checks of this link begin with."""
        self._by_name[name.encode()] = line

    def admit(self, address: Address, line: Line) -> None:
        """A check from this address was authenticated for this line.

        Somebody else's address does not become the line's by that, since a check's source can be forged: first
        the line's own check of it must succeed (take_over).
        """
        owner = self._by_address.get(address)
        if owner is None:
            self._give(address, line)
        elif owner is not line:
            self._challengers[address] = line

    def take_over(self, address: Address, line: Line) -> None:
        """Our own check of this address was answered by the line's browser: it is there."""
        self._give(address, line)
        self._challengers.pop(address, None)

    def leave(self, name: str, line: Line, addresses: set[Address]) -> None:
        """Forget a line, its name and its addresses."""
        self._by_name.pop(name.encode(), None)
        for address in addresses:
            if self._challengers.get(address) is line:
                del self._challengers[address]
            if self._by_address.get(address) is line:
                del self._by_address[address]
                if self._table is not None:
                    self._table.assign(address, None)

    def _give(self, address: Address, line: Line) -> None:
        self._by_address[address] = line
        if self._table is not None:
            self._table.assign(address, line.short)

    def send(self, data: Sendable, address: Address) -> None:
        """Send now, as far as the socket takes it."""
        try:
            self.sendto(data, address)
        except OSError as error:
            self.note_unsent(data, address, error)

    def note_unsent(self, data: Sendable, address: Address, error: OSError) -> None:
        """`sendto` failed. A socket that takes no more loses pictures; sound and feedback wait a little."""
        if isinstance(error, BlockingIOError):
            self._wait(data, address)
        else:  # no route at the moment; checks of consent decide when the other side is gone
            self.dropped += 1

    def close(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()

    def _drain(self) -> None:
        """Read what is there, handle it, send what comes of it: the same work in a row is quicker than by turns."""
        receive = self._socket.recvfrom_into
        arrived: list[tuple[Slot, int, Address]] = []
        for slot in self._incoming:
            try:
                size, address = receive(slot.data)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:  # a message of the network about an earlier datagram
                continue
            if 0 < size <= MAX_DATAGRAM_BYTES:
                arrived.append((slot, size, address[:2] if self._is_ipv6 else address))
        with self._out:
            for slot, size, address in arrived:
                self._hand_over(slot, size, address)

    def _drain_shortly(self) -> None:
        """The same, but what is ordinary never comes here."""
        short = self._short
        assert short is not None and self._table is not None
        short.drain(self._table, self.descriptor)
        if short.c.left_count:
            with self._out:
                for number, size, address, clear in short.left():
                    if clear:
                        self._hand_over_clear(self._incoming[number], size, address)
                    else:
                        self._hand_over(self._incoming[number], size, address)
        if short.c.unsent_count:
            self._port.keep_unsent()

    def _hand_over_clear(self, slot: Slot, size: int, address: Address) -> None:
        line = self._by_address.get(address)
        if line is None:
            return
        try:
            line.take_clear(slot, size)
        except Exception:
            logger.exception("a packet could not be handled")
            line.fail()

    def _hand_over(self, slot: Slot, size: int, address: Address) -> None:
        first = slot.data[0]  # RFC 7983 tells the kinds apart
        line = self._by_address.get(address) if first > 3 else self._find_stun(slot.data, size, address)
        if line is None:
            return
        try:
            if 127 < first < 192:
                line.take_media(slot, size)
            elif first < 4:
                line.take_stun(slot.taken[:size], address)
            elif 19 < first < 64:
                line.take_dtls(slot.taken[:size])
        except Exception:
            logger.exception("a datagram could not be handled")
            line.fail()

    def _find_stun(self, data: bytearray, size: int, address: Address) -> Line | None:
        if size < 20:
            return None
        kind, _, cookie = _read_stun(data)
        if cookie != _MAGIC_COOKIE:
            return None
        if kind == _BINDING_REQUEST:
            return self._by_name.get(local_name(data, size))
        if kind in (_BINDING_RESPONSE, _BINDING_ERROR):
            transaction_id = bytes(data[8:20])
            for line in (self._by_address.get(address), self._challengers.get(address)):
                if line is not None and line.waits_for(transaction_id):
                    return line
        return None

    def _wait(self, data: Sendable, address: Address) -> None:
        if len(data) > SMALL_BYTES or len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return
        if not self._waiting:
            self._loop.add_writer(self._socket.fileno(), self._send_waiting)
        self._waiting.append((bytes(data), address))

    def _send_waiting(self) -> None:
        while self._waiting:
            data, address = self._waiting[0]
            try:
                self.sendto(data, address)
            except BlockingIOError:
                return
            except OSError:
                self.dropped += 1
            self._waiting.popleft()
        self._loop.remove_writer(self._socket.fileno())


class Outgoing:
    """What is sent together: while the context is open packets wait, otherwise they go at once."""

    def __init__(self, hold: Hold) -> None:
        self._slots = [Slot(hold) for _ in range(DATAGRAMS_PER_WAKE)]
        self._filled = 0
        self._together = False

    def __enter__(self) -> None:
        self._together = True

    def __exit__(self, *_: object) -> None:
        self._together = False
        self._send()

    def next(self) -> Slot:
        """Return an empty slot, to be filled and posted, or left."""
        return self._slots[self._filled]

    def post(self, slot: Slot) -> None:
        """Send the slot that next() gave last: its size, address and socket are set."""
        self._filled += 1
        if not self._together or self._filled == len(self._slots):
            self._send()

    def _send(self) -> None:
        filled, self._filled = self._filled, 0
        for slot in self._slots[:filled]:
            data = slot.view[: slot.size]
            try:
                slot.socket.sendto(data, slot.address)
            except OSError as error:
                slot.socket.note_unsent(data, slot.address, error)


class Port:
    """The sockets of one process for one IceSettings. out: where links put what they send. short: None without it."""

    def __init__(self, settings: IceSettings, hold: Hold, open_short_way: OpenShortWay) -> None:
        """Raises OSError if no socket could be opened."""
        self.settings = settings
        self.loop = asyncio.get_running_loop()
        self.out = Outgoing(hold)
        self.incoming = [Slot(hold) for _ in range(DATAGRAMS_PER_WAKE)]
        self.short = open_short_way([slot.data for slot in self.incoming])
        self.sockets = [PortSocket(opened, self) for opened in open_sockets(settings)]
        self.links = 0

    def keep_unsent(self) -> None:
        """What sockets took no more on the short way."""
        assert self.short is not None
        for data, descriptor, address in self.short.unsent():
            for one in self.sockets:
                if one.descriptor == descriptor:
                    one.note_unsent(data, address, BlockingIOError())

    def release(self) -> None:
        """One link less; the last one closes the sockets."""
        self.links -= 1
        if self.links == 0:
            _open_ports.remove(self)
            for one in self.sockets:
                one.close()


_open_ports: list[Port] = []


def take_port(settings: IceSettings, hold: Hold, open_short_way: OpenShortWay = lambda incoming: None) -> Port:
    """Return the process's port for these settings, opened if this is its first link. Pair with release().

    hold: gives a slot's memory to libsrtp. Raises OSError if no socket could be opened.
    """
    loop = asyncio.get_running_loop()
    port = next((port for port in _open_ports if port.settings == settings and port.loop is loop), None)
    if port is None:
        port = Port(settings, hold, open_short_way)
        _open_ports.append(port)
    port.links += 1
    return port


def local_name(data: bytes | bytearray, size: int) -> bytes:
    """Return the receiver's part of a STUN request's USERNAME (RFC 8445 §7.2.2), empty if there is none."""
    at = 20
    for _ in range(_MAX_ATTRIBUTES):
        if at + 4 > size:
            break
        kind, length = _read_attribute(data, at)
        at += 4
        if kind == _USERNAME:
            return bytes(data[at : min(at + length, size)]).partition(b":")[0]
        at += length + (-length & 3)
    return b""
