"""One segment's file: puts a member's frames together and writes them in the order of their times. For the thread.

Owns when a frame is late enough to be written, where it goes on the room's clock, and what becomes of a file that
cannot be written to its end.
"""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from signaling.codecs import CodecName, Kind
from signaling.frames import AudioFrames, Frame, Places, VideoFrames
from signaling.media import SegmentFinished
from signaling.rtp import Packet, Run
from signaling.spool import Description, remove_segment, segment_path, write_description
from signaling.webm import Facts, WebmWriter, repair
from signaling.webm_layout import AUDIO_TRACK, VIDEO_TRACK

SETTLE_MS: Final = 300  # frames wait this long for earlier ones of the other track, and for what the clocks still learn
ROUNDING_MS: Final = 1
SOUND_OVERLAP_MS: Final = 15  # a sound that comes more than this before the one before it ends has lost its place
OPEN_TRIES: Final = 5

Placed = tuple[Packet | Run, float]  # packets of one timestamp and their place on the room's clock in ms
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
        self._audio = AudioFrames()
        self._places: dict[Kind, Places] = {"audio": Places("audio"), "video": Places("video")}
        self._settling: list[tuple[int, Frame]] = []  # (track, frame)
        self._mapping: object = None  # of the latest picture
        self._last_ms = {VIDEO_TRACK: -1, AUDIO_TRACK: -1}
        self._writer: WebmWriter | None = None
        self._description: Description | None = None
        self._abandoned = False

    def write(self, heard: Mapping[Kind, list[Placed]]) -> None:
        """Take packets in the order of their arrival. Raises OSError."""
        if self._abandoned:
            return
        latest_ms, began_ms = 0.0, self._began_ms - ROUNDING_MS
        for kind, packets in heard.items():
            places = self._places[kind]
            track, push = (VIDEO_TRACK, self._video.push) if kind == "video" else (AUDIO_TRACK, self._audio.push)
            for packet, room_ms in packets:
                if room_ms <= began_ms:
                    continue
                if room_ms > latest_ms:
                    latest_ms = room_ms
                if packet.timestamp != places.timestamp:
                    places.place(packet.timestamp, room_ms)
                for frame in push(packet, places.media_ms, places.mapping):
                    if track == VIDEO_TRACK and frame.mapping is not self._mapping:
                        # A sender that began anew: whatever the clocks say, its pictures come after those before.
                        if self._mapping is not None:
                            self._write_until(float("inf"))
                        self._mapping = frame.mapping
                    self._settling.append((track, frame))
        self.wants_keyframe = self._video.wants_keyframe and bool(heard.get("video"))
        self._write_until(latest_ms - SETTLE_MS)

    def finish(self) -> SegmentFinished | None:
        """Complete the file; None if there is nothing in it. Raises OSError."""
        if not self._abandoned:
            self._settling.extend((VIDEO_TRACK, frame) for frame in self._video.flush())
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
        self._settling.sort(key=_room_ms)
        settled = bisect.bisect_right(self._settling, room_ms, key=_room_ms)
        for track, frame in self._settling[:settled]:
            self._write_frame(track, frame)
        del self._settling[:settled]
        if self._writer is not None:
            self._writer.flush()

    def _write_frame(self, track: int, frame: Frame) -> None:
        exact_ms = frame.media_ms + frame.mapping.offset_ms
        room_ms = round(exact_ms if exact_ms > self._earliest_ms else self._earliest_ms)
        writer = self._writer or self._open(room_ms)
        at_ms = max(0, room_ms - self._offset_ms)
        last_ms = self._last_ms[track]
        if at_ms <= last_ms:
            if track == AUDIO_TRACK and last_ms - at_ms > SOUND_OVERLAP_MS:
                return
            at_ms = last_ms + 1
        if frame.beginning is not None:
            try:
                writer.begin_pictures(frame.beginning.width, frame.beginning.height, frame.beginning.private)
            except ValueError:
                return
        self._last_ms[track] = at_ms
        writer.write(track, at_ms, frame.data, keyframe=frame.keyframe)

    def _open(self, offset_ms: int) -> WebmWriter:
        self._offset_ms = offset_ms
        self._description = self._describe(offset_ms)
        self._writer = _open_file(segment_path(self._spool, self._description), self._codec)
        write_description(self._spool, self._description, None)
        return self._writer


def _room_ms(entry: tuple[int, Frame]) -> float:
    _, frame = entry
    return frame.media_ms + frame.mapping.offset_ms


def _open_file(path: Path, codec: CodecName) -> WebmWriter:
    """Open a file in the room's folder, which whoever empties it (filing, another process) may just be taking away."""
    for _ in range(OPEN_TRIES - 1):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            return WebmWriter(path, codec)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return WebmWriter(path, codec)
