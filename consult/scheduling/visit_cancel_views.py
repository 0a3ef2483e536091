"""Cancelling an appointment from its link, and what comes after: a calm page, and asking for another time."""

from __future__ import annotations

from aiohttp import web

from consult.domain.clock import utc_now
from consult.domain.errors import AppointmentStarted, ChangesClosed, InvalidInput, TooManyTries
from consult.domain.words import N_
from consult.keys import LIMITER, POOL
from consult.notices import service as notices
from consult.scheduling import service as scheduling
from consult.scheduling import visit_changes as changes
from consult.scheduling.model import CancelledBy, Visit
from consult.scheduling.room_web import close_room
from consult.scheduling.visit_patient import find_left_visit, for_patients, lead_on, read_own_form, to
from consult.scheduling.visit_times import in_one_line, zone_of
from consult.scheduling.wishes import wish_for_another_time
from consult.waiting import service as waiting
from consult.waiting.model import EVERY_WEEKDAY, PartOfDay
from consult.web.address import client_address
from consult.web.forms import NOT_A_CHOICE, Form
from consult.web.render import reader_words, render

routes = web.RouteTableDef()

MAX_REASON_CHARS = 500
SAY_WHEN = N_("Please write which days or times suit you.")


@routes.get("/visit/cancel")
@for_patients
async def ask_before_cancelling(request: web.Request, visit: Visit) -> web.Response:
    return await _ask(request, visit)


@routes.post("/visit/cancel")
@for_patients
async def cancel(request: web.Request, visit: Visit) -> web.Response:
    """Cancel: links end at once, who is in the room is sent out, the patient gets a mail that says so."""
    form, now = await read_own_form(request), utc_now()
    reason = form.text("reason", max_chars=MAX_REASON_CHARS)
    if form.errors:
        return await _ask(request, visit, form=form, status=422)
    try:
        async with request.app[POOL].acquire() as conn, conn.transaction():
            details = await scheduling.fetch_appointment(conn, visit.appointment_id)
            lost = await changes.cancel(conn, details.appointment, reason=reason, now=now)
            if lost:  # nothing is lost twice: a second press tells nobody again
                await notices.queue_cancellation(conn, visit.appointment_id, now)
                await waiting.follow_cancelled(conn, details.appointment, now)
    except (ChangesClosed, AppointmentStarted):
        return to("/visit/change")
    await close_room(request, visit.appointment_id, lost)
    return to("/visit/cancelled")


@routes.get("/visit/cancelled")
async def show_cancelled(request: web.Request) -> web.Response:
    return await _show_cancelled(request)


@routes.post("/visit/cancelled")
async def ask_for_another_time(request: web.Request) -> web.Response:
    """Keep what the patient says about another time, for the scheduler to read, and put the case on the wait list."""
    left = await find_left_visit(request)
    if left is None or left.cancelled_at is None:
        return await lead_on(request)
    form, now = await read_own_form(request), utc_now()
    text, part = form.text("wish", max_chars=4000), form.choice("part", list(PartOfDay), required=False)
    days = form.several("weekdays", most=7)
    if not set(days) <= {str(number) for number in EVERY_WEEKDAY}:
        form.wrong("weekdays", NOT_A_CHOICE)
    if not (text or part or days) and not form.errors:
        form.wrong("wish", SAY_WHEN)
    if form.errors:
        return await _show_cancelled(request, form=form, status=422)
    try:
        await request.app[LIMITER].hit("wish", address=client_address(request), account=str(left.appointment_id))
        async with request.app[POOL].acquire() as conn, conn.transaction():
            await wish_for_another_time(conn, left.appointment_id, text, now)
            await waiting.wait_by_wish(
                conn, left.appointment_id, frozenset(map(int, days)), PartOfDay(part or PartOfDay.ANY), text, now
            )
    except InvalidInput as wrong:
        form.take(wrong)
    except TooManyTries as many:
        form.wrong("wish", many.message)
    if form.errors:
        return await _show_cancelled(request, form=form, status=422)
    return to("/visit/cancelled")


async def _ask(request: web.Request, visit: Visit, *, form: Form | None = None, status: int = 200) -> web.Response:
    async with request.app[POOL].acquire() as conn:
        details = await scheduling.fetch_appointment(conn, visit.appointment_id)
        if utc_now() > await changes.changes_until(conn, details.appointment):
            return to("/visit/change")
    values = {
        "when": in_one_line(visit.starts_at, zone_of(visit), reader_words(request)),
        "values": form.values if form else {},
        "errors": form.errors if form else {},
    }
    return render(request, "patient/cancel.html", values, status=status)


async def _show_cancelled(request: web.Request, *, form: Form | None = None, status: int = 200) -> web.Response:
    left = await find_left_visit(request)
    if left is None or left.cancelled_at is None:
        return await lead_on(request)
    words, now = reader_words(request), utc_now()
    async with request.app[POOL].acquire() as conn:
        line = await waiting.find_wish(conn, left.appointment_id, now)
    kept = line.entry.wishes if line else None
    days = kept.weekdays if kept and kept.weekdays != EVERY_WEEKDAY else frozenset()
    values = {
        "left": left,
        "waits": line is not None,
        "week": waiting.weekdays(words),
        "chosen_days": set(form.lists.get("weekdays", [])) if form else {str(day) for day in days},
        "by_patient": left.cancelled_by is CancelledBy.PATIENT,
        "when": in_one_line(left.starts_at, left.time_zone, words),
        "cancelled": in_one_line(left.cancelled_at, left.time_zone, words),
        "values": form.values
        if form
        else {"wish": left.wish or "", "part": waiting.part_of(kept) if kept else PartOfDay.ANY},
        "errors": form.errors if form else {},
    }
    return render(request, "patient/cancelled.html", values, status=status)
