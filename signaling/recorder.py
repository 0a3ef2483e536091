"""The recorder: a member of the room that writes what it hears, per participant one WebM file in the spool.

The event loop only collects packets; a thread of its own puts frames together and writes them, several times a second.
Beside each file lies its description (spool.py). Disk errors end a recording, never the call.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from signaling.frames import AudioFrames, Frame, VideoFrames
from signaling.guard import Kind
from signaling.media import MediaEvent, MediaMember, SegmentFinished, SpoolFailed
from signaling.publication import Publication
from signaling.rtp import Packet
from signaling.spool import Description, remove_segment, segment_path, write_description
from signaling.vp8 import picture_size
from signaling.webm import AUDIO_TRACK, VIDEO_TRACK, Facts, WebmWriter, repair

BATCH_INTERVAL_MS: Final = 200
MAX_BATCHES: Final = 200  # waiting for the disk; with one member that is 40 s
KEYFRAME_EVERY_MS: Final = 10_000  # so that players find a place to begin at when somebody seeks
SETTLE_MS: Final = 300  # frames wait this long for earlier ones of the other track
CLOSE_LIMIT_S: Final = 20
ROUNDING_MS: Final = 1
OPEN_TRIES: Final = 5

Heard = tuple[Kind, Packet, float]


class Segment:
    """One member's uninterrupted piece of the recording, on the event loop's side. lost_picture: told by the thread.

    began_ms: on the room's clock. What was said before it and arrives late is not taken.
    """

    def __init__(
        self, segment_id: str, member: MediaMember, publications: Mapping[Kind, Publication], began_ms: float
    ) -> None:
        self.segment_id = segment_id
        self.member = member
        self.publications = publications
        self.heard: list[Heard] = []
        self.lost_picture = False
        self.began_ms = began_ms
        self.keyframe_asked_ms = began_ms

    def take_audio(self, packet: Packet, room_ms: float) -> None:
        if room_ms > self.began_ms - ROUNDING_MS:
            self.heard.append(("audio", packet, room_ms))

    def take_video(self, packet: Packet, room_ms: float) -> None:
        if room_ms > self.began_ms - ROUNDING_MS:
            self.heard.append(("video", packet, room_ms))


class Recorder:
    """One per room. tell gets SegmentFinished and SpoolFailed on the event loop."""

    def __init__(self, room_id: str, *, spool: Path, started_at: str, tell: Callable[[MediaEvent], None]) -> None:
        self._room_id = room_id
        self._spool = spool
        self._started_at = started_at
        self._tell = tell
        self._segments: list[Segment] = []
        self._batches: queue.Queue[_Batch | None] = queue.Queue(maxsize=MAX_BATCHES)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handed_over_ms = 0.0
        self._failed = False

    def begin(self, member: MediaMember, publications: Mapping[Kind, Publication], now_ms: float) -> Segment:
        """Record a member from now on."""
        if not self._segments:
            self._failed = False  # a new attempt, whose failure is news
        segment = Segment(str(uuid.uuid4()), member, publications, now_ms)
        self._segments.append(segment)
        if self._thread is None:
            self._start()
        for kind, publication in publications.items():
            publication.tap = segment.take_audio if kind == "audio" else segment.take_video
            publication.request_keyframe(now_ms)
        return segment

    def finish(self, segment: Segment) -> None:
        """Stop: not one packet that arrives after this call is in the file."""
        self._segments.remove(segment)
        for publication in segment.publications.values():
            publication.tap = None
        self._hand_over(segment, last=True)

    def tick(self, now_ms: float) -> None:
        """Several times a second: hand what was heard to the thread, ask for keyframes."""
        if now_ms - self._handed_over_ms < BATCH_INTERVAL_MS:
            return
        self._handed_over_ms = now_ms
        for segment in self._segments:
            if segment.heard:
                self._hand_over(segment, last=False)
            if segment.lost_picture or now_ms - segment.keyframe_asked_ms >= KEYFRAME_EVERY_MS:
                segment.lost_picture = False
                segment.keyframe_asked_ms = now_ms
                for publication in segment.publications.values():
                    publication.request_keyframe(now_ms)

    async def close(self) -> None:
        """Finish everything that is open; return when it is on disk and told."""
        for segment in list(self._segments):
            self.finish(segment)
        thread, self._thread = self._thread, None
        if thread is None:
            return
        await asyncio.to_thread(_end, self._batches, thread)
        await asyncio.sleep(0)  # what the thread told last is in the loop's queue

    def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=_write_batches,
            args=(self._batches, self._spool, self._describe, self._tell_from_thread),
            name=f"recorder {self._room_id}",
            daemon=True,
        )
        self._thread.start()

    def _hand_over(self, segment: Segment, *, last: bool) -> None:
        heard, segment.heard = segment.heard, []
        try:
            self._batches.put_nowait(_Batch(segment, heard, last))
        except queue.Full:
            self._fail("the disk is too slow")

    def _describe(self, segment: Segment, offset_ms: int) -> Description:
        member = segment.member
        return Description(
            room_id=self._room_id,
            segment_id=segment.segment_id,
            member_id=member.member_id,
            person_id=member.person_id,
            name=member.name,
            role=member.role,
            offset_ms=offset_ms,
            started_at=self._started_at,
        )

    def _tell_from_thread(self, event: MediaEvent) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._pass_on, event)

    def _pass_on(self, event: MediaEvent) -> None:
        if isinstance(event, SpoolFailed):
            self._fail(event.reason)
        else:
            self._tell(event)

    def _fail(self, reason: str) -> None:
        """Told once; a room that fails to record goes on as a call."""
        if not self._failed:
            self._failed = True
            self._tell(SpoolFailed(reason))


# In the thread ----------------------------------------------------------------------------------------------------


class _Batch:
    __slots__ = ("heard", "last", "segment")

    def __init__(self, segment: Segment, heard: list[Heard], last: bool) -> None:
        self.segment = segment
        self.heard = heard
        self.last = last


def _end(batches: queue.Queue[_Batch | None], thread: threading.Thread) -> None:
    batches.put(None, timeout=CLOSE_LIMIT_S)
    thread.join(CLOSE_LIMIT_S)


def _write_batches(
    batches: queue.Queue[_Batch | None],
    spool: Path,
    describe: Callable[[Segment, int], Description],
    tell: Callable[[MediaEvent], None],
) -> None:
    """The thread: one file per segment, until None comes."""
    files: dict[str, _SegmentFile] = {}
    while (batch := batches.get()) is not None:
        segment = batch.segment
        file = files.get(segment.segment_id)
        if file is None:
            file = files[segment.segment_id] = _SegmentFile(segment, spool, describe)
        try:
            file.write(batch.heard)
        except OSError as error:
            file.abandon()
            tell(SpoolFailed(f"errno {error.errno}"))
        if batch.last:
            _finish(files.pop(segment.segment_id), tell)
    for file in files.values():  # whose last batch did not fit into the queue
        _finish(file, tell)


def _finish(file: _SegmentFile, tell: Callable[[MediaEvent], None]) -> None:
    try:
        finished = file.finish()
    except OSError as error:
        file.abandon()
        tell(SpoolFailed(f"errno {error.errno}"))
    else:
        if finished is not None:
            tell(finished)


class _SegmentFile:
    """Puts a segment's frames together and writes them in the order of their times.

    The file begins with the first frame; its time zero is that frame's place on the room's clock.
    """

    def __init__(self, segment: Segment, spool: Path, describe: Callable[[Segment, int], Description]) -> None:
        self._segment = segment
        self._spool = spool
        self._describe = describe
        self._video = VideoFrames()
        self._audio = AudioFrames()
        self._settling: list[tuple[float, int, Frame]] = []  # (room ms, track, frame)
        self._last_ms = {VIDEO_TRACK: -1, AUDIO_TRACK: -1}
        self._writer: WebmWriter | None = None
        self._description: Description | None = None
        self._abandoned = False

    def write(self, heard: list[Heard]) -> None:
        if self._abandoned:
            return
        for kind, packet, room_ms in heard:
            if kind == "video":
                self._settle(VIDEO_TRACK, self._video.push(packet, room_ms))
            else:
                self._settle(AUDIO_TRACK, self._audio.push(packet, room_ms))
        if self._video.wants_keyframe:
            self._segment.lost_picture = any(kind == "video" for kind, _, _ in heard)
        if heard:
            self._write_until(max(room_ms for _, _, room_ms in heard) - SETTLE_MS)

    def finish(self) -> SegmentFinished | None:
        """Complete the file; None if there is nothing in it."""
        if not self._abandoned:
            self._settle(VIDEO_TRACK, self._video.flush())
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
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _settle(self, track: int, frames: list[Frame]) -> None:
        self._settling.extend((frame.room_ms, track, frame) for frame in frames)

    def _write_until(self, room_ms: float) -> None:
        self._settling.sort(key=lambda entry: entry[0])
        ready = [entry for entry in self._settling if entry[0] <= room_ms]
        del self._settling[: len(ready)]
        for at_ms, track, frame in ready:
            self._write_frame(track, at_ms, frame)
        if self._writer is not None:
            self._writer.flush()

    def _write_frame(self, track: int, room_ms: float, frame: Frame) -> None:
        if self._writer is None:
            self._open(max(0, round(room_ms)))
        assert self._writer is not None and self._description is not None
        at_ms = max(0, round(room_ms) - self._description.offset_ms)
        if at_ms <= self._last_ms[track]:
            if track == AUDIO_TRACK and self._last_ms[track] - at_ms > 15:
                return  # too late: its place is taken
            at_ms = self._last_ms[track] + 1
        self._last_ms[track] = at_ms
        if track == VIDEO_TRACK and frame.keyframe:
            self._writer.set_picture_size(*picture_size(frame.data))
        self._writer.write(track, at_ms, frame.data, keyframe=frame.keyframe)

    def _open(self, offset_ms: int) -> None:
        self._description = self._describe(self._segment, offset_ms)
        path = segment_path(self._spool, self._description)
        self._writer = _open_file(path)
        write_description(self._spool, self._description, None)


def _open_file(path: Path) -> WebmWriter:
    """Open a file in the room's folder, which whoever empties it (filing, another process) may just be taking away."""
    for _ in range(OPEN_TRIES - 1):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            return WebmWriter(path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return WebmWriter(path)
