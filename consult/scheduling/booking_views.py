"""Booking a time for a case. The page of an appointment is in `appointment_views`."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
from aiohttp import web
from babel.dates import format_date

from consult.cases import service as cases
from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.errors import ConsultError, InvalidInput, SlotInPast, SlotOutsideHours, SlotTaken
from consult.domain.ids import CaseId
from consult.domain.slots import Slot, instant_of
from consult.domain.words import N_
from consult.keys import POOL
from consult.notices import service as notices
from consult.people import service as people
from consult.people.model import Staff
from consult.scheduling import service
from consult.scheduling.flash import keep_link
from consult.scheduling.model import DEFAULT_LENGTH
from consult.waiting import service as waiting
from consult.web.forms import NOT_A_DATE, Form, read_form
from consult.web.params import number_in_path
from consult.web.render import reader_words, render
from consult.web.session import require_staff

routes = web.RouteTableDef()

LENGTHS_MIN = (30, 45, 60, 90)
DAYS_SHOWN = 7
DAYS_LOOKED_AHEAD = 60

CHOOSE_TIME = N_("Choose one of the free times.")
SKIPPED_TIME = N_("The clock skips this time on that day. Choose another one.")
CHOOSE_EXPERT = N_("Choose an expert.")
YEARS = range(2000, 2200)  # what lies outside is a slip, and near the ends of the calendar zones cannot be computed


@routes.get("/cases/{id:[0-9]+}/book")
async def show_booking(request: web.Request) -> web.Response:
    staff = await require_staff(request, StaffRole.SCHEDULER)
    return await _render_booking(request, staff, CaseId(number_in_path(request)))


@routes.post("/cases/{id:[0-9]+}/book")
async def book(request: web.Request) -> web.Response:
    """Book, queue the invitation and show the appointment with its link. What was chosen stays if it cannot be."""
    staff = await require_staff(request, StaffRole.SCHEDULER)
    case_id = CaseId(number_in_path(request))
    form = await read_form(request)
    expert_id = form.whole_number("expert", least=1)
    minutes = form.whole_number("length", least=10, most=180)
    outside_hours = form.checked("outside_hours")
    now = utc_now()
    async with request.app[POOL].acquire() as conn:
        expert = await _expert(conn, expert_id)
        if expert is None:
            form.wrong("expert", CHOOSE_EXPERT)
        starts_at = None if expert is None else _wanted_start(form, expert, outside_hours)
        if not form.errors and expert is not None and starts_at is not None and minutes is not None:
            try:
                async with conn.transaction():
                    appointment, link = await service.book(
                        conn,
                        case_id,
                        expert.id,
                        starts_at,
                        timedelta(minutes=minutes),
                        booked_by=staff.id,
                        now=now,
                        outside_hours=outside_hours,
                    )
                    await notices.queue_invitation(conn, appointment.id, now)
                    await waiting.end_for_booking(conn, case_id, now)
            except InvalidInput as wrong:
                form.take(wrong)
            except (SlotTaken, SlotInPast, SlotOutsideHours) as refused:
                form.wrong("slot" if not outside_hours else "time", refused.message)
                return await _render_booking(request, staff, case_id, form=form, refused=refused)
            else:
                response = web.Response(status=303, headers={"Location": f"/appointments/{appointment.id}"})
                keep_link(request, response, link)
                return response
    return await _render_booking(request, staff, case_id, form=form, status=422)


def _wanted_start(form: Form, expert: Staff, outside_hours: bool) -> datetime | None:
    """Return the instant that was chosen from the list, or typed in the expert's local time."""
    if not outside_hours:
        starts_at = _instant_from(form.text("slot", max_chars=40))
        if starts_at is None:
            form.wrong("slot", CHOOSE_TIME)
        return starts_at
    day, at = form.date("date"), form.clock_time("time")
    if day is None or at is None:
        return None
    if day.year not in YEARS:
        form.wrong("date", NOT_A_DATE)
        return None
    instant = instant_of(datetime.combine(day, at), ZoneInfo(expert.time_zone))
    if instant is None:
        form.wrong("time", SKIPPED_TIME)
    return instant


def _instant_from(text: str) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo is not None and instant.year in YEARS else None


async def _expert(conn: asyncpg.Connection, expert_id: int | None) -> Staff | None:
    return next((one for one in await people.list_experts(conn) if one.id == expert_id), None)


async def _render_booking(
    request: web.Request,
    staff: Staff,
    case_id: CaseId,
    *,
    form: Form | None = None,
    refused: ConsultError | None = None,
    status: int = 422,
) -> web.Response:
    now = utc_now()
    chosen = form.values if form else request.query
    async with request.app[POOL].acquire() as conn:
        case = await cases.fetch_case(conn, case_id)
        experts = await people.list_experts(conn)
        expert = _chosen_expert(experts, chosen.get("expert", ""))
        minutes = _chosen_length(chosen.get("length", ""))
        values: dict[str, Any] = {"days": [], "free": [], "first_free": None, "day": None}
        if expert is not None:
            values = await _free_days(request, conn, expert, minutes, now, chosen.get("day", ""))
    return render(
        request,
        "staff/book.html",
        {
            **values,
            "case": case,
            "experts": experts,
            "expert": expert,
            "minutes": minutes,
            "lengths": LENGTHS_MIN,
            "patient_zone": case.patient.time_zone,
            "chosen_at": chosen.get("at") or chosen.get("slot") or "",
            "nearest": refused.values.get("nearest", []) if refused else [],
            "values": form.values if form else {},
            "errors": form.errors if form else {},
            "staff_zone": staff.time_zone,
            "now": now,
        },
        status=(refused.status if refused else status) if form else 200,
    )


def _chosen_expert(experts: list[Staff], wanted: str) -> Staff | None:
    for one in experts:
        if str(one.id) == wanted:
            return one
    return experts[0] if experts else None


def _chosen_length(wanted: str) -> int:
    minutes = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 4 else 0
    return minutes if minutes in LENGTHS_MIN else int(DEFAULT_LENGTH.total_seconds() // 60)


async def _free_days(
    request: web.Request, conn: asyncpg.Connection, expert: Staff, minutes: int, now: datetime, wanted_day: str
) -> dict[str, Any]:
    """The expert's week around the chosen day, in the expert's zone, and the free times of that day."""
    zone, language = ZoneInfo(expert.time_zone), reader_words(request).language
    today = now.astimezone(zone).date()
    length = timedelta(minutes=minutes)
    ahead = await service.free_slots(conn, expert.id, today, today + timedelta(days=DAYS_LOOKED_AHEAD), length, now=now)
    by_day: dict[date, list[Slot]] = {}
    for slot in ahead:
        by_day.setdefault(slot.starts_at.astimezone(zone).date(), []).append(slot)
    first_free = min(by_day, default=None)
    try:
        day = date.fromisoformat(wanted_day)
    except ValueError:
        day = first_free or today
    day = min(max(day, today), today + timedelta(days=DAYS_LOOKED_AHEAD - 1))
    begin = max(today, day - timedelta(days=(day - today).days % DAYS_SHOWN))
    days = [begin + timedelta(days=number) for number in range(DAYS_SHOWN)]
    return {
        "day": day,
        "days": [
            {"day": one, "label": format_date(one, "EEE d", language), "count": len(by_day.get(one, []))}
            for one in days
        ],
        "earlier": begin - timedelta(days=DAYS_SHOWN) if begin > today else None,
        "later": begin + timedelta(days=DAYS_SHOWN),
        "free": by_day.get(day, []),
        "first_free": first_free,
    }
