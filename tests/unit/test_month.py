"""The month that offers free times, and when all rooms are in use."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from consult.domain.slots import Slot
from consult.scheduling.diary import full_times
from consult.scheduling.month import by_day, day_from, month_of

MARCH = date(2026, 3, 17)
LAST = date(2027, 3, 17)
HOUR = timedelta(hours=1)
EPOCH = datetime(2026, 3, 17, tzinfo=UTC)


def slot(first: int, last: int) -> Slot:
    return Slot(EPOCH + first * HOUR, EPOCH + last * HOUR)


def test_a_month_begins_on_a_monday_and_counts_each_day() -> None:
    month = month_of(MARCH, {MARCH: [slot(9, 10), slot(10, 11)]}, MARCH, LAST)
    days = [day for week in month.weeks for day in week]
    assert days[0].day == date(2026, 2, 23)
    assert days[-1].day == date(2026, 4, 5)
    assert {day.day: day.count for day in days if day.count} == {MARCH: 2}
    assert next(day.day for day in days if day.is_inside) == date(2026, 3, 1)
    assert not any(day.is_open for day in days if day.day < MARCH)


def test_months_before_today_and_after_the_last_day_are_not_led_to() -> None:
    assert month_of(MARCH, {}, MARCH, LAST).earlier is None
    assert month_of(date(2026, 4, 2), {}, MARCH, LAST).earlier == date(2026, 3, 1)
    assert month_of(date(2027, 3, 2), {}, MARCH, LAST).later is None
    assert month_of(date(2026, 12, 31), {}, MARCH, LAST).later == date(2027, 1, 1)


def test_a_slot_belongs_to_the_day_on_which_it_begins_for_the_expert() -> None:
    late = slot(23, 24)
    assert by_day([late], ZoneInfo("Asia/Tokyo")) == {date(2026, 3, 18): [late]}


def test_an_address_names_a_day_that_can_be_chosen_or_none() -> None:
    assert day_from("2026-02-29", MARCH, LAST) is None
    assert day_from("0001-01-01", MARCH, LAST) == MARCH
    assert day_from("9999-12-31", MARCH, LAST) == LAST


@given(
    calls=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 6)).map(lambda one: slot(one[0], one[0] + one[1]))),
    capacity=st.integers(1, 4),
)
def test_rooms_are_full_exactly_when_as_many_calls_go_on_as_there_are_rooms(calls: list[Slot], capacity: int) -> None:
    full = full_times(calls, capacity)
    for hour in range(40):
        middle = slot(hour, hour + 1)
        going_on = sum(one.overlaps(middle) for one in calls)
        assert any(one.overlaps(middle) for one in full) == (going_on >= capacity)
    assert all(one.starts_at < one.ends_at for one in full)
