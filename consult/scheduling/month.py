"""A month of free times, for pages that let somebody choose one: how many there are on each day. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from consult.domain.slots import Slot

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class MonthDay:
    """is_inside: of the month itself, not of the weeks' ends beside it. is_open: it can be chosen."""

    day: date
    count: int
    is_inside: bool
    is_open: bool


@dataclass(frozen=True, slots=True)
class Month:
    """Weeks begin on Monday. earlier, later: the first days of the months beside, None where nothing can be booked."""

    first: date
    weeks: list[list[MonthDay]]
    earlier: date | None
    later: date | None


def month_of(day: date, by_day: dict[date, list[Slot]], today: date, last: date) -> Month:
    """Return the month of a day. today, last: the first and last day that can be chosen."""
    first = day.replace(day=1)
    after = next_month(first)
    begin = first - first.weekday() * ONE_DAY
    weeks: list[list[MonthDay]] = []
    while begin < after:
        days = [begin + number * ONE_DAY for number in range(7)]
        weeks.append(
            [MonthDay(one, len(by_day.get(one, ())), first <= one < after, today <= one <= last) for one in days]
        )
        begin += 7 * ONE_DAY
    earlier = (first - ONE_DAY).replace(day=1)
    return Month(first, weeks, earlier if first > today else None, after if after <= last else None)


def next_month(first: date) -> date:
    return (first + 31 * ONE_DAY).replace(day=1)


def by_day(slots: Iterable[Slot], zone: ZoneInfo) -> dict[date, list[Slot]]:
    """Return slots by the day of a zone on which they begin."""
    days: dict[date, list[Slot]] = {}
    for slot in slots:
        days.setdefault(slot.starts_at.astimezone(zone).date(), []).append(slot)
    return days


def day_from(text: str, today: date, last: date) -> date | None:
    """Return the day that an address names, within what can be chosen; None if it names none."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return min(max(day, today), last)
