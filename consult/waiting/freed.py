"""A time that became free is kept for the first who waits for one like it.

What decides is in one transaction per offer, under the lock of the list; the database lets neither a slot be kept for
two people nor a person have two offers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import structlog

from consult.availability import service as availability
from consult.availability.model import ExpertTime
from consult.domain.ids import StaffId, WaitEntryId, WaitOfferId
from consult.domain.kinds import LONGEST
from consult.domain.slots import Slot, day_bounds
from consult.log import facts_of
from consult.people import service as people
from consult.people.model import Staff
from consult.scheduling import service as scheduling
from consult.waiting import offer_queries, queries
from consult.waiting.later import LOST, plan_end
from consult.waiting.model import WaitEntry, choose, offer_ends_at

log = structlog.get_logger()

# Until the job that ends an offer has run, the time stays for the next one on the list.
HELD_LONGER = timedelta(minutes=5)

# Has the person told of an offer: notices.queue_offer.
Tell = Callable[[asyncpg.Connection, WaitOfferId, datetime], Awaitable[Any]]


async def offer_freed(
    conn: asyncpg.Connection, expert_id: StaffId, freed: Slot, *, usual: timedelta, now: datetime, tell: Tell
) -> list[WaitOfferId]:
    """Keep what fits in a freed stretch for those who wait, one after the other. Returns the offers made.

    usual: how long an offer stands. Opens a transaction for each, so it is not to be called within one.
    """
    made: list[WaitOfferId] = []
    while (offer_id := await _offer_next(conn, expert_id, freed, usual=usual, now=now, tell=tell)) is not None:
        made.append(offer_id)
    return made


async def _offer_next(
    conn: asyncpg.Connection, expert_id: StaffId, freed: Slot, *, usual: timedelta, now: datetime, tell: Tell
) -> WaitOfferId | None:
    """Make one offer out of a freed stretch, in a transaction of its own; None if nobody fits."""
    async with conn.transaction():
        await queries.lock_list(conn)
        entries = await queries.list_to_ask(conn, now)
        search = await _Search.of(conn, expert_id, freed, entries, usual=usual, now=now)
        if search is None:
            return None
        while (found := search.choose()) is not None:
            entry, slot = found
            expires_at = search.ends_at(entry, slot)
            assert expires_at is not None  # slots without time to ask anybody were left out
            experts = entry.wishes.expert_ids if entry.wishes.is_panel else (expert_id,)
            try:
                async with conn.transaction():
                    held = await scheduling.hold(
                        conn,
                        entry.case_id,
                        experts,
                        slot.starts_at,
                        slot.ends_at - slot.starts_at,
                        kind=entry.wishes.kind,
                        expires_at=expires_at + HELD_LONGER,
                        now=now,
                        moving=entry.appointment_id,
                    )
                    offer_id = await offer_queries.insert_offer(
                        conn, entry, experts, slot, held.id, now=now, expires_at=expires_at
                    )
            except (*LOST, asyncpg.ExclusionViolationError) as error:  # somebody books in this moment
                log.info("offer.slot_lost", entry=str(entry.id), **facts_of(error))
                search.leave_out(entry, slot)
                continue
            await plan_end(conn, offer_id, expires_at - now)
            await tell(conn, offer_id, now)
            log.info("offer.made", offer=str(offer_id), entry=str(entry.id))
            return offer_id
    return None


class _Search:
    """What of a freed stretch could be kept for whom."""

    def __init__(self, party: _People, entries: list[WaitEntry], usual: timedelta, now: datetime) -> None:
        self._people = party
        self._entries = entries
        self._usual = usual
        self._now = now
        self._free: dict[WaitEntryId, list[Slot]] = {}
        self._asked: dict[WaitEntryId, list[Slot]] = {}

    @classmethod
    async def of(
        cls,
        conn: asyncpg.Connection,
        expert_id: StaffId,
        freed: Slot,
        entries: list[WaitEntry],
        *,
        usual: timedelta,
        now: datetime,
    ) -> _Search | None:
        """Return the search, None if there is nobody to ask or the expert is gone."""
        wanting = [one for one in entries if one.can_be_asked and one.wishes.may_be_with(expert_id)]
        known = {one.id: one for one in await people.list_experts(conn)} if wanting else {}
        if expert_id not in known:
            return None
        needed = {expert_id, *(one for entry in wanting if entry.wishes.is_panel for one in entry.wishes.expert_ids)}
        times = await availability.fetch_times(conn, [known[one] for one in sorted(needed & known.keys())])
        search = cls(_People(expert_id, known, times), wanting, usual, now)
        await search._look(conn, _around(freed, times[expert_id]))
        return search

    async def _look(self, conn: asyncpg.Connection, stretch: Slot) -> None:
        found: dict[tuple[tuple[StaffId, ...], timedelta, int], list[Slot]] = {}
        for entry in self._entries:
            experts = self._people.for_entry(entry)
            length = self._people.length_of(entry)
            if length is None:
                continue
            key = (experts, length, entry.record_count)
            if key not in found:
                found[key] = await self._people.free_slots(conn, stretch, *key, now=self._now)
            free = [slot for slot in found[key] if slot.overlaps(stretch)]
            self._free[entry.id] = [slot for slot in free if self.ends_at(entry, slot) is not None]
        longest = Slot(stretch.starts_at - LONGEST, stretch.ends_at + LONGEST)
        self._asked = await offer_queries.list_asked(conn, self._free, self._people.expert_id, longest)

    def choose(self) -> tuple[WaitEntry, Slot] | None:
        return choose(self._entries, self._free, self._asked, self._people.zone)

    def ends_at(self, entry: WaitEntry, slot: Slot) -> datetime | None:
        notice = self._people.notice_of(entry)
        return offer_ends_at(slot.starts_at, self._now, usual=self._usual, notice=notice)

    def leave_out(self, entry: WaitEntry, slot: Slot) -> None:
        self._free[entry.id].remove(slot)


class _People:
    """The expert whose time became free, and with whom a call would be: with them, or with a panel they sit in."""

    def __init__(self, expert_id: StaffId, known: Mapping[StaffId, Staff], times: Mapping[StaffId, ExpertTime]) -> None:
        self.expert_id = expert_id
        self.zone = ZoneInfo(known[expert_id].time_zone)
        self._known = known
        self._times = times

    def for_entry(self, entry: WaitEntry) -> tuple[StaffId, ...]:
        """Return who would be in the call, who leads first."""
        return entry.wishes.expert_ids if entry.wishes.is_panel else (self.expert_id,)

    def length_of(self, entry: WaitEntry) -> timedelta | None:
        """Return how long the call would be; None if it cannot be had: one is gone, or does not do that kind."""
        experts = self.for_entry(entry)
        if not all(one in self._times for one in experts):
            return None
        return entry.length or self._times[experts[0]].lengths.get(entry.wishes.kind)

    def notice_of(self, entry: WaitEntry) -> timedelta:
        return max(self._times[one].rules.notice for one in self.for_entry(entry))

    async def free_slots(
        self,
        conn: asyncpg.Connection,
        stretch: Slot,
        experts: tuple[StaffId, ...],
        length: timedelta,
        record_count: int,
        *,
        now: datetime,
    ) -> list[Slot]:
        """Return the free slots of the days around a stretch; of a panel those when all are free."""
        day = timedelta(days=1)  # a day around: days are an expert's own, and they may be travelling
        first = stretch.starts_at.astimezone(self.zone).date() - day
        last = stretch.ends_at.astimezone(self.zone).date() + day
        party = [self._known[one] for one in experts]
        if len(party) > 1:
            return await scheduling.list_panel_slots(
                conn, party, first, last, length, now=now, record_count=record_count
            )
        free = await scheduling.list_free_slots(conn, party, first, last, length, now=now, record_count=record_count)
        return free[experts[0]]


def _around(freed: Slot, time: ExpertTime) -> Slot:
    """Return the stretch in which there may be a new time: buffers go with a call, a day that was full opens again."""
    if time.rules.daily_limit is None:
        before = time.rules.buffer_before + time.rules.preparation_most
        return Slot(freed.starts_at - before, freed.ends_at + time.rules.buffer_after)
    first, last = (at.astimezone(time.home_zone).date() for at in (freed.starts_at, freed.ends_at))
    return Slot(day_bounds(first, time.zone_on(first)).starts_at, day_bounds(last, time.zone_on(last)).ends_at)
