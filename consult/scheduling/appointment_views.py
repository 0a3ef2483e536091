"""The page of an appointment: who is invited to it and their links, what the patient needs, what became of it.

A link is shown once, on the page after the one that made it. Withdrawing sends out who is in the room with it.
"""

from __future__ import annotations

import uuid

from aiohttp import web

from consult.consultations import service as consultations
from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.errors import InvalidInput, NotFound
from consult.domain.ids import AppointmentId
from consult.keys import POOL, SETTINGS
from consult.notices import service as notices
from consult.people.model import Staff
from consult.scheduling import service
from consult.scheduling.flash import drop_link, keep_link, take_link
from consult.scheduling.model import Invited, IssuedLink, PatientNeed, opens_until
from consult.scheduling.room_web import send_out
from consult.web.forms import NOT_A_CHOICE, Form, read_form
from consult.web.params import uuid_in_path
from consult.web.render import render
from consult.web.session import require_staff

routes = web.RouteTableDef()


@routes.get("/appointments/{id}")
async def show_appointment(request: web.Request) -> web.Response:
    """The appointment. A link that was just made is shown once."""
    staff = await require_staff(request, StaffRole.SCHEDULER)
    return await _render_appointment(request, staff, AppointmentId(uuid_in_path(request)))


async def _render_appointment(
    request: web.Request, staff: Staff, appointment_id: AppointmentId, *, form: Form | None = None, status: int = 200
) -> web.Response:
    now = utc_now()
    link = take_link(request, appointment_id)
    async with request.app[POOL].acquire() as conn:
        details = await service.fetch_appointment(conn, appointment_id)
        invited = await service.list_invited(conn, appointment_id)
        consultation = await consultations.find_consultation_of(conn, appointment_id)
        wishes = await service.list_wishes(conn, [appointment_id])
        mails = await notices.list_mails_of_appointment(conn, appointment_id)
        changes = await service.list_changes(conn, appointment_id)
    appointment = details.appointment
    response = render(
        request,
        "staff/appointment.html",
        {
            "details": details,
            "appointment": appointment,
            "state_name": appointment.state(
                now,
                began_at=consultation.started_at if consultation else None,
                ended_at=consultation.ended_at if consultation else None,
            ).value,
            "link": link,
            "link_for": _owner_of(link, invited),
            "link_url": link.url(request.app[SETTINGS].public_url) if link else "",
            "join_url": f"{request.app[SETTINGS].public_url}/join",
            "guests": [one for one in invited if one.is_guest],
            "guest_roles": service.GUEST_ROLES,
            "mails": mails,
            "wishes": wishes,
            "changes": changes,
            "all_needs": list(PatientNeed),
            "chosen_needs": form.lists.get("needs", []) if form and "needs_note" in form.values else appointment.needs,
            "can_move": not appointment.is_cancelled and consultation is None and now < appointment.starts_at,
            "zone": staff.time_zone,
            "now": now,
            "links_open": not appointment.is_cancelled and now < opens_until(appointment.ends_at),
            "values": form.values if form else {},
            "errors": form.errors if form else {},
        },
        status=status,
    )
    if link is not None:
        drop_link(request, response, appointment_id)
    return response


def _owner_of(link: IssuedLink | None, invited: list[Invited]) -> Invited | None:
    """Return whose link this is, None if it was withdrawn since."""
    return next((one for one in invited if link is not None and link.invitation_id in one.invitation_ids), None)


@routes.post("/appointments/{id}/link")
async def make_link(request: web.Request) -> web.Response:
    """Make a further link for the patient; the earlier ones stay good until they are withdrawn."""
    await require_staff(request, StaffRole.SCHEDULER)
    appointment_id = AppointmentId(uuid_in_path(request))
    form = await read_form(request)
    now = utc_now()
    async with request.app[POOL].acquire() as conn, conn.transaction():
        lost: list[str] = []
        if form.checked("withdraw"):
            for one in await service.list_invited(conn, appointment_id):
                if not one.is_guest:
                    lost += await service.revoke_links(conn, appointment_id, now=now, person_id=one.person_id)
        link = await service.issue_link(conn, appointment_id, now=now)
        if form.checked("send"):
            await notices.queue_new_link(conn, appointment_id, now)
    await send_out(request, appointment_id, lost)
    return _with_link(request, link)


