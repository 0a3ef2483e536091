"""SQL that takes experts' time and gives it back: bookings, holds, moves, cancellations.

Everything that belongs to one change is one statement: under the lock of an expert others wait for every round trip.
Whoever listens to `schedule_changed` hears the id of the appointment or hold.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from consult.availability import service as availability
from consult.domain.ids import AppointmentId, CaseId, HoldId, PatientId, StaffId
from consult.domain.kinds import ConsultationKind
from consult.domain.slots import Slot
from consult.scheduling.diary_queries import Read, busy_of
from consult.scheduling.links import FreshLink
from consult.scheduling.model import CancelledBy, Hold, PatientNeed

ROOMS_LOCK = 0x5108  # the advisory lock that orders what counts rooms, taken after those of experts

# Locks, and reads what decides once it has the locks: 0018_claiming.sql.
CLAIM_EXPERTS = "select * from claim_experts($1, $2, $3, $4, $5, $6, $7, $8)"

# Instead of what says the same, or nothing: moments and arrays take longest to send.
NO_MORE = (None, None)
NOBODY = (None, None, None)

LOCK_ROOMS = "select pg_advisory_xact_lock($1::bigint)"

# $9, $10: what it takes of the lead's time, null if no more than the call; $11 to $13: the others of a panel and
# what it takes of theirs, or null.
INSERT_BOOKING = """
with booked as (
  insert into appointments (id, case_id, expert_id, during, booked_by, booked_at, kind)
  values ($1, $2, $3, tstzrange($4, $5, '[)'), $6, $7, $8)
  returning id, case_id, number, during
), panel as (
  insert into panel_experts (appointment_id, expert_id) select id, unnest($11::bigint[]) from booked
), taken as (
  insert into busy_times (id, expert_id, during, blocked, appointment_id)
  select gen_random_uuid(), one.expert_id, b.during, tstzrange(one.starts_at, one.ends_at, '[)'), b.id
  from booked b, (
    select $3::bigint, coalesce($9::timestamptz, $4), coalesce($10::timestamptz, $5)
    union all select * from unnest($11::bigint[], $12::timestamptz[], $13::timestamptz[])
  ) as one (expert_id, starts_at, ends_at)
), written as (
  insert into appointment_changes (id, appointment_id, change, changed_at, by_staff, to_during)
  select gen_random_uuid(), id, 'booked', $7, $6, during from booked
), invited as (
  insert into invitations (id, appointment_id, person_id, role, name, secret_hash, code_hash, issued_at)
  select $14, b.id, p.id, 'patient', p.name, $15, $16, $7
  from booked b join cases c on c.id = b.case_id join patients p on p.id = c.patient_id
)
select number, pg_notify('schedule_changed', id::text) from booked
"""

LOCK_APPOINTMENT = """
select a.case_id, a.expert_id, lower(a.during) as starts_at, upper(a.during) as ends_at, a.sequence, a.cancelled_at,
       array(select p.expert_id from panel_experts p where p.appointment_id = a.id order by p.expert_id) as others,
       exists (select from consultations k where k.appointment_id = a.id) as has_call
from appointments a
where a.id = $1
for update of a
"""

DELETE_BUSY_TIMES = "delete from busy_times where appointment_id = $1"

# $6 to $8: what it takes of each expert's time; $12 to $17: everybody who had a good link gets one in its place.
MOVE_APPOINTMENT = """
with moved as (
  update appointments set expert_id = $2, during = tstzrange($3, $4, '[)'), sequence = sequence + 1
  where id = $1
  returning id, during
), taken as (
  insert into busy_times (id, expert_id, during, blocked, appointment_id)
  select gen_random_uuid(), one.expert_id, m.during, tstzrange(one.starts_at, one.ends_at, '[)'), m.id
  from moved m, unnest($6::bigint[], $7::timestamptz[], $8::timestamptz[]) as one (expert_id, starts_at, ends_at)
), written as (
  insert into appointment_changes (id, appointment_id, change, changed_at, by_staff, from_during, to_during,
                                   from_expert, to_expert, reason)
  select gen_random_uuid(), m.id, 'moved', $5, $9, tstzrange($10, $11, '[)'), m.during,
         nullif($18::bigint, $2), case when $18::bigint <> $2 then $2 end, $19
  from moved m
), revoked as (
  update invitations set revoked_at = $5
  where appointment_id = $1 and revoked_at is null and id <> all($12::uuid[])
  returning person_id
), invited as (
  insert into invitations (id, appointment_id, person_id, role, name, secret_hash, code_hash, issued_at)
  select one.id, m.id, one.person_id, one.role, one.name, one.secret_hash, one.code_hash, $5
  from moved m, unnest($12::uuid[], $13::uuid[], $14::text[], $15::text[], $16::bytea[], $17::bytea[])
                as one (id, person_id, role, name, secret_hash, code_hash)
)
select coalesce(array(select distinct person_id::text from revoked order by 1), '{}') as lost,
       pg_notify('schedule_changed', m.id::text)
