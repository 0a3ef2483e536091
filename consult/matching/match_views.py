"""The list of experts for a case, whoever fits best first, and the scheduler's choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from aiohttp import web

from consult.cases import service as cases
from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.errors import InvalidInput
from consult.domain.ids import CaseId, StaffId
from consult.domain.words import N_
from consult.keys import POOL
from consult.matching import service
from consult.matching.model import MAX_NOTE_CHARS, Answer, Match, Part
from consult.people import service as people
from consult.people.model import Staff
from consult.web.forms import Form, read_form
from consult.web.params import number_in_path
from consult.web.render import reader_words, render
from consult.web.session import require_staff
from consult.web.words import Words

routes = web.RouteTableDef()

FILTERS: Mapping[str, tuple[str, Callable[[Match], bool]]] = {
    "condition": (N_("Reviews the condition"), lambda match: match.answer_to(Part.CONDITION) is Answer.YES),
    "licence": (
        N_("Licensed where the patient lives"),
        lambda match: match.answer_to(Part.LICENCE) in (Answer.YES, Answer.PARTLY),
    ),
    "language": (
        N_("Shares a language"),
        lambda match: match.answer_to(Part.LANGUAGE) in (Answer.YES, Answer.PARTLY),
    ),
    "soon": (N_("Free within 7 days"), lambda match: match.answer_to(Part.TIME) is Answer.YES),
    "room": (N_("Has room"), lambda match: match.answer_to(Part.LOAD) in (Answer.YES, Answer.PARTLY)),
    "panels": (N_("Leads panels"), lambda match: match.candidate.profile.leads_panels),
}


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter. query: of the address where it is switched over."""

    text: str
    is_on: bool
    query: str


@dataclass(frozen=True, slots=True)
class Row:
    """An expert of the list as the page shows them. place: among all, whatever is filtered; 1 is first.

    times: the earliest free ones, each with its words in the reader's zone.
    """

    place: int
    expert: Staff
    match: Match
    reasons: list[service.Explained]
    times: list[tuple[datetime, str]]


@routes.get("/cases/{id:[0-9]+}/experts")
async def show_experts(request: web.Request) -> web.Response:
    staff = await require_staff(request, StaffRole.SCHEDULER)
    return await _page(request, staff, CaseId(number_in_path(request)))


@routes.post("/cases/{id:[0-9]+}/experts")
async def choose_expert(request: web.Request) -> web.Response:
    """Write the choice down and go on to booking, at the time whose button was pressed if it was one."""
    staff = await require_staff(request, StaffRole.SCHEDULER)
    case_id = CaseId(number_in_path(request))
    form = await read_form(request)
    expert_id = form.whole_number("expert", least=1, most=2**63 - 1)
    note = form.text("note", max_chars=MAX_NOTE_CHARS)
    if not form.errors:
        try:
            async with request.app[POOL].acquire() as conn:
                choice = await service.choose(conn, case_id, expert_id, note=note, by=staff.id, now=utc_now())
                expert = await people.fetch_staff(conn, choice.expert_id)
                length = await service.review_length(conn, expert)
        except InvalidInput as wrong:
            form.take(wrong)
        else:
            query = _booking_query(expert, length, form.values.get("at", ""))
            return web.Response(status=303, headers={"Location": f"/cases/{case_id}/book?{query}"})
    return await _page(request, staff, case_id, form=form, status=422)


def _booking_query(expert: Staff, length: timedelta, at: str) -> str:
    query = {"expert": str(expert.id), "length": str(length // timedelta(minutes=1))}
    instant = _instant(at)
    if instant is not None:
        day = instant.astimezone(ZoneInfo(expert.time_zone)).date()
        query |= {"day": day.isoformat(), "at": instant.isoformat()}
    return urlencode(query)


def _instant(text: str) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo is not None and 2000 <= instant.year < 2200 else None


async def _page(
    request: web.Request, staff: Staff, case_id: CaseId, *, form: Form | None = None, status: int = 200
) -> web.Response:
    words, now = reader_words(request), utc_now()
    async with request.app[POOL].acquire() as conn:
        case = await cases.fetch_case(conn, case_id)
        profile = await service.fetch_case_profile(conn, case_id)
        matches = await service.rank_experts(conn, case_id, now=now)
        experts = {expert.id: expert for expert in await people.list_experts(conn)}
        choice = await service.find_choice(conn, case_id)
    wanted = [name for name in FILTERS if name in request.query.getall("only", [])]
    rows = _rows(matches, experts, words, staff.time_zone)
    shown = [row for row in rows if all(FILTERS[name][1](row.match) for name in wanted)]
    values: dict[str, Any] = {
        "case": case,
        "facts": service.describe(profile, words),
        "choice": choice,
        "chips": _chips(wanted, words),
        "is_filtered": bool(wanted),
        "total": len(rows),
        "fitting": [row for row in shown if not row.match.objections],
        "unfitting": [row for row in shown if row.match.objections],
        "wrong": next(iter(form.errors.values()), "") if form else "",
        "note": form.values.get("note", "") if form else "",
        "note_of": _note_of(form, shown) if form else "",
        "zone": staff.time_zone,
        "now": now,
    }
    return render(request, "staff/match.html", values, status=status)


def _note_of(form: Form, shown: list[Row]) -> str:
    """Return beside which expert a note that was typed is shown again: the first, if its own is not there."""
    ids = [str(row.expert.id) for row in shown]
    typed = form.values.get("expert", "")
    return typed if typed in ids else ids[0] if ids else ""


def _rows(matches: list[Match], experts: Mapping[StaffId, Staff], words: Words, time_zone: str) -> list[Row]:
    return [
        Row(
            place,
            experts[match.candidate.expert_id],
            match,
            service.explain(match.reasons, words, time_zone),
            [(slot.starts_at, service.time_said(slot.starts_at, words, time_zone)) for slot in match.candidate.free],
        )
        for place, match in enumerate(matches, 1)
        if match.candidate.expert_id in experts
    ]


def _chips(wanted: list[str], words: Words) -> list[Chip]:
    chips = []
    for name, (label, _fits) in FILTERS.items():
        others = [one for one in FILTERS if (one in wanted) != (one == name)]
        query = urlencode([("only", one) for one in others])
        chips.append(Chip(words.gettext(label), name in wanted, query))
    return chips
