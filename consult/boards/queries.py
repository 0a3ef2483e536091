"""SQL of what boards show: appointments with who waits and what is missing, times that are kept, counts by day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from consult.boards.model import BoardLine, KeptTime
from consult.db.pool import Connection
from consult.domain.ids import AppointmentId, CaseId, StaffId
from consult.domain.kinds import ConsultationKind
from consult.domain.slots import Slot

# Who waits: the last word of a device in the lobby was that it waits, and the room did not close since.
LINES = """
select a.id, a.case_id, array[a.expert_id] || array(
         select other.expert_id from panel_experts other where other.appointment_id = a.id order by other.expert_id
       ) as expert_ids,
       lower(a.during) as starts_at, upper(a.during) as ends_at, a.kind, a.sequence,
       p.name as patient_name, p.time_zone as patient_time_zone, c.diagnosis,
       (select count(*) from records r where r.case_id = a.case_id and r.removed_at is null) as record_count,
       (select count(*) from questions q where q.case_id = a.case_id) as question_count,
       exists (
         select from visits v join invitations i on i.id = v.invitation_id where i.appointment_id = a.id
       ) as link_opened,
       (
         select min(last.happened_at) from (
           select distinct on (payload ->> 'member_id') kind, happened_at
           from room_events
           where appointment_id = a.id
             and kind in ('MemberWaiting', 'MemberAdmitted', 'MemberJoined', 'MemberLeft')
           order by payload ->> 'member_id', happened_at desc
         ) last where last.kind = 'MemberWaiting'
       ) as waiting_since,
       k.started_at as call_started_at, k.ended_at as call_ended_at,
       exists (
         select from appointments later
         where later.case_id = a.case_id and later.cancelled_at is null and lower(later.during) >= upper(a.during)
       ) as booked_again
from appointments a
join cases c on c.id = a.case_id
join patients p on p.id = c.patient_id
left join consultations k on k.appointment_id = a.id
"""

LIST_LINES = (
    LINES
    + """
where a.cancelled_at is null and a.during && tstzrange($1, $2)
  and ($3::bigint is null or a.expert_id = $3 or exists (
    select from panel_experts other where other.appointment_id = a.id and other.expert_id = $3
  ))
order by lower(a.during), a.number
"""
)

FETCH_LINE = LINES + "where a.cancelled_at is null and a.id = $1"

LIST_KEPT = """
select b.expert_id, lower(b.during) as starts_at, upper(b.during) as ends_at, p.name as patient_name, h.expires_at
from busy_times b
join holds h on h.id = b.hold_id
join cases c on c.id = h.case_id
join patients p on p.id = c.patient_id
where b.expert_id = any($1::bigint[]) and b.during && tstzrange($2, $3) and h.ended_at is null and h.expires_at > $4
order by lower(b.during)
"""

COUNT_BY_DAY = """
select (lower(a.during) at time zone $3)::date as day, count(*) as appointments
from appointments a
where a.cancelled_at is null and lower(a.during) >= $1 and lower(a.during) < $2
  and ($4::bigint is null or a.expert_id = $4 or exists (
    select from panel_experts other where other.appointment_id = a.id and other.expert_id = $4
  ))
group by 1
"""


async def list_lines(conn: Connection, bounds: Slot, expert_id: StaffId | None) -> list[BoardLine]:
    return [_line(row) for row in await conn.fetch(LIST_LINES, bounds.starts_at, bounds.ends_at, expert_id)]


async def fetch_line(conn: Connection, appointment_id: AppointmentId) -> BoardLine | None:
    row = await conn.fetchrow(FETCH_LINE, appointment_id)
    return None if row is None else _line(row)


async def list_kept(conn: Connection, expert_ids: Sequence[StaffId], bounds: Slot, now: datetime) -> list[KeptTime]:
    return [
        KeptTime(
            expert_id=StaffId(row["expert_id"]),
            slot=Slot(row["starts_at"], row["ends_at"]),
            patient_name=row["patient_name"],
            expires_at=row["expires_at"],
        )
        for row in await conn.fetch(LIST_KEPT, list(expert_ids), bounds.starts_at, bounds.ends_at, now)
    ]


async def count_by_day(conn: Connection, bounds: Slot, time_zone: str, expert_id: StaffId | None) -> dict[date, int]:
    rows = await conn.fetch(COUNT_BY_DAY, bounds.starts_at, bounds.ends_at, time_zone, expert_id)
    return {row["day"]: row["appointments"] for row in rows}


def _line(row: Any) -> BoardLine:
    return BoardLine(
        id=AppointmentId(row["id"]),
        case_id=CaseId(row["case_id"]),
        expert_ids=tuple(map(StaffId, row["expert_ids"])),
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        kind=ConsultationKind(row["kind"]),
        sequence=row["sequence"],
        patient_name=row["patient_name"],
        patient_time_zone=row["patient_time_zone"],
        diagnosis=row["diagnosis"],
        record_count=row["record_count"],
        question_count=row["question_count"],
        link_opened=row["link_opened"],
        waiting_since=row["waiting_since"],
        call_started_at=row["call_started_at"],
        call_ended_at=row["call_ended_at"],
        booked_again=row["booked_again"],
    )
