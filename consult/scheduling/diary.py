"""What is free: experts' time, what is taken of it and how many rooms there are, read at one moment.

One code offers times and books them: both ask a `Diary`. It is only true for longer than that moment if the experts are
locked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from math import ceil, floor
from zoneinfo import ZoneInfo

import asyncpg

from consult.availability import service as availability
from consult.availability.model import ExpertRules, ExpertTime, TakenTime, free_panel_slots, free_slots, is_free_slot
from consult.domain.clock import earliest_day
from consult.domain.errors import ConsultError, RoomsFull, SlotOutsideHours, SlotTaken
from consult.domain.ids import AppointmentId, HoldId, StaffId
from consult.domain.slots import Slot, nearest
from consult.domain.words import N_
from consult.people.model import Staff
from consult.scheduling import diary_queries as queries
from consult.scheduling.diary_queries import Busy, Read

ONE_DAY = timedelta(days=1)
NEAR_DAYS = 14
NEXT_DAYS = 2
NEAREST = 3
MAX_DAYS_AHEAD = 366

ABSENT = N_("The expert is absent at this time. Please choose one of the free times.")
STILL_ABSENT = N_(
    "The expert is absent at this time. If they take this call nonetheless, first take the absence out of their time."
)
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

    def taken(self, expert_id: StaffId) -> TakenTime:
        busy = self.busy[expert_id]
        return TakenTime(
            [(floor(one.blocked_from), ceil(one.blocked_to)) for one in busy], [floor(one.starts) for one in busy]
        )

    def raise_unless_free(self, slot: Slot, *, record_count: int, now: datetime) -> None:
        """Raises SlotTaken, RoomsFull or SlotOutsideHours, with a sentence that says why it is not free."""
        if self._is_free(slot, record_count=record_count, now=now):
            return
        self.raise_if_taken(slot)
        raise self._why_not(slot, record_count=record_count, now=now)

    def raise_if_taken(self, slot: Slot) -> None:
        """Raises SlotTaken or RoomsFull. This holds outside of the hours too."""
        from_s, to_s = _seconds(slot)
        if any(one.starts < to_s and from_s < one.ends for busy in self.busy.values() for one in busy):
            raise SlotTaken
        if not self._has_room(slot):
            raise RoomsFull

    def raise_if_absent(self, slot: Slot) -> None:
        """Raises SlotOutsideHours. What was agreed on outside of the hours may still have been agreed on in error."""
        if self._is_absent(slot):
            raise SlotOutsideHours(message=STILL_ABSENT)

    def blocked(self, expert_id: StaffId, slot: Slot, *, record_count: int) -> Slot:
        """Return what a call takes of an expert's time: with preparation and buffers, as far as that is free."""
        parts = self.times[expert_id].parts(slot.ends_at - slot.starts_at, record_count)
        wanted = parts.blocked(slot)
        starts_at, ends_at = wanted.starts_at, wanted.ends_at
        from_s, to_s = _seconds(wanted)
        for one in self.busy[expert_id]:
            if one.blocked_from < to_s and from_s < one.blocked_to:
                # Only a call that was arranged outside of the offers gets here: the rest between calls is given up.
                if one.starts < slot.starts_at.timestamp():
                    starts_at = max(starts_at, min(datetime.fromtimestamp(one.blocked_to, UTC), slot.starts_at))
                else:
                    ends_at = min(ends_at, max(datetime.fromtimestamp(one.blocked_from, UTC), slot.ends_at))
        return Slot(starts_at, ends_at)

    def overlapped(self, expert_id: StaffId, slot: Slot) -> bool:
        """Whether what is blocked around another call reaches into a time."""
        from_s, to_s = _seconds(slot)
        return any(one.blocked_from < to_s and from_s < one.blocked_to for one in self.busy[expert_id])

    def _why_not(self, slot: Slot, *, record_count: int, now: datetime) -> ConsultError:
        if self._is_absent(slot):
            return SlotOutsideHours(message=ABSENT)
        relaxed: dict[str, Callable[[ExpertRules], ExpertRules]] = {
            DAY_FULL: lambda rules: replace(rules, daily_limit=None),
            TOO_SOON: lambda rules: replace(rules, notice=timedelta()),
            TOO_FAR: lambda rules: replace(rules, horizon=timedelta(days=MAX_DAYS_AHEAD)),
        }
        for sentence, relax in relaxed.items():
            times = {one: replace(time, rules=relax(time.rules)) for one, time in self.times.items()}
            if replace(self, times=times)._is_free(slot, record_count=record_count, now=now):
                return SlotOutsideHours(message=sentence)
        return SlotTaken() if any(self.overlapped(one, slot) for one in self.times) else SlotOutsideHours()

    def _is_absent(self, slot: Slot) -> bool:
        return any(away.overlaps(slot) for time in self.times.values() for away in time.absences)

    def _is_free(self, slot: Slot, *, record_count: int, now: datetime) -> bool:
        if len(self.times) > 1:
            day, length = slot.starts_at.date(), slot.ends_at - slot.starts_at
            return slot in self.panel_slots(day - ONE_DAY, day + ONE_DAY, length, record_count=record_count, now=now)
        ((expert_id, time),) = self.times.items()
        is_free = is_free_slot(time, self.taken(expert_id), slot, record_count=record_count, now=now)
        return is_free and self._has_room(slot)

    def _with_rooms(self, slots: list[Slot]) -> list[Slot]:
        return [slot for slot in slots if self._has_room(slot)] if self.full else slots

    def _has_room(self, slot: Slot) -> bool:
        return not any(one.overlaps(slot) for one in self.full)


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
    homes: Mapping[StaffId, ZoneInfo],
    day_from: date,
    day_to: date,
    *,
    now: datetime,
    apart_from: AppointmentId | None = None,
    hold_id: HoldId | None = None,
) -> Diary:
    """Return what is so from day_from to day_to and on the days beside, apart from one appointment and one hold.

    homes: the zone in which each expert is at home.
    """
    between = _widest(day_from, day_to)
    read = await queries.read_diary(conn, homes, between, apart_from=apart_from, hold_id=hold_id)
    return await diary_of(conn, read, between, now=now, apart_from=apart_from, hold_id=hold_id)