from moved m
"""

CANCEL_APPOINTMENT = """
with cancelled as (
  update appointments set cancelled_at = $2, cancelled_by = $3, cancel_reason = $4, sequence = sequence + 1
  where id = $1 and cancelled_at is null
  returning id, during
), freed as (
  delete from busy_times where appointment_id in (select id from cancelled)
), written as (
  insert into appointment_changes (id, appointment_id, change, changed_at, by_staff, from_during, reason)
  select gen_random_uuid(), id, 'cancelled', $2, $5, during, $4 from cancelled
), revoked as (
  update invitations set revoked_at = $2
  where appointment_id in (select id from cancelled) and revoked_at is null
  returning person_id
)
select coalesce(array(select distinct person_id::text from revoked order by 1), '{}') as lost,
       pg_notify('schedule_changed', id::text)
from cancelled
"""

UPDATE_NEEDS = """
with updated as (
  update appointments set needs = $2, needs_note = $3
  where id = $1 and (needs, needs_note) is distinct from ($2::text[], $3::text)
  returning id
), written as (
  insert into appointment_changes (id, appointment_id, change, changed_at, by_staff)
  select gen_random_uuid(), id, 'needs', $4, $5 from updated
)
select pg_notify('schedule_changed', id::text) from updated
"""

INSERT_HOLD = """
with held as (
  insert into holds (id, case_id, appointment_id, kind, during, held_at, expires_at)
  values ($1, $2, $3, $4, tstzrange($5, $6, '[)'), $7, $8)
  returning id, during
), taken as (
  insert into busy_times (id, expert_id, during, blocked, hold_id)
  select gen_random_uuid(), one.expert_id, h.during, tstzrange(one.starts_at, one.ends_at, '[)'), h.id
  from held h, unnest($9::bigint[], $10::timestamptz[], $11::timestamptz[]) as one (expert_id, starts_at, ends_at)
)
select pg_notify('schedule_changed', id::text) from held
"""

FETCH_HOLD = """
select h.id, h.case_id, h.appointment_id, h.kind, lower(h.during) as starts_at, upper(h.during) as ends_at,
       h.held_at, h.expires_at, h.ended_at,
       array(select b.expert_id from busy_times b where b.hold_id = h.id order by b.expert_id) as expert_ids
from holds h
where h.id = $1
"""

END_HOLD = """
with ended as (
  update holds set ended_at = $2 where id = $1 and ended_at is null returning id
), freed as (
  delete from busy_times where hold_id in (select id from ended)
)
select pg_notify('schedule_changed', id::text) from ended
"""

# As END_HOLD, for a time that nobody took: who waits for one like it may have it.
RELEASE_HOLD = """
with ended as (
  update holds set ended_at = $2 where id = $1 and ended_at is null returning id
), freed as (
  delete from busy_times where hold_id in (select id from ended) returning expert_id, during
), noted as (
  insert into freed_times (expert_id, during) select expert_id, during from freed
)
select pg_notify('schedule_changed', id::text) from ended
"""

# What is blocked around other calls gives way to a time; the calls themselves do not.
TRIM_BLOCKED = """
update busy_times set blocked = tstzrange(
  case when lower(during) >= $3 then greatest(lower(blocked), $3) else lower(blocked) end,
  case when upper(during) <= $2 then least(upper(blocked), $2) else upper(blocked) end, '[)')
