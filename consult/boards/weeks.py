"""The days of a week and a month as a board lays them out: appointments, and how many times are free. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from consult.boards.board import may_move, state_of
from consult.boards.model import BoardLine, LineState
from consult.domain.ids import StaffId
from consult.domain.slots import Slot

ONE_DAY = timedelta(days=1)
MOST_IN_A_DAY = 40  # a column of more is read in the day's own view


@dataclass(frozen=True, slots=True)
class WeekEntry:
    line: BoardLine
    state: LineState
    can_move: bool


@dataclass(frozen=True, slots=True)
class DayOfWeek:
    """entries: at most MOST_IN_A_DAY, in the order of time. left_out: how many more there are."""

    day: date
    entries: tuple[WeekEntry, ...]
    left_out: int
    free_count: int

    @property
    def call_count(self) -> int:
        return len(self.entries) + self.left_out


@dataclass(frozen=True, slots=True)
class DayOfMonth:
    """is_outside: it fills the first or the last week, and belongs to the month before or after."""

    day: date
    is_outside: bool
    booked_count: int
    free_count: int


def monday_of(day: date) -> date:
    return day - timedelta(days=day.weekday())


def month_days(day: date) -> list[date]:
    """Return the days of whole weeks, Monday first, that hold a day's month."""
    first = day.replace(day=1)
    next_first = (first + timedelta(days=31)).replace(day=1)
    begin, end = monday_of(first), monday_of(next_first - ONE_DAY) + timedelta(days=7)
    return [begin + number * ONE_DAY for number in range((end - begin).days)]


def free_by_day(free: Mapping[StaffId, Sequence[Slot]], zone: ZoneInfo) -> dict[date, int]:
    """Return how many free times begin on each day of a zone, of all experts together."""
    counts: dict[date, int] = {}
    for slots in free.values():
        for slot in slots:
            day = slot.starts_at.astimezone(zone).date()
            counts[day] = counts.get(day, 0) + 1
    return counts


def week_of(
    monday: date, lines: Iterable[BoardLine], free: Mapping[date, int], zone: ZoneInfo, now: datetime
) -> list[DayOfWeek]:
    """Return seven days. An appointment stands on the day when it begins."""
    days: dict[date, list[WeekEntry]] = {monday + number * ONE_DAY: [] for number in range(7)}
    for line in sorted(lines, key=lambda one: one.starts_at):
        entries = days.get(line.starts_at.astimezone(zone).date())
        if entries is not None:
            entries.append(WeekEntry(line, state_of(line, now), may_move(line, now)))
    return [
        DayOfWeek(day, tuple(entries[:MOST_IN_A_DAY]), max(len(entries) - MOST_IN_A_DAY, 0), free.get(day, 0))
        for day, entries in days.items()
    ]


def month_of(day: date, booked: Mapping[date, int], free: Mapping[date, int]) -> list[DayOfMonth]:
    """Return the weeks of a day's month, one day after the other."""
    return [DayOfMonth(one, one.month != day.month, booked.get(one, 0), free.get(one, 0)) for one in month_days(day)]
