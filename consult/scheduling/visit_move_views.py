"""Moving an appointment from its link: a day, a time of it, and a yes. The time is kept while the patient decides.

GET changes nothing: a time is kept, given back and taken by forms. Days and times are the patient's own.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from aiohttp import web

from consult.domain.clock import utc_now
from consult.domain.errors import (
    AppointmentStarted,
    ChangesClosed,
    ConsultError,
    HoldExpired,
    MovedMeanwhile,
    RoomsFull,
    SlotInPast,
    SlotOutsideHours,
    SlotTaken,
    TooManyTries,
)
from consult.domain.ids import HoldId
from consult.domain.words import N_
from consult.keys import LIMITER, POOL, SETTINGS
from consult.notices import service as notices
from consult.scheduling import service as scheduling
from consult.scheduling import visit_changes as changes
from consult.scheduling.model import AppointmentDetails, Hold, Visit
from consult.scheduling.room_web import send_out_after_move
from consult.scheduling.visit_days import by_day, local_day, month_of, time_choices
from consult.scheduling.visit_own_views import hint_of
from consult.scheduling.visit_patient import find_left_visit, for_patients, lead_on, read_own_form, require_patient, to
from consult.scheduling.visit_times import in_one_line, say_instant, zone_of
from consult.waiting import service as waiting
from consult.web.address import client_address
from consult.web.params import uuid_in_path
from consult.web.render import clock_time, reader_words, render, zone_place
from consult.web.session import VISIT_COOKIE, find_visit, read_cookie, start_visit

routes = web.RouteTableDef()

CHANGE = "/visit/change"
IS_ITS_TIME = N_("Your appointment is at this time already. Please choose another one.")
NO_TIME_LEFT = N_("No free time is left on that day. These days have some.")
CHOOSE_TIME = N_("Please choose one of these times.")
CANNOT_BE_HAD = (SlotTaken, SlotInPast, SlotOutsideHours, RoomsFull)
TOO_LATE = (ChangesClosed, AppointmentStarted)
YEARS = range(2000, 2200)


@routes.get("/visit/change")
@for_patients
async def show_change(request: web.Request, visit: Visit) -> web.Response:
    """The appointment, and what can be done about it from here: everything, or whom to call."""
    return await _show_change(request, visit)


async def _show_change(
    request: web.Request, visit: Visit, *, was_changed: bool = False, problem: str = "", status: int = 200
) -> web.Response:
    now = utc_now()
    async with request.app[POOL].acquire() as conn:
        details = await scheduling.fetch_appointment(conn, visit.appointment_id)
        until = await changes.changes_until(conn, details.appointment)
    values = {
        "is_open": now <= until,
        "has_begun": now >= details.appointment.starts_at,
        "until": in_one_line(until, zone_of(visit), reader_words(request)),
        "was_changed": was_changed,
        "problem": problem,
    }
    return render(request, "patient/change.html", _known(request, visit, details) | values, status=status)


@routes.get("/visit/move")
@for_patients
async def show_times(request: web.Request, visit: Visit) -> web.Response:
    return await _show_times(request, visit)


@routes.post("/visit/move")
@for_patients
async def keep_time(request: web.Request, visit: Visit) -> web.Response:
    """Keep the chosen time for a while, and ask for a yes."""
    form = await read_own_form(request)
    starts_at = _instant_from(form.text("time", max_chars=40))
    sequence = form.whole_number("sequence", required=False)
    if starts_at is None:
        return await _show_times(request, visit, problem=reader_words(request).say(CHOOSE_TIME), status=422)
    try:
        await request.app[LIMITER].hit("hold", address=client_address(request), account=str(visit.appointment_id))
        async with request.app[POOL].acquire() as conn:
            details = await scheduling.fetch_appointment(conn, visit.appointment_id)
            if sequence is not None and sequence != details.appointment.sequence:
                raise MovedMeanwhile
            if starts_at == details.appointment.starts_at:
                raise SlotTaken(message=IS_ITS_TIME)
            hold = await changes.hold_time(conn, details.appointment, starts_at, now=utc_now())
    except TOO_LATE:
        return to(CHANGE)
    except MovedMeanwhile:
        return await _show_moved_meanwhile(request, visit)
    except (*CANNOT_BE_HAD, TooManyTries) as refused:
        return await _show_refused(request, visit, refused, starts_at)
    return to(f"/visit/move/{hold.id}")


@routes.get("/visit/move/{hold}")
@for_patients
async def ask_for_yes(request: web.Request, visit: Visit) -> web.Response:
    now = utc_now()
    async with request.app[POOL].acquire() as conn:
        details = await scheduling.fetch_appointment(conn, visit.appointment_id)
        until = await changes.changes_until(conn, details.appointment)
        is_late = now > until
        try:
            hold = await changes.fetch_own_hold(conn, visit.appointment_id, HoldId(uuid_in_path(request, "hold")), now)
        except HoldExpired as expired:
            return to(CHANGE) if is_late else await _show_refused(request, visit, expired, None)
    if is_late:
        return to(CHANGE)
    until += hold.slot.starts_at - details.appointment.starts_at
    return _render_question(request, visit, details, hold, is_last=now > until)


@routes.post("/visit/move/{hold}")
async def say_yes(request: web.Request) -> web.Response:
    """Move the appointment. Old links end everywhere; this device goes on with another cookie.

    Pressed twice, the second time finds the first one's work and leads on to it.
    """
    token, hold_id = read_cookie(request, VISIT_COOKIE) or "", HoldId(uuid_in_path(request, "hold"))
    key = request.app[SETTINGS].key_for("moved-visit")
    new_token = changes.next_token(token, hold_id, key)
    if await _has_moved_already(request, new_token):
        return _go_on(request, new_token)
    if await find_visit(request) is None:
        return await lead_on(request)
    visit = await require_patient(request)
    form, now = await read_own_form(request), utc_now()
    sequence = form.whole_number("sequence")
    try:
        async with request.app[POOL].acquire() as conn, conn.transaction():
            details = await scheduling.fetch_appointment(conn, visit.appointment_id)
            hold = await changes.fetch_own_hold(conn, visit.appointment_id, hold_id, now)
            moved = await changes.move(
                conn, details.appointment, hold, sequence=-1 if sequence is None else sequence, token=token, key=key,
                now=now,
            )  # fmt: skip
            await notices.queue_change(conn, visit.appointment_id, now)
            await waiting.follow_moved(conn, details.appointment, moved.appointment, now)
    except ConsultError as refused:
        if await _has_moved_already(request, new_token):
            return _go_on(request, new_token)
        if isinstance(refused, TOO_LATE):
            return to(CHANGE)
        if isinstance(refused, MovedMeanwhile) or await find_left_visit(request) is not None:
            return await _show_moved_meanwhile(request, visit)
        if isinstance(refused, (HoldExpired, *CANNOT_BE_HAD)):
            return await _show_refused(request, visit, refused, None)
        raise
    await send_out_after_move(request, moved)
    return _go_on(request, new_token)


@routes.post("/visit/move/{hold}/release")
@for_patients
async def give_time_back(request: web.Request, visit: Visit) -> web.Response:
    """Give the time back, and lead to its day again, or away from moving."""
    form, now = await read_own_form(request), utc_now()
    day = ""
    async with request.app[POOL].acquire() as conn, conn.transaction():
        try:
            hold = await changes.fetch_own_hold(conn, visit.appointment_id, HoldId(uuid_in_path(request, "hold")), now)
            day = f"?day={local_day(hold.slot.starts_at, zone_of(visit))}"
        except HoldExpired:
            pass  # it went back by itself
        await changes.give_back(conn, visit.appointment_id, now)
    return to(CHANGE if form.checked("stay") else f"/visit/move{day}")


@routes.get("/visit/moved")
async def show_moved(request: web.Request) -> web.Response:
    """After a move: for the patient who made it, and for a device of theirs that was left behind by one."""
    if await find_visit(request) is None:
        left = await find_left_visit(request)
        if left is None or left.cancelled_at is not None:
            return await lead_on(request)
        values = {"when": say_instant(left.starts_at, left.time_zone, reader_words(request)), "left": left}
        return render(request, "patient/moved.html", values)
    visit = await require_patient(request)
    async with request.app[POOL].acquire() as conn:
        if not await changes.was_moved_by_patient(conn, visit.appointment_id):
            return to("/visit")
        details = await scheduling.fetch_appointment(conn, visit.appointment_id)
        guests = [one for one in await scheduling.list_invited(conn, visit.appointment_id) if one.is_guest]
    values = _known(request, visit, details) | {
        "address": hint_of(details.patient_email),
        "guests": [one for one in guests if not one.email],
        "mailed": [one for one in guests if one.email],
    }
    return render(request, "patient/moved.html", values)


async def _has_moved_already(request: web.Request, new_token: str) -> bool:
    async with request.app[POOL].acquire() as conn:
        return await changes.has_moved_already(conn, new_token, utc_now())


def _go_on(request: web.Request, new_token: str) -> web.Response:
    response = to("/visit/moved")
    start_visit(request, response, new_token)
    return response


async def _show_moved_meanwhile(request: web.Request, visit: Visit) -> web.Response:
    """Somebody else moved it while this page was open: say what is so now."""
    if await find_left_visit(request) is not None:
        return await lead_on(request)
    return await _show_change(request, visit, was_changed=True, status=MovedMeanwhile.status)


def _known(request: web.Request, visit: Visit, details: AppointmentDetails) -> dict[str, Any]:
    """What every page about changing shows: the appointment as it is, and whom to call."""
    return {
        "details": details,
        "appointment": details.appointment,
        "when": say_instant(details.appointment.starts_at, zone_of(visit), reader_words(request)),
        "clinic_phone": request.app[SETTINGS].clinic_phone,
        "clinic_email": request.app[SETTINGS].clinic_email,
    }


async def _show_refused(
    request: web.Request, visit: Visit, refused: ConsultError, wanted_at: datetime | None
) -> web.Response:
    """The times again, with what is so; those of the day that was wanted, if there are any left."""
    sentence = reader_words(request).say(refused.message)
    day = None if wanted_at is None else local_day(wanted_at, zone_of(visit))
    return await _show_times(request, visit, problem=sentence, day=day, status=refused.status)


async def _show_times(
    request: web.Request, visit: Visit, *, problem: str = "", day: date | None = None, status: int = 200
) -> web.Response:
    now, words = utc_now(), reader_words(request)
    try:  # every look searches weeks of an expert's time
        account = str(visit.appointment_id)
        await request.app[LIMITER].hit("free_times", address=client_address(request), account=account)
    except TooManyTries as many:
        return await _show_change(request, visit, problem=words.gettext(many.message), status=many.status)
    async with request.app[POOL].acquire() as conn:
        details = await scheduling.fetch_appointment(conn, visit.appointment_id)
        if now > await changes.changes_until(conn, details.appointment):
            return to(CHANGE)
        days = by_day(await changes.list_times(conn, details.appointment, now), zone_of(visit), words)
    asked = request.query.get("day", "") if day is None else day.isoformat()
    chosen = next((one for one in days if one.day.isoformat() == asked), None)
    if asked and chosen is None and not problem:
        problem = words.gettext(NO_TIME_LEFT)
    month = month_of(days, chosen.month if chosen else request.query.get("month", asked[:7]), words)
    values = {
        "problem": problem,
        "chosen": chosen,
        "choices": time_choices(chosen.slots, zone_of(visit), words) if chosen else [],
        "month": month,
        "time_zone": zone_of(visit),
        "place": zone_place(now, zone_of(visit), words=words),
    }
    return render(request, "patient/move.html", _known(request, visit, details) | values, status=status)


def _instant_from(text: str) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo is not None and instant.year in YEARS else None


def _render_question(
    request: web.Request, visit: Visit, details: AppointmentDetails, hold: Hold, *, is_last: bool
) -> web.Response:
    """is_last: the new time is so near that it can't be changed from the link afterwards."""
    words = reader_words(request)
    values = {
        "hold": hold,
        "is_last": is_last,
        "new": say_instant(hold.slot.starts_at, zone_of(visit), words),
        "kept_until": clock_time(hold.expires_at, zone_of(visit), locale=words.language),
        "before": in_one_line(details.appointment.starts_at, zone_of(visit), words),
    }
    return render(request, "patient/move_confirm.html", _known(request, visit, details) | values)
