"""SQL of experts' working hours, and the lock that orders what changes an expert's time."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import asyncpg

from consult.availability.model import WorkingBlock
from consult.domain.ids import StaffId

EXPERT_LOCK = 0x5107  # the class of advisory locks that order the bookings of one expert

LOCK_EXPERT = "select pg_advisory_xact_lock($1::integer, ($2::bigint % 2147483647)::integer)"

LIST_WORKING_HOURS = """
select expert_id, weekday, starts, ends from working_hours where expert_id = any($1::bigint[])
order by expert_id, weekday, starts
"""

DELETE_WORKING_HOURS = "delete from working_hours where expert_id = $1"

INSERT_WORKING_HOURS = "insert into working_hours (id, expert_id, weekday, starts, ends) values ($1, $2, $3, $4, $5)"


async def lock_expert(conn: asyncpg.Connection, expert_id: StaffId) -> None:
    """Order the bookings of one expert until this transaction ends."""
    await conn.execute(LOCK_EXPERT, EXPERT_LOCK, expert_id)


async def list_working_hours(
    conn: asyncpg.Connection, expert_ids: Sequence[StaffId]
) -> dict[StaffId, list[WorkingBlock]]:
    hours: dict[StaffId, list[WorkingBlock]] = {expert_id: [] for expert_id in expert_ids}
    for row in await conn.fetch(LIST_WORKING_HOURS, list(expert_ids)):
        hours[StaffId(row["expert_id"])].append(WorkingBlock(row["weekday"], row["starts"], row["ends"]))
    return hours


async def replace_working_hours(conn: asyncpg.Connection, expert_id: StaffId, blocks: Sequence[WorkingBlock]) -> None:
    await conn.execute(DELETE_WORKING_HOURS, expert_id)
    await conn.executemany(
        INSERT_WORKING_HOURS,
        [(uuid.uuid4(), expert_id, block.weekday, block.starts, block.ends) for block in blocks],
    )
