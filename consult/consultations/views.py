"""What was recorded, as files: for the staff of the case, with ranges, never sniffed or cached. Also the one video of
a call, which can be made again at any time."""

from __future__ import annotations

import re
from pathlib import Path

from aiohttp import web

from consult import jobs
from consult.consultations import service
from consult.domain.clock import utc_now
from consult.domain.errors import NotFound
from consult.keys import POOL, STORE
from consult.storage import BlobMissing
from consult.web.address import wants_page
from consult.web.params import number_in_path, uuid_in_path
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
    return await _send(
        request, segment.blob_key, segment.media_type, f'inline; filename="{Path(segment.blob_key).name}"'
    )


@routes.get("/consultations/{id}/video")
async def download_video(request: web.Request) -> web.StreamResponse:
    """Everybody beside each other in one file, to be saved."""
    staff = await require_staff(request)
    async with request.app[POOL].acquire() as conn:
        consultation = await service.fetch_consultation(conn, uuid_in_path(request))
        await service.refuse_unless_reader(conn, staff, consultation.case_id)
        video = await service.fetch_video(conn, consultation.id)
    if video is None or video.blob_key is None:
        raise NotFound(f"no video of consultation {consultation.id}")
    # Nobody's name: files lie in download folders for years.
    name = f"consultation-{consultation.case_id}-{consultation.started_at:%Y-%m-%d}.mp4"
    return await _send(request, video.blob_key, "video/mp4", f'attachment; filename="{name}"')


@routes.post("/cases/{id}/consultations/{consultation}/video")
async def make_video(request: web.Request) -> web.Response:
    """Ask for the video of a call, again if there is one."""
    staff = await require_staff(request)
    case_id = number_in_path(request)
    async with request.app[POOL].acquire() as conn, conn.transaction():
        await service.refuse_unless_reader(conn, staff, case_id)
        consultation = await service.fetch_consultation(conn, uuid_in_path(request, "consultation"))
        if consultation.case_id != case_id:
            raise NotFound(f"consultation {consultation.id} in case {case_id}")
        await service.ask_for_video(conn, consultation.id, utc_now(), enqueue=jobs.enqueue)
    if wants_page(request):
        raise web.HTTPSeeOther(f"/cases/{case_id}#video-{consultation.id}")
    return web.json_response({"queued": True})


async def _send(request: web.Request, blob_key: str, media_type: str, disposition: str) -> web.StreamResponse:
    try:
        size = await request.app[STORE].size(blob_key)
    except BlobMissing:
        raise NotFound("a recording is not in the store") from None
    headers = {
        "Content-Type": media_type,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "Content-Disposition": disposition,
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
        async for chunk in request.app[STORE].open_range(blob_key, start, end):
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
