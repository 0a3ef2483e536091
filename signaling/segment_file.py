"""One segment's file: puts a member's frames together and writes them in the order of their times. For the thread.

Owns when a frame is late enough to be written (settling.py keeps it until then), and what becomes of a file that cannot
be written to its end.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from signaling.codecs import CodecName, Kind
from signaling.compiled import Library, Passed
from signaling.frames import Frame, Places, VideoFrames
from signaling.media import SegmentFinished
from signaling.publication import Heard
from signaling.rtp import Packet, Run
from signaling.settling import FrameWriter, new_settling
from signaling.spool import Description, remove_segment, segment_path, write_description
from signaling.webm import Facts, WebmWriter, repair

SETTLE_MS: Final = 300  # frames wait this long for earlier ones of the other track, and for what the clocks still learn
ROUNDING_MS: Final = 1
OPEN_TRIES: Final = 5

Placed = tuple[Heard, "array[float]"]  # and the places of the packet, or of the runs, on the room's clock in ms
Describe = Callable[[int], Description]  # from the offset of the file's time zero on the room's clock, in ms


class SegmentFile:
    """The file begins with the first frame; its time zero is that frame's place on the room's clock.

    wants_keyframe: pictures come, but none of them can be shown before a keyframe.
    """

    def __init__(
        self, spool: Path, describe: Describe, *, began_ms: float, codec: CodecName, library: Library | None = None
    ) -> None:
        """began_ms: on the room's clock; what belongs before it is not taken. codec: of the pictures.

        library: for what comes the short way.
        """
        self.wants_keyframe = False
        self._spool = spool
        self._describe = describe
        self._began_ms = began_ms - ROUNDING_MS
        self._codec: CodecName = codec
        self._video = VideoFrames(codec)
        self._settling = new_settling(library, self._began_ms)
        new_mapping = self._settling.new_mapping
        self._places: dict[Kind, Places] = {kind: Places(kind, new_mapping) for kind in ("audio", "video")}
        self._mapping: object = None  # of the latest picture
        self._frames = FrameWriter(self._open, max(began_ms, 0.0))
        self._description: Description | None = None
        self._abandoned = False
        self._latest_ms = 0.0  # of what is taken at once

    def write(self, heard: Mapping[Kind, list[Placed]]) -> None:
        """Take packets in the order of their arrival. Raises OSError."""
        if self._abandoned:
            return
        self._latest_ms = 0.0
        for placed in heard["audio"]:
            self._take_sounds(*placed)
        for placed in heard["video"]:
            self._take_pictures(*placed)
        self.wants_keyframe = self._video.wants_keyframe and bool(heard["video"])
        self._write_until(self._latest_ms - SETTLE_MS)

    def _take_sounds(self, heard: Heard, places_ms: array[float]) -> None:
        places, first = self._places["audio"], 0
        self._latest_ms = max(self._latest_ms, *places_ms)
        if isinstance(heard, Passed):
            first = self._settling.take_sounds(heard, places_ms, places)
            if first == len(places_ms):
                return
        sounds = [(heard.timestamp, heard.payload)] if isinstance(heard, Packet) else heard.sounds(first)
        for (timestamp, data), room_ms in zip(sounds, places_ms[first:], strict=True):
            if room_ms > self._began_ms and data:
                if timestamp != places.timestamp:
                    places.place(timestamp, room_ms)
                self._settling.add(Frame(places.media_ms, places.mapping, data, True, None, True))

    def _take_pictures(self, heard: Heard, places_ms: array[float]) -> None:
        places, first = self._places["video"], 0
        self._latest_ms = max(self._latest_ms, *places_ms)
        if isinstance(heard, Passed) and places.mapping is self._mapping:
            first = self._settling.take_pictures(heard, places_ms, places, self._video)
            if first == len(places_ms):
                return
        runs: Iterable[Packet | Run] = [heard] if isinstance(heard, Packet) else heard.runs(first)
        for run, room_ms in zip(runs, places_ms[first:], strict=True):
            if room_ms <= self._began_ms:
                continue
            if run.timestamp != places.timestamp:
                places.place(run.timestamp, room_ms)
            for frame in self._video.push(run, places.media_ms, places.mapping):
                if frame.mapping is not self._mapping:
                    # A sender that began anew: whatever the clocks say, its pictures come after those before.
                    if self._mapping is not None:
                        self._write_until(float("inf"))
                    self._mapping = frame.mapping
                self._settling.add(frame)

    def finish(self) -> SegmentFinished | None:
        """Complete the file; None if there is nothing in it. Raises OSError."""
        if not self._abandoned:
            for frame in self._video.flush():
                self._settling.add(frame)
            self._write_until(float("inf"))
        if self._description is None:
            return None
        if self._frames.writer is not None:
            facts: Facts | None = self._frames.writer.finish()
        else:
            facts = repair(segment_path(self._spool, self._description))
        if facts is None or not (facts.has_audio or facts.has_video):
            remove_segment(self._spool, self._description)
            return None
        return write_description(self._spool, self._description, facts)

    def abandon(self) -> None:
        """The disk failed: nothing more is written, what is there stays readable."""
        self._abandoned = True
        self._settling.clear()
        if self._frames.writer is not None:
            self._frames.writer.close()
            self._frames.writer = None

    def _write_until(self, room_ms: float) -> None:
        self._settling.write_until(room_ms, self._frames)
        if self._frames.writer is not None:
            self._frames.writer.flush()

    def _open(self, offset_ms: int) -> WebmWriter:
        self._description = self._describe(offset_ms)
        writer = _open_file(segment_path(self._spool, self._description), self._codec)
        try:
            write_description(self._spool, self._description, None)
        except OSError:
            writer.close()
            raise
        return writer


def _open_file(path: Path, codec: CodecName) -> WebmWriter:
    """Open a file in the room's folder, which whoever empties it (filing, another process) may just be taking away."""
    for _ in range(OPEN_TRIES - 1):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            return WebmWriter(path, codec)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return WebmWriter(path, codec)
