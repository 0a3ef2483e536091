"""What is done later: looking who wants a freed time, and ending an offer when its time is over."""

from __future__ import annotations

from datetime import datetime, timedelta

import asyncpg

from consult import jobs
from consult.domain.errors import (
    AppointmentStarted,
    HoldExpired,
    InvalidInput,
    MovedMeanwhile,
    NotFound,
    RoomsFull,
    SlotInPast,
    SlotOutsideHours,
    SlotTaken,
)
from consult.domain.ids import StaffId, WaitOfferId
from consult.domain.slots import Slot
from consult.scheduling import service as scheduling
from consult.scheduling.model import Appointment

OFFER_FREED = "offer_freed"
END_OFFER = "end_offer"
LONGEST_LOOK = timedelta(days=120)  # free times further ahead are booked by hand

# The time is gone: taken, over, or the appointment that would be moved is not what it was.
LOST = (
    SlotTaken,
    RoomsFull,
    SlotInPast,
    SlotOutsideHours,
    HoldExpired,
    AppointmentStarted,
    MovedMeanwhile,
    InvalidInput,
    NotFound,
)


async def queue_freed(conn: asyncpg.Connection, expert_id: StaffId, slot: Slot, now: datetime) -> None:
    """Have a stretch of an expert's time that became free offered to who waits for it, in this transaction.

    slot: as long as it likes, whole new days too. What is over or far ahead of it is left out.
    """
    starts_at, ends_at = max(slot.starts_at, now), min(slot.ends_at, now + LONGEST_LOOK)
    if starts_at >= ends_at:
        return
    # Without a key: a job that runs now may have looked before this change could be seen.
    payload = {"expert_id": expert_id, "starts_at": starts_at.isoformat(), "ends_at": ends_at.isoformat()}
    await jobs.enqueue(conn, OFFER_FREED, payload)


async def queue_time_of(conn: asyncpg.Connection, appointment: Appointment, now: datetime) -> None:
    """Have the time of an appointment that is cancelled or moved away offered on, for each of its experts.

    appointment: as it was before.
    """
    for expert_id in appointment.expert_ids:
        await queue_freed(conn, expert_id, appointment.slot, now)


async def queue_given_back(conn: asyncpg.Connection, now: datetime) -> None:
    """Have the time offered on that holds kept and keep no more, however they ended."""
    for expert_id, slot in await scheduling.take_freed(conn):
        await queue_freed(conn, expert_id, slot, now)


async def queue_new_hours(conn: asyncpg.Connection, expert_id: StaffId, now: datetime) -> None:
    """Have whatever is free now offered on, because an expert's hours, absences or rules changed."""
    await queue_freed(conn, expert_id, Slot(now, now + LONGEST_LOOK), now)


async def plan_end(conn: asyncpg.Connection, offer_id: WaitOfferId, after: timedelta) -> None:
    await jobs.enqueue(conn, END_OFFER, {"offer_id": str(offer_id)}, after=after)
