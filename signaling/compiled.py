"""The short way of ordinary packets, in C where a compiler was at hand: forward.c, and what Python says to it.

Owns loading the library (compiling.py builds it; settling.py, clocks.py and reception.py have their own C in it) and
the structures of forward.h: their memory, who points to whom, what is read back. Which packets are ordinary is
publication.py's and subscription.py's to say. Without the library all is as it is with it, at twice the cost.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from enum import IntEnum
from functools import cache, lru_cache, partial
from typing import Any, Final, NamedTuple

import cffi

from signaling.compiling import HEADERS, LIBRARY, fingerprint
from signaling.rtp import Moment, Packet, Run

READ_AT_ONCE: Final = 32  # as in forward.h, as all of these
PLACE_BYTES: Final = 2048
SENT_AT_ONCE: Final = 64
MAX_ROUTES: Final = 16
MAX_SINKS: Final = 8
SMALLEST_TABLE: Final = 256
TAKE_BYTES: Final = 1 << 18
TAKE_RUNS: Final = 256

_STRUCTURES: Final = ("sink", "kept", "source", "run", "line", "table", "port")
_SETTLING: Final = ("frame", "queue", "placing", "blocks")
_CLOCKS: Final = ("pace", "arrivals")
_run = struct.Struct("@qIId?B?5x")
_moment = struct.Struct("@8xI4xd8x").unpack_from
_read_sizes: Final = [struct.Struct(f"={count}H").unpack_from for count in range(65)]


class Library(NamedTuple):
    """held: the same functions without giving the interpreter's lock back, for what is too short to do so."""

    ffi: Any
    lib: Any
    held: Any


@cache
def load() -> Library | None:
    """Return the library, None if it was not built, or not from these sources, or for another machine."""
    if not LIBRARY.exists():
        return None
    ffi = cffi.FFI()
    for header in HEADERS:
        ffi.cdef(header.read_text())
    try:
        lib = ffi.dlopen(str(LIBRARY))
        built_from = ffi.string(lib.forward_built_from()).decode()
        sizes = [lib.forward_size(number) for number in range(1, len(_STRUCTURES) + 1)]
        sizes += [lib.settle_size(number) for number in range(len(_SETTLING))]
        sizes += [lib.clocks_size(number) for number in range(len(_CLOCKS))]
    except (OSError, AttributeError):
        return None
    if built_from != fingerprint() or sizes != [ffi.sizeof(name) for name in _STRUCTURES + _SETTLING + _CLOCKS]:
        return None
    held = ctypes.PyDLL(str(LIBRARY))
    held.forward_take.argtypes = (
        ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32
    )  # fmt: skip
    held.settle_take.argtypes = (
        ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int32, ctypes.c_char_p,
        ctypes.c_uint32, ctypes.c_int64,
    )  # fmt: skip
    held.settle_write.argtypes = (ctypes.c_void_p, ctypes.c_double)
    held.clocks_place.argtypes = (
        ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_int32, ctypes.c_void_p
    )  # fmt: skip
    held.clocks_note.argtypes, held.clocks_note.restype = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32), None
    return Library(ffi, lib, held)


class Shared:
    """One of C's structures and a function of C's that takes it first. memory: its bytes, to be packed and unpacked."""

    def __init__(self, structure: str, function: str) -> None:
        """Only where the library is."""
        library = load()
        assert library is not None
        self._c = library.ffi.new(f"{structure} *")
        self.memory = library.ffi.buffer(self._c)
        self.call = partial(getattr(library.held, function), int(library.ffi.cast("uintptr_t", self._c)))


class Taken(IntEnum):
    """What is taken of packets that passed. TIMES: no payload. SOUND: each packet is a frame. VP8: pictures that came
    whole are put together."""

    TIMES, PACKETS, SOUND, VP8 = range(4)


