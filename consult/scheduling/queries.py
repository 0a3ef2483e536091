"""SQL of appointments and of the time that they take. `invitation_queries` holds that of links and visits."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

from consult.availability.model import OfferedSlot
from consult.domain.ids import AppointmentId, CaseId, StaffId
from consult.domain.slots import Slot
from consult.scheduling.model import Appointment, AppointmentDetails

LIST_TAKEN = """
select expert_id, lower(during) as starts_at, upper(during) as ends_at,
       lower(blocked) as blocked_from, upper(blocked) as blocked_to
from busy_times
where expert_id = any($1::bigint[]) and blocked && tstzrange($2, $3)
"""

INSERT_APPOINTMENT = """
insert into appointments (id, case_id, expert_id, during, booked_by, booked_at)
values ($1, $2, $3, tstzrange($4, $5, '[)'), $6, $7)
returning number
"""

INSERT_BUSY_TIME = """
insert into busy_times (id, expert_id, during, blocked, appointment_id)
values ($1, $2, tstzrange($3, $4, '[)'), tstzrange($3, $4, '[)'), $5)
"""

DELETE_BUSY_TIMES = "delete from busy_times where appointment_id = $1"

CANCEL_APPOINTMENT = """
update appointments set cancelled_at = $2 where id = $1 and cancelled_at is null returning id
"""

APPOINTMENT = """
select a.id, a.number, a.case_id, a.expert_id, lower(a.during) as starts_at, upper(a.during) as ends_at,
       a.booked_by, a.booked_at, a.cancelled_at,
       e.name as expert_name, e.specialty as expert_specialty, e.time_zone as expert_time_zone,
       p.name as patient_name, p.email as patient_email, p.language as patient_language,
       p.time_zone as patient_time_zone, c.diagnosis, b.name as booked_by_name
from appointments a
join staff e on e.id = a.expert_id
join staff b on b.id = a.booked_by
join cases c on c.id = a.case_id
join patients p on p.id = c.patient_id
"""

FETCH_APPOINTMENT = APPOINTMENT + "where a.id = $1"

LIST_APPOINTMENTS = APPOINTMENT + "where a.case_id = $1 order by lower(a.during), a.number"

LIST_EXPERT_IDS = "select distinct expert_id from appointments where case_id = $1 and cancelled_at is null"

# Whom a new link may go to: the next or latest appointment with this number, or with this patient's address.
FIND_FOR_NEW_LINK = """
select a.id
from appointments a
join cases c on c.id = a.case_id
join patients p on p.id = c.patient_id
where a.cancelled_at is null and upper(a.during) > $3 and p.email <> ''
  and (a.number = $1 or lower(p.email) = lower($2))
order by lower(a.during) limit 3
"""


async def list_taken(
    conn: asyncpg.Connection, expert_ids: Sequence[StaffId], between: Slot
) -> dict[StaffId, list[OfferedSlot]]:
    taken: dict[StaffId, list[OfferedSlot]] = {expert_id: [] for expert_id in expert_ids}
    for row in await conn.fetch(LIST_TAKEN, list(expert_ids), between.starts_at, between.ends_at):
        blocked = Slot(row["blocked_from"], row["blocked_to"])
        taken[StaffId(row["expert_id"])].append(OfferedSlot(Slot(row["starts_at"], row["ends_at"]), blocked))
    return taken


async def insert_appointment(
    conn: asyncpg.Connection, case_id: CaseId, expert_id: StaffId, slot: Slot, booked_by: StaffId, now: datetime
) -> Appointment:
    """Raises asyncpg.ExclusionViolationError if the expert is busy in that time."""
    appointment_id = AppointmentId(uuid.uuid4())
    number: int = await conn.fetchval(
        INSERT_APPOINTMENT, appointment_id, case_id, expert_id, slot.starts_at, slot.ends_at, booked_by, now
    )
    await conn.execute(INSERT_BUSY_TIME, uuid.uuid4(), expert_id, slot.starts_at, slot.ends_at, appointment_id)
    return Appointment(
        id=appointment_id,
        number=number,
        case_id=case_id,
        expert_id=expert_id,
        starts_at=slot.starts_at,
        ends_at=slot.ends_at,
        booked_by=booked_by,
        booked_at=now,
        cancelled_at=None,
    )


async def cancel_appointment(conn: asyncpg.Connection, appointment_id: AppointmentId, now: datetime) -> bool:
    if await conn.fetchval(CANCEL_APPOINTMENT, appointment_id, now) is None:
        return False
    await conn.execute(DELETE_BUSY_TIMES, appointment_id)
    return True


async def fetch_appointment(conn: asyncpg.Connection, appointment_id: AppointmentId) -> AppointmentDetails | None:
    row = await conn.fetchrow(FETCH_APPOINTMENT, appointment_id)
    return None if row is None else _details(row)


async def list_appointments(conn: asyncpg.Connection, case_id: CaseId) -> list[AppointmentDetails]:
    return [_details(row) for row in await conn.fetch(LIST_APPOINTMENTS, case_id)]


async def list_expert_ids(conn: asyncpg.Connection, case_id: CaseId) -> set[StaffId]:
    return {StaffId(row["expert_id"]) for row in await conn.fetch(LIST_EXPERT_IDS, case_id)}


async def find_for_new_link(
    conn: asyncpg.Connection, number: int | None, email: str, ended_after: datetime
) -> list[AppointmentId]:
    rows = await conn.fetch(FIND_FOR_NEW_LINK, number, email, ended_after)
    return [AppointmentId(row["id"]) for row in rows]


def _appointment(row: Any) -> Appointment:
    return Appointment(
        id=AppointmentId(row["id"]),
        number=row["number"],
        case_id=CaseId(row["case_id"]),
        expert_id=StaffId(row["expert_id"]),
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        booked_by=StaffId(row["booked_by"]),
        booked_at=row["booked_at"],
        cancelled_at=row["cancelled_at"],
    )


def _details(row: Any) -> AppointmentDetails:
    return AppointmentDetails(
        appointment=_appointment(row),
        expert_name=row["expert_name"],
        expert_specialty=row["expert_specialty"],
        expert_time_zone=row["expert_time_zone"],
        patient_name=row["patient_name"],
        patient_email=row["patient_email"],
        patient_language=row["patient_language"],
        patient_time_zone=row["patient_time_zone"],
        diagnosis=row["diagnosis"],
        booked_by_name=row["booked_by_name"],
    )
