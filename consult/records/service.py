"""Keeping, listing and giving out the records of a case.

What a file is gets decided in `uploads` before anything is kept. A record's bytes lie in the BlobStore under a key made
here; its row is written after them, and a failure takes the bytes away again.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg

from consult import jobs
from consult.db.pool import Pool
from consult.domain.errors import NotFound, QuotaReached
from consult.domain.ids import CaseId, RecordId
from consult.records import queries
from consult.records.model import MAX_CASE_BYTES, UNNAMED, Record, UploadedBy, distinct_title, title_from
from consult.records.uploads import Upload, receive
from consult.storage import BlobStore

READ_BYTES = 256 * 1024
FORGET_RECORD = "forget_record"
LOOK_AGAIN_AFTER = timedelta(hours=1)  # as long as a call may go on

__all__ = [
    "add_record",
    "fetch_record",
    "forget_bytes",
    "keep_record",
    "list_records",
    "receive",
    "register_jobs",
    "remove_record",
]


async def add_record(
    conn: asyncpg.Connection,
    store: BlobStore,
    case_id: CaseId,
    *,
    file_name: str,
    chunks: AsyncIterator[bytes],
    uploaded_by: UploadedBy,
    now: datetime,
    title: str = "",
) -> Record:
    """Return the new record of a case. Pages use `receive` and `keep_record`, so that an upload holds no connection.

    Raises FileTooLarge, FileTypeRefused, FileBroken, QuotaReached, NotFound.
    """
    async with receive(chunks) as upload:
        return await keep_record(
            conn, store, case_id, upload, file_name=file_name, uploaded_by=uploaded_by, now=now, title=title
        )


async def keep_record(
    conn: asyncpg.Connection,
    store: BlobStore,
    case_id: CaseId,
    upload: Upload,
    *,
    file_name: str,
    uploaded_by: UploadedBy,
    now: datetime,
    title: str = "",
    unnamed: str = UNNAMED,
) -> Record:
    """Keep a received file. title: what people read; made from the file's name if empty.

    unnamed: the title if the name gives none, in the words of who uploads. A title that the case has gets a number.
    Raises QuotaReached, NotFound.
    """
    record_id = RecordId(uuid.uuid4())
    record = Record(
        id=record_id,
        case_id=case_id,
        title=title_from(title) or title_from(file_name) or unnamed,
        media_type=upload.media_type,
        size_bytes=upload.size_bytes,
        sha256=upload.sha256,
        page_count=upload.measured.page_count,
        width_px=upload.measured.width_px,
        height_px=upload.measured.height_px,
        blob_key=f"cases/{case_id}/records/{record_id}.{upload.media_type.extension}",
        uploaded_by=uploaded_by,
        uploaded_at=now,
    )
    stored = False
    try:
        async with conn.transaction():
            if not await queries.lock_case(conn, case_id):
                raise NotFound
            if await queries.fetch_case_bytes(conn, case_id) + upload.size_bytes > MAX_CASE_BYTES:
                raise QuotaReached
            record = replace(record, title=distinct_title(record.title, await queries.list_titles(conn, case_id)))
            stored = True
            await store.put(record.blob_key, _read(upload.path))
            await queries.insert_record(conn, record)
    except BaseException:
        if stored:
            await asyncio.shield(store.delete(record.blob_key))
        raise
    return record


async def list_records(conn: asyncpg.Connection, case_id: CaseId) -> list[Record]:
    """Return a case's records in the order they came."""
    return await queries.list_records(conn, case_id)


async def fetch_record(conn: asyncpg.Connection, record_id: RecordId) -> Record:
    """Raises NotFound, also for a removed one. Whether the reader may see its case is asked by the view."""
    record = await queries.fetch_record(conn, record_id)
    if record is None:
        raise NotFound
    return record


async def remove_record(
    conn: asyncpg.Connection,
    case_id: CaseId,
    record_id: RecordId,
    *,
    uploaded_by: UploadedBy | None = None,
    now: datetime,
) -> None:
    """Take a record out of its case. uploaded_by: only if it came from them; patients take back their own.

    Its bytes follow in a job. Raises NotFound.
    """
    async with conn.transaction():
        if not await queries.remove_record(conn, case_id, record_id, uploaded_by, now):
            raise NotFound
        await jobs.enqueue(conn, FORGET_RECORD, {"record_id": str(record_id)})


async def forget_bytes(pool: Pool, store: BlobStore, record_id: RecordId) -> None:
    """Delete the bytes of a removed record, unless a call has shown them: they are a part of its Timeline then.

    While a call of the case goes on this is put off.
    """
    async with pool.acquire() as conn:
        removed = await queries.fetch_removed(conn, record_id)
        if removed is None or removed.was_shown:
            return
        if removed.is_in_call:
            await jobs.enqueue(conn, FORGET_RECORD, {"record_id": str(record_id)}, after=LOOK_AGAIN_AFTER)
            return
    await store.delete(removed.blob_key)


def register_jobs(worker: jobs.Jobs, pool: Pool, store: BlobStore) -> None:
    """Give the worker what this feature does later."""

    async def forget(payload: jobs.Payload) -> None:
        await forget_bytes(pool, store, RecordId(uuid.UUID(payload["record_id"])))

    worker.handle(FORGET_RECORD, forget)


async def _read(path: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while part := await asyncio.to_thread(file.read, READ_BYTES):
            yield part
    finally:
        file.close()
