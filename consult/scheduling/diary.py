"""What is free: experts' time, what is taken of it and how many rooms there are, read at one moment.

One code offers times and books them: both ask a `Diary`. It is only true for longer than that moment if the experts are
locked.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import asyncpg

from consult.availability import service as availability
from consult.availability.model import ExpertRules, ExpertTime, OfferedSlot, free_panel_slots, free_slots
from consult.domain.errors import ConsultError, RoomsFull, SlotOutsideHours, SlotTaken
from consult.domain.ids import StaffId
from consult.domain.slots import Slot, nearest
from consult.domain.words import N_
from consult.people.model import Staff
from consult.scheduling import diary_queries as queries
from consult.scheduling.diary_queries import Busy

ONE_DAY = timedelta(days=1)
NEAR_DAYS = 14
NEXT_DAYS = 2
NEAREST = 3
MAX_DAYS_AHEAD = 366

ABSENT = N_("The expert is absent at this time. Please choose one of the free times.")
TOO_SOON = N_("This is too soon: the expert needs more time before a call. Please choose one of the free times.")
TOO_FAR = N_("This is further ahead than the expert takes calls. Please choose one of the free times.")
DAY_FULL = N_("The expert takes no more calls on this day. Please choose another day.")


@dataclass(frozen=True, slots=True)
class Diary:
    """What is so at one moment. busy: of each expert, holds that expired left out.

    full: when as many calls go on as there are rooms.
    has_expired: there are such holds of the experts, whose rows are still in the way of a new one.
    """

    times: dict[StaffId, ExpertTime]
    busy: dict[StaffId, list[Busy]]
    full: Sequence[Slot] = ()
    has_expired: bool = False

    def free_slots(
        self, expert_id: StaffId, day_from: date, day_to: date, length: timedelta, *, record_count: int, now: datetime
    ) -> list[Slot]:
        """Return the free times of one expert from day_from to day_to, both included; days are the expert's."""
        offered = free_slots(
            self.times[expert_id], self.taken(expert_id), day_from, day_to, length, record_count=record_count, now=now
        )
        return self._with_rooms([one.during for one in offered])

    def panel_slots(
        self, day_from: date, day_to: date, length: timedelta, *, record_count: int, now: datetime
    ) -> list[Slot]:
        """Return the times when all are free; days are those of the first."""
        panel = [(time, self.taken(expert_id)) for expert_id, time in self.times.items()]
        return self._with_rooms(free_panel_slots(panel, day_from, day_to, length, record_count=record_count, now=now))

    def slots(self, day_from: date, day_to: date, length: timedelta, *, record_count: int, now: datetime) -> list[Slot]:
        """Return the free times of the one expert, or of all of the panel."""
        if len(self.times) == 1:
            (expert_id,) = self.times
            return self.free_slots(expert_id, day_from, day_to, length, record_count=record_count, now=now)
        return self.panel_slots(day_from, day_to, length, record_count=record_count, now=now)

    def taken(self, expert_id: StaffId) -> list[OfferedSlot]:
        return [one.time for one in self.busy[expert_id]]

    def raise_unless_free(self, slot: Slot, *, record_count: int, now: datetime) -> None:
        """Raises SlotTaken, RoomsFull or SlotOutsideHours, with a sentence that says why it is not free."""
        day = slot.starts_at.date()
        days = (day - ONE_DAY, day + ONE_DAY, slot.ends_at - slot.starts_at)
        if slot in self.slots(*days, record_count=record_count, now=now):
            return
        self.raise_if_taken(slot)
        raise self._why_not(slot, record_count=record_count, now=now)

    def raise_if_taken(self, slot: Slot) -> None:
        """Raises SlotTaken or RoomsFull. This holds outside of the hours too."""
        if any(one.time.during.overlaps(slot) for taken in self.busy.values() for one in taken):
            raise SlotTaken
        if not self._with_rooms([slot]):
            raise RoomsFull

    def blocked(self, expert_id: StaffId, slot: Slot, *, record_count: int) -> Slot:
        """Return what a call takes of an expert's time: with preparation and buffers, as far as that is free."""
        wanted = self.times[expert_id].rules.blocked(slot, record_count)
        starts_at, ends_at = wanted.starts_at, wanted.ends_at
        for one in self.busy[expert_id]:
            if one.time.blocked.overlaps(wanted):
                # Only a call that was arranged outside of the offers gets here: the rest between calls is given up.
                if one.time.during.starts_at < slot.starts_at:
                    starts_at = max(starts_at, min(one.time.blocked.ends_at, slot.starts_at))
                else:
                    ends_at = min(ends_at, max(one.time.blocked.starts_at, slot.ends_at))
        return Slot(starts_at, ends_at)

    def overlapped(self, expert_id: StaffId, slot: Slot) -> bool:
        """Whether what is blocked around another call reaches into a time."""
        return any(one.time.blocked.overlaps(slot) for one in self.busy[expert_id])

    def _why_not(self, slot: Slot, *, record_count: int, now: datetime) -> ConsultError:
        for time in self.times.values():
            if any(away.overlaps(slot) for away in time.absences):
                return SlotOutsideHours(message=ABSENT)
        relaxed: dict[str, Callable[[ExpertRules], ExpertRules]] = {
            DAY_FULL: lambda rules: replace(rules, daily_limit=None),
            TOO_SOON: lambda rules: replace(rules, notice=timedelta()),
            TOO_FAR: lambda rules: replace(rules, horizon=timedelta(days=MAX_DAYS_AHEAD)),
        }
        day = slot.starts_at.date()
        for sentence, relax in relaxed.items():
            times = {one: replace(time, rules=relax(time.rules)) for one, time in self.times.items()}
            free = replace(self, times=times).slots(
                day - ONE_DAY, day + ONE_DAY, slot.ends_at - slot.starts_at, record_count=record_count, now=now
            )
            if slot in free:
                return SlotOutsideHours(message=sentence)
        return SlotTaken() if any(self.overlapped(one, slot) for one in self.times) else SlotOutsideHours()

    def _with_rooms(self, slots: list[Slot]) -> list[Slot]:
        if not self.full:
            return slots
        return [slot for slot in slots if not any(one.overlaps(slot) for one in self.full)]


