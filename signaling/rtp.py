"""Reading and writing RTP packets (RFC 3550), no more of them than forwarding needs.

Owns the header, extended sequence numbers and RTX (RFC 4588). What is inside a payload is vp8.py's business.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

AUDIO_CLOCK_HZ = 48_000
VIDEO_CLOCK_HZ = 90_000

_FIXED = struct.Struct("!BBHLL")
_read_u16 = struct.Struct("!H").unpack_from
_write_u16 = struct.Struct("!H").pack

# The fixed 12 bytes (RFC 3550 §5.1): version and flags, marker bit and payload type, sequence, timestamp, SSRC.
read_fixed = _FIXED.unpack_from
pack_header = _FIXED.pack_into

Moment = tuple[int, float]  # a timestamp, and when it arrived in ms on the room's clock


class Packet(NamedTuple):
    """One media packet as the relay passes it on. sequence: extended, so that it only grows with time.

    payload is empty for a packet that only carries padding.
    """

    sequence: int
    timestamp: int
    marker: bool
    payload: bytes
    arrived_ms: float


class Run(NamedTuple):
    """Packets of one timestamp that follow upon each other. sequence, arrived_ms: the first's; marker: the last's.

    frame: what they carry together, as decoders take it; None if that is not known, and then there are the payloads.
    """

    sequence: int
    timestamp: int
    marker: bool
    packet_count: int
    arrived_ms: float
    frame: bytes | None
    payloads: Sequence[bytes] = ()

    def packets(self) -> Iterator[Packet]:
        """From the payloads."""
        last = len(self.payloads) - 1
        for number, payload in enumerate(self.payloads):
            marker = self.marker and number == last
            yield Packet(self.sequence + number, self.timestamp, marker, payload, self.arrived_ms)


def header_end(data: bytes | bytearray, size: int) -> tuple[int, int]:
    """Return where the payload of a decrypted packet begins and where it ends, padding cut off; (0, 0) if it is none.

    size: how much of data is the packet. Sources and header extensions are skipped.
    """
    if size < 12:
        return 0, 0
    first = data[0]
    if first >> 6 != 2:
        return 0, 0
    at, end = 12 + 4 * (first & 0x0F), size
    if first & 0x10:
        if at + 4 > size:
            return 0, 0
        at += 4 + 4 * _read_u16(data, at + 2)[0]
    if first & 0x20:
        end -= data[size - 1]
    return (at, end) if at <= end else (0, 0)


def write_packet(second: int, sequence: int, timestamp: int, ssrc: int, payload: bytes) -> bytes:
    """Return a packet without header extensions. second: marker bit and payload type; the rest is cut to its width."""
    return _FIXED.pack(0x80, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


def wrap_retransmission(sequence: int, payload: bytes) -> bytes:
    """Return the payload of an RTX packet that repeats `sequence` (RFC 4588 §4)."""
    return _write_u16(sequence & 0xFFFF) + payload


def unwrap_retransmission(payload: bytes) -> tuple[int, bytes] | None:
    """Return sequence number and payload that an RTX packet repeats; None for one that only carries padding."""
    if len(payload) < 3:
        return None
    return int(_read_u16(payload)[0]), payload[2:]


def extend(value: int, near: int, bits: int) -> int:
    """Return the number closest to `near` whose last `bits` are `value`: undoes wrap-around."""
    span = 1 << bits
    distance = (value - near) & (span - 1)
    if distance >= span >> 1:
        distance -= span
    return near + distance
