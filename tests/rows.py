"""The least rows that a consultation needs, for tests of what comes after a call."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class Booked:
    scheduler_id: int
    expert_id: int
    case_id: int
    appointment_id: uuid.UUID


async def book(conn: Any, starts_at: datetime, *, language: str = "en", zone: str = "Europe/Lisbon") -> Booked:
    """Insert a scheduler, an expert, a case and an appointment of 45 minutes."""
    new_staff = """insert into staff (email, name, role, time_zone, password_hash, created_at)
                   values ($1, $2, $3, $4, 'x', $5) returning id"""
    mark = uuid.uuid4().hex[:8]
    scheduler = await conn.fetchval(new_staff, f"s{mark}@example.org", "Noor Aziz", "scheduler", zone, starts_at)
    expert = await conn.fetchval(new_staff, f"e{mark}@example.org", "Dr Helen Okafor", "expert", zone, starts_at)
    patient = uuid.uuid4()
    await conn.execute(
        "insert into patients (id, name, language, created_at) values ($1, 'Ana Ribeiro', $2, $3)",
        patient, language, starts_at,
    )  # fmt: skip
    case = await conn.fetchval(
        """insert into cases (patient_id, diagnosis, opened_by, opened_at)
           values ($1, 'Lung cancer, stage IIIA', $2, $3) returning id""",
        patient, scheduler, starts_at,
    )  # fmt: skip
    appointment = uuid.uuid4()
    await conn.execute(
        """insert into appointments (id, case_id, expert_id, during, booked_by, booked_at)
           values ($1, $2, $3, tstzrange($4, $5), $6, $4)""",
        appointment, case, expert, starts_at, starts_at + timedelta(minutes=45), scheduler,
    )  # fmt: skip
    return Booked(scheduler, expert, case, appointment)
