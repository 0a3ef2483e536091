"""A WebM file with one VP8 and one Opus track, written so that a crash loses nothing that was flushed.

Live layout: clusters of unknown size, each frame readable once written. finish() then fills in what was left open
(duration, sizes, cues), so that a finished file seeks. repair() does the same for a file whose writer died.
Format: RFC 8794 (EBML), RFC 9559 (Matroska). Times are ms from the file's beginning.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

VIDEO_TRACK: Final = 1
AUDIO_TRACK: Final = 2
MAX_CLUSTER_MS: Final = 1_000
FRAME_MS: Final = {VIDEO_TRACK: 33, AUDIO_TRACK: 20}
DEFAULT_SIZE: Final = (640, 480)  # until the first keyframe tells

_UNKNOWN_SIZE = b"\x01" + b"\xff" * 7
_SIMPLE_BLOCK, _TRACK_ENTRY, _VOID = b"\xa3", b"\xae", b"\xec"
_CLUSTER, _CUES, _SEGMENT = b"\x1f\x43\xb6\x75", b"\x1c\x53\xbb\x6b", b"\x18\x53\x80\x67"
_INFO, _TRACKS, _SEEK_HEAD = b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b", b"\x11\x4d\x9b\x74"
_DURATION = b"\x44\x89"
_block_header = struct.Struct(">cIBhB").pack
_SEEK_HEAD_BYTES = 80


def _size(number: int, width: int = 0) -> bytes:
    """An EBML size; width 0: as short as it can be."""
    width = width or next(w for w in range(1, 9) if number < (1 << 7 * w) - 1)
    return (number | 1 << 7 * width).to_bytes(width, "big")


def _element(name: bytes, body: bytes) -> bytes:
    return name + _size(len(body)) + body


def _uint(name: bytes, value: int, width: int = 0) -> bytes:
    return _element(name, value.to_bytes(width or max(1, (value.bit_length() + 7) // 8), "big"))


def _void(total_bytes: int) -> bytes:
    """An element that players skip; total_bytes between 2 and 128."""
    return _VOID + _size(total_bytes - 2, 1) + bytes(total_bytes - 2)


def _tracks() -> tuple[bytes, bytes]:
    """Track entries of video and of audio."""
    width, height = DEFAULT_SIZE
    picture = _element(b"\xe0", _uint(b"\xb0", width, 2) + _uint(b"\xba", height, 2))
    video = _uint(b"\xd7", VIDEO_TRACK) + _uint(b"\x73\xc5", VIDEO_TRACK) + _uint(b"\x83", 1) + _uint(b"\x9c", 0)
    # Pre-skip 0: RTP does not tell the encoder's, and the first 20 ms are as good as any other.
    opus_head = b"OpusHead" + struct.pack("<BBHIhB", 1, 2, 0, 48_000, 0, 0)
    sound = _element(b"\xe1", _element(b"\xb5", struct.pack(">d", 48_000)) + _uint(b"\x9f", 2))
    audio = _uint(b"\xd7", AUDIO_TRACK) + _uint(b"\x73\xc5", AUDIO_TRACK) + _uint(b"\x83", 2) + _uint(b"\x9c", 0)
    return (
        _element(_TRACK_ENTRY, video + _element(b"\x86", b"V_VP8") + picture),
        _element(
            _TRACK_ENTRY,
            audio
            + _element(b"\x86", b"A_OPUS")
            + _element(b"\x63\xa2", opus_head)
            + _uint(b"\x56\xbb", 80_000_000)  # SeekPreRoll, ns (RFC 7845 §4.6)
            + sound,
        ),
    )


def _header() -> bytes:
    ebml = _element(
        b"\x1a\x45\xdf\xa3",
        _uint(b"\x42\x86", 1) + _uint(b"\x42\xf7", 1) + _uint(b"\x42\xf2", 4) + _uint(b"\x42\xf3", 8)
        + _element(b"\x42\x82", b"webm") + _uint(b"\x42\x87", 4) + _uint(b"\x42\x85", 2),
    )  # fmt: skip
    info = _element(
        _INFO,
        _uint(b"\x2a\xd7\xb1", 1_000_000) + _element(b"\x4d\x80", b"consult") + _element(b"\x57\x41", b"consult")
        + _void(11),  # becomes Duration
    )  # fmt: skip
    return ebml + _SEGMENT + _UNKNOWN_SIZE + _void(_SEEK_HEAD_BYTES) + info + _element(_TRACKS, b"".join(_tracks()))


_HEADER = _header()
_SEGMENT_BODY_AT = _HEADER.index(_SEGMENT) + 12
_INFO_AT = _HEADER.index(_INFO)
_DURATION_AT = _HEADER.index(_TRACKS) - 11
_TRACKS_AT = _HEADER.index(_TRACKS)
_ENTRY_AT = {
    VIDEO_TRACK: _HEADER.index(_tracks()[0]),
    AUDIO_TRACK: _HEADER.index(_tracks()[1]),
}
_WIDTH_AT = _HEADER.index(b"\xb0\x82") + 2
_HEIGHT_AT = _HEADER.index(b"\xba\x82") + 2


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file holds."""

    duration_ms: int
    has_audio: bool
    has_video: bool


