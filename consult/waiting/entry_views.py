"""Putting a case on the wait list, and changing what it wants."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import asyncpg
from aiohttp import web

from consult.cases import service as cases
from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.errors import InvalidInput
from consult.domain.ids import AppointmentId, CaseId, StaffId
from consult.domain.kinds import ConsultationKind
from consult.keys import POOL
from consult.matching import service as matching
from consult.people import service as people
from consult.people.model import LONG_LIST, Staff, in_order
from consult.scheduling import service as scheduling
from consult.scheduling.model import AppointmentDetails
from consult.waiting import service
from consult.waiting.list_words import KINDS, weekdays
from consult.waiting.model import EVERY_WEEKDAY, MAX_NOTE_CHARS, EntryLine, Wishes
from consult.web.forms import NOT_A_CHOICE, NOT_A_DATE, Form, read_form
from consult.web.params import number_in_path
from consult.web.render import reader_words, render
from consult.web.session import require_staff

routes = web.RouteTableDef()

YEARS = range(2000, 2200)  # what lies outside is a slip


@routes.get("/cases/{id:[0-9]+}/waiting")
async def show_entry(request: web.Request) -> web.Response:
    staff = await require_staff(request, StaffRole.SCHEDULER)
    return await _render_entry(request, staff, CaseId(number_in_path(request)))


@routes.post("/cases/{id:[0-9]+}/waiting")
async def save_entry(request: web.Request) -> web.Response:
    """Put the case on the list, or change its entry. What was typed stays if it cannot be."""
    staff = await require_staff(request, StaffRole.SCHEDULER)
    case_id, now = CaseId(number_in_path(request)), utc_now()
    form = await read_form(request)
    wishes = _wishes(form)
    note = form.text("note", max_chars=MAX_NOTE_CHARS)
    appointment_id = _appointment(form)
    if not form.errors and wishes is not None:
        try:
            async with request.app[POOL].acquire() as conn, conn.transaction():
                entry = await service.find_entry(conn, case_id, now)
                if entry is None:
                    await service.add(
                        conn,
                        case_id,
                        wishes,
                        appointment_id=appointment_id,
                        note=note,
                        is_urgent=form.checked("urgent"),
                        added_by=staff.id,
                        now=now,
                    )
                else:
                    await service.change(
                        conn,
                        entry.entry.id,
                        wishes,
                        appointment_id=appointment_id,
                        note=note,
                        is_urgent=form.checked("urgent"),
                        now=now,
                    )
        except InvalidInput as wrong:
            form.take(wrong)
        else:
            return web.Response(status=303, headers={"Location": f"/cases/{case_id}#waiting"})
    return await _render_entry(request, staff, case_id, form=form, status=422)


def _wishes(form: Form) -> Wishes | None:
    """Return what was typed; None with errors if it cannot be."""
    kind = form.choice("kind", [one.value for one in ConsultationKind])
    chosen = form.lists.get("experts", [])
    experts = [StaffId(int(one)) for one in chosen if one.isascii() and one.isdigit() and len(one) < 19]
    if len(experts) != len(chosen):
        form.wrong("experts", NOT_A_CHOICE)
    days = form.lists.get("weekdays", [])
    if not set(days) <= {str(number) for number in EVERY_WEEKDAY}:
        form.wrong("weekdays", NOT_A_CHOICE)
    day_from, day_to = form.date("day_from", required=False), form.date("day_to", required=False)
    for name, day in (("day_from", day_from), ("day_to", day_to)):
        if day is not None and day.year not in YEARS:
            form.wrong(name, NOT_A_DATE)
    time_from, time_to = form.clock_time("time_from", required=False), form.clock_time("time_to", required=False)
    lead = form.whole_number("lead", required=False, most=2**62)
    if kind == ConsultationKind.PANEL and lead is not None:
        experts = [StaffId(lead), *(one for one in experts if one != lead)]
    if form.errors:
        return None
    return Wishes(
        kind=ConsultationKind(kind),
        expert_ids=tuple(dict.fromkeys(experts)),
        day_from=day_from,
        day_to=day_to,
        weekdays=frozenset(int(one) for one in days),
        time_from=time_from,
        time_to=time_to,
    )


def _appointment(form: Form) -> AppointmentId | None:
    text = form.text("appointment", max_chars=40)
    if not text:
        return None
    try:
        return AppointmentId(uuid.UUID(text))
    except ValueError:
        form.wrong("appointment", NOT_A_CHOICE)
        return None


async def _render_entry(
    request: web.Request, staff: Staff, case_id: CaseId, *, form: Form | None = None, status: int = 200
) -> web.Response:
    now = utc_now()
    async with request.app[POOL].acquire() as conn:
        case = await cases.fetch_case(conn, case_id)
        line = await service.find_entry(conn, case_id, now)
        experts = await people.list_experts(conn)
        booked = await _to_move(conn, case_id, now)
        choice = await matching.find_choice(conn, case_id)
    words = reader_words(request)
    known = _as_typed(form) if form else _as_kept(line, booked, choice.expert_id if choice else None)
    return render(
        request,
        "staff/waiting_entry.html",
        {
            **known,
            "case": case,
            "line": line,
            "expert_list": in_order(experts, [one.id for one in experts if str(one.id) in known["chosen_experts"]]),
            "is_long": len(experts) > LONG_LIST,
            "booked": booked,
            "kinds": [(kind.value, words.gettext(name)) for kind, name in KINDS.items()],
            "week": weekdays(words, "abbreviated"),
            "zone": staff.time_zone,
            "now": now,
            "errors": form.errors if form else {},
        },
        status=status,
    )


async def _to_move(conn: asyncpg.Connection, case_id: CaseId, now: Any) -> list[AppointmentDetails]:
    found = await scheduling.list_appointments(conn, case_id)
    return [one for one in found if not one.appointment.is_cancelled and one.appointment.starts_at > now]


def _as_typed(form: Form) -> dict[str, Any]:
    return {
        "values": form.values,
        "chosen_experts": set(form.lists.get("experts", [])),
        "chosen_weekdays": set(form.lists.get("weekdays", [])),
        "is_urgent": form.checked("urgent"),
    }


def _as_kept(
    line: EntryLine | None, booked: Sequence[AppointmentDetails], chosen_expert: StaffId | None
) -> dict[str, Any]:
    """The entry as it is; of a new one what most want: the expert who was booked or chosen, on any day."""
    appointment = booked[0].appointment if booked else None
    if line is not None:
        wishes, appointment_id = line.entry.wishes, line.entry.appointment_id
    elif appointment is not None:
        wishes, appointment_id = Wishes(appointment.kind, appointment.expert_ids), appointment.id
    else:
        wishes, appointment_id = Wishes(expert_ids=(chosen_expert,) if chosen_expert else ()), None
    values = {
        "appointment": str(appointment_id or ""),
        "kind": wishes.kind.value,
        "lead": str(wishes.expert_ids[0]) if wishes.is_panel and wishes.expert_ids else "",
        "day_from": wishes.day_from or "",
        "day_to": wishes.day_to or "",
        "time_from": wishes.time_from.isoformat("minutes") if wishes.time_from else "",
        "time_to": wishes.time_to.isoformat("minutes") if wishes.time_to else "",
        "note": line.entry.note if line else "",
    }
    return {
        "values": values,
        "chosen_experts": {str(one) for one in wishes.expert_ids},
        "chosen_weekdays": {str(one) for one in wishes.weekdays},
        "is_urgent": line.entry.is_urgent if line else False,
    }
