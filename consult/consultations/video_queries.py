"""SQL about the one video that is made of a consultation's segments."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from consult.consultations.model import Video
from consult.db.pool import Connection

FETCH_VIDEO = """
    select consultation_id, queued_at, started_at, finished_at, failed_at, tries, done_ms, all_ms, segments, blob_key,
           size_bytes, duration_ms
      from compositions where consultation_id = $1
"""
# The row that is there already stays as it is while the video waits or is being made, unless that can't be true.
UPSERT_VIDEO = """
    insert into compositions (consultation_id, queued_at, all_ms) values ($1, $2, $3)
    on conflict (consultation_id) do update
      set queued_at = excluded.queued_at, all_ms = excluded.all_ms, started_at = null, finished_at = null,
          failed_at = null, tries = 0, done_ms = 0
      where compositions.finished_at is not null or compositions.failed_at is not null
         or compositions.queued_at < excluded.queued_at - interval '6 hours'
    returning consultation_id
"""
START_VIDEO = """
    update compositions set started_at = $2, failed_at = null, done_ms = 0, tries = tries + 1, all_ms = $3
     where consultation_id = $1 and finished_at is null
    returning tries
"""
UPDATE_DONE = "update compositions set done_ms = $2 where consultation_id = $1"
FINISH_VIDEO = """
    update compositions
       set finished_at = $2, failed_at = null, done_ms = $5, blob_key = $3, size_bytes = $4, duration_ms = $5,
           segments = $6
     where consultation_id = $1
"""
FAIL_VIDEO = "update compositions set failed_at = $2 where consultation_id = $1"
# Over, everything filed, something in it, and no video was ever asked for (or whoever made it is long gone).
LIST_WITHOUT_VIDEO = """
    select c.id from consultations c
     where c.ended_at is not null
       and ($1::uuid is null or c.id = $1)
       and exists (select from segments s where s.consultation_id = c.id and (s.has_audio or s.has_video))
       and not exists (
         select from compositions v
          where v.consultation_id = c.id
            and (v.finished_at is not null or v.failed_at is not null or v.queued_at > now() - interval '6 hours'))
       and not exists (
         select from room_events e
          where e.appointment_id = c.appointment_id and e.kind = 'RecordingFinished'
            and not exists (select from segments s where s.id = (e.payload ->> 'segment_id')::uuid))
"""


async def fetch_video(conn: Connection, consultation_id: UUID) -> Video | None:
    row = await conn.fetchrow(FETCH_VIDEO, consultation_id)
    return Video(**row) if row else None


async def upsert_video(conn: Connection, consultation_id: UUID, now: datetime, all_ms: int) -> bool:
    """Ask for a video, again if there is one or it failed; return False if it is asked for already."""
    return await conn.fetchrow(UPSERT_VIDEO, consultation_id, now, all_ms) is not None


async def start_video(conn: Connection, consultation_id: UUID, now: datetime, all_ms: int) -> int | None:
    """Return how often it was begun with this time, None if there is nothing to do."""
    tries: int | None = await conn.fetchval(START_VIDEO, consultation_id, now, all_ms)
    return tries


async def update_done(conn: Connection, consultation_id: UUID, done_ms: int) -> None:
    await conn.execute(UPDATE_DONE, consultation_id, done_ms)


async def finish_video(
    conn: Connection,
    consultation_id: UUID,
    now: datetime,
    *,
    blob_key: str,
    size_bytes: int,
    duration_ms: int,
    segments: int,
) -> None:
    await conn.execute(FINISH_VIDEO, consultation_id, now, blob_key, size_bytes, duration_ms, segments)


async def fail_video(conn: Connection, consultation_id: UUID, now: datetime) -> None:
    await conn.execute(FAIL_VIDEO, consultation_id, now)


async def list_without_video(conn: Connection, consultation_id: UUID | None = None) -> list[UUID]:
    """Return the consultations (or the one, if it is one) that are complete and have no video."""
    return [row["id"] for row in await conn.fetch(LIST_WITHOUT_VIDEO, consultation_id)]
