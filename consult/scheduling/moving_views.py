"""Moving an appointment to another time or expert, and cancelling it with a reason."""

from __future__ import annotations

from typing import Any

import asyncpg
from aiohttp import web

from consult.cases import service as cases
from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.errors import AppointmentStarted, ConsultError, InvalidInput, MovedMeanwhile
from consult.domain.ids import AppointmentId, StaffId
from consult.keys import POOL
from consult.notices import service as notices
from consult.people import service as people
from consult.people.model import LONG_LIST, Staff, in_order
from consult.scheduling import service
from consult.scheduling.flash import keep_link
from consult.scheduling.model import AppointmentDetails
from consult.scheduling.offers_web import (
    CHOOSE_EXPERT,
    REFUSED,
    hours_to_choose,
    list_offers,
    nearest_of,
    wanted_start,
)
from consult.scheduling.room_web import close_room, send_out_after_move
from consult.waiting import service as waiting
from consult.web.forms import Form, read_form
from consult.web.params import uuid_in_path
from consult.web.render import reader_words, render
from consult.web.session import require_staff

routes = web.RouteTableDef()


@routes.get("/appointments/{id}/move")
async def show_moving(request: web.Request) -> web.Response:
    staff = await require_staff(request, StaffRole.SCHEDULER)
    appointment_id = AppointmentId(uuid_in_path(request))
    return await _render_moving(request, staff, appointment_id)


@routes.post("/appointments/{id}/move")
async def move(request: web.Request) -> web.Response:
    """Move, tell the patient and show the appointment with the new link. What was chosen stays if it cannot be."""
    staff = await require_staff(request, StaffRole.SCHEDULER)
    appointment_id = AppointmentId(uuid_in_path(request))
    form = await read_form(request)
    sequence = form.whole_number("sequence")
    expert_id = form.whole_number("expert", least=1)
    reason = form.text("reason", max_chars=500)
    outside_hours = form.checked("outside_hours")
    now = utc_now()
    refused: ConsultError | None = None
    async with request.app[POOL].acquire() as conn:
        lead = await _lead(conn, expert_id)
        if lead is None:
            form.wrong("expert", CHOOSE_EXPERT)
        starts_at = None if lead is None else wanted_start(form, lead, outside_hours=outside_hours)
        if not form.errors and lead is not None and starts_at is not None and sequence is not None:
            try:
                async with conn.transaction():
                    moved = await service.move(
                        conn,
                        appointment_id,
                        starts_at,
                        sequence=sequence,
                        by=staff.id,
                        now=now,
                        reason=reason,
                        expert_id=lead.id,
                        outside_hours=outside_hours,
                    )
                    await notices.queue_change(conn, appointment_id, now)
                    await waiting.follow_moved(conn, moved.was, moved.appointment, now)
            except InvalidInput as wrong:
                form.take(wrong)
            except REFUSED as no:
                form.wrong("slot" if not outside_hours else "time", no.message)
                refused = no
            except (MovedMeanwhile, AppointmentStarted) as no:
                refused = no
            else:
                await send_out_after_move(request, moved)
                response = web.Response(status=303, headers={"Location": f"/appointments/{appointment_id}"})
                keep_link(request, response, moved.link)
                return response
    return await _render_moving(request, staff, appointment_id, form=form, refused=refused)


async def _lead(conn: asyncpg.Connection, expert_id: int | None) -> Staff | None:
    return next((one for one in await people.list_experts(conn) if one.id == expert_id), None)


async def _render_moving(
    request: web.Request,
    staff: Staff,
    appointment_id: AppointmentId,
    *,
    form: Form | None = None,
    refused: ConsultError | None = None,
) -> web.Response:
    now = utc_now()
    chosen: Any = form.values if form else request.query
    async with request.app[POOL].acquire() as conn:
        details = await service.fetch_appointment(conn, appointment_id)
        appointment = details.appointment
        if appointment.is_cancelled or (form is None and appointment.starts_at <= now):
            raise web.HTTPSeeOther(f"/appointments/{appointment_id}")
        experts = [one for one in await people.list_experts(conn) if one.id not in appointment.others]
        lead = _chosen_lead(experts, chosen.get("expert", ""), details)
        panel = [lead, *[await people.fetch_staff(conn, StaffId(one)) for one in appointment.others]]
        record_count = (await cases.fetch_facts(conn, appointment.case_id, now)).record_count
        offers = await list_offers(
            conn,
            panel,
            appointment.ends_at - appointment.starts_at,
            record_count=record_count,
            now=now,
            wanted_day=chosen.get("day", ""),
            words=reader_words(request),
        )
    return render(
        request,
        "staff/appointment_move.html",
        {
            **offers,
            "details": details,
            "appointment": appointment,
            "experts": in_order(experts, [lead.id, appointment.expert_id]),
            "is_long": len(experts) > LONG_LIST,
            "lead": lead,
            "panel": panel,
            "patient_zone": details.patient_time_zone,
            "chosen_at": chosen.get("slot") or "",
            "nearest": nearest_of(refused),
            "hours": hours_to_choose(form, lead),
            "meanwhile": isinstance(refused, MovedMeanwhile),
            "started": isinstance(refused, AppointmentStarted),
            "values": form.values if form else {},
            "errors": form.errors if form else {},
            "staff_zone": staff.time_zone,
            "now": now,
        },
        status=200 if form is None else refused.status if refused else 422,
    )


def _chosen_lead(experts: list[Staff], wanted: str, details: AppointmentDetails) -> Staff:
    """Return who shall lead: whom the address names, else who does now."""
    by_id = {str(one.id): one for one in experts}
    return by_id.get(wanted) or by_id.get(str(details.appointment.expert_id)) or experts[0]


@routes.get("/appointments/{id}/cancel")
async def confirm_cancelling(request: web.Request) -> web.Response:
    staff = await require_staff(request, StaffRole.SCHEDULER)
    return await _render_cancelling(request, staff, AppointmentId(uuid_in_path(request)))


@routes.post("/appointments/{id}/cancel")
async def cancel(request: web.Request) -> web.Response:
    """Cancel: links end at once, who is in the room is sent out, the patient gets a mail."""
    staff = await require_staff(request, StaffRole.SCHEDULER)
    appointment_id = AppointmentId(uuid_in_path(request))
    form = await read_form(request)
    reason = form.text("reason", max_chars=500)
    if form.errors:
        return await _render_cancelling(request, staff, appointment_id, form=form)
    now = utc_now()
    async with request.app[POOL].acquire() as conn, conn.transaction():
        before = await service.fetch_appointment(conn, appointment_id)
        lost = await service.cancel(conn, appointment_id, now, by=staff.id, reason=reason)
        if not before.appointment.is_cancelled and now < before.appointment.ends_at:
            await notices.queue_cancellation(conn, appointment_id, now)
            await waiting.follow_cancelled(conn, before.appointment, now)
    await close_room(request, appointment_id, lost)
    return web.Response(status=303, headers={"Location": f"/appointments/{appointment_id}"})


async def _render_cancelling(
    request: web.Request, staff: Staff, appointment_id: AppointmentId, *, form: Form | None = None
) -> web.Response:
    async with request.app[POOL].acquire() as conn:
        details = await service.fetch_appointment(conn, appointment_id)
    if details.appointment.is_cancelled:
        return web.Response(status=303, headers={"Location": f"/appointments/{appointment_id}"})
    values = {
        "details": details,
        "appointment": details.appointment,
        "zone": staff.time_zone,
        "values": form.values if form else {},
        "errors": form.errors if form else {},
    }
    return render(request, "staff/appointment_cancel.html", values, status=422 if form else 200)
