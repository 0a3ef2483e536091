"""Reading and writing RTP packets (RFC 3550), no more of them than forwarding needs.

Owns the header, extended sequence numbers and RTX (RFC 4588). What is inside a payload is vp8.py's business.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

AUDIO_CLOCK_HZ = 48_000
VIDEO_CLOCK_HZ = 90_000

_read_header = struct.Struct("!BBHLL").unpack_from
_write_header = struct.Struct("!BBHLL").pack
_read_u16 = struct.Struct("!H").unpack_from
_write_u16 = struct.Struct("!H").pack


class Header(NamedTuple):
    """The fixed part of a packet; payload_at: where its payload begins; end: where it ends, padding cut off."""

    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload_at: int
    end: int


class Packet(NamedTuple):
    """One media packet as the relay passes it on. sequence: extended, so that it only grows with time.

    payload is empty for a packet that only carries padding.
    """

    sequence: int
    timestamp: int
    marker: bool
    payload: bytes
    arrived_ms: float


def read_header(data: bytes) -> Header | None:
    """Return the header of a decrypted packet, or None if it is none."""
    size = len(data)
    if size < 12:
        return None
    first, second, sequence, timestamp, ssrc = _read_header(data)
    at, end = 12, size
    if first != 0x80:
        if first >> 6 != 2:
            return None
        at += 4 * (first & 0x0F)
        if first & 0x10:
            if at + 4 > size:
                return None
            at += 4 + 4 * _read_u16(data, at + 2)[0]
        if first & 0x20:
            end -= data[-1]
        if at > end:
            return None
    return Header(second > 127, second & 0x7F, sequence, timestamp, ssrc, at, end)


def write_packet(payload_type: int, marker: bool, sequence: int, timestamp: int, ssrc: int, payload: bytes) -> bytes:
    """Return a packet without header extensions; sequence and timestamp are cut to their width."""
    second = payload_type | 0x80 if marker else payload_type
    return _write_header(0x80, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


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
