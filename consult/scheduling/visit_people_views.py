"""Who comes to the patient's call, and whom the patient brings along: each by a link of their own, in a named role.

A companion's link is shown once, on the page after the one that made it, for the patient to pass on.
"""

from __future__ import annotations

from aiohttp import web

from consult.domain.clock import utc_now
from consult.domain.errors import InvalidInput, NotFound, TooManyTries
from consult.keys import LIMITER, POOL, SETTINGS
from consult.notices import service as notices
from consult.scheduling import service as scheduling
from consult.scheduling.flash import drop_link, keep_link, take_link
from consult.scheduling.model import Invited, IssuedLink, Visit
from consult.scheduling.room_web import send_out
from consult.scheduling.visit_own_views import hint_of
from consult.scheduling.visit_patient import for_patients, read_own_form, to
from consult.web.address import client_address
from consult.web.forms import Form
from consult.web.params import uuid_in_path
from consult.web.render import render

routes = web.RouteTableDef()

PAGE = "/visit/people"
COMPANIONS = ("interpreter", "caregiver")  # whom a patient may bring; a physician is invited by the clinic


@routes.get("/visit/people")
@for_patients
async def show_people(request: web.Request, visit: Visit) -> web.Response:
    return await _show_people(request, visit)


@routes.post("/visit/people")
@for_patients
async def invite_companion(request: web.Request, visit: Visit) -> web.Response:
    """Invite somebody; the next page shows their link. What was typed stays if it cannot be."""
    form, now = await read_own_form(request), utc_now()
    name = form.text("guest_name", max_chars=200)
    role, email = form.choice("guest_role", COMPANIONS), form.text("guest_email", max_chars=254)
    link: IssuedLink | None = None
    if not form.errors:
        try:
            await _count_invitation(request, visit)
            async with request.app[POOL].acquire() as conn, conn.transaction():
                link = await scheduling.invite_guest(
                    conn, visit.appointment_id, name=name, role=role, email=email, by_patient=True, now=now
                )
                await notices.queue_guest(conn, visit.appointment_id, link.invitation_id, now)
        except InvalidInput as wrong:
            form.take(wrong)
        except TooManyTries as many:
            form.wrong("guest_name", many.message)
    if link is None:
        return await _show_people(request, visit, form=form, status=422)
    return _with_link(request, link)


@routes.post("/visit/people/{person}/link")
@for_patients
async def make_companion_link(request: web.Request, visit: Visit) -> web.Response:
    """Make a further link for a companion who has lost the first; that one stays good until it is taken back."""
    await _count_invitation(request, visit)
    async with request.app[POOL].acquire() as conn, conn.transaction():
        one = _companion(request, await scheduling.list_invited(conn, visit.appointment_id))
        guest = scheduling.Guest(one.name, one.role, one.person_id)
        link = await scheduling.issue_link(conn, visit.appointment_id, now=utc_now(), guest=guest)
        await notices.queue_guest(conn, visit.appointment_id, link.invitation_id, utc_now())
    return _with_link(request, link)


@routes.post("/visit/people/{person}/withdraw")
@for_patients
async def withdraw_companion(request: web.Request, visit: Visit) -> web.Response:
    """End a companion's links at once, and tell them if they have an address; who is in the room is sent out.

    Whom the clinic invited, the clinic alone calls off.
    """
    now = utc_now()
    async with request.app[POOL].acquire() as conn, conn.transaction():
        one = _companion(request, await scheduling.list_invited(conn, visit.appointment_id))
        if not one.by_patient:
            raise NotFound("companion of the patient")
        await notices.queue_guest_withdrawn(conn, visit.appointment_id, one.person_id, now)
        lost = await scheduling.withdraw_guest(conn, visit.appointment_id, one.person_id, now=now)
    await send_out(request, visit.appointment_id, lost)
    return to(PAGE)


def _companion(request: web.Request, invited: list[Invited]) -> Invited:
    """Return the companion that the path names. Raises NotFound, also for somebody whom the clinic alone may invite."""
    person_id = uuid_in_path(request, "person")
    for one in invited:
        if one.role in COMPANIONS and one.person_id == person_id:
            return one
    raise NotFound("companion")


async def _count_invitation(request: web.Request, visit: Visit) -> None:
    await request.app[LIMITER].hit("invite", address=client_address(request), account=str(visit.appointment_id))


def _with_link(request: web.Request, link: IssuedLink) -> web.Response:
    response = to(PAGE)
    keep_link(request, response, link, page=PAGE)
    return response


async def _show_people(
    request: web.Request, visit: Visit, *, form: Form | None = None, status: int = 200
) -> web.Response:
    link = take_link(request, visit.appointment_id)
    async with request.app[POOL].acquire() as conn:
        invited = await scheduling.list_invited(conn, visit.appointment_id)
    owner = next((one for one in invited if link is not None and link.invitation_id in one.invitation_ids), None)
    settings = request.app[SETTINGS]
    response = render(
        request,
        "patient/people.html",
        {
            "guests": [one for one in invited if one.is_guest],
            "companions": COMPANIONS,
            "hint_of": hint_of,
            "link": link if owner else None,
            "link_for": owner,
            "link_url": link.url(settings.public_url) if link else "",
            "join_url": f"{settings.public_url}/join",
            "values": form.values if form else {},
            "errors": form.errors if form else {},
        },
        status=status,
    )
    if link is not None:
        drop_link(request, response, visit.appointment_id, page=PAGE)
    return response
