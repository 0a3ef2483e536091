"""Giving records out: to the viewer, in ranges, and as downloads (SECURITY 16).

What somebody may not see is not there: the answer is 404, as for a record that never was.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from consult.consultations import service as consultations
from consult.domain.access import may_read_case
from consult.domain.errors import NotFound
from consult.domain.ids import RecordId
from consult.keys import POOL, STORE
from consult.records import service
from consult.records.model import Record, range_of
from consult.scheduling import service as scheduling
from consult.scheduling.model import Visit
from consult.web.params import uuid_in_path
from consult.web.session import find_staff, find_visit, require_staff

routes = web.RouteTableDef()

SHOWN_TRIES = 12
SHOWN_AGAIN_S = 0.2

# Beside the headers of every answer: a record is never a page of ours, whatever is in it.
SANDBOX = "default-src 'none'; frame-ancestors 'none'; sandbox"


@routes.get("/records/{id}/content")
async def show_content(request: web.Request) -> web.StreamResponse:
    """For our viewer: inline, in ranges if asked for."""
    return await _send(request, await _readable_record(request), "inline")


@routes.get("/records/{id}/download")
async def download(request: web.Request) -> web.StreamResponse:
    return await _send(request, await _readable_record(request), "attachment")


async def _readable_record(request: web.Request) -> Record:
    """Return the record, if staff or the visit of its case asks for it. Raises NotFound."""
    record_id = RecordId(uuid_in_path(request))
    staff, visit = await find_staff(request), await find_visit(request)
    if staff is None and visit is None:
        await require_staff(request)
    async with request.app[POOL].acquire() as conn:
        record = await service.fetch_record(conn, record_id)
        if visit is not None and visit.case_id == record.case_id and not visit.is_guest:
            return record
        if staff is not None:
            experts = await scheduling.list_expert_ids(conn, record.case_id)
            if may_read_case(staff.role, staff.id, experts):
                return record
    is_guest_of_case = visit is not None and visit.is_guest and visit.case_id == record.case_id
    if visit is not None and is_guest_of_case and await _is_shown(request, visit, record):
        return record
    raise NotFound("record")


async def _is_shown(request: web.Request, visit: Visit, record: Record) -> bool:
    """Whether a guest is being shown the record. The room tells its pages before it tells us: ask again for a while."""
    for _try in range(SHOWN_TRIES):
        async with request.app[POOL].acquire() as conn:
            if await consultations.is_shown_to(conn, visit, str(record.id)):
                return True
        await asyncio.sleep(SHOWN_AGAIN_S)
    return False


async def _send(request: web.Request, record: Record, disposition: str) -> web.StreamResponse:
    etag = f'"{record.sha256.hex()[:32]}"'
    headers = {
        "Content-Type": record.media_type.value,
        "Content-Disposition": f'{disposition}; filename="{record.safe_name}"',
        "Content-Security-Policy": SANDBOX,
        "X-Content-Type-Options": "nosniff",
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "ETag": etag,
    }
    if request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers=headers)
    wanted = request.headers.get("Range") if request.headers.get("If-Range", etag) == etag else None
    try:
        part = range_of(wanted, record.size_bytes)
    except ValueError:
        return web.Response(status=416, headers=headers | {"Content-Range": f"bytes */{record.size_bytes}"})
    start, end = (part.start, part.end) if part else (0, record.size_bytes)
    response = web.StreamResponse(status=206 if part else 200, headers=headers)
    if part:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{record.size_bytes}"
    response.content_length = end - start
    await response.prepare(request)
    if request.method != "HEAD":
        async for chunk in request.app[STORE].open_range(record.blob_key, start, end):
            await response.write(chunk)
    await response.write_eof()
    return response
