"""Free slots: local working hours through the zone and UTC, nights when the clock jumps included."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from zoneinfo import ZoneInfo

import pytest

from consult.availability.hours_views import same_days
from consult.availability.model import ExpertRules, ExpertTime, OfferedSlot, free_slots, wrong_blocks
from consult.domain.ids import StaffId
from consult.domain.slots import Slot, day_bounds, instant_of, nearest
from consult.domain.working_days import Travel, WorkingBlock

BERLIN = ZoneInfo("Europe/Berlin")
SPRING = date(2026, 3, 29)  # 02:00 becomes 03:00
AUTUMN = date(2026, 10, 25)  # 03:00 becomes 02:00
HALF_HOUR = timedelta(minutes=30)
HOUR = timedelta(hours=1)
EARLY = datetime(2020, 1, 1, tzinfo=UTC)


def hours(weekday: int, starts: str, ends: str) -> WorkingBlock:
    return WorkingBlock(weekday, clock_time.fromisoformat(starts), clock_time.fromisoformat(ends))


def slots_of(blocks: list[WorkingBlock], zone: ZoneInfo, day_from: date, day_to: date, length: timedelta) -> list[Slot]:
    """What can be booked if nothing is and there are no rules."""
    time = ExpertTime(StaffId(1), zone, blocks)
    now = datetime.combine(day_from, datetime.min.time(), UTC) - timedelta(days=30)
    return [one.during for one in free_slots(time, [], day_from, day_to, length, record_count=0, now=now)]


def local_times(slots: list[Slot], zone: ZoneInfo) -> list[str]:
    return [slot.starts_at.astimezone(zone).strftime("%H:%M") for slot in slots]


def test_slots_follow_each_other_from_the_start_of_the_hours() -> None:
    monday = date(2026, 3, 9)
    slots = slots_of([hours(0, "09:00", "11:30")], BERLIN, monday, monday, timedelta(minutes=45))
    assert local_times(slots, BERLIN) == ["09:00", "09:45", "10:30"]
    assert slots[0].starts_at == datetime(2026, 3, 9, 8, 0, tzinfo=UTC)


def test_a_slot_that_would_end_after_the_hours_is_not_offered() -> None:
    monday = date(2026, 3, 9)
    assert slots_of([hours(0, "09:00", "09:40")], BERLIN, monday, monday, timedelta(minutes=45)) == []


def test_a_time_that_the_clock_skips_does_not_exist() -> None:
    slots = slots_of([hours(6, "01:00", "05:00")], BERLIN, SPRING, SPRING, HALF_HOUR)
    assert local_times(slots, BERLIN) == ["01:00", "01:30", "03:00", "03:30", "04:00", "04:30"]


def test_a_slot_across_the_gap_keeps_its_length_and_nothing_overlaps_it() -> None:
    slots = slots_of([hours(6, "01:50", "06:00")], BERLIN, SPRING, SPRING, timedelta(minutes=75))
    assert local_times(slots, BERLIN) == ["01:50", "04:05"]
    assert all(slot.ends_at - slot.starts_at == timedelta(minutes=75) for slot in slots)


def test_a_slot_that_the_gap_pushes_past_the_end_of_the_hours_is_not_offered() -> None:
    assert slots_of([hours(6, "01:30", "02:30")], BERLIN, SPRING, SPRING, HOUR) == []


def test_a_time_that_the_clock_repeats_is_offered_once() -> None:
    slots = slots_of([hours(6, "01:00", "04:00")], BERLIN, AUTUMN, AUTUMN, HALF_HOUR)
    assert local_times(slots, BERLIN) == ["01:00", "01:30", "02:00", "02:30", "03:00", "03:30"]
    assert slots[2].starts_at == datetime(2026, 10, 25, 0, 0, tzinfo=UTC)  # the first of the two


@pytest.mark.parametrize("local", [datetime(2026, 3, 29, 2, 0), datetime(2026, 3, 29, 2, 59)])  # noqa: DTZ001
def test_there_is_no_instant_for_a_skipped_time(local: datetime) -> None:
    assert instant_of(local, BERLIN) is None


def test_a_day_has_23_or_25_hours_when_the_clock_jumps() -> None:
    assert day_bounds(SPRING, BERLIN).ends_at - day_bounds(SPRING, BERLIN).starts_at == timedelta(hours=23)
    assert day_bounds(AUTUMN, BERLIN).ends_at - day_bounds(AUTUMN, BERLIN).starts_at == timedelta(hours=25)


def test_what_is_taken_or_past_is_not_free_and_the_rest_is_filled_from_its_start() -> None:
    monday = date(2026, 3, 9)
    time = ExpertTime(StaffId(1), BERLIN, [hours(0, "09:00", "12:00")])
    nine = datetime(2026, 3, 9, 8, tzinfo=UTC)
    call = Slot(nine + timedelta(minutes=70), nine + timedelta(minutes=100))
    free = free_slots(time, [OfferedSlot(call, call)], monday, monday, HALF_HOUR, record_count=0, now=nine)
    assert local_times([one.during for one in free], BERLIN) == ["09:30", "10:40", "11:10"]


def test_touching_appointments_do_not_overlap() -> None:
    one = Slot(EARLY, EARLY + HOUR)
    assert not one.overlaps(Slot(EARLY + HOUR, EARLY + 2 * HOUR))


def test_preparation_and_buffers_lie_within_the_hours_and_grow_with_the_records() -> None:
    monday = date(2026, 3, 9)
    minutes = timedelta(minutes=1)
    rules = ExpertRules(
        buffer_after=10 * minutes, preparation=15 * minutes, preparation_per_record=3 * minutes,
        preparation_most=40 * minutes,
    )  # fmt: skip
    assert [rules.preparation_for(count) // minutes for count in (0, 1, 2, 9, 1000)] == [15, 20, 25, 40, 40]
    time = ExpertTime(StaffId(1), BERLIN, [hours(0, "09:00", "12:00")], rules)
    free = free_slots(time, [], monday, monday, HOUR, record_count=2, now=EARLY + timedelta(days=6 * 365))
    assert local_times([one.during for one in free], BERLIN) == ["09:25"]
    assert local_times([one.blocked for one in free], BERLIN) == ["09:00"]
    assert free[0].blocked.ends_at == free[0].during.ends_at + 10 * minutes


def test_on_a_journey_hours_are_local_there_and_shared_hours_are_offered_once() -> None:
    tuesday = date(2026, 3, 10)
    week = [WorkingBlock(weekday, clock_time(0), clock_time(0)) for weekday in range(7)]
    journey = Travel(tuesday, tuesday, ZoneInfo("Asia/Tokyo"))
    time = ExpertTime(StaffId(1), BERLIN, week, travels=[journey])
    now = datetime(2026, 3, 1, tzinfo=UTC)
    free = free_slots(time, [], tuesday - timedelta(days=1), tuesday, HOUR, record_count=0, now=now)
    starts = [one.during.starts_at for one in free]
    assert starts == [datetime(2026, 3, 8, 23, tzinfo=UTC) + number * HOUR for number in range(40)]


def test_the_nearest_slots_come_in_the_order_of_time() -> None:
    slots = [Slot(EARLY + n * HOUR, EARLY + (n + 1) * HOUR) for n in (0, 2, 3, 9)]
    assert nearest(slots, EARLY + 2 * HOUR) == slots[:3]


def test_hours_that_end_before_they_start_or_overlap_are_named_by_their_place() -> None:
    blocks = [
        hours(0, "09:00", "12:00"),
        hours(0, "13:00", "13:00"),
        hours(0, "11:00", "14:00"),
        hours(1, "11:00", "14:00"),
    ]
    assert set(wrong_blocks(blocks)) == {1, 2}
    assert wrong_blocks([hours(0, "09:00", "12:00"), hours(0, "12:00", "14:00")]) == {}


def test_an_absence_of_whole_days_is_told_from_one_of_hours() -> None:
    time = ExpertTime(StaffId(1), BERLIN)
    first, last = (day_bounds(day, BERLIN) for day in (SPRING - timedelta(days=1), SPRING))
    whole = Slot(first.starts_at, last.ends_at)
    assert time.whole_days(whole) == (SPRING - timedelta(days=1), SPRING)
    assert time.whole_days(last) == (SPRING, SPRING)
    assert time.whole_days(Slot(whole.starts_at, whole.ends_at - HOUR)) is None


def test_days_with_the_same_hours_are_said_as_one() -> None:
    usual = [hours(weekday, *times) for weekday in (0, 1, 2, 4) for times in (("13:00", "17:00"), ("09:00", "12:00"))]
    runs = same_days([*usual, hours(3, "09:00", "12:00"), hours(6, "22:00", "00:00")])
    assert [(first, last, [f"{one.starts:%H}-{one.ends:%H}" for one in blocks]) for first, last, blocks in runs] == [
        (0, 2, ["09-12", "13-17"]),
        (3, 3, ["09-12"]),
        (4, 4, ["09-12", "13-17"]),
        (6, 6, ["22-00"]),
    ]
    assert same_days([]) == []
