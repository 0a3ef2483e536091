"""The recorder: a member of the room that writes what it hears, per participant one file in the spool.

The event loop only collects packets; a thread (writing.py) puts frames together and writes them (segment_file.py),
several times a second. Beside each file lies its description (spool.py). Disk errors end a recording, never the call.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from array import array
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from signaling.codecs import CodecName, Kind
from signaling.compiled import load
from signaling.disk import FULL, DiskWatch
from signaling.media import MediaEvent, MediaMember, SpoolFailed
from signaling.messages import Source
from signaling.publication import Heard, Publication
from signaling.segment_file import Placed, SegmentFile
from signaling.spool import Description
from signaling.writing import Writer, take_writer

BATCH_INTERVAL_MS: Final = 200
MAX_WAITING: Final = 100  # for the disk: 20 s
KEYFRAME_EVERY_MS: Final = 10_000  # so that players find a place to begin at when somebody seeks
CLOSE_LIMIT_S: Final = 20

log = structlog.get_logger(__name__)


class Segment:
    """One member's uninterrupted piece of the recording, on the event loop's side. lost_picture: told by the thread.

    began_ms: on the room's clock. What was said before it and arrives late is not taken.
    """

    def __init__(
        self,
        segment_id: str,
        member: MediaMember,
        publications: Mapping[Kind, Publication],
        began_ms: float,
        source: Source,
    ) -> None:
        self.segment_id = segment_id
        self.member = member
        self.publications = publications
        self.source = source
        self.heard: dict[Kind, list[Placed]] = {"audio": [], "video": []}
        self.lost_picture = False
        self.began_ms = began_ms
        self.keyframe_asked_ms = began_ms

    @property
    def codec(self) -> CodecName:
        """Of the pictures."""
        video = self.publications.get("video")
        return video.codec if video is not None else "vp8"

    def take_audio(self, heard: Heard, places_ms: array[float]) -> None:
        self.heard["audio"].append((heard, places_ms))

    def take_video(self, heard: Heard, places_ms: array[float]) -> None:
        self.heard["video"].append((heard, places_ms))

    def take_heard(self) -> dict[Kind, list[Placed]]:
        """Return what was heard since the last time."""
        heard, self.heard = self.heard, {"audio": [], "video": []}
        return heard


class Recorder:
    """One per room. tell gets SegmentFinished and SpoolFailed on the event loop."""

    def __init__(
        self,
        room_id: str,
        *,
        spool: Path,
        started_at: str,
        tell: Callable[[MediaEvent], None],
        disk: DiskWatch | None = None,
    ) -> None:
        self._room_id = room_id
        self._spool = spool
        self._started_at = started_at
        self._tell = tell
        self._segments: list[Segment] = []
        self._writer: Writer | None = None
        self._files = _Files(self._open, disk or DiskWatch(spool), self._tell_from_thread)
        self._handed = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn = -1
        self._failed = False

    def begin(
        self,
        member: MediaMember,
        publications: Mapping[Kind, Publication],
        now_ms: float,
        *,
        source: Source = "camera",
    ) -> Segment:
        """Record a member, or their screen, from now on."""
        if not self._segments:
            self._failed = False  # a new attempt, whose failure is news
        segment = Segment(str(uuid.uuid4()), member, publications, now_ms, source)
        self._segments.append(segment)
        if self._writer is None:
            self._loop = asyncio.get_running_loop()
            self._writer = take_writer()
        for kind, publication in publications.items():
            publication.tap = segment.take_audio if kind == "audio" else segment.take_video
            publication.request_keyframe(now_ms)
        return segment

    def finish(self, segment: Segment) -> None:
        """Stop: not one packet that arrives after this call is in the file."""
        self._segments.remove(segment)
        for publication in segment.publications.values():
            publication.tap = None
        self._hand_over([_Batch(segment, last=True)])

    def tick(self, now_ms: float) -> None:
        """Several times a second: hand what was heard to the thread, ask for keyframes."""
        turn = int(now_ms) // BATCH_INTERVAL_MS  # the one at which members' lines are measured: all is caught up with
        if turn == self._turn:
            return
        self._turn = turn
        batches = []
        for segment in self._segments:
            for publication in segment.publications.values():
                publication.catch_up()
            if any(segment.heard.values()):
                batches.append(_Batch(segment, last=False))
            if segment.lost_picture or now_ms - segment.keyframe_asked_ms >= KEYFRAME_EVERY_MS:
                segment.lost_picture = False
                segment.keyframe_asked_ms = now_ms
                for publication in segment.publications.values():
                    publication.request_keyframe(now_ms)
        if batches:
            self._hand_over(batches)

    async def close(self) -> None:
        """Finish everything that is open; return when it is on disk and told."""
        for segment in list(self._segments):
            self.finish(segment)
        writer, self._writer = self._writer, None
        if writer is None:
            return
        writer.add(self._files.close)
        if not await writer.flush(CLOSE_LIMIT_S):
            log.error("recording_unfinished", room_id=self._room_id)
        await writer.release()

    def _hand_over(self, batches: list[_Batch]) -> None:
        if self._writer is None:
            return
        if self._handed - self._files.taken >= MAX_WAITING:
            self._fail("the disk is too slow")
            return
        self._handed += 1
        self._writer.add(partial(self._files.write, batches))

    def _open(self, segment: Segment) -> SegmentFile:
        describe = partial(self._describe, segment)
        shortly = any(publication.short is not None for publication in segment.publications.values())
        library = load() if shortly else None
        return SegmentFile(self._spool, describe, began_ms=segment.began_ms, codec=segment.codec, library=library)

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
            codec=segment.codec,
            source=segment.source,
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
    """What was heard of a segment since the last one."""

    __slots__ = ("heard", "last", "segment")

    def __init__(self, segment: Segment, *, last: bool) -> None:
        self.segment = segment
        self.heard = segment.take_heard()
        self.last = last


class _Files:
    """One file per segment of a room. taken: how many times write() was called."""

    def __init__(
        self, open_file: Callable[[Segment], SegmentFile], disk: DiskWatch, tell: Callable[[MediaEvent], None]
    ) -> None:
        self.taken = 0
        self._open_file = open_file
        self._disk = disk
        self._tell = tell
        self._files: dict[str, SegmentFile] = {}

    def write(self, together: list[_Batch]) -> None:
        self.taken += 1
        for batch in together:
            segment = batch.segment
            file = self._files.get(segment.segment_id)
            if file is None:
                file = self._files[segment.segment_id] = self._open_file(segment)
            if self._disk.is_full(time.monotonic() * 1000):
                file.abandon()
                self._tell(SpoolFailed(FULL))
            _write(file, batch, self._tell)
            if batch.last:
                _finish(self._files.pop(segment.segment_id), self._tell)

    def close(self) -> None:
        """Finish those whose last batch was one too many."""
        while self._files:
            _, file = self._files.popitem()
            _finish(file, self._tell)


def _write(file: SegmentFile, batch: _Batch, tell: Callable[[MediaEvent], None]) -> None:
    try:
        file.write(batch.heard)
    except OSError as error:
        file.abandon()
        tell(SpoolFailed(f"errno {error.errno}"))
    except Exception:  # whatever one member sends spoils that member's file alone
        log.exception("segment_failed", segment=batch.segment.segment_id)
        file.abandon()
    if file.wants_keyframe:
        batch.segment.lost_picture = True


def _finish(file: SegmentFile, tell: Callable[[MediaEvent], None]) -> None:
    try:
        finished = file.finish()
    except OSError as error:
        file.abandon()
        tell(SpoolFailed(f"errno {error.errno}"))
    except Exception:  # the next start finishes what is there
        log.exception("segment_unfinished")
        file.abandon()
    else:
        if finished is not None:
            tell(finished)