def full_times(calls: Iterable[Slot], capacity: int) -> list[Slot]:
    """Return when as many calls go on as there are rooms."""
    edges: list[tuple[datetime, int]] = []
    for during in calls:
        edges += [(during.starts_at, 1), (during.ends_at, -1)]
    full: list[Slot] = []
    count, since = 0, None
    for at, step in sorted(edges):
        count += step
        if count >= capacity and since is None:
            since = at
        elif count < capacity and since is not None:
            if at > since:
                full.append(Slot(since, at))
            since = None
    return full


async def read_diary(
    conn: asyncpg.Connection,
    experts: Sequence[Staff],
    day_from: date,
    day_to: date,
    *,
    now: datetime,
    apart_from: Collection[uuid.UUID | None] = (),
    wanted: Slot | None = None,
) -> Diary:
    """Return what is so from day_from to day_to and on the days beside. apart_from: whose time does not count.

    wanted: raises SlotTaken if somebody of them has a call in this time.
    """
    between = _widest(day_from, day_to)
    read = await queries.read_diary(conn, experts, between)
    busy: dict[StaffId, list[Busy]] = {expert.id: [] for expert in experts}
    has_expired = False
    for one in read.busy:
        if one.expires_at is not None and one.expires_at <= now:
            has_expired = True
        elif one.owner not in apart_from:
            busy[one.expert_id].append(one)
            if wanted is not None and one.time.during.overlaps(wanted):
                raise SlotTaken
    full: list[Slot] = []
    if read.room_capacity is not None:
        calls = await queries.list_calls(conn, between, now)
        full = full_times([slot for owner, slot in calls.items() if owner not in apart_from], read.room_capacity)
    return Diary(read.times, busy, full, has_expired)


async def list_free(
    conn: asyncpg.Connection,
    experts: Sequence[Staff],
    day_from: date,
    day_to: date,
    length: timedelta,
    *,
    record_count: int,
    now: datetime,
) -> dict[StaffId, list[Slot]]:
    """Return the free times of each expert: what their diary says, read in bulk."""
    taken, room_capacity = await queries.list_taken(conn, [one.id for one in experts], _widest(day_from, day_to), now)
    if room_capacity is not None:
        diary = await read_diary(conn, experts, day_from, day_to, now=now)
        return {
            one.id: diary.free_slots(one.id, day_from, day_to, length, record_count=record_count, now=now)
            for one in experts
        }
    return {
        expert_id: [
            offer.during
            for offer in free_slots(
                time, taken[expert_id], day_from, day_to, length, record_count=record_count, now=now
            )
        ]
        for expert_id, time in (await availability.fetch_times(conn, experts)).items()
    }


async def find_nearest(
    conn: asyncpg.Connection,
    experts: Sequence[Staff],
    slot: Slot,
    *,
    record_count: int,
    now: datetime,
    apart_from: Collection[uuid.UUID | None] = (),
) -> list[Slot]:
    """Return the free times closest to one that cannot be had: mostly near, so two weeks are looked at last."""
    day, length = slot.starts_at.date(), slot.ends_at - slot.starts_at
    for around in (NEXT_DAYS, NEAR_DAYS):
        day_from, day_to = max(day - around * ONE_DAY, now.date()), day + around * ONE_DAY
        diary = await read_diary(conn, experts, day_from, day_to, now=now, apart_from=apart_from)
        found = nearest(
            diary.slots(day_from, day_to, length, record_count=record_count, now=now), slot.starts_at, NEAREST
        )
        # What lies within a day is seen whole, however far the expert's day is from that of UTC.
        if len(found) == NEAREST and all(abs(one.starts_at - slot.starts_at) <= ONE_DAY for one in found):
            break
    return found


def _widest(day_from: date, day_to: date) -> Slot:
    """Return the time in which days lie: one somewhere on earth begins 14 hours before, or ends 12 after, UTC's."""
    return Slot(_utc(day_from) - ONE_DAY, _utc(day_to) + 2 * ONE_DAY)


def _utc(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
