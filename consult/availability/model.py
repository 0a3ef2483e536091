"""When an expert works and what can be booked then: hours, rules, absences, travel, and the slots that follow.

Pure. One computation serves offering and booking. Hours are local times, in the zone where the expert is that day; they
become stretches of real time first (`consult.domain.zones`), so that a time which the clock skips does not exist, one
which it repeats is offered once, and every slot is as long as the others. docs/decisions/0030 says why each rule counts
as it does.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from consult.domain.ids import StaffId
from consult.domain.kinds import USUAL_LENGTHS, ConsultationKind
from consult.domain.slots import Slot, day_bounds
from consult.domain.words import N_
from consult.domain.zones import DAY_S, changes_near, instant_to_utc, spans_of

MAX_BLOCKS_A_WEEK = 42
PREPARATION_STEP = timedelta(minutes=5)
NO_TIME = timedelta()
ONE_DAY, TWO_DAYS = timedelta(days=1), timedelta(days=2)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class WorkingBlock:
    """One stretch of a week. weekday: Monday is 0. starts, ends: local; it ends after it starts, 00:00 is midnight."""

    weekday: int
    starts: time
    ends: time

    @property
    def starts_s(self) -> int:
        """Seconds of the day."""
        return self.starts.hour * 3600 + self.starts.minute * 60

    @property
    def ends_s(self) -> int:
        return self.ends.hour * 3600 + self.ends.minute * 60 or DAY_S


@dataclass(frozen=True, slots=True)
class Travel:
    """Days, both included, on which the expert's hours are local times of another zone."""

    day_from: date
    day_to: date
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class OfferedSlot:
    """A time for a call, and what it takes of the expert's time: with preparation and buffers."""

    during: Slot
    blocked: Slot


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

    def blocked(self, during: Slot, record_count: int) -> Slot:
        """Return what a call takes of the expert's time."""
        before = self.preparation_for(record_count) + self.buffer_before
        if not before and not self.buffer_after:
            return during
        return Slot(during.starts_at - before, during.ends_at + self.buffer_after)


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

    def zone_on(self, day: date) -> ZoneInfo:
        """Return the zone whose local times the expert's hours are on a day."""
        for travel in self.travels:
            if travel.day_from <= day <= travel.day_to:
                return travel.zone
        return self.home_zone

    def hours_on(self, day: date) -> Sequence[WorkingBlock]:
        if day in self.day_hours:
            return self.day_hours[day]
        weekday = day.weekday()
        return [block for block in self.week if block.weekday == weekday]


