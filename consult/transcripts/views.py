"""How far transcripts are, and trying a failed one again. The case page itself is the cases' view."""

from __future__ import annotations

from aiohttp import web

from consult import jobs
from consult.consultations import service as consultations
from consult.domain.clock import utc_now
from consult.domain.errors import NotFound
from consult.keys import POOL
from consult.transcripts import service
from consult.web.address import wants_page
from consult.web.params import number_in_path, uuid_in_path
from consult.web.session import require_staff

routes = web.RouteTableDef()


@routes.get("/cases/{id}/progress")
async def show_progress(request: web.Request) -> web.Response:
    """Return how far text and video of each consultation of a case are, and how many segments are filed."""
    staff = await require_staff(request)
    case_id = number_in_path(request)
    async with request.app[POOL].acquire() as conn:
        await consultations.refuse_unless_reader(conn, staff, case_id)
        found = []
        for consultation in await consultations.list_consultations(conn, case_id):
            status = await service.progress(conn, consultation)
            segments = await consultations.list_segments(conn, consultation.id)
            video = await consultations.fetch_video(conn, consultation.id)
            made = {"video": video.state, "video_done_ms": video.done_ms} if video is not None else {"video": "none"}
            found.append({"id": str(consultation.id), "segments": len(segments), **status.as_json(), **made})
    return web.json_response({"consultations": found}, headers={"Cache-Control": "no-store"})


@routes.post("/cases/{id}/transcripts/{segment}/again")
async def try_again(request: web.Request) -> web.Response:
    staff = await require_staff(request)
    case_id, segment_id = number_in_path(request), uuid_in_path(request, "segment")
    async with request.app[POOL].acquire() as conn, conn.transaction():
        segment = await consultations.fetch_segment(conn, segment_id)
        consultation = await consultations.fetch_consultation(conn, segment.consultation_id)
        if consultation.case_id != case_id:
            raise NotFound(f"segment {segment_id} in case {case_id}")
        await consultations.refuse_unless_reader(conn, staff, case_id)
        await service.try_again(conn, segment_id, utc_now(), enqueue=jobs.enqueue)
    if wants_page(request):
        raise web.HTTPSeeOther(f"/cases/{case_id}#call-{consultation.id}")
    return web.json_response({"queued": True})
