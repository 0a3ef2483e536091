"""Files a finished recording: from the recorder's spool into the file store, never losing it on the way.

The order is the guarantee: a seekable copy, the store, one transaction (segment, transcript, job), and only then the
spool file goes. Every step may be repeated after a crash; the spool file stays until the database knows the segment.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from consult.consultations import queries, remux
from consult.consultations.errors import EventRefused, RecordingUnreadable
from consult.consultations.ledger import consultation_id_of
from consult.consultations.model import Segment, SpooledSegment
from consult.db.pool import Pool
from consult.domain.errors import NotFound
from consult.storage import BlobStore

SUFFIXES = {"video/webm": "webm", "video/mp4": "mp4"}  # what is kept as it is has none of its own
UNREADABLE_TYPE = "application/octet-stream"
REMUX_LIMIT_S = 900.0
_CHUNK_BYTES = 1 << 20

# Called in the filing transaction for a segment that has sound; the transcript's owner queues its work here.
WhenFiled = Callable[[Any, Segment, datetime], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Copy:
    path: Path
    media_type: str
    duration_ms: int
    has_audio: bool
    has_video: bool


async def keep_recording(
    pool: Pool, store: BlobStore, spool: Path, segment_id: UUID, now: datetime, *, when_filed: WhenFiled
) -> bool:
    """File a segment; return False if it was filed before. Afterwards the spool holds nothing of it.

    Raises NotFound if neither the spool nor the database has it, EventRefused for a path outside the spool.
    """
    async with pool.acquire() as conn:
        spooled = await queries.fetch_spooled(conn, segment_id)
        if spooled is None:
            raise NotFound(f"nobody told of segment {segment_id}")
        filed = await queries.fetch_segment(conn, segment_id)
        booking = await queries.fetch_booking(conn, spooled.appointment_id)
    source = _inside(spool, spooled.path)
    if filed is not None:
        await asyncio.to_thread(_remove_spooled, spool, source)
        return False
    if booking is None or not await asyncio.to_thread(source.is_file):
        raise NotFound(f"segment {spooled.segment_id} is not in the spool")
    copy = await _seekable_copy(source, spooled)
    try:
        # The key has ids alone: it appears in the store's listings and logs.
        suffix = SUFFIXES.get(copy.media_type, source.suffix.lstrip("."))
        key = f"recordings/{booking.case_id}/{spooled.segment_id}.{suffix}"
        size_bytes = await store.put(key, _chunks(copy.path))
        segment = _segment(spooled, copy, key, size_bytes)
        async with pool.acquire() as conn, conn.transaction():
            is_new = await queries.insert_segment(conn, segment, now)
            if is_new and segment.has_audio:
                await when_filed(conn, segment, now)
    finally:
        if copy.path != source:
            await asyncio.to_thread(copy.path.unlink, True)
    await asyncio.to_thread(_remove_spooled, spool, source)
    return True


def _segment(spooled: SpooledSegment, copy: _Copy, key: str, size_bytes: int) -> Segment:
    return Segment(
        id=spooled.segment_id,
        consultation_id=consultation_id_of(spooled.appointment_id),
        member_id=spooled.member_id,
        person_id=spooled.person_id,
        name=spooled.name,
        role=spooled.role,
        offset_ms=spooled.offset_ms,
        duration_ms=copy.duration_ms,
        has_audio=copy.has_audio,
        has_video=copy.has_video,
        media_type=copy.media_type,
        size_bytes=size_bytes,
        blob_key=key,
        source=spooled.source,
    )


async def _seekable_copy(source: Path, spooled: SpooledSegment) -> _Copy:
    """Return the copy to file: remuxed, or the file as it is if nothing in it can be read."""
    target = source.with_name(f".{spooled.segment_id}.filing")
    try:
        facts = await _run_remux(source, target)
    except RecordingUnreadable:
        await asyncio.to_thread(target.unlink, True)
        return _Copy(source, UNREADABLE_TYPE, duration_ms=0, has_audio=False, has_video=False)
    return _Copy(target, **facts)


async def _run_remux(source: Path, target: Path) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "consult.consultations.remux", str(source), str(target),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for us; the job is repeated if we stop it
    )  # fmt: skip
    try:
        async with asyncio.timeout(REMUX_LIMIT_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == remux.UNREADABLE:
        raise RecordingUnreadable(str(target.name))
    if process.returncode != 0:
        raise OSError(f"remux ended with {process.returncode}")
    facts: dict[str, Any] = json.loads(output)
    return facts


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk
    finally:
        await asyncio.to_thread(file.close)


def discard_recording(spool: Path, relative: str) -> None:
    """Take away a recording that nobody shall keep. Raises EventRefused for a path outside the spool."""
    _remove_spooled(spool, _inside(spool, relative))


def _inside(spool: Path, relative: str) -> Path:
    root = spool.resolve()
    path = (root / relative).resolve()
    if not path.is_relative_to(root) or path == root:
        raise EventRefused("a path outside the spool")
    return path


def _remove_spooled(spool: Path, source: Path) -> None:
    """The file and its manifest, and the room's folder once it is empty; the recorder makes it again if it needs it."""
    for path in (source, source.with_suffix(".json"), source.with_name(source.name + ".json")):
        path.unlink(missing_ok=True)
    if source.parent != spool.resolve():
        with contextlib.suppress(OSError):
            source.parent.rmdir()
