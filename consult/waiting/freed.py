"""A time that became free is kept for the first who waits for one like it.

What decides is in one transaction per offer, under the lock of the list; the database lets neither a slot be kept for
two people nor a person have two offers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import structlog

from consult.availability import service as availability
from consult.domain.errors import NotFound
from consult.domain.ids import StaffId, WaitEntryId, WaitOfferId
from consult.domain.slots import Slot
from consult.log import facts_of
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
            expires_at = search.ends_at(slot)
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

    def __init__(
        self,
        entries: list[WaitEntry],
        free: dict[WaitEntryId, list[Slot]],
        asked: dict[WaitEntryId, list[Slot]],
        zone: ZoneInfo,
        ends_at: Callable[[Slot], datetime | None],
    ) -> None:
        self._entries = entries
        self._free = free
        self._asked = asked
        self._zone = zone
        self.ends_at = ends_at

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
        if not wanting:
            return None
        try:
            expert = await availability.fetch_expert(conn, expert_id)
        except NotFound:
            return None
        time = (await availability.fetch_times(conn, [expert]))[expert_id]

        def ends_at(slot: Slot) -> datetime | None:
            return offer_ends_at(slot.starts_at, now, usual=usual, notice=time.rules.notice)

        found: dict[tuple[tuple[StaffId, ...], timedelta, int], list[Slot]] = {}
        free: dict[WaitEntryId, list[Slot]] = {}
        for entry in wanting:
            length = entry.length or time.lengths.get(entry.wishes.kind)
            if length is None:  # this expert does not do that kind
                continue
            experts = entry.wishes.expert_ids if entry.wishes.is_panel else (expert_id,)
            key = (experts, length, entry.record_count)
            if key not in found:
                slots = await _free_slots(conn, expert, experts, freed, length, entry.record_count, now)
                found[key] = [slot for slot in slots if slot.overlaps(freed) and ends_at(slot) is not None]
            free[entry.id] = list(found[key])
        asked = await offer_queries.list_asked(conn, free, expert_id, freed)
        return cls(wanting, free, asked, ZoneInfo(expert.time_zone), ends_at)

    def choose(self) -> tuple[WaitEntry, Slot] | None:
        return choose(self._entries, self._free, self._asked, self._zone)

    def leave_out(self, entry: WaitEntry, slot: Slot) -> None:
        self._free[entry.id].remove(slot)


async def _free_slots(
    conn: asyncpg.Connection,
    expert: Staff,
    experts: tuple[StaffId, ...],
    freed: Slot,
    length: timedelta,
    record_count: int,
    now: datetime,
) -> list[Slot]:
    """Return the free slots of the days around a stretch; of a panel those when all are free. Days are the expert's."""
    zone, day = ZoneInfo(expert.time_zone), timedelta(days=1)  # a day around: they may be travelling
    day_from, day_to = freed.starts_at.astimezone(zone).date() - day, freed.ends_at.astimezone(zone).date() + day
    if len(experts) == 1:
        free = await scheduling.list_free_slots(
            conn, [expert], day_from, day_to, length, now=now, record_count=record_count
        )
        return free[expert.id]
    panel = [await availability.fetch_expert(conn, one) for one in experts]
    return await scheduling.list_panel_slots(conn, panel, day_from, day_to, length, now=now, record_count=record_count)
