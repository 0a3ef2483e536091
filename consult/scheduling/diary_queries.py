"""SQL that reads what is free: experts' time and what is taken of it, in one round trip each.

`READ_DIARY` is read under the lock of a booking, where everybody who wants the same expert waits for it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import asyncpg

from consult.availability import service as availability
from consult.availability.model import ExpertTime, OfferedSlot, TakenTime
from consult.domain.ids import StaffId
from consult.domain.slots import Slot
from consult.people.model import Staff

TAKEN_COLUMNS = """
  , nullif(current_setting('consult.room_capacity', true), '')::integer as room_capacity
  , t.owners, t.starts, t.ends, t.blocked_from, t.blocked_to, t.expires
"""

# (select $2), (select $3): as in OF_EXPERTS, so that the plan is kept.
TAKEN = """
cross join lateral (
  select array_agg(coalesce(b.appointment_id, b.hold_id)) as owners,
         array_agg(lower(b.during)) as starts, array_agg(upper(b.during)) as ends,
         array_agg(lower(b.blocked)) as blocked_from, array_agg(upper(b.blocked)) as blocked_to,
         array_agg(h.expires_at) as expires
  from busy_times b
  left join holds h on h.id = b.hold_id
  where b.expert_id = one.expert_id and lower(b.blocked) > (select $2::timestamptz - interval '1 day')
    and lower(b.blocked) < (select $3::timestamptz) and upper(b.blocked) > (select $2::timestamptz)
) t
"""

# Experts' time with what is taken of it, holds that expired too.
READ_DIARY = availability.TIMES + TAKEN_COLUMNS + availability.OF_EXPERTS + TAKEN

# Everybody's calls and what is held at a moment: each takes a room, a panel's only one.
LIST_CALLS = """
select distinct coalesce(b.appointment_id, b.hold_id) as owner, lower(b.during) as starts_at, upper(b.during) as ends_at
from busy_times b
left join holds h on h.id = b.hold_id
where b.blocked && tstzrange($1, $2)
  and (h.id is null or h.expires_at > $3)
"""

# What is taken of the time of many experts on many days: whole seconds, in no order.
LIST_TAKEN = """
select one.expert_id, t.blocked_from, t.blocked_to, t.begins,
       nullif(current_setting('consult.room_capacity', true), '')::integer as room_capacity
from unnest($1::bigint[]) as one (expert_id)
left join (
  select b.expert_id, array_agg(floor(date_part('epoch', lower(b.blocked)))::bigint) as blocked_from,
         array_agg(ceil(date_part('epoch', upper(b.blocked)))::bigint) as blocked_to,
         array_agg(floor(date_part('epoch', lower(b.during)))::bigint) as begins
  from busy_times b
  left join holds h on h.id = b.hold_id
  where lower(b.blocked) > $2::timestamptz - interval '1 day' and lower(b.blocked) < $3 and upper(b.blocked) > $2
    and b.expert_id = any($1::bigint[]) and (h.id is null or h.expires_at > $4)
  group by b.expert_id
) t on t.expert_id = one.expert_id
"""


class Busy(NamedTuple):
    """One expert's time that is taken. owner: the appointment or hold. expires_at: of a hold."""

    expert_id: StaffId
    owner: uuid.UUID
    time: OfferedSlot
    expires_at: datetime | None


class Read(NamedTuple):
    """What was so when it was read. busy: holds that expired too. room_capacity: None if that does not matter."""

    times: dict[StaffId, ExpertTime]
    busy: list[Busy]
    room_capacity: int | None


async def read_diary(conn: asyncpg.Connection, experts: Sequence[Staff], between: Slot) -> Read:
    """Return experts' time and what is taken of it."""
    zones = {expert.id: ZoneInfo(expert.time_zone) for expert in experts}
    rows = await conn.fetch(READ_DIARY, list(zones), between.starts_at, between.ends_at)
    times: dict[StaffId, ExpertTime] = {}
    busy: list[Busy] = []
    for row in rows:
        expert_id = StaffId(row["expert_id"])
        times[expert_id] = availability.time_of(row, zones[expert_id])
        busy += _busy_of(expert_id, row)
    return Read(times, busy, rows[0]["room_capacity"] if rows else None)


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
            list(zip(row["blocked_from"] or (), row["blocked_to"] or (), strict=True)), row["begins"] or ()
        )
        for row in rows
    }
    return taken, rows[0]["room_capacity"] if rows else None


def _busy_of(expert_id: StaffId, row: asyncpg.Record) -> list[Busy]:
    if row["owners"] is None:
        return []
    columns = (row[name] for name in ("owners", "starts", "ends", "blocked_from", "blocked_to", "expires"))
    busy: list[Busy] = []
    for owner, starts_at, ends_at, blocked_from, blocked_to, expires_at in zip(*columns, strict=True):
        during = Slot(starts_at, ends_at)
        same = blocked_from == starts_at and blocked_to == ends_at
        blocked = during if same else Slot(blocked_from, blocked_to)
        busy.append(Busy(expert_id, owner, OfferedSlot(during, blocked), expires_at))
    return busy
