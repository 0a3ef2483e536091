"""When an expert works and what can be booked then: hours, rules, absences, travel, and the slots that follow.

Pure. One computation serves offering and booking. Hours are local times, in the zone where the expert is that day; they
become stretches of real time first (`consult.domain.zones`), so that a time which the clock skips does not exist, one
which it repeats is offered once, and every slot is as long as the others. docs/decisions/0030 says why each rule counts
as it does.
"""

from __future__ import annotations

import itertools
import uuid
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from math import ceil, floor
from typing import NamedTuple
from zoneinfo import ZoneInfo

from consult.domain.ids import StaffId
from consult.domain.kinds import USUAL_LENGTHS, ConsultationKind
from consult.domain.slots import Slot
from consult.domain.stretches import Stretch, in_both, merged, without
from consult.domain.words import N_
from consult.domain.working_days import Days, Travel, WorkingBlock, WorkingDays
from consult.domain.zones import DAY_S, instant_to_utc

MAX_BLOCKS_A_WEEK = 42
MOST_OFFERS_KEPT = 16  # of one expert: for some lengths of calls and stretches of days
PREPARATION_STEP = timedelta(minutes=5)
NO_TIME = timedelta()
ONE_DAY, TWO_DAYS = timedelta(days=1), timedelta(days=2)
ONE_SECOND = timedelta(seconds=1)
DAYS_NEAR = (NO_TIME, -ONE_DAY, ONE_DAY)  # from a day of UTC to those of all zones that share time with it
SOONEST = timedelta(microseconds=1)  # from now


@dataclass(frozen=True, slots=True)
class Absence:
    """A stretch of time without calls. note: for schedulers."""

    id: uuid.UUID
    during: Slot
    note: str


@dataclass(frozen=True, slots=True)
class OfferedSlot:
    """A time for a call, and what it takes of the expert's time: with preparation and buffers."""

    during: Slot
    blocked: Slot


class TakenTime(NamedTuple):
    """What is taken of an expert's time, in seconds since 1970, in no order: what is blocked, and when calls begin."""

    blocked: Sequence[Stretch]
    begins: Sequence[int]

    @staticmethod
    def of(taken: Iterable[OfferedSlot]) -> TakenTime:
        calls = list(taken)
        return TakenTime(
            [(floor(one.blocked.starts_at.timestamp()), ceil(one.blocked.ends_at.timestamp())) for one in calls],
            [floor(one.during.starts_at.timestamp()) for one in calls],
        )


