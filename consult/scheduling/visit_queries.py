"""SQL of what patients change by themselves, and of devices whose link ended by it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from consult.domain.ids import AppointmentId, HoldId, InvitationId
from consult.scheduling.model import CancelledBy, LeftVisit, TimeWish

# A patient's device whose link ended in the same transaction in which the appointment was moved or cancelled. A link
# that somebody withdrew for other reasons tells nothing.
FIND_LEFT_VISIT = """
select a.id, p.language, coalesce(p.time_zone, e.time_zone) as time_zone,
       p.email <> '' as has_email, lower(a.during) as starts_at, a.cancelled_at, a.cancelled_by, w.wish,
       e.name || array(
         select o.name from panel_experts x join staff o on o.id = x.expert_id
         where x.appointment_id = a.id order by o.name, o.id
       ) as expert_names
from visits v
join invitations i on i.id = v.invitation_id
join appointments a on a.id = i.appointment_id
join staff e on e.id = a.expert_id
join cases c on c.id = a.case_id
join patients p on p.id = c.patient_id
left join time_wishes w on w.appointment_id = a.id
where v.token_hash = $1 and v.ended_at is null and i.role = 'patient' and i.revoked_at > $2
  and (a.cancelled_at = i.revoked_at or exists (
    select from appointment_changes m
    where m.appointment_id = a.id and m.change = 'moved' and m.changed_at = i.revoked_at
  ))
"""

# The visit goes on under the invitation that the move gave out, with another cookie.
CARRY_ON_VISIT = "update visits set invitation_id = $2, token_hash = $3 where token_hash = $1 and ended_at is null"

HAS_CARRIED_ON = """
select exists (
  select from visits v join invitations i on i.id = v.invitation_id
  where v.token_hash = $1 and v.ended_at is null and i.revoked_at is null and i.issued_at > $2
)
"""

WAS_MOVED_BY_PATIENT = """
select coalesce((
  select change = 'moved' and by_staff is null from appointment_changes
  where appointment_id = $1 and change in ('booked', 'moved')
  order by changed_at desc limit 1
), false)
"""

# Two times that are asked for at once would both be kept: none of the two requests sees the other's yet. Taken before
# experts' locks, by nobody who holds one.
LOCK_HOLDS = "select pg_advisory_xact_lock(hashtextextended('holds:' || $1::text, 0))"

# What the wait list keeps for somebody is not the patient's own choice, and is not given back with it.
LIST_OPEN_HOLDS = """
select h.id from holds h
where h.appointment_id = $1 and h.ended_at is null and not exists (select from wait_offers o where o.hold_id = h.id)
"""

SAVE_WISH = """
insert into time_wishes (appointment_id, wish, wished_at) values ($1, $2, $3)
on conflict (appointment_id) do update set wish = excluded.wish, wished_at = excluded.wished_at
"""

LIST_WISHES = """
select w.appointment_id, w.wish, w.wished_at,
       exists (select from wait_entries e where e.case_id = a.case_id and e.ended_at is null) as is_waiting
from time_wishes w join appointments a on a.id = w.appointment_id
where w.appointment_id = any($1::uuid[])
"""


async def find_left_visit(conn: asyncpg.Connection, token_hash: bytes, ended_after: datetime) -> LeftVisit | None:
    row = await conn.fetchrow(FIND_LEFT_VISIT, token_hash, ended_after)
    if row is None:
        return None
    return LeftVisit(
        appointment_id=AppointmentId(row["id"]),
        language=row["language"],
        time_zone=row["time_zone"],
        has_email=row["has_email"],
        starts_at=row["starts_at"],
        expert_names=tuple(row["expert_names"]),
        cancelled_at=row["cancelled_at"],
        cancelled_by=None if row["cancelled_by"] is None else CancelledBy(row["cancelled_by"]),
        wish=row["wish"],
    )


async def carry_on_visit(
    conn: asyncpg.Connection, old_hash: bytes, invitation_id: InvitationId, new_hash: bytes
) -> None:
    await conn.execute(CARRY_ON_VISIT, old_hash, invitation_id, new_hash)


async def has_carried_on(conn: asyncpg.Connection, token_hash: bytes, issued_after: datetime) -> bool:
    return bool(await conn.fetchval(HAS_CARRIED_ON, token_hash, issued_after))


async def was_moved_by_patient(conn: asyncpg.Connection, appointment_id: AppointmentId) -> bool:
    return bool(await conn.fetchval(WAS_MOVED_BY_PATIENT, appointment_id))


async def lock_holds(conn: asyncpg.Connection, appointment_id: AppointmentId) -> None:
    """Let nobody else keep or give back times for this appointment's patient until the transaction ends."""
    await conn.execute(LOCK_HOLDS, str(appointment_id))


async def list_open_holds(conn: asyncpg.Connection, appointment_id: AppointmentId) -> list[HoldId]:
    return [HoldId(row["id"]) for row in await conn.fetch(LIST_OPEN_HOLDS, appointment_id)]


async def save_wish(conn: asyncpg.Connection, appointment_id: AppointmentId, wish: str, now: datetime) -> None:
    await conn.execute(SAVE_WISH, appointment_id, wish, now)


async def list_wishes(
    conn: asyncpg.Connection, appointment_ids: Sequence[AppointmentId]
) -> dict[AppointmentId, TimeWish]:
    rows = await conn.fetch(LIST_WISHES, list(appointment_ids))
    return {
        AppointmentId(row["appointment_id"]): TimeWish(row["wish"], row["wished_at"], row["is_waiting"]) for row in rows
    }
