"""One segment's file: puts a member's frames together and writes them in the order of their times. For the thread.

Owns when a frame is late enough to be written, where it goes on the room's clock, and what becomes of a file that
cannot be written to its end.
"""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from signaling.codecs import CodecName, Kind
from signaling.frames import Frame, Places, VideoFrames
from signaling.media import SegmentFinished
from signaling.publication import Heard
from signaling.rtp import Packet, Run
from signaling.spool import Description, remove_segment, segment_path, write_description
from signaling.webm import Facts, WebmWriter, repair
from signaling.webm_layout import AUDIO_TRACK, VIDEO_TRACK

SETTLE_MS: Final = 300  # frames wait this long for earlier ones of the other track, and for what the clocks still learn
ROUNDING_MS: Final = 1
SOUND_OVERLAP_MS: Final = 15  # a sound that comes more than this before the one before it ends has lost its place
OPEN_TRIES: Final = 5

Placed = tuple[Heard, list[float]]  # and the places of the packet, or of the runs, on the room's clock in ms
Describe = Callable[[int], Description]  # from the offset of the file's time zero on the room's clock, in ms


class SegmentFile:
    """The file begins with the first frame; its time zero is that frame's place on the room's clock.

    wants_keyframe: pictures come, but none of them can be shown before a keyframe.
    """

    def __init__(self, spool: Path, describe: Describe, *, began_ms: float, codec: CodecName) -> None:
        """began_ms: on the room's clock; what belongs before it is not taken. codec: of the pictures."""
        self.wants_keyframe = False
        self._spool = spool
        self._describe = describe
        self._began_ms = began_ms
        self._earliest_ms = max(began_ms, 0.0)
        self._offset_ms = 0  # of the file's time zero
        self._codec: CodecName = codec
        self._video = VideoFrames(codec)
        self._places: dict[Kind, Places] = {"audio": Places("audio"), "video": Places("video")}
        self._settling: list[Frame] = []
        self._mapping: object = None  # of the latest picture
        self._last_ms = {VIDEO_TRACK: -1, AUDIO_TRACK: -1}
        self._writer: WebmWriter | None = None
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

    def _take_sounds(self, heard: Heard, places_ms: list[float]) -> None:
        places, began_ms = self._places["audio"], self._began_ms - ROUNDING_MS
        sounds = [(heard.timestamp, heard.payload)] if isinstance(heard, Packet) else heard.sounds()
        for (timestamp, data), room_ms in zip(sounds, places_ms, strict=True):
            if room_ms > began_ms and data:
                if timestamp != places.timestamp:
                    places.place(timestamp, room_ms)
                self._settling.append(Frame(places.media_ms, places.mapping, data, True, None, True))
        self._latest_ms = max(self._latest_ms, *places_ms)

    def _take_pictures(self, heard: Heard, places_ms: list[float]) -> None:
        places, began_ms = self._places["video"], self._began_ms - ROUNDING_MS
        runs: Iterable[Packet | Run] = [heard] if isinstance(heard, Packet) else heard.runs()
        for run, room_ms in zip(runs, places_ms, strict=True):
            if room_ms <= began_ms:
                continue
            if run.timestamp != places.timestamp:
                places.place(run.timestamp, room_ms)
            for frame in self._video.push(run, places.media_ms, places.mapping):
                if frame.mapping is not self._mapping:
                    # A sender that began anew: whatever the clocks say, its pictures come after those before.
                    if self._mapping is not None:
                        self._write_until(float("inf"))
                    self._mapping = frame.mapping
                self._settling.append(frame)
        self._latest_ms = max(self._latest_ms, *places_ms)

    def finish(self) -> SegmentFinished | None:
        """Complete the file; None if there is nothing in it. Raises OSError."""
        if not self._abandoned:
            self._settling.extend(self._video.flush())
            self._write_until(float("inf"))
        if self._description is None:
            return None
        if self._writer is not None:
            facts: Facts | None = self._writer.finish()
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
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write_until(self, room_ms: float) -> None:
        settling = self._settling
        places_ms = [frame.media_ms + frame.mapping.offset_ms for frame in settling]
        order = sorted(range(len(settling)), key=places_ms.__getitem__)
        settled = bisect.bisect_right(order, room_ms, key=places_ms.__getitem__)
        for number in order[:settled]:
            self._write_frame(settling[number], places_ms[number])
        settling[:] = [settling[number] for number in order[settled:]]
        if self._writer is not None:
            self._writer.flush()

    def _write_frame(self, frame: Frame, exact_ms: float) -> None:
        _, _, data, keyframe, beginning, sounds = frame
        room_ms = round(exact_ms if exact_ms > self._earliest_ms else self._earliest_ms)
        writer = self._writer or self._open(room_ms)
        at_ms = room_ms - self._offset_ms
        if at_ms < 0:
            at_ms = 0
        track = AUDIO_TRACK if sounds else VIDEO_TRACK
        last_ms = self._last_ms[track]
        if at_ms <= last_ms:
            if sounds and last_ms - at_ms > SOUND_OVERLAP_MS:
                return
            at_ms = last_ms + 1
        if beginning is not None:
            try:
                writer.begin_pictures(beginning.width, beginning.height, beginning.private)
            except ValueError:
                return
        self._last_ms[track] = at_ms
        writer.write(track, at_ms, data, keyframe=keyframe)

    def _open(self, offset_ms: int) -> WebmWriter:
        self._offset_ms = offset_ms
        self._description = self._describe(offset_ms)
        self._writer = _open_file(segment_path(self._spool, self._description), self._codec)
        write_description(self._spool, self._description, None)
        return self._writer


def _open_file(path: Path, codec: CodecName) -> WebmWriter:
    """Open a file in the room's folder, which whoever empties it (filing, another process) may just be taking away."""
    for _ in range(OPEN_TRIES - 1):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            return WebmWriter(path, codec)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return WebmWriter(path, codec)
