"""An expert's days as real time: when their clock shows a day, and when they work on it.

Each day is reckoned once for as long as the expert's hours stay as they are: it hangs on nothing else.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from consult.domain.stretches import Stretch, in_both, merged, without
from consult.domain.zones import DAY_S, changes_near, spans_of

MOST_KEPT = 500  # days of one expert: a year ahead, and some weeks that somebody looked at
MOST_RANGES_KEPT = 32  # what boards and patients look at on a day
BEFORE = (timedelta(days=1), timedelta(days=2))  # the days that may share hours with one, on the way to another zone


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
class WorkingDay:
    """A day of an expert's as real time, in seconds since 1970.

    whole: while their clock shows this day; hours: while they work. repeats: what the clock shows for the second time.
    """

    day: date
    whole: tuple[Stretch, ...]
    hours: tuple[Stretch, ...]
    repeats: tuple[Stretch, ...]

    def count(self, instants: Sequence[float]) -> int:
        """Return how many instants, ordered, lie in this day."""
        return sum(bisect_left(instants, end) - bisect_left(instants, start) for start, end in self.whole)


class Days(NamedTuple):
    """Some of an expert's days, ordered.

    steady: the hours, ordered, of those on which the clock shows nothing twice; repeating: the other days.
    """

    days: Sequence[WorkingDay]
    steady: Sequence[Stretch]
    repeating: Sequence[WorkingDay]

    @staticmethod
    def of(days: Sequence[WorkingDay]) -> Days:
        steady = tuple(span for day in days if not day.repeats for span in day.hours)
        return Days(days, steady, tuple(day for day in days if day.repeats))


class WorkingDays:
    """The days of one expert. Absences are not taken off.

    day_hours: days on which other hours stand instead of the week's.
    """

    __slots__ = ("_by_weekday", "_day_hours", "_home_zone", "_kept", "_kept_ranges", "_travels")

    def __init__(
        self,
        home_zone: ZoneInfo,
        week: Iterable[WorkingBlock],
        day_hours: Mapping[date, Sequence[WorkingBlock]],
        travels: Sequence[Travel],
    ) -> None:
        self._home_zone, self._day_hours, self._travels = home_zone, day_hours, travels
        self._by_weekday: list[list[WorkingBlock]] = [[] for _ in range(7)]
        for block in week:
            self._by_weekday[block.weekday].append(block)
        self._kept: dict[date, WorkingDay] = {}
        self._kept_ranges: dict[tuple[date, date], Days] = {}

    def on(self, day: date) -> WorkingDay:
        kept = self._kept.get(day)
        if kept is None:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            kept = self._kept[day] = self._reckon(day)
        return kept

    def between(self, day_from: date, day_to: date) -> Days:
        """Return the days from day_from to day_to, both included."""
        kept = self._kept_ranges.get((day_from, day_to))
        if kept is None:
            if len(self._kept_ranges) >= MOST_RANGES_KEPT:
                self._kept_ranges.clear()
            count = (day_to - day_from).days + 1
            days = Days.of(tuple(self.on(day_from + timedelta(number)) for number in range(count)))
            kept = self._kept_ranges[day_from, day_to] = days
        return kept

    def zone_on(self, day: date) -> ZoneInfo:
        """Return the zone whose local times the hours of a day are."""
        for travel in self._travels:
            if travel.day_from <= day <= travel.day_to:
                return travel.zone
        return self._home_zone

    def _reckon(self, day: date) -> WorkingDay:
        zone = self.zone_on(day)
        hours = self._hours(day)
        if self._travels:  # on the way to another zone two days may share hours: they belong to the earlier
            earlier = [span for ago in BEFORE for span in self._hours(day - ago)]
            hours = without(hours, merged(earlier))
        repeats = merged((one.at, one.at + one.repeats_s) for one in changes_near(zone, day) if one.repeats_s)
        whole = spans_of(zone, day, 0, DAY_S)
        return WorkingDay(day, tuple(whole), tuple(hours), tuple(in_both(whole, repeats)))

    def _hours(self, day: date) -> list[Stretch]:
        """Return the hours of a day, ordered, those that it shares with an earlier day too."""
        zone = self.zone_on(day)
        blocks = self._day_hours.get(day, self._by_weekday[day.weekday()])
        return sorted(span for block in blocks for span in spans_of(zone, day, block.starts_s, block.ends_s))
