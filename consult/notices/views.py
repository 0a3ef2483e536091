"""The outbox: mails as they would have left, while no mail server is set (MAIL_URL)."""

from __future__ import annotations

from aiohttp import web

from consult.domain.access import Action, may
from consult.domain.clock import utc_now
from consult.domain.errors import NotAllowed, NotFound
from consult.keys import POOL, SETTINGS
from consult.notices import service
from consult.people.model import Staff
from consult.web.render import render
from consult.web.session import require_staff

routes = web.RouteTableDef()


@routes.get("/outbox")
async def show_outbox(request: web.Request) -> web.Response:
    staff = await _require_reader(request)
    async with request.app[POOL].acquire() as conn:
        mails = await service.list_mails(conn)
    return render(request, "staff/outbox.html", {"mails": mails, "zone": staff.time_zone, "now": utc_now()})


@routes.get("/outbox/{name}")
async def show_mail(request: web.Request) -> web.Response:
    """One mail, with its link to press."""
    staff = await _require_reader(request)
    async with request.app[POOL].acquire() as conn:
        found = await service.read_mail(conn, request.match_info["name"], request.app[SETTINGS])
    if found is None:
        raise NotFound("mail")
    mail, letter = found
    return render(request, "staff/mail.html", {"mail": mail, "letter": letter, "zone": staff.time_zone})


async def _require_reader(request: web.Request) -> Staff:
    staff = await require_staff(request)
    if not may(staff.role, Action.READ_OUTBOX):
        raise NotAllowed("outbox")
    if request.app[SETTINGS].mail_url is not None:
        raise NotFound("outbox")
    return staff
