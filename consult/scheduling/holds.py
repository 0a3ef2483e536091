"""Holds: a time that is kept for somebody while they decide, and is free again by itself."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg

from consult.domain.errors import SlotTaken
from consult.domain.ids import AppointmentId, CaseId, HoldId, StaffId
from consult.domain.kinds import ConsultationKind
from consult.domain.slots import Slot
from consult.scheduling import booking_queries as queries
from consult.scheduling.booking_queries import Party
from consult.scheduling.claims import (
    Wish,
    claimed,
    experts_of,
    fetch_hold,
    refuse_wrong_time,
    slot_of,
)
from consult.scheduling.diary import ONE_DAY, read_diary
from consult.scheduling.model import Hold

__all__ = ["fetch_hold", "hold", "release", "take_freed", "tidy_holds"]


async def hold(
    conn: asyncpg.Connection,
    case_id: CaseId,
    expert_ids: Sequence[StaffId],
    starts_at: datetime,
    length: timedelta,
    *,
    kind: ConsultationKind,
    expires_at: datetime,
    now: datetime,
    moving: AppointmentId | None = None,
) -> Hold:
    """Keep a time until expires_at while somebody decides. expert_ids: the lead first.

    moving: the appointment that would be moved there; where its own time reaches into the new one, that part is kept
    by itself. Raises as `book`.
    """
    slot = slot_of(starts_at, length)
    wanted = experts_of(expert_ids[0], expert_ids[1:])
    wish = Wish(case_id, wanted, slot, now, own=moving)
    refuse_wrong_time(wish)
    async with claimed(conn, wish) as (party, diary):
        held = Hold(HoldId(uuid.uuid4()), case_id, moving, kind, wanted, slot, now, expires_at)
        blocked = {one: diary.blocked(one, slot, record_count=party.record_count) for one in wanted}
        if moving is not None:
            blocked = await _beside_own(conn, wish, blocked, party)
        try:
            await queries.insert_hold(conn, held, blocked)
        except asyncpg.ExclusionViolationError:
            raise SlotTaken(nearest=[]) from None
    return held


async def release(conn: asyncpg.Connection, hold_id: HoldId, now: datetime) -> bool:
    """Give a kept time back. False if it was taken or given back before."""
    return await queries.release_hold(conn, hold_id, now)


async def tidy_holds(conn: asyncpg.Connection, now: datetime) -> None:
    """Free the time of holds that expired.

    Bookings do without: it lets boards see it sooner, and who waits be asked.
    """
    await queries.tidy_expired(conn, now)


async def take_freed(conn: asyncpg.Connection) -> list[tuple[StaffId, Slot]]:
    """Return the time that holds kept and keep no more, given back or expired; each stretch once."""
    return await queries.take_freed(conn)


async def _beside_own(
    conn: asyncpg.Connection, wish: Wish, blocked: dict[StaffId, Slot], party: Party
) -> dict[StaffId, Slot]:
    """Return what a hold takes beside the time of the appointment that it would move."""
    day = wish.slot.starts_at.date()
    whole = await read_diary(conn, party.homes, day - ONE_DAY, day + ONE_DAY, now=wish.now)
    return {
        one: whole.blocked(one, wish.slot, record_count=party.record_count)
        for one in blocked
        if not whole.overlapped(one, wish.slot)
    }