class WebmWriter:
    """Writes frames in the order of their times. Raises OSError when the disk fails."""

    def __init__(self, path: Path) -> None:
        """path: must not exist. It stays locked while we write, so that nobody repairs it meanwhile."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._buffer = [_HEADER]
        self._length = len(_HEADER)  # of the file with the buffer
        self._cluster_at = 0
        self._cluster_ms: int | None = None
        self._index = _Index()
        self._sized = False

    def write(self, track: int, at_ms: int, frame: bytes, *, keyframe: bool) -> None:
        """Add a frame; keyframe is always true for audio. Times grow within a track."""
        if self._cluster_ms is None or not 0 <= at_ms - self._cluster_ms < MAX_CLUSTER_MS or (
            keyframe and track == VIDEO_TRACK
        ):  # fmt: skip
            self._begin_cluster(at_ms)
        assert self._cluster_ms is not None
        flags = 0x80 if keyframe else 0
        relative_ms = at_ms - self._cluster_ms
        self._append(_block_header(_SIMPLE_BLOCK, 0x10000000 | len(frame) + 4, 0x80 | track, relative_ms, flags))
        self._append(frame)
        self._index.note(track, at_ms, self._cluster_at, keyframe=keyframe)

    def set_picture_size(self, width: int, height: int) -> None:
        """The first keyframe's size is the file's; players follow later changes by themselves."""
        if not self._sized:
            self._sized = True
            self.flush()
            os.pwrite(self._descriptor, width.to_bytes(2, "big"), _WIDTH_AT)
            os.pwrite(self._descriptor, height.to_bytes(2, "big"), _HEIGHT_AT)

    def flush(self) -> None:
        """Hand everything to the operating system: it survives the end of this process."""
        if self._buffer:
            data = memoryview(b"".join(self._buffer))
            self._buffer.clear()
            while data:
                data = data[os.write(self._descriptor, data) :]

    def finish(self) -> Facts:
        """Complete the file and close it."""
        try:
            self.flush()
            self._end_cluster()
            _complete(self._descriptor, self._length, self._index)
        finally:
            self.close()
        return self._index.facts()

    def close(self) -> None:
        """Let go of the file as it is."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _append(self, data: bytes) -> None:
        self._buffer.append(data)
        self._length += len(data)

    def _begin_cluster(self, at_ms: int) -> None:
        self.flush()
        self._end_cluster()
        self._cluster_at, self._cluster_ms = self._length, at_ms
        self._append(_CLUSTER + _UNKNOWN_SIZE + _uint(b"\xe7", at_ms))

    def _end_cluster(self) -> None:
        if self._cluster_ms is not None:
            os.pwrite(self._descriptor, _size(self._length - self._cluster_at - 12, 8), self._cluster_at + 4)


class _Index:
    """What finish() needs to know of the frames."""

    CUE_INTERVAL_MS = 2_000

    def __init__(self) -> None:
        self._ends_ms = {VIDEO_TRACK: 0, AUDIO_TRACK: 0}
        self._seen = {VIDEO_TRACK: False, AUDIO_TRACK: False}
        self._video_cues: list[tuple[int, int]] = []  # (ms, position of the cluster)
        self._audio_cues: list[tuple[int, int]] = []

    def note(self, track: int, at_ms: int, cluster_at: int, *, keyframe: bool) -> None:
        self._ends_ms[track] = at_ms + FRAME_MS[track]
        if keyframe:
            self._seen[track] = True
            cues = self._video_cues if track == VIDEO_TRACK else self._audio_cues
            if not cues or at_ms - cues[-1][0] >= self.CUE_INTERVAL_MS:
                cues.append((at_ms, cluster_at))

    def facts(self) -> Facts:
        return Facts(max(self._ends_ms.values()), self._seen[AUDIO_TRACK], self._seen[VIDEO_TRACK])

    def cues(self) -> bytes:
        track = VIDEO_TRACK if self._seen[VIDEO_TRACK] else AUDIO_TRACK
        points = self._video_cues if track == VIDEO_TRACK else self._audio_cues
        return _element(
            _CUES,
            b"".join(
                _element(
                    b"\xbb",
                    _uint(b"\xb3", at_ms)
                    + _element(b"\xb7", _uint(b"\xf7", track) + _uint(b"\xf1", position - _SEGMENT_BODY_AT)),
                )
                for at_ms, position in points
            ),
        )


