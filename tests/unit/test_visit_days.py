"""Free times as a patient reads them, in their own zone, on the nights when clocks change too."""

from __future__ import annotations

import gettext
from datetime import UTC, date, datetime, timedelta

from consult.domain.slots import Slot
from consult.scheduling.visit_days import by_day, month_of, time_choices
from consult.web.words import Words

ENGLISH = Words("en", gettext.NullTranslations(), {})


def slots(*starts: datetime) -> list[Slot]:
    return [Slot(start, start + timedelta(minutes=45)) for start in starts]


def at(month: int, day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def test_days_are_those_of_the_reader() -> None:
    free = slots(at(3, 9, 9), at(3, 9, 12))
    assert [one.day for one in by_day(free, "Europe/Berlin", ENGLISH)] == [date(2026, 3, 9)]
    days = by_day(free, "Pacific/Auckland", ENGLISH)
    assert [(one.day, one.label, len(one.slots)) for one in days] == [
        (date(2026, 3, 9), "Monday 9 March", 1),
        (date(2026, 3, 10), "Tuesday 10 March", 1),
    ]


def test_a_clock_that_is_shown_twice_says_which_time_it_is() -> None:
    choices = time_choices(slots(at(10, 25, 0, 30), at(10, 25, 1, 30), at(10, 25, 2, 30)), "Europe/Lisbon", ENGLISH)
    assert [one.label for one in choices] == [
        "01:30, Western European Summer Time",
        "01:30, Western European Standard Time",
        "02:30",
    ]
    assert len({one.value for one in choices}) == 3


def test_a_month_without_free_times_is_skipped_both_ways() -> None:
    days = by_day(slots(at(3, 9, 9), at(3, 10, 9), at(5, 4, 9)), "UTC", ENGLISH)
    march, may = month_of(days, "2026-03", ENGLISH), month_of(days, "2026-05", ENGLISH)
    assert march is not None and may is not None
    assert (march.label, march.earlier, march.later, len(march.days)) == ("March 2026", None, "2026-05", 2)
    assert (may.label, may.earlier, may.later, len(may.days)) == ("May 2026", "2026-03", None, 1)


def test_a_month_that_is_none_shows_the_first_one_and_nothing_free_shows_none() -> None:
    days = by_day(slots(at(3, 9, 9)), "UTC", ENGLISH)
    for odd in ("", "2026-04", "nonsense", "2026-3"):
        shown = month_of(days, odd, ENGLISH)
        assert shown is not None and shown.label == "March 2026", odd
    assert month_of([], "2026-03", ENGLISH) is None
