"""A WebM or Matroska file with one picture and one Opus track, written so that a crash loses nothing that was flushed.

Live layout: clusters of unknown size, each frame readable once written. finish() then fills in what was left open
(duration, sizes, cues), so that a finished file seeks; on a full disk it does without the cues. repair() does the same
for a file whose writer died. The header is webm_layout.py's. Times are ms from the file's beginning.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from signaling.codecs import CodecName
from signaling.webm_layout import (
    AUDIO_TRACK,
    CLUSTER,
    CLUSTER_TIME,
    CODEC_PRIVATE,
    CUES,
    DURATION,
    INFO,
    LAYOUTS,
    PRIVATE_BYTES,
    SEEK_HEAD,
    SEEK_HEAD_BYTES,
    SIMPLE_BLOCK,
    TRACKS,
    UNKNOWN_SIZE,
    VIDEO_TRACK,
    VOID,
    Layout,
    element,
    find_layout,
    size_of,
    uint,
    void,
)

MAX_CLUSTER_MS: Final = 1_000
MAX_FILE_MS: Final = 7 * 24 * 3_600_000
FRAME_MS: Final = {VIDEO_TRACK: 33, AUDIO_TRACK: 20}
_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
HEAD_BYTES: Final = 64  # enough of a file to see which layout it has

_block_header = struct.Struct(">cIBhB").pack
BLOCK_HEADER_BYTES: Final = 9


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file holds."""

    duration_ms: int
    has_audio: bool
    has_video: bool


class WebmWriter:
    """Writes frames in the order of their times. Raises OSError when the disk fails."""

    def __init__(self, path: Path, codec: CodecName = "vp8") -> None:
        """path: must not exist. It stays locked while we write, so that nobody repairs it meanwhile.

        codec: of the pictures.
        """
        self._layout = LAYOUTS[codec]
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._buffer = [self._layout.header]
        self._length = len(self._layout.header)  # of the file with the buffer
        self._cluster_at = 0
        self._cluster_ms: int | None = None
        self._index = _Index(self._layout)
        self._begun = False

    def write(self, track: int, at_ms: int, frame: bytes, *, keyframe: bool) -> None:
        """Add a frame; keyframe is always true for audio. Times grow within a track."""
        # A picture that waited for a lost packet may belong before its cluster: blocks take negative times.
        cluster_ms = self._cluster_ms
        if cluster_ms is None or not -MAX_CLUSTER_MS < at_ms - cluster_ms < MAX_CLUSTER_MS or (
            keyframe and track == VIDEO_TRACK
        ):  # fmt: skip
            self._begin_cluster(at_ms)
            cluster_ms = at_ms
        size = len(frame)
        flags = 0x80 if keyframe else 0
        self._buffer.append(_block_header(SIMPLE_BLOCK, 0x10000000 | size + 4, 0x80 | track, at_ms - cluster_ms, flags))
        self._buffer.append(frame)
        self._length += BLOCK_HEADER_BYTES + size
        self._index.note(track, at_ms, self._cluster_at, keyframe)

    @property
    def cluster_ms(self) -> int | None:
        """When the cluster began that blocks go into; None before the first."""
        return self._cluster_ms

    def cue_ms(self, track: int) -> int:
        """From when on a keyframe of this track is to be in the index."""
        return self._index.cue_ms(track)

    def write_blocks(self, blocks: memoryview, last_ms: Mapping[int, int]) -> None:
        """Add blocks of the cluster, none of them a keyframe or one that the index wants, and hand them on.

        last_ms: by track, the time of the last frame; -1 if there was none.
        """
        self.flush()
        self._length += len(blocks)
        for track, at_ms in last_ms.items():
            if at_ms >= 0:
                self._index.note(track, at_ms, self._cluster_at, keyframe=False)
        self._hand_on(blocks)

    def begin_pictures(self, width: int, height: int, private: bytes = b"") -> None:
        """What the first keyframe says is the file's; players follow later changes by themselves.

        private: the decoder configuration of H.264. Raises ValueError if it is larger than any real one.
        """
        if self._begun:
            return
        if len(private) > PRIVATE_BYTES - 16:
            raise ValueError("decoder configuration too large")
        self._begun = True
        self.flush()
        os.pwrite(self._descriptor, width.to_bytes(2, "big"), self._layout.width_at)
        os.pwrite(self._descriptor, height.to_bytes(2, "big"), self._layout.height_at)
        if self._layout.private_at is not None:
            filled = element(CODEC_PRIVATE, private)
            os.pwrite(self._descriptor, filled + void(PRIVATE_BYTES - len(filled)), self._layout.private_at)

    def flush(self) -> None:
        """Hand everything to the operating system: it survives the end of this process."""
        if self._buffer:
            data = memoryview(b"".join(self._buffer))
            self._buffer.clear()
            self._hand_on(data)

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

    def _hand_on(self, data: memoryview) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]

    def _append(self, data: bytes) -> None:
        self._buffer.append(data)
        self._length += len(data)

    def _begin_cluster(self, at_ms: int) -> None:
        self.flush()
        self._end_cluster()
        self._cluster_at, self._cluster_ms = self._length, at_ms
        self._append(CLUSTER + UNKNOWN_SIZE + uint(CLUSTER_TIME, at_ms))

    def _end_cluster(self) -> None:
        if self._cluster_ms is not None:
            os.pwrite(self._descriptor, size_of(self._length - self._cluster_at - 12, 8), self._cluster_at + 4)


