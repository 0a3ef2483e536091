"""A small clinic for tests: a scheduler, two experts in two zones, working hours, a case."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from consult.availability import service as availability
from consult.cases import service as cases
from consult.cases.model import NewPatient
from consult.domain.access import StaffRole
from consult.domain.ids import CaseId, StaffId
from consult.domain.working_days import WorkingBlock
from consult.people import service as people
from consult.scheduling import service as scheduling
from consult.scheduling.model import Appointment, IssuedLink

NOW = datetime(2026, 3, 9, 8, 0, tzinfo=UTC)  # a Monday
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True, slots=True)
class Clinic:
    scheduler: StaffId
    expert: StaffId  # Berlin, Monday to Friday 09:00 to 12:00
    other_expert: StaffId  # Toronto, no hours yet
    case: CaseId


async def open_clinic(conn: Any, *, now: datetime = NOW) -> Clinic:
    scheduler = await people.create_staff(
        conn,
        email="noor@clinic.example",
        name="Noor Aziz",
        role=StaffRole.SCHEDULER,
        time_zone="Europe/Berlin",
        password=PASSWORD,
        now=now,
    )
    expert = await people.create_staff(
        conn,
        email="brandt@clinic.example",
        name="Dr Sabine Brandt",
        role=StaffRole.EXPERT,
        time_zone="Europe/Berlin",
        specialty="Neuroradiology",
        password=PASSWORD,
        now=now,
    )
    other = await people.create_staff(
        conn,
        email="okafor@clinic.example",
        name="Dr Helen Okafor",
        role=StaffRole.EXPERT,
        time_zone="America/Toronto",
        specialty="Thoracic oncology",
        password=PASSWORD,
        now=now,
    )
    blocks = [WorkingBlock(weekday, time(9), time(12)) for weekday in range(5)]
    await availability.set_working_hours(conn, expert, blocks)
    return Clinic(scheduler, expert, other, await open_case(conn, scheduler, now=now))


async def open_case(
    conn: Any,
    opened_by: StaffId,
    *,
    name: str = "Ana Ribeiro",
    email: str = "ana@example.org",
    language: str = "en",
    now: datetime = NOW,
) -> CaseId:
    return await cases.open_case(
        conn,
        NewPatient(name, email, date(1965, 2, 3), language),
        diagnosis="Lung cancer, stage IIIA",
        plan="Chemotherapy, then surgery",
        first_question="Is surgery possible for me?",
        opened_by=opened_by,
        now=now,
    )


async def book_one(
    conn: Any, clinic: Clinic, starts_at: datetime, *, now: datetime = NOW
) -> tuple[Appointment, IssuedLink]:
    return await scheduling.book(
        conn,
        clinic.case,
        clinic.expert,
        starts_at,
        timedelta(minutes=45),
        booked_by=clinic.scheduler,
        now=now,
        outside_hours=True,
    )
