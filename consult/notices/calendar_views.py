"""Calendars: the expert's own at a secret address, and one appointment as a file from the patient's pages."""

from __future__ import annotations

import hashlib

from aiohttp import web

from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.errors import NotFound
from consult.keys import LIMITER, POOL, SETTINGS
from consult.notices import service
from consult.web.address import client_address
from consult.web.render import render
from consult.web.session import require_staff, require_visit
from consult.web.words import LANGUAGES

routes = web.RouteTableDef()

TYPE = "text/calendar"


@routes.get("/calendar")
async def show_calendar(request: web.Request) -> web.Response:
    return await _render_calendar(request)


@routes.post("/calendar")
async def make_calendar(request: web.Request) -> web.Response:
    """Make an address, in place of the earlier one, and show it in this answer alone."""
    staff = await require_staff(request, StaffRole.EXPERT)
    async with request.app[POOL].acquire() as conn:
        secret = await service.make_feed(conn, staff.id, utc_now())
    return await _render_calendar(request, f"{request.app[SETTINGS].public_url}/calendar/{secret}.ics")


@routes.post("/calendar/withdraw")
async def withdraw_calendar(request: web.Request) -> web.Response:
    staff = await require_staff(request, StaffRole.EXPERT)
    async with request.app[POOL].acquire() as conn:
        await service.revoke_feed(conn, staff.id, utc_now())
    return web.Response(status=303, headers={"Location": "/calendar"})


@routes.get("/calendar/{secret}.ics")
async def read_calendar(request: web.Request) -> web.Response:
    """The calendar itself. Whatever is wrong with a secret, the answer is the same; who guesses is slowed down."""
    async with request.app[POOL].acquire() as conn:
        data = await service.read_feed(
            conn,
            request.match_info["secret"],
            settings=request.app[SETTINGS],
            languages=request.app[LANGUAGES],
            now=utc_now(),
        )
    if data is None:
        await request.app[LIMITER].hit("calendar", address=client_address(request))
        raise NotFound("calendar")
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    # A proxy that packs makes tags weak; whether the calendar is the same is asked weakly (RFC 9110 §13.1.2).
    if any(known.value in (tag.strip('"'), "*") for known in request.if_none_match or ()):
        return web.Response(status=304, headers={"ETag": tag})
    return web.Response(body=data, content_type=TYPE, charset="utf-8", headers={"ETag": tag})


@routes.get("/visit/calendar.ics")
async def save_appointment(request: web.Request) -> web.Response:
    """The appointment as a file that a phone puts into its calendar."""
    visit = await require_visit(request)
    async with request.app[POOL].acquire() as conn:
        data = await service.write_visit_calendar(
            conn,
            visit.appointment_id,
            person_id=visit.person_id,
            time_zone=visit.time_zone or visit.expert_time_zone,
            language=visit.language,
            settings=request.app[SETTINGS],
            languages=request.app[LANGUAGES],
        )
    if data is None:
        raise NotFound("appointment")
    name = {"Content-Disposition": 'attachment; filename="appointment.ics"'}
    return web.Response(body=data, content_type=TYPE, charset="utf-8", headers=name)


async def _render_calendar(request: web.Request, address: str = "") -> web.Response:
    staff = await require_staff(request, StaffRole.EXPERT)
    async with request.app[POOL].acquire() as conn:
        feed = await service.fetch_feed(conn, staff.id)
    return render(request, "staff/calendar.html", {"feed": feed, "address": address, "zone": staff.time_zone})
