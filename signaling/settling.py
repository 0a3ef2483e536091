"""Frames that wait for their turn in a recording's file, until those of the other track have come too. For the thread.

Owns their order, and where in the file a frame goes. Where there is settle.c, ordinary frames are placed, kept and
written there, many at once; what is not ordinary comes to Python in its turn. Both ways make the same file.
"""

from __future__ import annotations

import bisect
import threading
from array import array
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from signaling.compiled import Library, Passed
from signaling.frames import ANEW_MS, Frame, Mapping, Places, VideoFrames
from signaling.webm import WebmWriter
from signaling.webm_layout import AUDIO_TRACK, VIDEO_TRACK

SOUND_OVERLAP_MS: Final = 15  # a sound that comes more than this before the one before it ends has lost its place
FRAMES: Final = 64  # of a track that there is room for at first
OUT_BYTES: Final = 256 << 10

_DONE, _LEFT, _FULL = range(3)  # as in settle.c


class FrameWriter:
    """Writes frames at their places. writer: None before the first, or once it was taken away.

    offset_ms: of the file's time zero on the room's clock, which is the first frame's place. last_ms: by track.
    """

    def __init__(self, open_file: Callable[[int], WebmWriter], earliest_ms: float) -> None:
        """open_file: gets offset_ms. earliest_ms: what belongs before it is written there."""
        self.writer: WebmWriter | None = None
        self.offset_ms = 0
        self.earliest_ms = earliest_ms
        self.last_ms = {AUDIO_TRACK: -1, VIDEO_TRACK: -1}
        self._open_file = open_file

    def write(self, frame: Frame, exact_ms: float) -> None:
        """exact_ms: its place on the room's clock. Raises OSError."""
        _, _, data, keyframe, beginning, sounds = frame
        room_ms = round(exact_ms if exact_ms > self.earliest_ms else self.earliest_ms)
        if self.writer is None:
            self.offset_ms = room_ms
            self.writer = self._open_file(room_ms)
        at_ms = room_ms - self.offset_ms
        if at_ms < 0:
            at_ms = 0
        track = AUDIO_TRACK if sounds else VIDEO_TRACK
        last_ms = self.last_ms[track]
        if at_ms <= last_ms:
            if sounds and last_ms - at_ms > SOUND_OVERLAP_MS:
                return
            at_ms = last_ms + 1
        if beginning is not None:
            try:
                self.writer.begin_pictures(beginning.width, beginning.height, beginning.private)
            except ValueError:
                return
        self.last_ms[track] = at_ms
        self.writer.write(track, at_ms, data, keyframe=keyframe)


class Settling:
    """All in Python. new_mapping: of those that its frames come with."""

    new_mapping: Callable[[float], Mapping] = Mapping

    def __init__(self) -> None:
        self._sounds: list[Frame] = []
        self._pictures: list[Frame] = []

    def take_sounds(self, passed: Passed, places_ms: array[float], places: Places) -> int:
        """Take the first ones as far as they are ordinary; return how many, the one behind them is for add()."""
        return 0

    def take_pictures(self, passed: Passed, places_ms: array[float], places: Places, pictures: VideoFrames) -> int:
        """The same of pictures."""
        return 0

    def add(self, frame: Frame) -> None:
        (self._sounds if frame.sounds else self._pictures).append(frame)

    def write_until(self, room_ms: float, to: FrameWriter) -> None:
        """Write what belongs up to here, in order; of equal times sounds come first. Raises OSError."""
        waiting = self._sounds + self._pictures
        places_ms = [frame.media_ms + frame.mapping.offset_ms for frame in waiting]
        order = sorted(range(len(waiting)), key=places_ms.__getitem__)
        settled = bisect.bisect_right(order, room_ms, key=places_ms.__getitem__)
        for number in order[:settled]:
            to.write(waiting[number], places_ms[number])
        left = [waiting[number] for number in order[settled:]]
        self._sounds = [frame for frame in left if frame.sounds]
        self._pictures = [frame for frame in left if not frame.sounds]

    def clear(self) -> None:
        self._sounds.clear()
        self._pictures.clear()


class _SharedMapping(Mapping):
    """One that C reads and writes."""

    __slots__ = ("c",)

    def __init__(self, ffi: Any, offset_ms: float) -> None:
        self.c = ffi.new("double *", offset_ms)

    @property
    def offset_ms(self) -> float:
        return float(self.c[0])

    @offset_ms.setter
    def offset_ms(self, offset_ms: float) -> None:
        self.c[0] = offset_ms


class _Queue:
    """One track's frames, in C's memory."""

    def __init__(self, library: Library, *, sounds: bool) -> None:
        self._ffi = library.ffi
        self.c = library.ffi.new("queue *")
        self.c.sounds = sounds
        self._frames: Any = None
        self.reserve(FRAMES)
        self.placing = library.ffi.new("placing *")
        self.placing.anew_ms = ANEW_MS
        addresses = [int(library.ffi.cast("uintptr_t", one)) for one in (self.c, self.placing)]
        self._take = partial(library.held.settle_take, *addresses)

    def take(self, passed: Passed, places_ms: array[float], places: Places, began_ms: float, hold: int) -> int:
        """Take the first ones as far as they are ordinary, and let `places` know."""
        mapping = places.mapping
        assert isinstance(mapping, _SharedMapping)
        count = len(places_ms)
        self.reserve(count)
        c = self.placing
        c.latest, c.timestamp, c.media_ms, c.offset_ms = places.latest, places.timestamp, places.media_ms, mapping.c
        c.khz, c.began_ms = places.khz, began_ms
        taken: int = self._take(passed.records, places_ms.buffer_info()[0], count, passed.payloads, 0, hold)
        places.latest, places.timestamp, places.media_ms = c.latest, c.timestamp, c.media_ms
        return taken

    def add(self, frame: Frame, hold: int) -> None:
        mapping = frame.mapping
        assert isinstance(mapping, _SharedMapping)
        self.reserve(1)
        one = self.c.frames[self.c.end]
        one.media_ms, one.offset_ms, one.hold = frame.media_ms, mapping.c, hold
        one.data, one.size = self._ffi.from_buffer(frame.data), len(frame.data)
        one.left = frame.beginning is not None
        self.c.end += 1

    def reserve(self, count: int) -> None:
        """See to it that there is room for so many more."""
        c = self.c
        if c.end + count > c.size:
            size = max(2 * c.size, c.end + count)
            grown = self._ffi.new("frame[]", size)
            if c.end:
                self._ffi.memmove(grown, c.frames, c.end * self._ffi.sizeof("frame"))
            self._frames = c.frames = grown
            c.size = size


