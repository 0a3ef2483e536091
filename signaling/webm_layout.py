"""The beginning of our WebM and Matroska files, with room for what is known later.

Owns the elements (RFC 8794, RFC 9559), the header of a file with one picture track (VP8 or H.264) and one Opus track,
and where in it duration, size of the picture, decoder configuration and track entries lie. VP8 makes a WebM; H.264 is
no part of WebM, so its files say "matroska".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from signaling.codecs import CodecName

VIDEO_TRACK: Final = 1
AUDIO_TRACK: Final = 2
DEFAULT_SIZE: Final = (640, 480)  # until the first keyframe tells

CLUSTER, CUES, SEGMENT = b"\x1f\x43\xb6\x75", b"\x1c\x53\xbb\x6b", b"\x18\x53\x80\x67"
INFO, TRACKS, SEEK_HEAD = b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b", b"\x11\x4d\x9b\x74"
SIMPLE_BLOCK, TRACK_ENTRY, VOID = b"\xa3", b"\xae", b"\xec"
CLUSTER_TIME, CODEC_PRIVATE, DURATION = b"\xe7", b"\x63\xa2", b"\x44\x89"
UNKNOWN_SIZE = b"\x01" + b"\xff" * 7
SEEK_HEAD_BYTES: Final = 80
DURATION_BYTES: Final = 11
PRIVATE_BYTES: Final = 512  # parameter sets of browsers take some 50


def size_of(number: int, width: int = 0) -> bytes:
    """An EBML size; width 0: as short as it can be."""
    width = width or next(w for w in range(1, 9) if number < (1 << 7 * w) - 1)
    return (number | 1 << 7 * width).to_bytes(width, "big")


def element(name: bytes, body: bytes) -> bytes:
    return name + size_of(len(body)) + body


def uint(name: bytes, value: int, width: int = 0) -> bytes:
    return element(name, value.to_bytes(width or max(1, (value.bit_length() + 7) // 8), "big"))


def void(total_bytes: int) -> bytes:
    """An element that players skip; total_bytes: 2 or more."""
    width = 1 if total_bytes < 128 else 2
    return VOID + size_of(total_bytes - 1 - width, width) + bytes(total_bytes - 1 - width)


@dataclass(frozen=True, slots=True)
class Layout:
    """A header, and where in it lies what is filled in later. private_at: None for a codec that needs nothing."""

    header: bytes
    body_at: int  # of the Segment element: positions in seek head and cues count from here
    info_at: int
    duration_at: int
    tracks_at: int
    entry_at: dict[int, int]
    width_at: int
    height_at: int
    private_at: int | None


def _video_entry(codec: CodecName) -> bytes:
    width, height = DEFAULT_SIZE
    entry = uint(b"\xd7", VIDEO_TRACK) + uint(b"\x73\xc5", VIDEO_TRACK) + uint(b"\x83", 1) + uint(b"\x9c", 0)
    if codec == "h264":
        entry += element(b"\x86", b"V_MPEG4/ISO/AVC") + void(PRIVATE_BYTES)
    else:
        entry += element(b"\x86", b"V_VP8")
    return element(TRACK_ENTRY, entry + element(b"\xe0", uint(b"\xb0", width, 2) + uint(b"\xba", height, 2)))


def _audio_entry() -> bytes:
    # Pre-skip 0: RTP does not tell the encoder's, and the first 20 ms are as good as any other.
    opus_head = b"OpusHead" + struct.pack("<BBHIhB", 1, 2, 0, 48_000, 0, 0)
    sound = element(b"\xe1", element(b"\xb5", struct.pack(">d", 48_000)) + uint(b"\x9f", 2))
    entry = uint(b"\xd7", AUDIO_TRACK) + uint(b"\x73\xc5", AUDIO_TRACK) + uint(b"\x83", 2) + uint(b"\x9c", 0)
    return element(
        TRACK_ENTRY,
        entry
        + element(b"\x86", b"A_OPUS")
        + element(CODEC_PRIVATE, opus_head)
        + uint(b"\x56\xbb", 80_000_000)  # SeekPreRoll, ns (RFC 7845 §4.6)
        + sound,
    )


def _layout(codec: CodecName) -> Layout:
    kind = b"matroska" if codec == "h264" else b"webm"
    ebml = element(
        b"\x1a\x45\xdf\xa3",
        uint(b"\x42\x86", 1) + uint(b"\x42\xf7", 1) + uint(b"\x42\xf2", 4) + uint(b"\x42\xf3", 8)
        + element(b"\x42\x82", kind) + uint(b"\x42\x87", 4) + uint(b"\x42\x85", 2),
    )  # fmt: skip
    info = element(
        INFO,
        uint(b"\x2a\xd7\xb1", 1_000_000) + element(b"\x4d\x80", b"consult") + element(b"\x57\x41", b"consult")
        + void(DURATION_BYTES),
    )  # fmt: skip
    video, audio = _video_entry(codec), _audio_entry()
    header = ebml + SEGMENT + UNKNOWN_SIZE + void(SEEK_HEAD_BYTES) + info + element(TRACKS, video + audio)
    tracks_at = header.index(TRACKS)
    return Layout(
        header=header,
        body_at=header.index(SEGMENT) + 12,
        info_at=header.index(INFO),
        duration_at=tracks_at - DURATION_BYTES,
        tracks_at=tracks_at,
        entry_at={VIDEO_TRACK: header.index(video), AUDIO_TRACK: header.index(audio)},
        width_at=header.index(b"\xb0\x82", tracks_at) + 2,
        height_at=header.index(b"\xba\x82", tracks_at) + 2,
        private_at=header.index(void(PRIVATE_BYTES)) if codec == "h264" else None,
    )


LAYOUTS: Final[dict[CodecName, Layout]] = {"vp8": _layout("vp8"), "h264": _layout("h264")}


def find_layout(beginning: bytes) -> Layout | None:
    """Return the layout of a file of ours from its first bytes."""
    for layout in LAYOUTS.values():
        if beginning[: layout.body_at - 12] == layout.header[: layout.body_at - 12]:
            return layout
    return None
