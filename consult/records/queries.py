"""SQL of records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from consult.domain.ids import CaseId, RecordId
from consult.records.model import MediaType, Record, UploadedBy

RECORD = """
select id, case_id, title, media_type, size_bytes, sha256, page_count, width_px, height_px, blob_key, uploaded_by,
       uploaded_at
from records
"""

LIST_TITLES = "select title from records where case_id = $1 and removed_at is null"

LIST_RECORDS = RECORD + "where case_id = $1 and removed_at is null order by uploaded_at, id"

FETCH_RECORD = RECORD + "where id = $1 and removed_at is null"

# Two uploads at once must not both find room: the case's row orders them.
LOCK_CASE = "select id from cases where id = $1 for update"

FETCH_CASE_BYTES = "select coalesce(sum(size_bytes), 0)::bigint from records where case_id = $1 and removed_at is null"

INSERT_RECORD = """
insert into records (id, case_id, title, media_type, size_bytes, sha256, page_count, width_px, height_px, blob_key,
                     uploaded_by, uploaded_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""

REMOVE_RECORD = """
update records set removed_at = $4
where id = $1 and case_id = $2 and removed_at is null and ($3::text is null or uploaded_by = $3)
returning id
"""

FETCH_REMOVED = """
with calls as (select a.id from appointments a join records r on r.case_id = a.case_id where r.id = $1)
select blob_key,
       exists (select from room_events e join calls on calls.id = e.appointment_id
                where e.kind = 'ViewShown' and e.payload ->> 'record_id' = $1::text) as was_shown,
       exists (select from consultations c join calls on calls.id = c.appointment_id
                where c.ended_at is null) as is_in_call
from records where id = $1 and removed_at is not null
"""


async def list_titles(conn: asyncpg.Connection, case_id: CaseId) -> list[str]:
    return [row["title"] for row in await conn.fetch(LIST_TITLES, case_id)]


async def list_records(conn: asyncpg.Connection, case_id: CaseId) -> list[Record]:
    return [_record(row) for row in await conn.fetch(LIST_RECORDS, case_id)]


async def fetch_record(conn: asyncpg.Connection, record_id: RecordId) -> Record | None:
    row = await conn.fetchrow(FETCH_RECORD, record_id)
    return None if row is None else _record(row)


async def lock_case(conn: asyncpg.Connection, case_id: CaseId) -> bool:
    return await conn.fetchval(LOCK_CASE, case_id) is not None


async def fetch_case_bytes(conn: asyncpg.Connection, case_id: CaseId) -> int:
    used: int = await conn.fetchval(FETCH_CASE_BYTES, case_id)
    return used


async def insert_record(conn: asyncpg.Connection, record: Record) -> None:
    await conn.execute(
        INSERT_RECORD,
        record.id,
        record.case_id,
        record.title,
        record.media_type,
        record.size_bytes,
        record.sha256,
        record.page_count,
        record.width_px,
        record.height_px,
        record.blob_key,
        record.uploaded_by,
        record.uploaded_at,
    )


async def remove_record(
    conn: asyncpg.Connection, case_id: CaseId, record_id: RecordId, uploaded_by: UploadedBy | None, now: datetime
) -> bool:
    return await conn.fetchval(REMOVE_RECORD, record_id, case_id, uploaded_by, now) is not None


@dataclass(frozen=True, slots=True)
class Removed:
    """A record that was taken out of its case. is_in_call: what a call shows is not known yet."""

    blob_key: str
    was_shown: bool
    is_in_call: bool


async def fetch_removed(conn: asyncpg.Connection, record_id: RecordId) -> Removed | None:
    row = await conn.fetchrow(FETCH_REMOVED, record_id)
    return None if row is None else Removed(**row)


def _record(row: Any) -> Record:
    return Record(
        id=RecordId(row["id"]),
        case_id=CaseId(row["case_id"]),
        title=row["title"],
        media_type=MediaType(row["media_type"]),
        size_bytes=row["size_bytes"],
        sha256=row["sha256"],
        page_count=row["page_count"],
        width_px=row["width_px"],
        height_px=row["height_px"],
        blob_key=row["blob_key"],
        uploaded_by=UploadedBy(row["uploaded_by"]),
        uploaded_at=row["uploaded_at"],
    )
