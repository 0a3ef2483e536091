"""Booking a time for a case: kind, expert or panel, day and time. Moving is in `moving_views`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import asyncpg
from aiohttp import web

from consult.availability import service as availability
from consult.cases import service as cases
from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.errors import ConsultError, InvalidInput
from consult.domain.ids import CaseId
from consult.domain.kinds import USUAL_LENGTHS, ConsultationKind
from consult.domain.words import N_
from consult.keys import POOL
from consult.notices import service as notices
from consult.people import service as people
from consult.people.model import LONG_LIST, Staff, in_order
from consult.scheduling import service
from consult.scheduling.flash import keep_link
from consult.scheduling.offers_web import (
    CHOOSE_EXPERT,
    REFUSED,
    hours_to_choose,
    list_offers,
    nearest_of,
    wanted_start,
)
from consult.waiting import service as waiting
from consult.web.forms import Form, read_form
from consult.web.params import number_in_path
from consult.web.render import reader_words, render
from consult.web.session import require_staff

routes = web.RouteTableDef()

LENGTHS_MIN = (30, 45, 60, 90)
CHOOSE_PANEL = N_("Choose at least one more expert for a panel.")


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen so far. panel: everybody who has to be free, the lead first. minutes: how long the call is.

    usual_min: how long this kind of call usually is with the lead. needs_panel: a panel of one is none yet.
    """

    kind: ConsultationKind
    panel: Sequence[Staff]
    minutes: int
    usual_min: int

    @property
    def lead(self) -> Staff:
        return self.panel[0]

    @property
    def query(self) -> str:
        """All that was chosen but the lead, for the address of the page."""
        others = [("others", one.id) for one in self.panel[1:]]
        length = [("length", self.minutes)] if self.minutes != self.usual_min else []
        return urlencode([("kind", self.kind.value), *length, *others])

    @property
    def needs_panel(self) -> bool:
        return self.kind is ConsultationKind.PANEL and len(self.panel) < 2


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
    form.whole_number("expert", least=1)
    minutes = form.whole_number("length", least=10, most=180)
    outside_hours = form.checked("outside_hours")
    now = utc_now()
    async with request.app[POOL].acquire() as conn:
        choice = await _choose(conn, await people.list_experts(conn), form.values, form.lists.get("others", []))
        if choice is None or str(choice.lead.id) != form.values.get("expert"):
            form.wrong("expert", CHOOSE_EXPERT)
        elif choice.needs_panel:
            form.wrong("others", CHOOSE_PANEL)
        starts_at = None if choice is None else wanted_start(form, choice.lead, outside_hours=outside_hours)
        if not form.errors and choice is not None and starts_at is not None and minutes is not None:
            try:
                async with conn.transaction():
                    appointment, link = await service.book(
                        conn,
                        case_id,
                        choice.lead.id,
                        starts_at,
                        timedelta(minutes=minutes),
                        kind=choice.kind,
                        others=[one.id for one in choice.panel[1:]],
                        booked_by=staff.id,
                        now=now,
                        outside_hours=outside_hours,
                    )
                    await notices.queue_invitation(conn, appointment.id, now)
                    await waiting.end_for_booking(conn, case_id, now)
            except InvalidInput as wrong:
                form.take(wrong)
            except REFUSED as refused:
                form.wrong("slot" if not outside_hours else "time", refused.message)
                return await _render_booking(request, staff, case_id, form=form, refused=refused)
            else:
                response = web.Response(status=303, headers={"Location": f"/appointments/{appointment.id}"})
                keep_link(request, response, link)
                return response
    return await _render_booking(request, staff, case_id, form=form, status=422)


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
    others = form.lists.get("others", []) if form else request.query.getall("others", [])
    async with request.app[POOL].acquire() as conn:
        case = await cases.fetch_case(conn, case_id)
        experts = await people.list_experts(conn)
        known = await service.list_expert_ids(conn, case_id)
        choice = await _choose(conn, sorted(experts, key=lambda one: one.id not in known), chosen, others)
        offers: dict[str, Any] = {}
        if choice is not None:
            offers = await list_offers(
                conn,
                choice.panel,
                timedelta(minutes=choice.minutes),
                record_count=(await cases.fetch_facts(conn, case_id, now)).record_count,
                now=now,
                wanted_day=chosen.get("day", ""),
                words=reader_words(request),
            )
    return render(
        request,
        "staff/book.html",
        {
            **offers,
            "case": case,
            "experts": in_order(experts, [one.id for one in choice.panel] if choice else []),
            "choice": choice,
            "address": f"/cases/{case_id}/book?{choice.query}" if choice else "",
            "is_long": len(experts) > LONG_LIST,
            "kinds": list(ConsultationKind),
            "lengths": LENGTHS_MIN,
            "patient_zone": case.patient.time_zone,
            "chosen_at": chosen.get("at") or chosen.get("slot") or "",
            "nearest": nearest_of(refused),
            "hours": hours_to_choose(form, choice.lead if choice else None),
            "values": form.values if form else {},
            "errors": form.errors if form else {},
            "staff_zone": staff.time_zone,
            "now": now,
        },
        status=(refused.status if refused else status) if form else 200,
    )


async def _choose(conn: asyncpg.Connection, experts: list[Staff], chosen: Any, others: Sequence[str]) -> Choice | None:
    """Return what an address or a form chose, with the usual where it says nothing; None if there are no experts.

    experts: whoever leads if nobody is chosen first.
    """
    if not experts:
        return None
    lead = next((one for one in experts if str(one.id) == chosen.get("expert", "")), experts[0])
    kinds = {kind.value: kind for kind in ConsultationKind}
    kind = kinds.get(chosen.get("kind", ""), ConsultationKind.FIRST_REVIEW)
    panel = [lead]
    if kind is ConsultationKind.PANEL:
        panel += [one for one in experts if str(one.id) in others and one.id != lead.id]
    times = await availability.fetch_times(conn, [lead])
    usual = times[lead.id].lengths.get(kind, USUAL_LENGTHS[kind])
    usual_min = int(usual.total_seconds() // 60)
    return Choice(kind, panel, _length_in(chosen.get("length", "")) or usual_min, usual_min)


def _length_in(wanted: str) -> int | None:
    minutes = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 4 else 0
    return minutes if minutes in LENGTHS_MIN else None
