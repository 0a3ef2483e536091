"""What a zone's clock shows: when its distance to UTC changes, and which instants show a given local time.

Instants are whole seconds since 1970 in UTC; a wall time is the seconds from 1970-01-01 00:00 to a local date and time,
as if there were no zones. So `wall = instant + offset`, and the offset is constant between two changes.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY_S = 86_400
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_LOOK_EVERY_S = 3 * 3600  # no zone changed its offset and took it back within so short a time


@dataclass(frozen=True, slots=True)
class OffsetChange:
    """From `at` on, the clock is `after` seconds ahead of UTC; until then `before`."""

    at: int
    before: int
    after: int

    @property
    def repeats_s(self) -> int:
        """How long the clock shows times from `at` on that it has shown already; 0 where it skips some."""
        return max(self.before - self.after, 0)


def wall_of(day: date, second: int = 0) -> int:
    return (day.toordinal() - _EPOCH_DAY) * DAY_S + second


def offset_at(zone: ZoneInfo, instant: int) -> int:
    """Return how many seconds a zone's clock is ahead of UTC."""
    offset = datetime.fromtimestamp(instant, zone).utcoffset()
    assert offset is not None
    return offset.days * DAY_S + offset.seconds


def is_shown_twice(local: datetime) -> bool:
    """Whether the clock of an aware time's zone shows it once more, before or after a change."""
    return local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()


def is_summer_time(local: datetime) -> bool:
    """Whether people call an aware time in its zone summer time. Of Ireland the database says that winter deviates."""
    deviation = local.dst() or timedelta()
    if deviation:
        return deviation > timedelta()
    return ((local + timedelta(days=182)).dst() or timedelta()) < timedelta()


def changes_near(zone: ZoneInfo, day: date) -> tuple[OffsetChange, ...]:
    """Return the changes that may matter for local times of a day: from two days before to two days after it."""
    changes, instants = _changes_in_year(zone, day.year)
    middle = wall_of(day, DAY_S // 2)
    first, last = bisect_right(instants, middle - 5 * DAY_S // 2), bisect_right(instants, middle + 5 * DAY_S // 2)
    return changes[first:last]


def spans_of(zone: ZoneInfo, day: date, starts_s: int, ends_s: int) -> list[tuple[int, int]]:
    """Return the stretches, ordered, in which the clock shows a time from starts_s to ends_s of a day; usually one.

    None where the clock skips all of it, two where it shows it twice, or goes back into it. A stretch goes on over a
    change if the time before and the time after it both belong to it.
    """
    wall_from, wall_to = wall_of(day, starts_s), wall_of(day, ends_s)
    changes = changes_near(zone, day)
    if not changes:
        offset = offset_at(zone, wall_from)
        return [(wall_from - offset, wall_to - offset)]
    spans: list[tuple[int, int]] = []
    for number in range(len(changes) + 1):
        offset = changes[number].before if number < len(changes) else changes[-1].after
        start, end = wall_from - offset, wall_to - offset
        if number:
            start = max(start, changes[number - 1].at)
        if number < len(changes):
            end = min(end, changes[number].at)
        if start >= end:
            continue
        if spans and spans[-1][1] == start:
            start = spans.pop()[0]
        spans.append((start, end))
    return spans


@lru_cache(maxsize=4096)
def _changes_in_year(zone: ZoneInfo, year: int) -> tuple[tuple[OffsetChange, ...], tuple[int, ...]]:
    """Return the changes from a few days before a year to a few days after it, and their instants."""
    first = wall_of(date(year, 1, 1)) - 5 * DAY_S
    last = wall_of(date(year, 12, 31)) + 6 * DAY_S
    found: list[OffsetChange] = []
    before = offset_at(zone, first)
    for instant in range(first + _LOOK_EVERY_S, last + 1, _LOOK_EVERY_S):
        after = offset_at(zone, instant)
        if after != before:
            found.append(OffsetChange(_change_between(zone, instant - _LOOK_EVERY_S, instant, after), before, after))
            before = after
    return tuple(found), tuple(change.at for change in found)


def _change_between(zone: ZoneInfo, low: int, high: int, after: int) -> int:
    """Return the first second, after low and up to high, at which the offset is `after`."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if offset_at(zone, middle) == after else (middle, high)
    return high


def instant_to_utc(instant: int) -> datetime:
    return datetime.fromtimestamp(instant, UTC)
