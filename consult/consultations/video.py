"""Makes one video of a whole consultation, from its filed segments: after the call by itself, and again when asked.

Owns the job make_video and what becomes of it; how pictures and sounds are put together is `compose.py`'s. The segments
are never touched, so a video can be made again at any time; the one before it can be had until the new one is there.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

import structlog

from consult.consultations import compose, queries, video_queries
from consult.consultations.errors import RecordingUnreadable
from consult.consultations.model import Consultation, Segment, Video
from consult.db.pool import Connection, Pool
from consult.domain.errors import NotFound
from consult.storage import BlobStore

MAKE_VIDEO = "make_video"
PRIORITY = -1  # text is read by people who wait for it
_CHUNK_BYTES = 1 << 20
_LIMIT_S, _LIMIT_PER_S = 600.0, 4.0  # a stuck process ends; a busy machine makes a video slower than the call was
_SILENCE_LIMIT_S = 600.0

log = structlog.get_logger()
Enqueue = Callable[..., Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Studio:
    """What the job needs. work: a folder for the tracks while they are put together. clock: this instant, UTC."""

    pool: Pool
    store: BlobStore
    work: Path
    clock: Callable[[], datetime]


async def fetch_video(conn: Connection, consultation_id: UUID) -> Video | None:
    return await video_queries.fetch_video(conn, consultation_id)


async def queue_videos(
    conn: Connection, now: datetime, *, enqueue: Enqueue, consultation_id: UUID | None = None
) -> int:
    """Queue the video of every call (or this one) that is over and completely filed and never had one."""
    complete = await video_queries.list_without_video(conn, consultation_id)
    for one in complete:
        await ask_for_video(conn, one, now, enqueue=enqueue)
    return len(complete)


async def ask_for_video(conn: Connection, consultation_id: UUID, now: datetime, *, enqueue: Enqueue) -> bool:
    """Queue a video, again if there is one; return False if it is on its way. Raises NotFound if nothing was filed."""
    readable = _readable(await queries.list_segments(conn, consultation_id))
    if not readable:
        raise NotFound(f"nothing to show of consultation {consultation_id}")
    if not await video_queries.upsert_video(conn, consultation_id, now, _length_ms(readable)):
        return False
    key = f"{MAKE_VIDEO}:{consultation_id}:{now.timestamp():.3f}"
    await enqueue(conn, MAKE_VIDEO, {"consultation_id": str(consultation_id)}, key=key, priority=PRIORITY)
    return True


async def make_video(studio: Studio, consultation_id: UUID) -> None:
    """Make the video that was asked for; nothing happens if it is there. What no reader understands ends as failed.

    Raises whatever else went wrong, for the job to be tried again; the page says "failed" until then.
    """
    async with studio.pool.acquire() as conn:
        consultation = await queries.fetch_consultation(conn, consultation_id)
        segments = await queries.list_segments(conn, consultation_id)
        before = await video_queries.fetch_video(conn, consultation_id)
        readable = _readable(segments)
        started_at = studio.clock()
        tries = await video_queries.start_video(conn, consultation_id, started_at, _length_ms(readable))
    if consultation is None or before is None or tries is None:
        return
    try:
        await _make(studio, consultation, readable, filed=len(segments), name=f"{started_at.timestamp():.0f}")
    except RecordingUnreadable:
        log.warning("video.unreadable", consultation=str(consultation_id))
        async with studio.pool.acquire() as conn:
            await video_queries.fail_video(conn, consultation_id, studio.clock())
        return
    except Exception:
        async with studio.pool.acquire() as conn:
            await video_queries.fail_video(conn, consultation_id, studio.clock())
        raise
    if before.blob_key is not None:
        await studio.store.delete(before.blob_key)


async def _make(
    studio: Studio, consultation: Consultation, segments: Sequence[Segment], *, filed: int, name: str
) -> None:
    await asyncio.to_thread(studio.work.mkdir, mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=studio.work, prefix="video-") as place:
        folder = Path(place)
        plan = folder / "plan.json"
        await asyncio.to_thread(plan.write_text, json.dumps(await _fetch_tracks(studio.store, segments, folder)))
        target = folder / "call.mp4"
        async for done_ms in _compose(plan, target, _length_ms(segments)):
            async with studio.pool.acquire() as conn:
                await video_queries.update_done(conn, consultation.id, done_ms)
        # The key has ids alone: it appears in the store's listings and logs.
        key = f"recordings/{consultation.case_id}/call-{consultation.id}-{name}.mp4"
        size_bytes = await studio.store.put(key, _chunks(target))
    async with studio.pool.acquire() as conn:
        await video_queries.finish_video(
            conn, consultation.id, studio.clock(), blob_key=key, size_bytes=size_bytes,
            duration_ms=_length_ms(segments), segments=filed,
        )  # fmt: skip


async def _fetch_tracks(store: BlobStore, segments: Sequence[Segment], folder: Path) -> dict[str, object]:
    """Copy the tracks into the folder and return the plan that `compose.py` reads."""
    tracks = []
    for number, segment in enumerate(segments):
        path = folder / f"{number}.track"
        with path.open("wb") as file:
            async for chunk in store.open_range(segment.blob_key):
                await asyncio.to_thread(file.write, chunk)
        # A screen stands beside the face of the one who showed it.
        whose = f"{segment.person_id} screen" if segment.is_screen else segment.person_id
        tracks.append({
            "path": str(path), "person": whose, "name": segment.name, "offset_ms": segment.offset_ms,
            "duration_ms": segment.duration_ms, "picture": segment.has_video, "sound": segment.has_audio,
            "stands": segment.is_screen,
        })  # fmt: skip
    return {"length_ms": _length_ms(segments), "tracks": tracks}


async def _compose(plan: Path, target: Path, length_ms: int) -> AsyncIterator[int]:
    """Yield how many ms are done. Raises RecordingUnreadable, TimeoutError, OSError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "consult.consultations.compose", str(plan), str(target),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for us; the job is repeated if we stop it
    )  # fmt: skip
    assert process.stdout is not None
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + _LIMIT_S + _LIMIT_PER_S * length_ms / 1000
    try:
        while True:
            async with asyncio.timeout(max(0, min(_SILENCE_LIMIT_S, deadline_s - loop.time()))):
                line = await process.stdout.readline()
            if not line:
                break
            yield int(json.loads(line)["done_ms"])
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code == compose.UNREADABLE:
        raise RecordingUnreadable(target.name)
    if code != 0:
        raise OSError(f"compose ended with {code}")


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk
    finally:
        await asyncio.to_thread(file.close)


def _readable(segments: Sequence[Segment]) -> list[Segment]:
    return [segment for segment in segments if segment.has_audio or segment.has_video]


def _length_ms(segments: Sequence[Segment]) -> int:
    return max((segment.end_ms for segment in segments), default=0)
