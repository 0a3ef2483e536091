"""What was recorded, as files: for the staff of the case, with ranges, never sniffed or cached."""

from __future__ import annotations

import re
from pathlib import Path

from aiohttp import web

from consult.consultations import service
from consult.domain.errors import NotFound
from consult.keys import POOL, STORE
from consult.storage import BlobMissing
from consult.web.params import uuid_in_path
from consult.web.session import require_staff

routes = web.RouteTableDef()

_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")


@routes.get("/segments/{id}/media")
async def show_media(request: web.Request) -> web.StreamResponse:
    staff = await require_staff(request)
    segment_id = uuid_in_path(request)
    async with request.app[POOL].acquire() as conn:
        segment = await service.fetch_segment(conn, segment_id)
        consultation = await service.fetch_consultation(conn, segment.consultation_id)
        await service.refuse_unless_reader(conn, staff, consultation.case_id)
    try:
        size = await request.app[STORE].size(segment.blob_key)
    except BlobMissing:
        raise NotFound(f"segment {segment_id} is not in the store") from None
    headers = {
        "Content-Type": segment.media_type,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "Content-Disposition": f'inline; filename="{Path(segment.blob_key).name}"',
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    }
    wanted = range_of(request.headers.get("Range"), size)
    if wanted is None:
        headers["Content-Range"] = f"bytes */{size}"
        return web.Response(status=416, headers=headers)
    start, end = wanted
    is_part = "Range" in request.headers and (start, end) != (0, size)
    if is_part:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - start)
    response = web.StreamResponse(status=206 if is_part else 200, headers=headers)
    await response.prepare(request)
    if request.method != "HEAD":
        async for chunk in request.app[STORE].open_range(segment.blob_key, start, end):
            await response.write(chunk)
    await response.write_eof()
    return response


def range_of(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the bytes [start, end) that a Range header asks for: all if it makes no sense, None if none is there."""
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.groups() == ("", ""):
        return 0, size
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) and size else None
    start, end = int(first), min(int(last) + 1, size) if last else size
    return (start, end) if start < end else None
