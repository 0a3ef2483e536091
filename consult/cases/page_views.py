"""The pages of cases: the list, a new case, one case with everything that belongs to it, and its questions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
from aiohttp import web

from consult.cases import service
from consult.cases.model import (
    MAX_DIAGNOSIS_CHARS,
    MAX_NAME_CHARS,
    MAX_QUESTION_CHARS,
    MAX_TEXT_CHARS,
    AskedBy,
    NewPatient,
    next_act,
    way_of,
)
from consult.consultations.model import Consultation
from consult.domain.access import Action, StaffRole, may, may_read_case
from consult.domain.addresses import MAX_EMAIL_CHARS
from consult.domain.clock import utc_now
from consult.domain.errors import InvalidInput, NotFound
from consult.domain.ids import AppointmentId, CaseId, QuestionId, StaffId
from consult.keys import POOL, SETTINGS
from consult.matching import service as matching
from consult.people import service as people
from consult.people.model import Staff
from consult.records import service as records
from consult.scheduling import service as scheduling
from consult.scheduling.model import AppointmentDetails, PanelMember
from consult.transcripts import service as transcripts
from consult.waiting import service as waiting_list
from consult.web.forms import Form, read_form
from consult.web.params import number_in_path, number_in_query, uuid_in_path
from consult.web.render import reader_words, render
from consult.web.session import require_staff

routes = web.RouteTableDef()


async def require_case_reader(request: web.Request, conn: asyncpg.Connection, case_id: CaseId) -> Staff:
    """Return who is signed in, if they may read the case. For everybody else it is not there: NotFound."""
    staff = await require_staff(request)
    if not may_read_case(staff.role, staff.id, await scheduling.list_expert_ids(conn, case_id)):
        raise NotFound("case")
    return staff


@routes.get("/cases")
async def show_cases(request: web.Request) -> web.Response:
    """The list, newest first. With `?expert=&at=` it asks which case to book at that time."""
    staff = await require_staff(request, StaffRole.SCHEDULER, StaffRole.EXPERT)
    search = request.query.get("search", "")[:100].replace("\0", "")
    own = None if may(staff.role, Action.READ_EVERY_CASE) else staff.id
    now = utc_now()
    async with request.app[POOL].acquire() as conn:
        lines = await service.list_cases(conn, now=now, search=search, expert_id=own)
        choices = await matching.list_choices(conn, [line.id for line in lines])
        booking = await _wanted_time(request, conn) if may(staff.role, Action.BOOK) else None
    rows = [{"line": line, "act": next_act(line.facts).value, "choice": choices.get(line.id)} for line in lines]
    values = {"rows": rows, "search": search, "zone": staff.time_zone, "booking": booking, "now": now}
    return render(request, "staff/cases.html", values)


async def _wanted_time(request: web.Request, conn: asyncpg.Connection) -> dict[str, Any] | None:
    expert_id = number_in_query(request, "expert")
    if expert_id is None or "at" not in request.query:
        return None
    try:
        at = datetime.fromisoformat(request.query["at"])
        expert = await people.fetch_staff(conn, StaffId(expert_id))
        day = at.astimezone(ZoneInfo(expert.time_zone)).date()
    except (ValueError, OverflowError, NotFound):
        return None
    if at.tzinfo is None or not 2000 <= at.year < 2200:  # near the ends of the calendar zones cannot be computed
        return None
    return {"expert": expert, "at": at, "query": {"expert": expert.id, "day": day.isoformat(), "at": at.isoformat()}}


@routes.get("/cases/new")
async def show_new_case(request: web.Request) -> web.Response:
    await require_staff(request, StaffRole.SCHEDULER)
    return await _render_new_case(request)


@routes.post("/cases/new")
async def open_case(request: web.Request) -> web.Response:
    staff = await require_staff(request, StaffRole.SCHEDULER)
    form = await read_form(request)
    patient = NewPatient(
        name=form.text("name", max_chars=MAX_NAME_CHARS),
        email=form.text("email", max_chars=MAX_EMAIL_CHARS),
        born_on=form.date("born_on", required=False),
        language=form.choice("language", request.app[SETTINGS].languages),
        phone=form.text("phone", max_chars=40),
    )
    texts = {
        "diagnosis": form.text("diagnosis", max_chars=MAX_DIAGNOSIS_CHARS),
        "plan": form.text("plan", max_chars=MAX_TEXT_CHARS),
        "history": form.text("history", max_chars=MAX_TEXT_CHARS),
        "referring_physician": form.text("referring_physician", max_chars=MAX_NAME_CHARS),
        "first_question": form.text("question", max_chars=MAX_QUESTION_CHARS),
    }
    needs: dict[str, Any] = {
        "condition": form.text("condition", max_chars=60),
        "other_languages": form.several("other_languages"),
        "region": form.text("region", max_chars=10),
    }
    if form.values.get("add") == "other_languages":  # nothing is to be opened yet
        form.errors.clear()
        return await _render_new_case(request, form, status=200)
    form.take(InvalidInput(service.find_wrong_fields(patient, texts["diagnosis"], utc_now())))
    if not form.errors:
        try:
            async with request.app[POOL].acquire() as conn, conn.transaction():
                case_id = await service.open_case(conn, patient, **texts, opened_by=staff.id, now=utc_now())
                if any(needs.values()):
                    await matching.set_case_profile(conn, case_id, **needs, by=staff.id, now=utc_now())
            return see(f"/cases/{case_id}")
        except InvalidInput as wrong:
            form.take(wrong)
    return await _render_new_case(request, form, status=422)


async def _render_new_case(request: web.Request, form: Form | None = None, *, status: int = 200) -> web.Response:
    words = reader_words(request)
    async with request.app[POOL].acquire() as conn:
        choices = matching.case_choices(
            await matching.list_option_groups(conn, words),
            words,
            condition=form.values.get("condition", "") if form else "",
            other_languages=form.several("other_languages") if form else [],
            region=form.values.get("region", "") if form else "",
        )
    values = {"choices": choices, "values": form.values if form else {}, "errors": form.errors if form else {}}
    return render(request, "staff/case_new.html", values, status=status)


@routes.get("/cases/{id:[0-9]+}")
async def show_case(request: web.Request) -> web.Response:
    return await render_case(request, CaseId(number_in_path(request)))


@routes.post("/cases/{id:[0-9]+}/questions")
async def ask_question(request: web.Request) -> web.Response:
    case_id = CaseId(number_in_path(request))
    form = await read_form(request)
    text = form.text("question", max_chars=MAX_QUESTION_CHARS)
    async with request.app[POOL].acquire() as conn:
        await require_case_reader(request, conn, case_id)
        if not form.errors:
            try:
                await service.ask_question(conn, case_id, text, AskedBy.STAFF, utc_now())
            except InvalidInput as wrong:
                form.take(wrong)
    if form.errors:
        return await render_case(request, case_id, form=form, status=422)
    return see(f"/cases/{case_id}#questions")


@routes.post("/cases/{id:[0-9]+}/questions/{question}/remove")
async def remove_question(request: web.Request) -> web.Response:
    case_id, question_id = CaseId(number_in_path(request)), QuestionId(uuid_in_path(request, "question"))
    async with request.app[POOL].acquire() as conn:
        await require_case_reader(request, conn, case_id)
        await service.remove_question(conn, case_id, question_id, AskedBy.STAFF)
    return see(f"/cases/{case_id}#questions")


async def render_case(
    request: web.Request, case_id: CaseId, *, form: Form | None = None, status: int = 200
) -> web.Response:
    """The case page. form: a question or file that was sent back, with what was typed."""
    now = utc_now()
    async with request.app[POOL].acquire() as conn:
        staff = await require_case_reader(request, conn, case_id)
        words = reader_words(request)
        case = await service.fetch_case(conn, case_id)
        facts = await service.fetch_facts(conn, case_id, now)
        appointments = await scheduling.list_appointments(conn, case_id)
        wishes = await scheduling.list_wishes(conn, [one.appointment.id for one in appointments])
        found = await records.list_records(conn, case_id)
        titles = {str(record.id): record.title for record in found}
        choice = await matching.find_choice(conn, case_id)
        waiting = await waiting_list.find_entry(conn, case_id, now) if may(staff.role, Action.BOOK) else None
        offered = await waiting_list.find_offer(conn, waiting.entry.id) if waiting else None
        names = {one.id: one.name for one in await people.list_experts(conn)} if waiting else {}
        consulted = await transcripts.list_for_page(conn, case_id, titles)
        values = {
            "case": case,
            "facts": facts,
            "questions": await service.list_questions(conn, case_id),
            "records": found,
            "consultations": consulted,
            "fit": matching.describe(await matching.fetch_case_profile(conn, case_id), words),
            "choice": choice,
            "choice_reasons": matching.explain(choice.reasons, words, staff.time_zone) if choice else [],
            "wishes": wishes,
        }
    live = [one for one in appointments if not one.appointment.is_cancelled]
    return render(
        request,
        "staff/case.html",
        {
            **values,
            "age": case.patient.age_on(now.astimezone(ZoneInfo(staff.time_zone)).date()),
            "steps": way_of(facts),
            "act": next_act(facts).value,
            "states": _states(appointments, [page.consultation for page in consulted], now),
            "appointments": live,
            "cancelled": [one for one in appointments if one.appointment.is_cancelled],
            "experts": _experts_of(live),
            "zone": staff.time_zone,
            "now": now,
            "may_book": may(staff.role, Action.BOOK),
            "waiting": waiting,
            "waiting_wants": waiting_list.wanted(waiting.entry.wishes, names, reader_words(request)) if waiting else [],
            "waiting_offered": offered,
            "values": form.values if form else {},
            "errors": form.errors if form else {},
        },
        status=status,
    )


def _experts_of(appointments: Sequence[AppointmentDetails]) -> list[PanelMember]:
    """Return everybody who sees the patient in these appointments, each once."""
    experts: dict[StaffId, PanelMember] = {}
    for one in appointments:
        lead = PanelMember(one.appointment.expert_id, one.expert_name, one.expert_specialty)
        experts |= {member.id: member for member in (lead, *one.panel)}
    return list(experts.values())


def _states(
    appointments: list[AppointmentDetails], calls: list[Consultation], now: datetime
) -> dict[AppointmentId, str]:
    """How each appointment stands, from the clock and from what became of its call."""
    talked = {call.appointment_id: (call.started_at, call.ended_at) for call in calls}
    states: dict[AppointmentId, str] = {}
    for one in appointments:
        began_at, ended_at = talked.get(one.appointment.id, (None, None))
        states[one.appointment.id] = one.appointment.state(now, began_at=began_at, ended_at=ended_at).value
    return states


def see(place: str) -> web.Response:
    return web.Response(status=303, headers={"Location": place})