class ShortSettling(Settling):
    """In C, but for what is not ordinary. What frames point to is held until they are written."""

    def __init__(self, library: Library, began_ms: float) -> None:
        """began_ms: on the room's clock; what belongs up to then is left to Python."""
        super().__init__()
        self.new_mapping = partial(_SharedMapping, library.ffi)
        self._ffi = library.ffi
        self._began_ms = began_ms
        self._queues = _Queue(library, sounds=True), _Queue(library, sounds=False)
        self._held: deque[tuple[int, Frame | tuple[Passed, Mapping]]] = deque()
        self._next = 0
        c = self._c = library.ffi.new("blocks *")
        c.queues = [queue.c for queue in self._queues]
        c.tracks = [AUDIO_TRACK, VIDEO_TRACK]
        c.out_size = OUT_BYTES
        self._write = partial(library.held.settle_write, int(library.ffi.cast("uintptr_t", c)))

    def take_sounds(self, passed: Passed, places_ms: array[float], places: Places) -> int:
        if places.latest is None:
            return 0
        return self._queues[0].take(passed, places_ms, places, self._began_ms, self._hold(passed, places))

    def take_pictures(self, passed: Passed, places_ms: array[float], places: Places, pictures: VideoFrames) -> int:
        due = pictures.due
        if due is None or places.latest is None:
            return 0
        queue = self._queues[1]
        queue.placing.due = due
        taken = queue.take(passed, places_ms, places, self._began_ms, self._hold(passed, places))
        pictures.note_shown(queue.placing.due)
        return taken

    def add(self, frame: Frame) -> None:
        self._held.append((self._next, frame))
        self._queues[0 if frame.sounds else 1].add(frame, self._next)
        self._next += 1

    def write_until(self, room_ms: float, to: FrameWriter) -> None:
        c = self._c
        out = _place_to_write(self._ffi)
        c.out = out
        answer = _FULL
        while answer != _DONE:
            answer = self._write(room_ms)
            if c.filled:
                filled, c.filled = c.filled, 0
                self._note_written(to, memoryview(self._ffi.buffer(out, filled)))
            if answer == _LEFT:
                frame, exact_ms = self._first()
                to.write(frame, exact_ms)
                self._stand_at(to)
        while self._held and self._held[0][0] < c.held_from:
            self._held.popleft()

    def clear(self) -> None:
        for queue in self._queues:
            queue.c.begin = queue.c.end = 0
        self._held.clear()

    def _hold(self, passed: Passed, places: Places) -> int:
        self._held.append((self._next, (passed, places.mapping)))
        self._next += 1
        return self._next - 1

    def _note_written(self, to: FrameWriter, blocks: memoryview) -> None:
        assert to.writer is not None
        last_ms = self._c.last_ms
        to.last_ms = {AUDIO_TRACK: last_ms[0], VIDEO_TRACK: last_ms[1]}
        to.writer.write_blocks(blocks, to.last_ms)

    def _first(self) -> tuple[Frame, float]:
        """Take out what C left: the first by its time."""
        waiting = [queue.c for queue in self._queues if queue.c.begin < queue.c.end]
        c = min(waiting, key=lambda c: c.frames[c.begin].room_ms)
        one = c.frames[c.begin]
        c.begin += 1
        held = next((held for number, held in self._held if number == one.hold), None)
        if isinstance(held, Frame):
            return held, one.room_ms
        data = self._ffi.buffer(one.data, one.size)[:]
        return Frame(one.media_ms, Mapping(one.offset_ms[0]), data, bool(c.sounds), None, bool(c.sounds)), one.room_ms

    def _stand_at(self, to: FrameWriter) -> None:
        """Let C know where the file is now."""
        c, writer = self._c, to.writer
        c.open = writer is not None and writer.cluster_ms is not None
        if writer is not None and writer.cluster_ms is not None:
            c.cluster_ms, c.offset_ms = writer.cluster_ms, to.offset_ms
            for place, track in enumerate((AUDIO_TRACK, VIDEO_TRACK)):
                c.last_ms[place], c.cue_ms[place] = to.last_ms[track], writer.cue_ms(track)


_of_thread = threading.local()


def _place_to_write(ffi: Any) -> Any:
    """Return where all files of a thread put their blocks together, one after another."""
    place = getattr(_of_thread, "place", None)
    if place is None:
        place = _of_thread.place = ffi.new("uint8_t[]", OUT_BYTES)
    return place


def new_settling(library: Library | None, began_ms: float) -> Settling:
    """library: None where there is no short way."""
    return Settling() if library is None else ShortSettling(library, began_ms)
