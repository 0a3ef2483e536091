"""SQL that reads appointments. `booking_queries` takes time and gives it back; links are in `invitation_queries`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import asyncpg

from consult.domain.ids import AppointmentId, CaseId, StaffId
from consult.domain.kinds import ConsultationKind
from consult.domain.slots import Slot
from consult.scheduling.model import (
    Appointment,
    AppointmentChange,
    AppointmentDetails,
    CancelledBy,
    ChangeKind,
    PanelMember,
    PatientNeed,
)

APPOINTMENT = """
select a.id, a.number, a.case_id, a.expert_id, lower(a.during) as starts_at, upper(a.during) as ends_at,
       a.booked_by, a.booked_at, a.cancelled_at, a.kind, a.sequence, a.cancelled_by, a.cancel_reason, a.needs,
       a.needs_note,
       array(
         select array[o.id::text, o.name, o.specialty] from panel_experts x join staff o on o.id = x.expert_id
         where x.appointment_id = a.id order by o.name, o.id
       ) as panel,
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

LIST_EXPERT_IDS = """
select expert_id from appointments where case_id = $1 and cancelled_at is null
union
select x.expert_id
from panel_experts x join appointments a on a.id = x.appointment_id
where a.case_id = $1 and a.cancelled_at is null
"""

LIST_CHANGES = """
select n.change, n.changed_at, s.name as by_name, n.reason,
       lower(n.from_during) as from_start, upper(n.from_during) as from_end,
       lower(n.to_during) as to_start, upper(n.to_during) as to_end,
       f.name as from_expert, t.name as to_expert
from appointment_changes n
left join staff s on s.id = n.by_staff
left join staff f on f.id = n.from_expert
left join staff t on t.id = n.to_expert
where n.appointment_id = $1
order by n.number
"""

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


async def fetch_appointment(conn: asyncpg.Connection, appointment_id: AppointmentId) -> AppointmentDetails | None:
    row = await conn.fetchrow(FETCH_APPOINTMENT, appointment_id)
    return None if row is None else _details(row)


async def list_appointments(conn: asyncpg.Connection, case_id: CaseId) -> list[AppointmentDetails]:
    return [_details(row) for row in await conn.fetch(LIST_APPOINTMENTS, case_id)]


async def list_expert_ids(conn: asyncpg.Connection, case_id: CaseId) -> set[StaffId]:
    return {StaffId(row["expert_id"]) for row in await conn.fetch(LIST_EXPERT_IDS, case_id)}


async def list_changes(conn: asyncpg.Connection, appointment_id: AppointmentId) -> list[AppointmentChange]:
    return [
        AppointmentChange(
            kind=ChangeKind(row["change"]),
            changed_at=row["changed_at"],
            by_name=row["by_name"],
            before=None if row["from_start"] is None else Slot(row["from_start"], row["from_end"]),
            after=None if row["to_start"] is None else Slot(row["to_start"], row["to_end"]),
            from_expert=row["from_expert"],
            to_expert=row["to_expert"],
            reason=row["reason"],
        )
        for row in await conn.fetch(LIST_CHANGES, appointment_id)
    ]


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
        kind=ConsultationKind(row["kind"]),
        sequence=row["sequence"],
        others=tuple(StaffId(int(staff_id)) for staff_id, _name, _specialty in row["panel"]),
        cancelled_by=CancelledBy(row["cancelled_by"]) if row["cancelled_by"] else None,
        cancel_reason=row["cancel_reason"],
        needs=tuple(PatientNeed(one) for one in row["needs"]),
        needs_note=row["needs_note"],
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
        panel=panel_of(row["panel"]),
    )


def panel_of(members: list[list[str]]) -> tuple[PanelMember, ...]:
    """Return a panel's further experts. members: id, name and specialty of each."""
    return tuple(PanelMember(StaffId(int(staff_id)), name, specialty) for staff_id, name, specialty in members)