def free_slots(
    time: ExpertTime,
    taken: Sequence[OfferedSlot],
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
    rules = time.rules
    return [
        OfferedSlot(during, rules.blocked(during, record_count))
        for during in free_panel_slots([(time, taken)], day_from, day_to, length, record_count=record_count, now=now)
    ]


def free_panel_slots(
    panel: Sequence[tuple[ExpertTime, Sequence[OfferedSlot]]],
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
    earliest = max(_second_from(now + max(rule.notice for rule in rules)), _second_of(now) + 1)
    latest_at = now + min(rule.horizon for rule in rules)
    first_day, last_day = max(day_from, now.date() - TWO_DAYS), min(day_to, latest_at.date() + TWO_DAYS)
    parts = [_Parts.of(rule, length, record_count) for rule in rules]
    (leader, taken_of_leader), *others = panel
    windows_of_others = [
        # A day of another zone may begin a day earlier or later.
        sorted(itertools.chain(*_windows(time, taken, first_day - ONE_DAY, last_day + ONE_DAY, part)))
        for (time, taken), part in zip(others, parts[1:], strict=True)
    ]
    starts: list[int] = []
    for windows in _windows(leader, taken_of_leader, first_day, last_day, parts[0]):
        for theirs in windows_of_others:
            windows = _in_both(windows, theirs)
        starts.extend(_starts_in(windows, max(part.all for part in parts)))
    latest, call = _second_of(latest_at), _seconds(length)
    return [
        Slot(instant_to_utc(start), instant_to_utc(start + call))
        for start in sorted(starts)
        if earliest <= start <= latest
    ]


def _starts_in(windows: Iterable[tuple[int, int]], step: int) -> Iterator[int]:
    """Return starts, step seconds or more apart, as early as they can be."""
    following = None
    for first, last in windows:
        start = first if following is None else max(first, following)
        while start <= last:
            yield start
            start += step
            following = start


@dataclass(frozen=True, slots=True)
class _Parts:
    """Seconds that a call takes: before it (buffer and preparation), itself, after it."""

    before: int
    call: int
    after: int

    @property
    def all(self) -> int:
        return self.before + self.call + self.after

    @staticmethod
    def of(rules: ExpertRules, length: timedelta, record_count: int) -> _Parts:
        before = rules.preparation_for(record_count) + rules.buffer_before
        return _Parts(_seconds(before), _seconds(length), _seconds(rules.buffer_after))


def _windows(
    time: ExpertTime, taken: Sequence[OfferedSlot], day_from: date, day_to: date, parts: _Parts
) -> Iterator[list[tuple[int, int]]]:
    """Return for each day from when to when, both included, a call may begin: a window per free stretch, ordered."""
    busy = sorted((_second_of(one.blocked.starts_at), _second_from(one.blocked.ends_at)) for one in taken)
    away = sorted((_second_of(one.starts_at), _second_from(one.ends_at)) for one in time.absences)
    begins = sorted(_second_of(one.during.starts_at) for one in taken)
    for number in range((day_to - day_from).days + 1):
        day = day_from + timedelta(days=number)
        stretches = working_stretches(time, day)
        if not stretches or _is_full(time, day, begins):
            continue
        free = _without(_without(stretches, away), busy)
        windows = [(start + parts.before, end - parts.call - parts.after + 1) for start, end in free]
        # No call begins in a second that the clock shows for the second time.
        repeats = [(one.at, one.at + one.repeats_s) for one in changes_near(time.zone_on(day), day) if one.repeats_s]
        yield [(first, end - 1) for first, end in _without(windows, repeats)]


def working_stretches(time: ExpertTime, day: date) -> list[tuple[int, int]]:
    """Return the hours of one of the expert's days as stretches of real time, absences not taken off.

    On the way to another zone two days may share hours: they belong to the earlier.
    """
    zone = time.zone_on(day)
    stretches = sorted(
        span for block in time.hours_on(day) for span in spans_of(zone, day, block.starts_s, block.ends_s)
    )
    if time.travels and stretches:
        for days in (1, 2):
            earlier = day - timedelta(days=days)
            if time.zone_on(earlier) != zone:
                stretches = _without(stretches, working_stretches(time, earlier))
    return stretches


def _is_full(time: ExpertTime, day: date, begins: Sequence[int]) -> bool:
    """Whether as many calls begin on a day as the expert wants at most. begins: of all, ordered."""
    if time.rules.daily_limit is None:
        return False
    bounds = day_bounds(day, time.zone_on(day))
    that_day = bisect_left(begins, _second_of(bounds.ends_at)) - bisect_left(begins, _second_of(bounds.starts_at))
    return that_day >= time.rules.daily_limit


def _without(stretches: Iterable[tuple[int, int]], others: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return what is left of stretches. others: ordered by their start; they may overlap."""
    left: list[tuple[int, int]] = []
    for start, end in stretches:
        for other_start, other_end in others:
            if other_start >= end:
                break
            if other_end <= start:
                continue
            if start < other_start:
                left.append((start, other_start))
            start = other_end
            if start >= end:
                break
        if start < end:
            left.append((start, end))
    return left


def _in_both(some: Sequence[tuple[int, int]], others: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return where windows of both lists, ordered and without overlap, meet."""
    both: list[tuple[int, int]] = []
    place = 0
    for first, last in some:
        while place < len(others) and others[place][1] < first:
            place += 1
        for other_first, other_last in others[place:]:
            if other_first > last:
                break
            both.append((max(first, other_first), min(last, other_last)))
    return both


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


def _seconds(length: timedelta) -> int:
    return length.days * DAY_S + length.seconds


def _second_of(instant: datetime) -> int:
    """Return the second in which an instant lies."""
    return _seconds(instant - EPOCH)


def _second_from(instant: datetime) -> int:
    """Return the first second that does not begin before an instant."""
    return _second_of(instant) + (1 if instant.microsecond else 0)
