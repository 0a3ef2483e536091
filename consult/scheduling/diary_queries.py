"""SQL that reads what is free: experts' time and what is taken of it, in one round trip each."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import asyncpg

from consult.availability import service as availability
from consult.availability.model import ExpertTime, TakenTime
from consult.domain.ids import AppointmentId, HoldId, StaffId
from consult.domain.slots import Slot

# Experts' time with what is taken of it, holds that expired too. $4 and $5 are left out.
READ_DIARY = """
select one as expert_id, timetable_of(one) as timetable, taken_of(one, $2, $3, $4, $5) as taken,
       nullif(current_setting('consult.room_capacity', true), '')::integer as room_capacity
from unnest($1::bigint[]) as one
"""

# Everybody's calls and what is held at a moment: each takes a room, a panel's only one.
LIST_CALLS = """
select distinct coalesce(b.appointment_id, b.hold_id) as owner, lower(b.during) as starts_at, upper(b.during) as ends_at
from busy_times b
left join holds h on h.id = b.hold_id
where b.blocked && tstzrange($1, $2)
  and (h.id is null or h.expires_at > $3)
"""

# What is taken of the time of many experts on many days: whole seconds.
LIST_TAKEN = """
select one.expert_id, t.blocked_from, t.blocked_to, t.begins,
       nullif(current_setting('consult.room_capacity', true), '')::integer as room_capacity
from unnest($1::bigint[]) as one (expert_id)
left join (
  select b.expert_id, array_agg(floor(date_part('epoch', lower(b.blocked)))::bigint) as blocked_from,
         array_agg(ceil(date_part('epoch', upper(b.blocked)))::bigint) as blocked_to,
         array_agg(floor(date_part('epoch', lower(b.during)))::bigint) as begins
  from busy_times b
  where lower(b.blocked) > $2::timestamptz - interval '1 day' and lower(b.blocked) < $3 and upper(b.blocked) > $2
    and b.expert_id = any($1::bigint[])
    and (b.hold_id is null or (select h.expires_at from holds h where h.id = b.hold_id) > $4)
  group by b.expert_id
) t on t.expert_id = one.expert_id
"""


class Busy(NamedTuple):
    """Time of an expert's that is taken, in seconds since 1970, exact to the microsecond. expires: None if no hold."""

    starts: float
    ends: float
    blocked_from: float
    blocked_to: float
    expires: float | None


class Read(NamedTuple):
    """What was so when it was read. busy: holds that expired too. room_capacity: None if that does not matter."""

    times: dict[StaffId, ExpertTime]
    busy: dict[StaffId, list[Busy]]
    room_capacity: int | None


async def read_diary(
    conn: asyncpg.Connection,
    homes: Mapping[StaffId, ZoneInfo],
    between: Slot,
    *,
    apart_from: AppointmentId | None = None,
    hold_id: HoldId | None = None,
) -> Read:
    """Return experts' time and what is taken of it, apart from one appointment and one hold."""
    rows = await conn.fetch(READ_DIARY, list(homes), between.starts_at, between.ends_at, apart_from, hold_id)
    times: dict[StaffId, ExpertTime] = {}
    busy: dict[StaffId, list[Busy]] = {}
    for row in rows:
        expert_id = StaffId(row["expert_id"])
        times[expert_id] = availability.time_of(expert_id, homes[expert_id], row["timetable"])
        busy[expert_id] = busy_of(row["taken"])
    return Read(times, busy, rows[0]["room_capacity"] if rows else None)


def busy_of(taken: Sequence[Sequence[float]] | None) -> list[Busy]:
    """taken: what `taken_of` returned."""
    return [Busy(*one) for one in taken or ()]


async def list_calls(conn: asyncpg.Connection, between: Slot, now: datetime) -> dict[uuid.UUID, Slot]:
    """Return what takes a room, by appointment or hold. Holds that expired are left out."""
    rows = await conn.fetch(LIST_CALLS, between.starts_at, between.ends_at, now)
    return {row["owner"]: Slot(row["starts_at"], row["ends_at"]) for row in rows}


async def list_taken(
    conn: asyncpg.Connection, expert_ids: Sequence[StaffId], between: Slot, now: datetime
) -> tuple[dict[StaffId, TakenTime], int | None]:
    """Return what is taken of each expert's time, and how many rooms there are, None if that does not matter."""
    rows = await conn.fetch(LIST_TAKEN, list(expert_ids), between.starts_at, between.ends_at, now)
    taken = {
        StaffId(row["expert_id"]): TakenTime(
            sorted(zip(row["blocked_from"] or (), row["blocked_to"] or (), strict=True)), sorted(row["begins"] or ())
        )
        for row in rows
    }
    return taken, rows[0]["room_capacity"] if rows else None