@routes.post("/appointments/{id}/guests")
async def invite_guest(request: web.Request) -> web.Response:
    """Invite somebody besides the patient: a link to copy. What was typed stays if it cannot be."""
    staff = await require_staff(request, StaffRole.SCHEDULER)
    appointment_id = AppointmentId(uuid_in_path(request))
    form = await read_form(request)
    name, role = form.values.get("guest_name", ""), form.values.get("guest_role", "")
    email, now = form.values.get("guest_email", ""), utc_now()
    try:
        async with request.app[POOL].acquire() as conn, conn.transaction():
            link = await service.invite_guest(conn, appointment_id, name=name, role=role, email=email, now=now)
            await notices.queue_guest(conn, appointment_id, link.invitation_id, now)
    except InvalidInput as wrong:
        form.take(wrong)
        return await _render_appointment(request, staff, appointment_id, form=form, status=422)
    return _with_link(request, link)


@routes.post("/appointments/{id}/guests/{person}/link")
async def make_guest_link(request: web.Request) -> web.Response:
    """Make a further link for a guest; the earlier ones stay good."""
    await require_staff(request, StaffRole.SCHEDULER)
    appointment_id = AppointmentId(uuid_in_path(request))
    async with request.app[POOL].acquire() as conn, conn.transaction():
        one = _guest(request, await service.list_invited(conn, appointment_id))
        guest = service.Guest(one.name, one.role, one.person_id)
        link = await service.issue_link(conn, appointment_id, now=utc_now(), guest=guest)
        await notices.queue_guest(conn, appointment_id, link.invitation_id, utc_now())
    return _with_link(request, link)


@routes.post("/appointments/{id}/guests/{person}/withdraw")
async def withdraw_guest(request: web.Request) -> web.Response:
    """End one guest's links, and tell them if they have an address; who is in the room is sent out."""
    await require_staff(request, StaffRole.SCHEDULER)
    appointment_id = AppointmentId(uuid_in_path(request))
    async with request.app[POOL].acquire() as conn, conn.transaction():
        one = _guest(request, await service.list_invited(conn, appointment_id))
        await notices.queue_guest_withdrawn(conn, appointment_id, one.person_id, utc_now())
        lost = await service.withdraw_guest(conn, appointment_id, one.person_id, now=utc_now())
    await send_out(request, appointment_id, lost)
    return web.Response(status=303, headers={"Location": f"/appointments/{appointment_id}#guests"})


def _guest(request: web.Request, invited: list[Invited]) -> Invited:
    """Return the guest that the path names. Raises NotFound."""
    person_id: uuid.UUID = uuid_in_path(request, "person")
    for one in invited:
        if one.is_guest and one.person_id == person_id:
            return one
    raise NotFound("guest")


def _with_link(request: web.Request, link: IssuedLink) -> web.Response:
    response = web.Response(status=303, headers={"Location": f"/appointments/{link.appointment_id}"})
    keep_link(request, response, link)
    return response


@routes.post("/appointments/{id}/needs")
async def set_needs(request: web.Request) -> web.Response:
    """Write down what the patient needs in the call, as they said it on the telephone."""
    staff = await require_staff(request, StaffRole.SCHEDULER)
    appointment_id = AppointmentId(uuid_in_path(request))
    form = await read_form(request)
    ticked = form.lists.get("needs", [])
    needs = [need for need in PatientNeed if need.value in ticked]
    if len(needs) < len(set(ticked)):
        form.wrong("needs", NOT_A_CHOICE)
        return await _render_appointment(request, staff, appointment_id, form=form, status=422)
    try:
        async with request.app[POOL].acquire() as conn:
            await service.fetch_appointment(conn, appointment_id)
            note = form.values.get("needs_note", "")
            await service.set_needs(conn, appointment_id, needs, note, by=staff.id, now=utc_now())
    except InvalidInput as wrong:
        form.take(wrong)
        return await _render_appointment(request, staff, appointment_id, form=form, status=422)
    return web.Response(status=303, headers={"Location": f"/appointments/{appointment_id}#needs"})