class Passed(NamedTuple):
    """What passed on the short way, as C wrote it down: forward.h's runs, and what they carry."""

    records: bytes
    payloads: bytes

    @property
    def run_count(self) -> int:
        """How many runs."""
        return len(self.records) // _run.size

    def moment(self, number: int) -> Moment:
        """Return when a run arrived."""
        timestamp, arrived_ms = _moment(self.records, _run.size * number)
        return timestamp, arrived_ms

    def sounds(self, first: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield the timestamp and the frame of each packet from `first` on, of a track that was taken as SOUND."""
        begin = self._begin_of(first)
        for _, timestamp, end, _, _, _, _ in _run.iter_unpack(self.records[_run.size * first :]):
            yield timestamp, self.payloads[begin:end]
            begin = end

    def runs(self, first: int = 0) -> Iterator[Run]:
        """Yield the runs from `first` on."""
        begin = self._begin_of(first)
        records = self.records[_run.size * first :]
        for sequence, timestamp, end, arrived_ms, marker, count, whole in _run.iter_unpack(records):
            data = self.payloads[begin:end]
            begin = end
            if whole:
                yield Run(sequence, timestamp, marker, count, arrived_ms, data)
            else:
                yield Run(sequence, timestamp, marker, count, arrived_ms, None, _split(data, count) if data else ())

    def _begin_of(self, number: int) -> int:
        return int(_run.unpack_from(self.records, _run.size * (number - 1))[2]) if number else 0


def _split(data: bytes, count: int) -> list[bytes]:
    """data: sizes of payloads, and the payloads."""
    parts, at = [], 2 * count
    for size in _read_sizes[count](data):
        parts.append(data[at : at + size])
        at += size
    return parts


class ShortTrack:
    """One publication's packets: which come next, where they go, and those of the last seconds.

    While it is open, packets pass without Python. offset_ms: the room's clock minus the monotonic one.
    """

    def __init__(self, library: Library, *, packets: int, size_bytes: int, offset_ms: float) -> None:
        ffi, self._lib, held = library
        self._ffi = ffi
        self._log, self._places = ffi.new("kept[]", packets), ffi.new("uint64_t[]", packets)
        self._ring = ffi.new("uint8_t[]", size_bytes)
        self.c = ffi.new("source *")
        self.c.log, self.c.places, self.c.ring = self._log, self._places, self._ring
        self.c.log_size, self.c.ring_size, self.c.offset_ms = packets, size_bytes, offset_ms
        self._sinks: Sequence[ShortSink] = ()  # held for as long as C knows them
        self._taken, payloads = _places_to_take(ffi)
        addresses = [int(ffi.cast("uintptr_t", one)) for one in (self.c, self._taken, payloads)]
        self._take = partial(held.forward_take, addresses[0], addresses[1], TAKE_RUNS, addresses[2], TAKE_BYTES)
        self._runs, self._payloads = ffi.buffer(self._taken), ffi.buffer(payloads)

    @property
    def open(self) -> bool:
        return bool(self.c.open)

    @property
    def has_news(self) -> bool:
        return bool(self.c.kept_count != self.c.taken_count)

    def let_pass(self, ssrc: int, highest: int, sinks: Sequence[ShortSink]) -> None:
        """The packet behind `highest`, and so on, go to these sinks from now on."""
        c = self.c
        self._sinks = sinks
        for number, one in enumerate(sinks):
            c.sinks[number] = one.c
        c.sink_count, c.ssrc, c.highest, c.open = len(sinks), ssrc, highest, 1

    def close(self) -> None:
        """The next packet is Python's."""
        self.c.open = 0

    def read_counts(self) -> tuple[int, int, int]:
        """Return the highest sequence number, and packets and octets since the last time."""
        c = self.c
        counts = c.highest, c.received, c.octets
        c.received = c.octets = 0
        return counts

    def take(self, what: Taken) -> list[Passed]:
        """Return what passed since the last time, as it came."""
        passed: list[Passed] = []
        count = TAKE_RUNS
        while count == TAKE_RUNS or self.has_news:
            count = self._take(what)
            if count:
                records = self._runs[: _run.size * count]
                passed.append(Passed(records, self._payloads[: self._taken[count - 1].end]))
        return passed

    def keep(self, packet: Packet) -> None:
        """Keep what came the long way. What passed before must have been taken."""
        sequence, timestamp, marker, payload, arrived_ms = packet
        c = self.c
        self._lib.forward_keep(c, sequence, timestamp, marker, arrived_ms, payload, len(payload))
        c.taken_count = c.kept_count

    def has_seen(self, sequence: int) -> bool:
        return bool(self._lib.forward_find(self.c, sequence) != -1)

    def find(self, sequence: int) -> Packet | None:
        at = self._lib.forward_find(self.c, sequence)
        if at < 0:
            return None
        one = self._log[at]
        begins = (one.end - one.size) % self.c.ring_size
        payload = self._ffi.buffer(self._ring + begins, one.size)[:]
        return Packet(one.sequence, one.timestamp, bool(one.marker), payload, one.arrived_ms)


@cache
def _places_to_take(ffi: Any) -> tuple[Any, Any]:
    """Return where all tracks are taken into, one after another."""
    return ffi.new("run[]", TAKE_RUNS), ffi.new("uint8_t[]", TAKE_BYTES)


class ShortSink:
    """One subscription's numbers. line: of the connection that it goes to."""

    def __init__(self, library: Library, line: ShortLine, ssrc: int) -> None:
        self.c = library.ffi.new("sink *")
        self._line = line
        self.c.to, self.c.ssrc = line.c, ssrc


class ShortLine:
    """One connection: its keys, where it sends to, which of its packets belong to which track."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self.c = library.ffi.new("line *")
        self._tracks: list[ShortTrack] = []  # held for as long as C knows them

    def make_track(self, *, packets: int, size_bytes: int, offset_ms: float) -> ShortTrack:
        return ShortTrack(self._library, packets=packets, size_bytes=size_bytes, offset_ms=offset_ms)

    def make_sink(self, ssrc: int) -> ShortSink:
        return ShortSink(self._library, self, ssrc)

    def receive_with(self, session: int) -> None:
        """session: libsrtp's, as an address."""
        self.c.rx = self._library.ffi.cast("void *", session)

    def send_with(self, session: int, descriptor: int, address: tuple[str, int]) -> bool:
        """Return False if this address cannot be written down."""
        written = _write_address(address)
        if written is None:
            self.c.tx = self._library.ffi.NULL
            return False
        self._library.ffi.memmove(self.c.address, written, len(written))
        self.c.address_size, self.c.fd = len(written), descriptor
        self.c.tx = self._library.ffi.cast("void *", session)
        return True

    def end(self) -> None:
        """Nothing is read or sent any more."""
        self.c.rx = self.c.tx = self._library.ffi.NULL
        self.forget_routes()

    def route(self, ssrc: int, payload_type: int, track: ShortTrack) -> None:
        c = self.c
        if any(c.routes[n].ssrc == ssrc and c.routes[n].payload_type == payload_type for n in range(c.route_count)):
            return
        if c.route_count == MAX_ROUTES:
            self.forget_routes()
        entry = c.routes[c.route_count]
        entry.to, entry.ssrc, entry.payload_type = track.c, ssrc, payload_type
        c.route_count += 1
        self._tracks.append(track)

    def forget_routes(self) -> None:
        self.c.route_count = 0
        self._tracks.clear()


class ShortTable:
    """Whose packets come from where, for one socket."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self.c = library.ffi.new("table *")
        self._lines: dict[tuple[str, int], ShortLine] = {}
        self._grow(SMALLEST_TABLE)

    def assign(self, address: tuple[str, int], line: ShortLine | None) -> None:
        """line: None for nobody that C knows of."""
        key = _write_key(address)
        if key is None:
            return
        if line is None:
            self._lines.pop(address, None)
        else:
            self._lines[address] = line
        given = self._library.ffi.NULL if line is None else line.c
        while not self._library.lib.forward_assign(self.c, key, given):
            self._grow(max(SMALLEST_TABLE, 4 * (len(self._lines) + 1)))

    def _grow(self, least: int) -> None:
        size = 1 << (least - 1).bit_length()
        self._entries = self._library.ffi.new("entry[]", size)
        self.c.entries, self.c.size, self.c.used = self._entries, size, 0
        for address, line in self._lines.items():
            self._library.lib.forward_assign(self.c, _write_key(address), line.c)


class ShortWay:
    """A port's buffers as C sees them."""

    def __init__(self, library: Library, incoming: Sequence[bytearray], *, protect: int, unprotect: int) -> None:
        """incoming: what datagrams are read into, 2048 bytes each. protect, unprotect: libsrtp's, as addresses."""
        ffi, self._lib, _ = library
        self._library = library
        self.c = ffi.new("port *")
        self.c.protect, self.c.unprotect = ffi.cast("srtp_call", protect), ffi.cast("srtp_call", unprotect)
        self._headers = ffi.new("uint8_t[]", self._lib.forward_size(0))
        self.c.headers = self._headers
        self._incoming = [ffi.from_buffer("uint8_t[]", data, require_writable=True) for data in incoming]
        self._outgoing = [ffi.new("uint8_t[]", PLACE_BYTES) for _ in range(SENT_AT_ONCE)]
        assert len(incoming) == READ_AT_ONCE and all(len(data) >= PLACE_BYTES for data in incoming)
        self.c.incoming, self.c.outgoing = self._incoming, self._outgoing

    def make_table(self) -> ShortTable:
        return ShortTable(self._library)

    def drain(self, table: ShortTable, descriptor: int) -> None:
        """Read what is there and do what is ordinary, 3 ms at most; left() and unsent() say what is not done."""
        self._lib.forward_drain(self.c, table.c, descriptor)

    def left(self) -> list[tuple[int, int, tuple[str, int], bool]]:
        """Return number, size and source of the datagrams read that are not done, and whether they are decrypted."""
        c, buffer = self.c, self._library.ffi.buffer
        numbers = [c.left[place] for place in range(c.left_count)]
        return [(n, c.in_size[n], _read_address(buffer(c.came_from[n])[:]), bool(c.clear[n])) for n in numbers]

    def unsent(self) -> list[tuple[bytes, int, tuple[str, int]]]:
        """Return the datagrams that a socket took no more, with its descriptor and where they were to go."""
        c, buffer = self.c, self._library.ffi.buffer
        return [
            (
                buffer(self._outgoing[number], c.out_size[number])[:],
                c.out_to[number].fd,
                _read_address(buffer(c.out_to[number].address)[:]),
            )
            for number in (c.unsent[place] for place in range(c.unsent_count))
        ]


def _write_address(address: tuple[str, int]) -> bytes | None:
    """Return a sockaddr_in or sockaddr_in6."""
    host, number = address
    try:
        if ":" not in host:
            packed = socket.inet_pton(socket.AF_INET, host)
            return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", number, packed)
        packed = socket.inet_pton(socket.AF_INET6, host)
    except OSError:  # with a scope: link-local
        return None
    return struct.pack("=H", socket.AF_INET6) + struct.pack("!HL16sL", number, 0, packed, 0)


def _write_key(address: tuple[str, int]) -> bytes | None:
    """As read_key() in forward.c."""
    written = _write_address(address)
    if written is None:
        return None
    if len(written) == 16:
        return written[2:8] + bytes(12) + b"\x04\x00"
    return written[2:4] + written[8:24] + b"\x06\x00"


@lru_cache(1024)  # each report of each browser comes with one
def _read_address(name: bytes) -> tuple[str, int]:
    family, number = int.from_bytes(name[:2], sys.byteorder), int.from_bytes(name[2:4], "big")
    if family == socket.AF_INET6:
        scope = int.from_bytes(name[24:28], sys.byteorder)
        host = socket.inet_ntop(socket.AF_INET6, name[8:24])
        return (f"{host}%{_interface(scope)}" if scope else host), number
    return socket.inet_ntop(socket.AF_INET, name[4:8]), number


def _interface(scope: int) -> str:
    try:
        return socket.if_indextoname(scope)
    except OSError:
        return str(scope)