where expert_id = any($1::bigint[]) and blocked && tstzrange($2, $3) and not during && tstzrange($2, $3)
"""

DELETE_EXPIRED = """
with gone as (
  delete from busy_times b using holds h
  where h.id = b.hold_id and h.expires_at <= $2 and b.expert_id = any($1::bigint[])
  returning b.expert_id, b.during
)
insert into freed_times (expert_id, during) select expert_id, during from gone
"""

# Rows that somebody just books over are theirs to delete: two who wait for each other's would wait for ever.
TIDY_EXPIRED = """
with gone as (
  delete from busy_times where id in (
    select b.id from busy_times b join holds h on h.id = b.hold_id where h.expires_at <= $1
    for update of b skip locked
  )
  returning hold_id, expert_id, during
), noted as (
  insert into freed_times (expert_id, during) select expert_id, during from gone
)
select pg_notify('schedule_changed', hold_id::text) from (select distinct hold_id from gone) one
"""

# Each is taken once; what somebody else takes just now is theirs.
TAKE_FREED = """
with taken as (
  delete from freed_times where id in (select id from freed_times for update skip locked) returning expert_id, during
)
select expert_id, lower(during) as starts_at, upper(during) as ends_at from taken order by expert_id, during
"""


@dataclass(frozen=True, slots=True)
class Party:
    """Who is wanted for a case, and their time, if they are locked.

    homes: of the experts that were found, the lead first. taken: somebody of them is busy at the wanted time.
    """

    homes: dict[StaffId, ZoneInfo]
    patient_id: PatientId | None
    record_count: int
    taken: bool
    read: Read


@dataclass(frozen=True, slots=True)
class Locked:
    """An appointment that nobody else changes until this transaction ends. has_call: its consultation has begun."""

    case_id: CaseId
    expert_id: StaffId
    others: tuple[StaffId, ...]
    slot: Slot
    sequence: int
    is_cancelled: bool
    has_call: bool


@dataclass(frozen=True, slots=True)
class NewInvitation:
    person_id: uuid.UUID
    role: str
    name: str
    link: FreshLink


async def claim_experts(
    conn: asyncpg.Connection,
    case_id: CaseId,
    expert_ids: Sequence[StaffId],
    slot: Slot,
    now: datetime,
    *,
    to_lock: Sequence[StaffId] | None,
    apart_from: AppointmentId | None = None,
    hold_id: HoldId | None = None,
) -> Party:
    """Order the bookings of experts until this transaction ends, if all that are wanted are there and none is taken.

    to_lock: ordered, the wanted ones among them; None: those alone.
    """
    rows = await conn.fetch(
        CLAIM_EXPERTS, to_lock, case_id, expert_ids, slot.starts_at, slot.ends_at, now, apart_from, hold_id
    )
    found = {row["expert_id"]: row for row in rows}
    homes: dict[StaffId, ZoneInfo] = {}
    read = Read({}, {}, rows[0]["room_capacity"] if rows else None)
    for expert_id in expert_ids:
        row = found.get(expert_id)
        if row is None:
            continue
        homes[expert_id] = ZoneInfo(row["time_zone"])
        if (timetable := row["timetable"]) is not None:
            read.times[expert_id] = availability.time_of(expert_id, homes[expert_id], timetable)
            read.busy[expert_id] = busy_of(row["taken"])
    if not rows:
        return Party(homes, None, 0, False, read)
    return Party(homes, rows[0]["patient_id"], rows[0]["record_count"], any(row["is_taken"] for row in rows), read)


async def lock_rooms(conn: asyncpg.Connection) -> None:
    await conn.execute(LOCK_ROOMS, ROOMS_LOCK)


async def insert_booking(
    conn: asyncpg.Connection,
    appointment_id: AppointmentId,
    case_id: CaseId,
    slot: Slot,
    blocked: dict[StaffId, Slot],
    link: FreshLink,
    *,
    kind: ConsultationKind,
    booked_by: StaffId,
    now: datetime,
) -> int:
    """Write an appointment down with all that belongs to it, and return its number. blocked: of the lead first.

    Raises asyncpg.ExclusionViolationError if an expert is busy in that time.
    """
    (lead, of_lead), *others = blocked.items()
    from_lead = NO_MORE if of_lead == slot else (of_lead.starts_at, of_lead.ends_at)
    from_others = _columns(dict(others)) if others else NOBODY
    number: int = await conn.fetchval(
        INSERT_BOOKING, appointment_id, case_id, lead, slot.starts_at, slot.ends_at, booked_by, now, kind.value,
        *from_lead, *from_others, link.invitation_id, link.secret_hash, link.code_hash,
    )  # fmt: skip
    return number


async def lock_appointment(conn: asyncpg.Connection, appointment_id: AppointmentId) -> Locked | None:
    row = await conn.fetchrow(LOCK_APPOINTMENT, appointment_id)
    if row is None:
        return None
    return Locked(
        case_id=CaseId(row["case_id"]),
        expert_id=StaffId(row["expert_id"]),
        others=tuple(StaffId(one) for one in row["others"]),
        slot=Slot(row["starts_at"], row["ends_at"]),
        sequence=row["sequence"],
        is_cancelled=row["cancelled_at"] is not None,
        has_call=row["has_call"],
    )


async def delete_busy_times(conn: asyncpg.Connection, appointment_id: AppointmentId) -> None:
    await conn.execute(DELETE_BUSY_TIMES, appointment_id)


async def move_appointment(
    conn: asyncpg.Connection,
    appointment_id: AppointmentId,
    before: Locked,
    slot: Slot,
    blocked: dict[StaffId, Slot],
    invitations: Sequence[NewInvitation],
    *,
    by: StaffId | None,
    reason: str,
    now: datetime,
) -> list[str]:
    """Give an appointment its new time, and return the person_ids whose earlier links ended. blocked: the lead first.

    Raises asyncpg.ExclusionViolationError if an expert is busy in that time.
    """
    lead = next(iter(blocked))
    row = await conn.fetchrow(
        MOVE_APPOINTMENT, appointment_id, lead, slot.starts_at, slot.ends_at, now, *_columns(blocked), by,
        before.slot.starts_at, before.slot.ends_at,
        [one.link.invitation_id for one in invitations],
        [one.person_id for one in invitations],
        [one.role for one in invitations],
        [one.name for one in invitations],
        [one.link.secret_hash for one in invitations],
        [one.link.code_hash for one in invitations],
        before.expert_id, reason,
    )  # fmt: skip
    return list(row["lost"])


async def cancel_appointment(
    conn: asyncpg.Connection,
    appointment_id: AppointmentId,
    now: datetime,
    *,
    by: StaffId | None,
    cancelled_by: CancelledBy,
    reason: str,
) -> list[str] | None:
    """Return the person_ids whose links ended; None if it was cancelled before."""
    row = await conn.fetchrow(CANCEL_APPOINTMENT, appointment_id, now, cancelled_by.value, reason, by)
    return None if row is None else list(row["lost"])


async def update_needs(
    conn: asyncpg.Connection,
    appointment_id: AppointmentId,
    needs: Sequence[PatientNeed],
    note: str,
    *,
    by: StaffId | None,
    now: datetime,
) -> None:
    await conn.execute(UPDATE_NEEDS, appointment_id, [need.value for need in needs], note, now, by)


async def insert_hold(conn: asyncpg.Connection, hold: Hold, blocked: dict[StaffId, Slot]) -> None:
    """Raises asyncpg.ExclusionViolationError if an expert is busy in that time."""
    await conn.execute(
        INSERT_HOLD, hold.id, hold.case_id, hold.moving, hold.kind.value, hold.slot.starts_at, hold.slot.ends_at,
        hold.held_at, hold.expires_at, *_columns(blocked),
    )  # fmt: skip


async def fetch_hold(conn: asyncpg.Connection, hold_id: HoldId) -> tuple[Hold, datetime | None] | None:
    """Return a hold, and when it was taken or given back. Its experts stand without order."""
    row = await conn.fetchrow(FETCH_HOLD, hold_id)
    if row is None:
        return None
    moving = row["appointment_id"]
    hold = Hold(
        id=HoldId(row["id"]),
        case_id=CaseId(row["case_id"]),
        moving=None if moving is None else AppointmentId(moving),
        kind=ConsultationKind(row["kind"]),
        expert_ids=tuple(StaffId(one) for one in row["expert_ids"]),
        slot=Slot(row["starts_at"], row["ends_at"]),
        held_at=row["held_at"],
        expires_at=row["expires_at"],
    )
    return hold, row["ended_at"]


async def end_hold(conn: asyncpg.Connection, hold_id: HoldId, now: datetime) -> bool:
    return await conn.fetchrow(END_HOLD, hold_id, now) is not None


async def release_hold(conn: asyncpg.Connection, hold_id: HoldId, now: datetime) -> bool:
    return await conn.fetchrow(RELEASE_HOLD, hold_id, now) is not None


async def delete_expired(conn: asyncpg.Connection, expert_ids: Sequence[StaffId], now: datetime) -> None:
    await conn.execute(DELETE_EXPIRED, list(expert_ids), now)


async def trim_blocked(conn: asyncpg.Connection, expert_ids: Sequence[StaffId], slot: Slot) -> None:
    await conn.execute(TRIM_BLOCKED, list(expert_ids), slot.starts_at, slot.ends_at)


async def tidy_expired(conn: asyncpg.Connection, now: datetime) -> None:
    await conn.execute(TIDY_EXPIRED, now)


async def take_freed(conn: asyncpg.Connection) -> list[tuple[StaffId, Slot]]:
    rows = await conn.fetch(TAKE_FREED)
    return [(StaffId(row["expert_id"]), Slot(row["starts_at"], row["ends_at"])) for row in rows]


def _columns(blocked: dict[StaffId, Slot]) -> tuple[list[Any], list[Any], list[Any]]:
    ordered = sorted(blocked)
    return ordered, [blocked[one].starts_at for one in ordered], [blocked[one].ends_at for one in ordered]