def _complete(descriptor: int, length: int, index: _Index) -> None:
    """Write cues behind the clusters, and fill in what the header left open."""
    facts, cues = index.facts(), index.cues()
    data = memoryview(cues)
    at = length
    while data:
        written = os.pwrite(descriptor, data, at)
        data, at = data[written:], at + written
    seeks = b"".join(
        _element(b"\x4d\xbb", _element(b"\x53\xab", name) + _uint(b"\x53\xac", position - _SEGMENT_BODY_AT, 8))
        for name, position in ((_INFO, _INFO_AT), (_TRACKS, _TRACKS_AT), (_CUES, length))
    )
    seek_head = _element(_SEEK_HEAD, seeks)
    seek_head += _void(_SEEK_HEAD_BYTES - len(seek_head))
    os.pwrite(descriptor, seek_head, _SEGMENT_BODY_AT)
    os.pwrite(descriptor, _DURATION + b"\x88" + struct.pack(">d", facts.duration_ms), _DURATION_AT)
    os.pwrite(descriptor, _size(length + len(cues) - _SEGMENT_BODY_AT, 8), _SEGMENT_BODY_AT - 8)
    # A track without a frame would keep players waiting for one.
    for track, present in ((VIDEO_TRACK, facts.has_video), (AUDIO_TRACK, facts.has_audio)):
        if not present:
            os.pwrite(descriptor, _VOID, _ENTRY_AT[track])


def repair(path: Path) -> Facts | None:
    """Finish a file of ours that its writer left open; return what it holds.

    Returns None if there is no whole frame in it. Raises BlockingIOError while somebody still writes it, OSError.
    """
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_size <= len(_HEADER):
            return None
        index, end = _scan(descriptor)
        facts = index.facts()
        if not facts.has_audio and not facts.has_video:
            return None
        os.ftruncate(descriptor, end)
        _complete(descriptor, end, index)
        return facts
    finally:
        os.close(descriptor)


def _scan(descriptor: int) -> tuple[_Index, int]:
    """Read the clusters; the second value is where the last whole frame ends."""
    index, end = _Index(), len(_HEADER)
    cluster_at = 0
    last_cluster = (0, 0)
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
        cluster_ms = 0
        for name, at, size in _walk(data, len(_HEADER)):
            if name == _CLUSTER:
                cluster_at = at - 12
            elif name == b"\xe7":
                cluster_ms = int.from_bytes(data[at : at + size], "big")
            elif name == _SIMPLE_BLOCK and size > 4:
                track, relative_ms, flags = struct.unpack_from(">BhB", data, at)
                index.note(track & 0x7F, cluster_ms + relative_ms, cluster_at, keyframe=bool(flags & 0x80))
                end = at + size
                last_cluster = (cluster_at, end)
    if last_cluster[0]:
        os.pwrite(descriptor, _size(last_cluster[1] - last_cluster[0] - 12, 8), last_cluster[0] + 4)
    return index, end


def _walk(data: mmap.mmap, at: int) -> Iterator[tuple[bytes, int, int]]:
    """Names, positions and sizes of what is in the clusters, up to the first thing that is not whole or not ours."""
    length = len(data)
    while at < length:
        if data[at : at + 4] == _CLUSTER and at + 12 <= length:
            at += 12
            yield _CLUSTER, at, 0
            continue
        name = data[at : at + 1]
        if name not in (b"\xe7", _SIMPLE_BLOCK) or at + 1 >= length:
            return
        width = 9 - data[at + 1].bit_length()
        body = at + 1 + width
        if width > 8 or body > length:
            return
        size = int.from_bytes(data[at + 1 : body], "big") & ((1 << 7 * width) - 1)
        if body + size > length:
            return
        yield name, body, size
        at = body + size
