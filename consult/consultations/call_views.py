"""The call page, for patients and staff, and the seat that its script asks for.

What a seat is worth is decided in `seats.py`; what happens in the room is the real-time part's. Opening the page
changes nothing: the room is entered by the socket alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from aiohttp import web

from consult.cases import service as cases
from consult.cases.model import Question
from consult.consultations import service
from consult.consultations.model import Written
from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.errors import NotAllowed, SignInNeeded
from consult.domain.ids import AppointmentId, CaseId
from consult.domain.words import N_
from consult.keys import POOL, SETTINGS
from consult.records import service as records
from consult.records.model import Record
from consult.scheduling import service as scheduling
from consult.scheduling.model import JOIN_BEFORE, may_join_at, opens_until
from consult.settings import TICKET_KEY
from consult.web.params import uuid_in_path
from consult.web.render import reader_words, render
from consult.web.session import STAFF_COOKIE, read_cookie, require_staff, require_visit
from signaling import ticket
from signaling.ticket import Seat

routes = web.RouteTableDef()

SOCKET = "/socket"
RECORD = N_("Record")


@dataclass(frozen=True, slots=True)
class CallPage:
    """What the page shows and its script needs. with_name: the other side. after_url: where an ended call leads."""

    call_id: str
    is_guest: bool
    is_staff: bool
    is_open: bool
    with_name: str
    host_name: str
    seat_url: str
    after_url: str
    ends_at: datetime
    records: list[Record]
    questions: list[Question]
    chat: list[Written]

    def for_script(self) -> dict[str, Any]:
        return {
            "call_id": self.call_id,
            "is_staff": self.is_staff,
            "is_open": self.is_open,
            "seat_url": self.seat_url,
            "after_url": self.after_url,
            "host_name": self.host_name,
            "ends_at": self.ends_at.isoformat(),
            "records": [_record_for_script(record) for record in self.records],
            "chat": [_line_for_script(line) for line in self.chat],
        }


@routes.get("/visit/call")
async def show_call_to_visit(request: web.Request) -> web.Response:
    """The waiting room and the call. Before its time the page says when it opens."""
    visit = await require_visit(request)
    now = utc_now()
    async with request.app[POOL].acquire() as conn:
        consultation = await service.find_consultation_of(conn, visit.appointment_id)
        chat = await service.list_chat(conn, visit.appointment_id, str(visit.id))
    if consultation is not None and consultation.ended_at is not None:
        raise web.HTTPSeeOther("/visit/after")
    kept, asked = await _read_case(request, visit.case_id)
    if visit.is_guest:  # learns of a record when it is shown, and not what it is called
        kept, asked = [replace(record, title=reader_words(request).gettext(RECORD)) for record in kept], []
    page = CallPage(
        call_id=str(visit.appointment_id), is_guest=visit.is_guest, is_staff=False,
        is_open=may_join_at(visit, now), with_name=", ".join(visit.expert_names),
        host_name=visit.expert_name, seat_url="/visit/seat", after_url="/visit/after", ends_at=visit.ends_at,
        records=kept, questions=asked, chat=chat,
    )  # fmt: skip
    values = {
        "call": page,
        "visit": visit,
        "came_at": now,
        "is_open": page.is_open,
        "open_from": visit.starts_at - JOIN_BEFORE,
        "opens_until": opens_until(visit.ends_at),
        "time_zone": visit.time_zone or visit.expert_time_zone,
        "minutes": round((visit.ends_at - visit.starts_at).total_seconds() / 60),
        "staff": None,  # a browser may hold a sign-in, too; this page is the patient's
    }
    return render(request, "room/call.html", values)


@routes.get("/visit/chat")
async def read_chat(request: web.Request) -> web.Response:
    """What was written so far: for somebody let in by a room that had to open again and has forgotten it."""
    visit = await require_visit(request)
    async with request.app[POOL].acquire() as conn:
        chat = await service.list_chat(conn, visit.appointment_id, str(visit.id))
    return web.json_response({"chat": [_line_for_script(line) for line in chat]}, headers={"Cache-Control": "no-store"})


@routes.get("/appointments/{id}/call")
async def show_call_to_staff(request: web.Request) -> web.Response:
    """The call for the appointment's experts; whoever else of the staff opens it is told that it is not theirs."""
    staff = await require_staff(request, StaffRole.EXPERT)
    appointment_id = AppointmentId(uuid_in_path(request))
    async with request.app[POOL].acquire() as conn:
        details = await scheduling.fetch_appointment(conn, appointment_id)
        appointment = details.appointment
        consultation = await service.find_consultation_of(conn, appointment_id)
        chat = await service.list_chat(conn, appointment_id, "", hosts=staff.id in appointment.expert_ids)
    if staff.id not in appointment.expert_ids:
        raise NotAllowed(f"appointment of expert {appointment.expert_id}")
    if consultation is not None and consultation.ended_at is not None:
        raise web.HTTPSeeOther(f"/cases/{appointment.case_id}")
    kept, asked = await _read_case(request, appointment.case_id)
    page = CallPage(
        call_id=str(appointment_id), is_guest=False, is_staff=True, is_open=True,
        with_name=details.patient_name, host_name=details.expert_name,
        seat_url=f"/appointments/{appointment_id}/seat", after_url=f"/cases/{appointment.case_id}",
        ends_at=appointment.ends_at, records=kept, questions=asked, chat=chat,
    )  # fmt: skip
    return render(request, "room/call.html", {"call": page})


@routes.post("/visit/seat")
async def issue_seat_to_visit(request: web.Request) -> web.Response:
    visit = await require_visit(request)
    now = utc_now()
    async with request.app[POOL].acquire() as conn:
        return _ticket(request, await service.issue_seat_for_visit(conn, visit, now))


@routes.post("/appointments/{id}/seat")
async def issue_seat_to_staff(request: web.Request) -> web.Response:
    staff = await require_staff(request)
    token = read_cookie(request, STAFF_COOKIE)
    if token is None:
        raise SignInNeeded
    appointment_id, now = uuid_in_path(request), utc_now()
    async with request.app[POOL].acquire() as conn:
        seat = await service.issue_seat_for_staff(conn, staff, appointment_id, now, device=service.device_of(token))
    return _ticket(request, seat)


async def _read_case(request: web.Request, case_id: CaseId) -> tuple[list[Record], list[Question]]:
    async with asyncio.timeout(10), request.app[POOL].acquire() as conn:
        return await records.list_records(conn, case_id), await cases.list_questions(conn, case_id)


def _ticket(request: web.Request, seat: Seat) -> web.Response:
    signed = ticket.sign(seat, request.app[SETTINGS].key_for(TICKET_KEY))
    return web.json_response({"ticket": signed, "socket": SOCKET}, headers={"Cache-Control": "no-store"})


def _line_for_script(line: Written) -> dict[str, Any]:
    """A ChatLine, as the room sends it."""
    return {
        "line_id": line.line_id, "member_id": line.member_id, "name": line.name, "role": line.role,
        "text": line.text, "at_ms": line.at_ms,
    }  # fmt: skip


def _record_for_script(record: Record) -> dict[str, Any]:
    return {
        "id": str(record.id),
        "title": record.title,
        "media_type": str(record.media_type),
        "page_count": record.page_count,
        "url": f"/records/{record.id}/content",
    }
