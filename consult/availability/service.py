"""When experts work: their hours, what differs from them, their rules. What is taken is the business of `scheduling`.

Functions take a connection; who calls owns the transaction, except where a docstring says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import asyncpg

from consult.availability import queries
from consult.availability.collisions import Collision, collisions_of
from consult.availability.model import MAX_BLOCKS_A_WEEK, Absence, ExpertTime, wrong_blocks
from consult.availability.queries import time_of
from consult.domain.access import StaffRole
from consult.domain.errors import InvalidInput, NotFound
from consult.domain.ids import StaffId
from consult.domain.words import N_
from consult.domain.working_days import WorkingBlock
from consult.people import service as people
from consult.people.model import Staff

__all__ = [
    "fetch_expert",
    "fetch_times",
    "fetch_working_hours",
    "homes_of",
    "list_absences",
    "list_collisions",
    "list_working_hours",
    "lock_expert",
    "set_working_hours",
    "time_of",
]


async def fetch_working_hours(conn: asyncpg.Connection, expert_id: StaffId) -> list[WorkingBlock]:
    """Return an expert's week, ordered by day and start."""
    hours = await queries.list_working_hours(conn, [expert_id])
    return hours[expert_id]


async def list_working_hours(
    conn: asyncpg.Connection, expert_ids: Sequence[StaffId]
) -> dict[StaffId, list[WorkingBlock]]:
    """Return the weeks of several experts."""
    return await queries.list_working_hours(conn, expert_ids)


async def set_working_hours(conn: asyncpg.Connection, expert_id: StaffId, blocks: Sequence[WorkingBlock]) -> None:
    """Replace an expert's week. Appointments that were booked before stay.

    Raises InvalidInput with fields `block-N` (its place from 0), NotFound if there is no such expert.
    """
    wrong = wrong_blocks(blocks)
    if wrong:
        raise InvalidInput({f"block-{place}": sentence for place, sentence in wrong.items()})
    if len(blocks) > MAX_BLOCKS_A_WEEK:
        raise InvalidInput({"hours": N_("These are too many rows for one week. Join hours that touch each other.")})
    await fetch_expert(conn, expert_id)
    async with conn.transaction():
        await queries.lock_expert(conn, expert_id)
        await queries.replace_working_hours(conn, expert_id, blocks)
        await queries.tell_of_change(conn, expert_id)


async def lock_expert(conn: asyncpg.Connection, expert_id: StaffId) -> None:
    """Let whoever else changes or books this expert's time wait until this transaction ends."""
    await queries.lock_expert(conn, expert_id)


async def fetch_times(conn: asyncpg.Connection, experts: Sequence[Staff]) -> dict[StaffId, ExpertTime]:
    """Return all that decides when each expert can be booked, besides what is booked."""
    return await queries.fetch_times(conn, homes_of(experts))


def homes_of(experts: Sequence[Staff]) -> dict[StaffId, ZoneInfo]:
    """Return the zone in which each expert is at home."""
    return {expert.id: ZoneInfo(expert.time_zone) for expert in experts}


async def list_absences(conn: asyncpg.Connection, expert_id: StaffId, *, now: datetime) -> list[Absence]:
    """Return an expert's absences that are not over, ordered."""
    return await queries.list_absences(conn, expert_id, now)


async def list_collisions(conn: asyncpg.Connection, time: ExpertTime, *, now: datetime) -> list[Collision]:
    """Return an expert's appointments to come at times when they do not work, in the order of time."""
    return collisions_of(time, await queries.list_booked(conn, time.expert_id, now))


async def fetch_expert(conn: asyncpg.Connection, expert_id: StaffId) -> Staff:
    """Return an expert's account. Raises NotFound, also if somebody else's account has this id."""
    staff = await people.fetch_staff(conn, expert_id)
    if staff.role is not StaffRole.EXPERT:
        raise NotFound("expert")
    return staff