@dataclass(frozen=True, slots=True)
class ExpertRules:
    """What an expert wants kept around calls.

    notice: from now to the earliest start. horizon: from now to the latest. daily_limit: calls that begin on one day of
    the expert's. changes_until: before the start, until when patients may move or cancel.
    """

    buffer_before: timedelta = NO_TIME
    buffer_after: timedelta = NO_TIME
    preparation: timedelta = NO_TIME
    preparation_per_record: timedelta = NO_TIME
    preparation_most: timedelta = NO_TIME
    notice: timedelta = NO_TIME
    horizon: timedelta = timedelta(days=366)
    daily_limit: int | None = None
    changes_until: timedelta = timedelta(hours=24)

    def preparation_for(self, record_count: int) -> timedelta:
        """Return how long it takes to prepare a call over so many records, in full steps of five minutes."""
        wanted = min(self.preparation + record_count * self.preparation_per_record, self.preparation_most)
        return -(-wanted // PREPARATION_STEP) * PREPARATION_STEP


class Parts(NamedTuple):
    """Seconds that a call takes: before it (buffer and preparation), itself, after it."""

    before: int
    call: int
    after: int

    @property
    def all(self) -> int:
        return self.before + self.call + self.after

    def blocked(self, during: Slot) -> Slot:
        """Return what a call takes of the expert's time."""
        if not self.before and not self.after:
            return during
        return Slot(during.starts_at - timedelta(seconds=self.before), during.ends_at + timedelta(seconds=self.after))

    @staticmethod
    def of(rules: ExpertRules, length: timedelta, record_count: int) -> Parts:
        before = rules.preparation_for(record_count) + rules.buffer_before
        return Parts(before // ONE_SECOND, length // ONE_SECOND, rules.buffer_after // ONE_SECOND)


@dataclass(frozen=True, slots=True)
class ExpertTime:
    """All that decides when an expert can be booked, besides what is booked.

    day_hours: days on which other hours stand instead of the week's; none for a day without hours. lengths: of the
    kinds of consultation that this expert gives.
    """

    expert_id: StaffId
    home_zone: ZoneInfo
    week: Sequence[WorkingBlock] = ()
    rules: ExpertRules = ExpertRules()
    lengths: Mapping[ConsultationKind, timedelta] = field(default_factory=lambda: dict(USUAL_LENGTHS))
    day_hours: Mapping[date, Sequence[WorkingBlock]] = field(default_factory=dict)
    absences: Sequence[Slot] = ()
    travels: Sequence[Travel] = ()
    working_days: WorkingDays = field(init=False, repr=False, compare=False)
    away: Sequence[Stretch] = field(init=False, repr=False, compare=False)  # the absences, in seconds since 1970
    _parts: dict[tuple[timedelta, int], Parts] = field(init=False, repr=False, compare=False, default_factory=dict)
    _offers: dict[tuple[date, date, Parts], _Offers] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        days = WorkingDays(self.home_zone, self.week, self.day_hours, self.travels)
        object.__setattr__(self, "working_days", days)
        away = [(floor(one.starts_at.timestamp()), ceil(one.ends_at.timestamp())) for one in self.absences]
        object.__setattr__(self, "away", away)

    @property
    def board_length(self) -> timedelta | None:
        """How long a free time is drawn: as a first review, else as the shortest kind; None if they give none."""
        return self.lengths.get(ConsultationKind.FIRST_REVIEW) or min(self.lengths.values(), default=None)

    def zone_on(self, day: date) -> ZoneInfo:
        """Return the zone whose local times the expert's hours are on a day."""
        return self.working_days.zone_on(day)

    def zone_at(self, instant: datetime) -> ZoneInfo:
        """Return the zone in which the expert is at an instant; near midnight on the way, one of the two."""
        return self.zone_on(instant.astimezone(self.zone_on(instant.astimezone(self.home_zone).date())).date())

    def whole_days(self, during: Slot) -> tuple[date, date] | None:
        """Return the first and the last day of a stretch of whole days of the expert's, None if it is none."""
        first = during.starts_at.astimezone(self.zone_at(during.starts_at)).date()
        last = (during.ends_at - ONE_SECOND).astimezone(self.zone_at(during.ends_at - ONE_SECOND)).date()
        days = self.working_days.on(first), self.working_days.on(last)
        if not days[0].whole or not days[1].whole:
            return None
        instants = instant_to_utc(days[0].whole[0][0]), instant_to_utc(days[1].whole[-1][1])
        return (first, last) if instants == (during.starts_at, during.ends_at) else None

    def parts(self, length: timedelta, record_count: int) -> Parts:
        """Return what a call over so many records takes of this expert's time."""
        known = self._parts.get((length, record_count))
        if known is None:
            known = self._parts[length, record_count] = Parts.of(self.rules, length, record_count)
        return known

    def offers(self, day_from: date, day_to: date, parts: Parts, taken: TakenTime) -> Sequence[OfferedSlot]:
        """Return what can be booked from day_from to day_to, whenever now is. Mostly nothing was booked meanwhile."""
        kept = self._offers.get((day_from, day_to, parts))
        if kept is None or kept.taken != taken:
            if len(self._offers) >= MOST_OFFERS_KEPT:
                self._offers.clear()
            runs = _runs(self, taken, self.working_days.between(day_from, day_to), parts)
            offers = tuple(itertools.chain.from_iterable(_offers_in(first_s, end_s, parts) for first_s, end_s in runs))
            kept = self._offers[day_from, day_to, parts] = _Offers(taken, offers)
        return kept.offers


class _Offers(NamedTuple):
    """What can be booked while so much is taken, whatever the time is now."""

    taken: TakenTime
    offers: Sequence[OfferedSlot]


def free_slots(
    time: ExpertTime,
    taken: TakenTime | Sequence[OfferedSlot],
    day_from: date,
    day_to: date,
    length: timedelta,
    *,
    record_count: int,
    now: datetime,
) -> list[OfferedSlot]:
    """Return what can be booked from day_from to day_to, both included, ordered. Days are the expert's.

    taken: what is booked or held, on the days asked for and those beside them. All offers could be booked together:
    what they block does not overlap, so that booking one takes no other away (only a daily limit can).
    """
    earliest, latest_at, day_from, day_to = _reach([time.rules], day_from, day_to, now)
    known = taken if isinstance(taken, TakenTime) else TakenTime.of(taken)
    offers = time.offers(day_from, day_to, time.parts(length, record_count), known)
    first, end = (
        bisect(offers, at, key=_starts_at) for bisect, at in ((bisect_left, earliest), (bisect_right, latest_at))
    )
    return list(offers[first:end])


def is_free_slot(
    time: ExpertTime, taken: TakenTime | Sequence[OfferedSlot], slot: Slot, *, record_count: int, now: datetime
) -> bool:
    """Return whether a slot is one that `free_slots` returns, without making the others.

    taken: what is booked or held on the day, wherever the expert is.
    """
    if not now + max(time.rules.notice, SOONEST) <= slot.starts_at <= now + time.rules.horizon:
        return False
    length = slot.ends_at - slot.starts_at
    if length % ONE_SECOND:
        return False
    parts = time.parts(length, record_count)
    at = slot.starts_at.timestamp()
    utc_day = slot.starts_at.date()
    for number in DAYS_NEAR:
        day = time.working_days.on(utc_day + number)
        for start, end in day.hours:
            if start <= at < end:  # what is offered on a day hangs on no other
                for first_s, end_s in _runs(time, taken, Days.of([day]), parts):
                    if first_s <= at < end_s:
                        return (at - first_s) % parts.all == 0
                return False
    return False


def free_panel_slots(
    panel: Sequence[tuple[ExpertTime, TakenTime | Sequence[OfferedSlot]]],
    day_from: date,
    day_to: date,
    length: timedelta,
    *,
    record_count: int,
    now: datetime,
) -> list[Slot]:
    """Return the times at which all of a panel are free, ordered. panel: its experts and what is taken of their time.

    Days are those of the first. Every expert's rules hold, the longest of their preparations sets the pace.
    """
    rules = [time.rules for time, _taken in panel]
    earliest, latest_at, day_from, day_to = _reach(rules, day_from, day_to, now)
    parts = [time.parts(length, record_count) for time, _taken in panel]
    pace = max(part.all for part in parts)
    (leader, taken_of_leader), *others = panel
    days = leader.working_days.between(day_from, day_to)
    windows = sorted(_windows(leader, taken_of_leader, days, parts[0]))
    for (other, taken_of_other), part in zip(others, parts[1:], strict=True):
        # A day of another zone may begin a day earlier or later.
        days_around = other.working_days.between(day_from - ONE_DAY, day_to + ONE_DAY)
        windows = in_both(windows, sorted(_windows(other, taken_of_other, days_around, part)))
    begins = sorted(start for day in days.days for start, _end in day.whole[:1])
    starts: list[int] = []
    for _day, of_a_day in itertools.groupby(windows, key=lambda window: bisect_right(begins, window[0])):
        for first, end in _paced(of_a_day, pace):
            starts.extend(range(first, end, pace))
    slots = [Slot(at, at + length) for at in map(instant_to_utc, starts)]
    return [slot for slot in slots if earliest <= slot.starts_at <= latest_at]


def _runs(time: ExpertTime, taken: TakenTime | Sequence[OfferedSlot], days: Days, parts: Parts) -> Iterator[Stretch]:
    """Return stretches, ordered: a call may begin in the first second of each, and then whenever its parts are over."""
    windows = _windows(time, taken, days, parts)
    windows.sort()
    return _paced(windows, parts.all)


def _reach(
    rules: Sequence[ExpertRules], day_from: date, day_to: date, now: datetime
) -> tuple[datetime, datetime, date, date]:
    """Return the earliest and the latest start that rules leave open, and the days between which to look for them."""
    earliest = now + max(SOONEST, *(rule.notice for rule in rules))
    latest_at = now + min(rule.horizon for rule in rules)
    return earliest, latest_at, max(day_from, now.date() - TWO_DAYS), min(day_to, latest_at.date() + TWO_DAYS)


def _windows(time: ExpertTime, taken: TakenTime | Sequence[OfferedSlot], days: Days, parts: Parts) -> list[Stretch]:
    """Return from when to when a call may begin, by the hours, absences, what is taken and the daily limit."""
    known = taken if isinstance(taken, TakenTime) else TakenTime.of(taken)
    cuts = merged([*known.blocked, *time.away])
    limit = time.rules.daily_limit
    if limit and _is_crowded(begins := sorted(known.begins), limit):
        days = Days.of([day for day in days.days if day.count(begins) < limit])
    windows = _fitting(days.steady, cuts, parts)
    for day in days.repeating:  # no call begins in a second that the clock shows for the second time
        windows += without(_fitting(day.hours, cuts, parts), day.repeats)
    return windows


def _is_crowded(begins: Sequence[int], limit: int) -> bool:
    """Return whether so many calls, ordered, begin within two days somewhere. No day is longer, whatever its clock."""
    return any(last - first < 2 * DAY_S for first, last in zip(begins, begins[limit - 1 :], strict=False))


def _fitting(hours: Iterable[Stretch], cuts: Sequence[Stretch], parts: Parts) -> list[Stretch]:
    """Return from when to when a call may begin so that all of it fits into what is left of the hours."""
    before, last_s = parts.before, parts.call + parts.after - 1
    return [(start + before, end - last_s) for start, end in without(hours, cuts) if end - start > before + last_s]


def _paced(windows: Iterable[Stretch], pace: int) -> Iterator[Stretch]:
    """Return the windows, each beginning no earlier than `pace` after the last start in the one before."""
    following = None
    for first, end in windows:
        if following is not None and following > first:
            first = following
        if first < end:
            yield first, end
            following = end + (first - end) % pace


# Most stretches are as they were when somebody looked last: offers are made once and shared.
@lru_cache(maxsize=16384)
def _offers_in(first: int, end: int, parts: Parts) -> tuple[OfferedSlot, ...]:
    offers = []
    for start in range(first, end, parts.all):
        during = Slot(instant_to_utc(start), instant_to_utc(start + parts.call))
        blocked = during
        if parts.before or parts.after:
            blocked = Slot(instant_to_utc(start - parts.before), instant_to_utc(start + parts.call + parts.after))
        offers.append(OfferedSlot(during, blocked))
    return tuple(offers)


def _starts_at(offer: OfferedSlot) -> datetime:
    return offer.during.starts_at


def wrong_blocks(blocks: Sequence[WorkingBlock]) -> dict[int, str]:
    """Return a sentence for each block (by its place) that cannot stand: end before start, or over another block."""
    wrong: dict[int, str] = {}
    for place, block in enumerate(blocks):
        if block.ends_s <= block.starts_s:
            wrong[place] = N_("The end must be later than the start.")
            continue
        for earlier in range(place):
            other = blocks[earlier]
            same_day = other.weekday == block.weekday and earlier not in wrong
            if same_day and block.starts_s < other.ends_s and other.starts_s < block.ends_s:
                wrong[place] = N_("This overlaps other hours on the same day.")
                break
    return wrong