async def diary_of(
    conn: asyncpg.Connection,
    read: Read,
    between: Slot,
    *,
    now: datetime,
    apart_from: AppointmentId | None = None,
    hold_id: HoldId | None = None,
) -> Diary:
    """Return what was read as a diary. between: what was read of."""
    now_s = now.timestamp()
    busy = read.busy
    has_expired = any(one.expires is not None and one.expires <= now_s for found in busy.values() for one in found)
    if has_expired:
        busy = {
            expert_id: [one for one in found if one.expires is None or one.expires > now_s]
            for expert_id, found in busy.items()
        }
    full: list[Slot] = []
    if read.room_capacity is not None:
        calls = await queries.list_calls(conn, between, now)
        others = [slot for owner, slot in calls.items() if owner not in (apart_from, hold_id)]
        full = full_times(others, read.room_capacity)
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
        diary = await read_diary(conn, availability.homes_of(experts), day_from, day_to, now=now)
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
    homes: Mapping[StaffId, ZoneInfo],
    slot: Slot,
    *,
    record_count: int,
    now: datetime,
    hold_id: HoldId | None = None,
) -> list[Slot]:
    """Return the free times closest to one that cannot be had: mostly near, so two weeks are looked at last."""
    day, length = slot.starts_at.date(), slot.ends_at - slot.starts_at
    for around in (NEXT_DAYS, NEAR_DAYS):
        day_from, day_to = max(day - around * ONE_DAY, earliest_day(now)), day + around * ONE_DAY
        diary = await read_diary(conn, homes, day_from, day_to, now=now, hold_id=hold_id)
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


def _seconds(slot: Slot) -> tuple[float, float]:
    return slot.starts_at.timestamp(), slot.ends_at.timestamp()


def _utc(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
