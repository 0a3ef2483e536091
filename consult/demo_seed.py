"""What the demonstration begins with, put in through the services as people would: staff, a case, an appointment.

May run any number of times: what is there stays, and an appointment that can be used now is always there afterwards.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from consult.availability import service as availability
from consult.cases import service as cases
from consult.cases.model import AskedBy, NewPatient
from consult.consultations import service as consultations
from consult.db.pool import Connection, Pool
from consult.domain.access import StaffRole
from consult.domain.errors import SlotTaken
from consult.domain.ids import AppointmentId, CaseId
from consult.domain.working_days import WorkingBlock
from consult.matching import service as matching
from consult.notices import service as notices
from consult.people import service as people
from consult.people.model import Staff
from consult.records import service as records
from consult.records.model import UploadedBy
from consult.scheduling import service as scheduling
from consult.storage import BlobStore
from consult.waiting import service as waiting
from consult.waiting.model import Wishes

LENGTH = timedelta(minutes=30)
OPENS_BEFORE = timedelta(minutes=30)
PATIENT = "Ana Ribeiro"
QUESTIONS = (
    "Is the smaller operation as safe for me as taking out the whole lobe?",
    "Do I need the tablets against EGFR after the operation?",
    "How long will it be until I can walk in the hills again?",
)


@dataclass(frozen=True, slots=True)
class Demonstration:
    """secret: of the patient's link."""

    scheduler: Staff
    expert: Staff
    secret: str


async def seed(pool: Pool, store: BlobStore, now: datetime) -> Demonstration:
    """Return who takes part, after making sure that everything is there."""
    async with pool.acquire() as conn:
        scheduler = await _staff(conn, "noor.aziz", "Noor Aziz", StaffRole.SCHEDULER, "", "Europe/London", now)
        expert = await _staff(
            conn, "helen.okafor", "Dr Helen Okafor", StaffRole.EXPERT, "Thoracic oncology", "Europe/London", now
        )
        other = await _staff(
            conn, "stefan.brandt", "Dr Stefan Brandt", StaffRole.EXPERT, "Neuroradiology", "Europe/Berlin", now
        )
        case_id = await _case(conn, store, scheduler, now)
        await _profiles(conn, scheduler, expert, other, case_id, now)
        appointment_id = await _appointment(conn, case_id, scheduler, expert, now)
        await _waiting(conn, scheduler, expert, other, now)
        link = await scheduling.issue_link(conn, appointment_id, now=now)
    return Demonstration(scheduler, expert, link.secret)


async def _staff(
    conn: Connection, account: str, name: str, role: StaffRole, specialty: str, time_zone: str, now: datetime
) -> Staff:
    email = f"{account}@demo.example"
    for staff in await people.list_staff(conn, role):
        if staff.email == email:
            return staff
    staff_id = await people.create_staff(
        conn,
        email=email,
        name=name,
        role=role,
        time_zone=time_zone,
        specialty=specialty,
        password=secrets.token_urlsafe(24),  # nobody needs it: they come in by the links of the demonstration
        now=now,
    )
    if role is StaffRole.EXPERT:
        week = [WorkingBlock(weekday, time(9), time(17)) for weekday in range(5)]
        await availability.set_working_hours(conn, staff_id, week)
    return await people.fetch_staff(conn, staff_id)


async def _case(conn: Connection, store: BlobStore, scheduler: Staff, now: datetime) -> CaseId:
    for line in await cases.list_cases(conn, now=now, search=PATIENT):
        await _complete(conn, store, line.id, now)
        return line.id
    patient = NewPatient(name=PATIENT, email="ana.ribeiro@demo.example", born_on=date(1968, 5, 14), language="en")
    case_id = await cases.open_case(
        conn,
        patient,
        diagnosis="Adenocarcinoma of the lung, right upper lobe, stage IA3",
        plan="Removal of the right upper lobe with lymph nodes, then treatment against EGFR for three years",
        history="Cough for three months. Never smoked. No earlier illness of the lungs; mild high blood pressure.",
        referring_physician="Dr Mateus Carvalho, Lisbon",
        opened_by=scheduler.id,
        now=now,
    )
    await _complete(conn, store, case_id, now)
    return case_id


