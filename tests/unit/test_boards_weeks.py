"""Weeks and months of a board without a database."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from consult.boards.weeks import MOST_IN_A_DAY, free_by_day, month_days, month_of, week_of
from consult.domain.ids import StaffId
from consult.domain.slots import Slot
from tests.unit.test_boards_day import line

TORONTO = ZoneInfo("America/Toronto")
MONDAY = date(2026, 3, 9)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("day", "first", "last", "weeks"),
    [
        (date(2026, 3, 12), date(2026, 2, 23), date(2026, 4, 5), 6),
        (date(2027, 2, 28), date(2027, 2, 1), date(2027, 2, 28), 4),
        (date(2028, 2, 29), date(2028, 1, 31), date(2028, 3, 5), 5),
        (date(2026, 12, 31), date(2026, 11, 30), date(2027, 1, 3), 5),
    ],
)
def test_a_month_is_shown_in_whole_weeks_that_hold_all_of_it(day: date, first: date, last: date, weeks: int) -> None:
    days = month_days(day)
    assert (days[0], days[-1], len(days)) == (first, last, weeks * 7)
    assert [one.is_outside for one in month_of(day, {}, {})].count(False) == (
        (day.replace(day=1) + timedelta(days=31)).replace(day=1) - day.replace(day=1)
    ).days


def test_free_times_are_counted_on_the_reader_s_day() -> None:
    late = datetime(2026, 3, 10, 2, 0, tzinfo=UTC)  # still Monday in Toronto
    free = {StaffId(1): [Slot(late, late + HOUR)], StaffId(2): [Slot(late, late + HOUR), Slot(late + 3 * HOUR, late)]}
    assert free_by_day(free, TORONTO) == {MONDAY: 2, date(2026, 3, 10): 1}
    assert free_by_day(free, ZoneInfo("Europe/Berlin")) == {date(2026, 3, 10): 3}


def test_a_call_stands_on_the_day_when_it_begins_for_the_reader() -> None:
    late = datetime(2026, 3, 10, 3, 30, tzinfo=UTC)  # 23:30 on Monday in Toronto, past midnight at its end
    days = week_of(MONDAY, [line(late)], {MONDAY: 4}, TORONTO, late - HOUR)
    assert [one.call_count for one in days] == [1, 0, 0, 0, 0, 0, 0]
    assert (days[0].free_count, days[1].free_count) == (4, 0)


def test_a_very_full_day_says_how_many_more_there_are() -> None:
    begin = datetime(2026, 3, 9, 14, 0, tzinfo=UTC)
    lines = [line(begin + number * timedelta(minutes=5)) for number in range(MOST_IN_A_DAY + 7)]
    (full, *_others) = week_of(MONDAY, lines, {}, TORONTO, begin)
    assert (len(full.entries), full.left_out, full.call_count) == (MOST_IN_A_DAY, 7, MOST_IN_A_DAY + 7)
    assert [one.line.starts_at for one in full.entries] == sorted(one.line.starts_at for one in full.entries)
