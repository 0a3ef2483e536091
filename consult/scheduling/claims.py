"""Claiming experts' time: who is wanted when, locking them, and finding the time free.

Locks come in one order: experts by id, then the rooms, then an appointment's row. Under the experts' locks everything
that decides is read anew, so what was free then is free until the transaction ends. The database refuses an overlap in
any case.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from consult.domain.errors import (
    HoldExpired,
    InvalidInput,
    NotFound,
    RoomsFull,
    SlotInPast,
    SlotOutsideHours,
    SlotTaken,
)
from consult.domain.ids import AppointmentId, CaseId, HoldId, StaffId
from consult.domain.kinds import LONGEST, SHORTEST
from consult.domain.slots import Slot
from consult.domain.words import N_
from consult.scheduling import booking_queries as queries
from consult.scheduling.booking_queries import Party
from consult.scheduling.diary import MAX_DAYS_AHEAD, TOO_FAR, Diary, diary_of, find_nearest
from consult.scheduling.model import Hold

GRACE = timedelta(minutes=5)  # a call that begins at once is arranged for the minute when one looked at the clock
MAX_REASON_CHARS = 500
MAX_PANEL = 6


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants. own: the appointment that would be moved; hold: what keeps the time for them."""

    case_id: CaseId
    expert_ids: tuple[StaffId, ...]
    slot: Slot
    now: datetime
    outside_hours: bool = False
    own: AppointmentId | None = None
    hold_id: HoldId | None = None


def one_transaction(conn: asyncpg.Connection) -> contextlib.AbstractAsyncContextManager[object]:
    """The caller's transaction, or one of our own. Without savepoints: what fails here fails the whole."""
    return contextlib.nullcontext() if conn.is_in_transaction() else conn.transaction()


def slot_of(starts_at: datetime, length: timedelta) -> Slot:
    if not SHORTEST <= length <= LONGEST:
        raise InvalidInput({"length": N_("A call lasts between 10 minutes and 3 hours.")})
    at = starts_at.astimezone(UTC)
    return Slot(at, at + length)


def experts_of(lead: StaffId, others: Sequence[StaffId]) -> tuple[StaffId, ...]:
    expert_ids = (lead, *others)
    if len(set(expert_ids)) < len(expert_ids):
        raise InvalidInput({"others": N_("Choose each expert once.")})
    if len(expert_ids) > MAX_PANEL:
        raise InvalidInput({"others": N_("A panel has six experts at most.")})
    return expert_ids


def refuse_long_reason(reason: str) -> None:
    if len(reason.strip()) > MAX_REASON_CHARS:
        raise InvalidInput({"reason": N_("Please write a shorter text.")})


def refuse_wrong_time(wish: Wish) -> None:
    # What the time is, our own clock alone says: that of a browser may be minutes off.
    grace = GRACE if wish.outside_hours else timedelta()
    if wish.slot.starts_at <= wish.now - grace:
        raise SlotInPast
    if wish.slot.starts_at > wish.now + timedelta(days=MAX_DAYS_AHEAD):
        raise SlotOutsideHours(message=TOO_FAR)


@contextlib.asynccontextmanager
async def claimed(
    conn: asyncpg.Connection, wish: Wish, *, also: Sequence[StaffId] = ()
) -> AsyncIterator[tuple[Party, Diary]]:
    """Lock the experts, and return them with their diary, in which the wanted time is free, within a transaction.

    also: whose time is given back. A time that is taken is refused before anybody waits in line for it. A refusal
    names the closest free times; they are looked up when our own locks are given back.
    """
    party = None
    try:
        async with one_transaction(conn):
            is_one = len(wish.expert_ids) == 1 and not also
            to_lock = None if is_one else sorted({*wish.expert_ids, *also})
            party = await queries.claim_experts(
                conn, wish.case_id, wish.expert_ids, wish.slot, wish.now,
                to_lock=to_lock, apart_from=wish.own, hold_id=wish.hold_id,
            )  # fmt: skip
            if len(party.homes) < len(wish.expert_ids):
                raise NotFound("expert or case")
            if party.taken:
                raise SlotTaken
            yield party, await _claim(conn, wish, party)
    except (SlotTaken, RoomsFull) as refused:
        if party is None or "nearest" in refused.values:
            raise
        nearest = await find_nearest(
            conn, party.homes, wish.slot, record_count=party.record_count, now=wish.now, hold_id=wish.hold_id
        )
        raise type(refused)(nearest=nearest) from None


async def _claim(conn: asyncpg.Connection, wish: Wish, party: Party) -> Diary:
    """Return the diary of experts who are locked, in which the wanted time is free."""
    if party.read.room_capacity is not None:
        await queries.lock_rooms(conn)
    as_of = wish.now
    if wish.hold_id is not None:
        as_of = await _take_hold(conn, wish)
    diary = await diary_of(conn, party.read, wish.slot, now=wish.now, apart_from=wish.own, hold_id=wish.hold_id)
    if wish.outside_hours:
        diary.raise_if_taken(wish.slot)
        diary.raise_if_absent(wish.slot)
    else:
        diary.raise_unless_free(wish.slot, record_count=party.record_count, now=as_of)
    if diary.has_expired:
        await queries.delete_expired(conn, sorted(wish.expert_ids), wish.now)
    if wish.outside_hours and any(diary.overlapped(one, wish.slot) for one in wish.expert_ids):
        await queries.trim_blocked(conn, wish.expert_ids, wish.slot)
    return diary


async def _take_hold(conn: asyncpg.Connection, wish: Wish) -> datetime:
    """End the hold that keeps the time, and return when it was held: what was allowed then is still."""
    assert wish.hold_id is not None
    found = await fetch_hold(conn, wish.hold_id, wish.now)
    fits = found.case_id == wish.case_id and found.slot == wish.slot and found.moving == wish.own
    if not fits or not set(found.expert_ids) <= set(wish.expert_ids):
        raise HoldExpired
    if not await queries.end_hold(conn, wish.hold_id, wish.now):
        raise HoldExpired
    return found.held_at


async def fetch_hold(conn: asyncpg.Connection, hold_id: HoldId, now: datetime) -> Hold:
    """Return a hold that still keeps its time. Raises HoldExpired."""
    found = await queries.fetch_hold(conn, hold_id)
    if found is None or found[1] is not None or found[0].expires_at <= now:
        raise HoldExpired
    return found[0]