class _Index:
    """What finish() needs to know of the frames."""

    CUE_INTERVAL_MS = 2_000

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._ends_ms = {VIDEO_TRACK: 0, AUDIO_TRACK: 0}
        self._cues: dict[int, list[tuple[int, int]]] = {VIDEO_TRACK: [], AUDIO_TRACK: []}  # ms, position of the cluster
        self._next_cue_ms = {VIDEO_TRACK: 0, AUDIO_TRACK: 0}

    def note(self, track: int, at_ms: int, cluster_at: int, keyframe: bool) -> None:
        ends_ms = at_ms + FRAME_MS[track]
        if ends_ms > self._ends_ms[track]:
            self._ends_ms[track] = ends_ms
        if keyframe and at_ms >= self._next_cue_ms[track]:
            self._cues[track].append((at_ms, cluster_at))
            self._next_cue_ms[track] = at_ms + self.CUE_INTERVAL_MS

    def cue_ms(self, track: int) -> int:
        return self._next_cue_ms[track]

    def facts(self) -> Facts:
        return Facts(max(self._ends_ms.values()), bool(self._cues[AUDIO_TRACK]), bool(self._cues[VIDEO_TRACK]))

    def cues(self) -> bytes:
        track = VIDEO_TRACK if self._cues[VIDEO_TRACK] else AUDIO_TRACK
        return element(
            CUES,
            b"".join(
                element(
                    b"\xbb",
                    uint(b"\xb3", at_ms)
                    + element(b"\xb7", uint(b"\xf7", track) + uint(b"\xf1", position - self.layout.body_at)),
                )
                for at_ms, position in self._cues[track]
            ),
        )


def _complete(descriptor: int, length: int, index: _Index) -> None:
    """Write cues behind the clusters, and fill in what the header left open."""
    layout, facts = index.layout, index.facts()
    known = [(INFO, layout.info_at), (TRACKS, layout.tracks_at)]
    end = length
    try:
        end += _write_all(descriptor, index.cues(), length)
        known.append((CUES, length))
    except OSError as error:
        if error.errno not in _FULL:
            raise
        os.ftruncate(descriptor, length)  # no room for the cues: the file plays without, and filing makes new ones
    seeks = b"".join(
        element(b"\x4d\xbb", element(b"\x53\xab", name) + uint(b"\x53\xac", position - layout.body_at, 8))
        for name, position in known
    )
    seek_head = element(SEEK_HEAD, seeks)
    os.pwrite(descriptor, seek_head + void(SEEK_HEAD_BYTES - len(seek_head)), layout.body_at)
    os.pwrite(descriptor, DURATION + b"\x88" + struct.pack(">d", facts.duration_ms), layout.duration_at)
    os.pwrite(descriptor, size_of(end - layout.body_at, 8), layout.body_at - 8)
    # A track without a frame would keep players waiting for one.
    for track, present in ((VIDEO_TRACK, facts.has_video), (AUDIO_TRACK, facts.has_audio)):
        if not present:
            os.pwrite(descriptor, VOID, layout.entry_at[track])


def _write_all(descriptor: int, content: bytes, at: int) -> int:
    data = memoryview(content)
    while data:
        written = os.pwrite(descriptor, data, at)
        data, at = data[written:], at + written
    return len(content)


def repair(path: Path) -> Facts | None:
    """Finish a file of ours that its writer left open; return what it holds.

    Returns None if there is no whole frame in it. Raises BlockingIOError while somebody still writes it, OSError.
    """
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        layout = find_layout(os.pread(descriptor, HEAD_BYTES, 0))
        if layout is None or os.fstat(descriptor).st_size <= len(layout.header):
            return None
        index, end = _scan(descriptor, layout)
        facts = index.facts()
        if not facts.has_audio and not facts.has_video:
            return None
        os.ftruncate(descriptor, end)
        _complete(descriptor, end, index)
        return facts
    finally:
        os.close(descriptor)


def _scan(descriptor: int, layout: Layout) -> tuple[_Index, int]:
    """Read the clusters; the second value is where the last whole frame ends."""
    index, end = _Index(layout), len(layout.header)
    cluster_at = 0
    last_cluster = (0, 0)
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
        cluster_ms = 0
        for name, at, size in _walk(data, len(layout.header)):
            if name == CLUSTER:
                cluster_at = at - 12
            elif name == CLUSTER_TIME:
                cluster_ms = int.from_bytes(data[at : at + size], "big")
                if cluster_ms > MAX_FILE_MS:
                    break
            elif name == SIMPLE_BLOCK and size > 4:
                track, relative_ms, flags = struct.unpack_from(">BhB", data, at)
                if track & 0x7F not in FRAME_MS or cluster_at == 0:
                    break  # not written by us: a disk that lost something
                at_ms = max(0, cluster_ms + relative_ms)
                index.note(track & 0x7F, at_ms, cluster_at, bool(flags & 0x80))
                end = at + size
                last_cluster = (cluster_at, end)
    if last_cluster[0]:
        os.pwrite(descriptor, size_of(last_cluster[1] - last_cluster[0] - 12, 8), last_cluster[0] + 4)
    return index, end


def _walk(data: mmap.mmap, at: int) -> Iterator[tuple[bytes, int, int]]:
    """Names, positions and sizes of what is in the clusters, up to the first thing that is not whole or not ours."""
    length = len(data)
    while at < length:
        if data[at : at + 4] == CLUSTER and at + 12 <= length:
            at += 12
            yield CLUSTER, at, 0
            continue
        name = data[at : at + 1]
        if name not in (CLUSTER_TIME, SIMPLE_BLOCK) or at + 1 >= length:
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
