"""The payload of VP8 over RTP (RFC 7741): where frames begin, which are keyframes, how large the picture is."""

from __future__ import annotations

import struct

_read_size = struct.Struct("<HH").unpack_from


def descriptor_size(payload: bytes) -> int:
    """Return the length of the payload descriptor (RFC 7741 §4.2), or 0 if the payload is no VP8."""
    if not payload:
        return 0
    size = 1
    if payload[0] & 0x80:
        if len(payload) < 2:
            return 0
        extensions = payload[1]
        size += 1
        if extensions & 0x80:
            if len(payload) <= size:
                return 0
            size += 2 if payload[size] & 0x80 else 1
        if extensions & 0x40:
            size += 1
        if extensions & 0x30:
            size += 1
    return size if len(payload) > size else 0


def starts_frame(payload: bytes) -> bool:
    """Return whether a frame's first partition begins here (S set, partition 0)."""
    return bool(payload) and payload[0] & 0x17 == 0x10


def starts_keyframe(payload: bytes) -> bool:
    """Return whether a keyframe begins here (RFC 7741 §4.3: the P bit is clear)."""
    if not starts_frame(payload):
        return False
    at = descriptor_size(payload)
    return at > 0 and not payload[at] & 0x01


def is_keyframe(frame: bytes) -> bool:
    return len(frame) >= 10 and not frame[0] & 0x01 and frame[3:6] == b"\x9d\x01\x2a"


def picture_size(keyframe: bytes) -> tuple[int, int]:
    """Return width and height, in pixels, of a keyframe (RFC 6386 §9.1)."""
    width, height = _read_size(keyframe, 6)
    return width & 0x3FFF, height & 0x3FFF