async def _profiles(
    conn: Connection, scheduler: Staff, expert: Staff, other: Staff, case_id: CaseId, now: datetime
) -> None:
    """Say what the experts review and speak and what the case needs, unless somebody has."""
    lung = "lung-cancer-non-small-cell"
    profiles: tuple[tuple[Staff, dict[str, Any]], ...] = (
        (expert, {
            "conditions": [lung, "lung-cancer-small-cell", "mesothelioma", "thymic-tumour"],
            "specialties": ["thoracic-oncology"], "languages": ["en", "fr"], "licences": ["GB", "IE", "PT"],
            "new_cases_a_week": 4, "leads_panels": True,
        }),
        (other, {
            "conditions": ["glioblastoma", "low-grade-glioma", "brain-metastases", "multiple-sclerosis"],
            "specialties": ["neuro-oncology", "neurology"], "languages": ["de", "en", "es"],
            "licences": ["DE", "AT", "ES"], "new_cases_a_week": 2, "leads_panels": False,
        }),
    )  # fmt: skip
    for staff, profile in profiles:
        if (await matching.fetch_profile(conn, staff.id)).updated_at is None:
            await matching.set_profile(conn, staff.id, **profile, by=staff.id, now=now)
    if (await matching.fetch_case_profile(conn, case_id)).condition is None:
        await matching.set_case_profile(
            conn, case_id, condition=lung, other_languages=["pt", "es"], region="PT", by=scheduler.id, now=now
        )


async def _complete(conn: Connection, store: BlobStore, case_id: CaseId, now: datetime) -> None:
    """Add the records and questions of a new case, also after a start that was interrupted."""
    if not await records.list_records(conn, case_id):
        from consult.demo_pictures import draw_report, draw_slice  # a second start does not draw

        for title, file_name, draw in (
            ("Pathology report", "pathology-report.pdf", draw_report),
            ("CT of the chest, one slice", "ct-chest.png", draw_slice),
        ):
            data = await asyncio.to_thread(draw)
            await records.add_record(
                conn,
                store,
                case_id,
                file_name=file_name,
                chunks=_one(data),
                uploaded_by=UploadedBy.STAFF,
                now=now,
                title=title,
            )
    if not await cases.list_questions(conn, case_id):
        for question in QUESTIONS:
            await cases.ask_question(conn, case_id, question, AskedBy.PATIENT, now)


async def _waiting(conn: Connection, scheduler: Staff, expert: Staff, other: Staff, now: datetime) -> None:
    """Let two more people wait for a first time. Whoever was taken off the list since stays off it."""
    waiting_for = (
        (
            NewPatient("Ingrid Solberg", "ingrid.solberg@demo.example", date(1959, 9, 2), "en", "+447700900123"),
            "Mesothelioma of the pleura, epithelioid, stage II",
            "Chemotherapy with immunotherapy, no operation",
            "Would an operation still help me?",
            Wishes(expert_ids=(expert.id,), time_from=time(10)),
            "On the phone: any day from ten o'clock on.",
            True,
        ),
        (
            NewPatient("Tomás Vidal", "tomas.vidal@demo.example", date(1985, 1, 23), "es"),
            "Low-grade glioma, left frontal lobe",
            "Watch and wait, with a scan every four months",
            "Should it be taken out now, while it is small?",
            Wishes(expert_ids=(other.id,), weekdays=frozenset({0, 2}), time_to=time(13)),
            "",
            False,
        ),
    )
    for patient, diagnosis, plan, question, wishes, note, is_urgent in waiting_for:
        if await cases.list_cases(conn, now=now, search=patient.name):
            continue
        async with conn.transaction():
            case_id = await cases.open_case(
                conn, patient, diagnosis=diagnosis, plan=plan, first_question=question, opened_by=scheduler.id, now=now
            )
            await waiting.add(conn, case_id, wishes, note=note, is_urgent=is_urgent, added_by=scheduler.id, now=now)


async def _one(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _appointment(
    conn: Connection, case_id: CaseId, scheduler: Staff, expert: Staff, now: datetime
) -> AppointmentId:
    """Return an appointment whose door is open and whose call is not over; book one if there is none."""
    starts_at = now.replace(second=0, microsecond=0)
    for details in await scheduling.list_appointments(conn, case_id):
        known = details.appointment
        if known.is_cancelled or known.is_over(now) or known.expert_id != expert.id:
            continue
        consultation = await consultations.find_consultation_of(conn, known.id)
        ended = consultation is not None and consultation.ended_at is not None
        if not ended and known.starts_at - OPENS_BEFORE <= now:
            return known.id
        if known.starts_at < starts_at + LENGTH:
            starts_at = max(starts_at, known.ends_at)
    for _ in range(6):
        try:
            appointment, _link = await scheduling.book(
                conn, case_id, expert.id, starts_at, LENGTH, booked_by=scheduler.id, now=now, outside_hours=True
            )
        except SlotTaken:  # somebody booked another case by hand
            starts_at += timedelta(minutes=5)
            continue
        await notices.queue_invitation(conn, appointment.id, now)
        return appointment.id
    raise SlotTaken("demonstration")
