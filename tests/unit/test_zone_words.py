"""What a zone is called where people read times: by the place, and without doubt in an hour that comes twice."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from consult.files import folder
from consult.scheduling.visit_times import say_when
from consult.web.render import clock_beside, exact_time, zone_name, zone_place, zone_then
from consult.web.words import load_languages

LANGUAGES = load_languages(folder("locale"), ("en", "es"))
WINTER, SUMMER = datetime(2026, 1, 15, 12, tzinfo=UTC), datetime(2026, 7, 15, 12, tzinfo=UTC)
FIRST, SECOND = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("at", [WINTER, SUMMER])
def test_a_zone_goes_by_its_place_in_summer_and_winter(at: datetime) -> None:
    assert zone_place(at, "Europe/London", words=LANGUAGES["en"]) == "London time"
    assert zone_place(at, "Asia/Kathmandu", words=LANGUAGES["en"]) == "Kathmandu time"
    assert zone_place(at, "Europe/London", words=LANGUAGES["es"]) == "hora de Londres"


def test_an_hour_that_comes_twice_is_told_apart() -> None:
    said = [zone_then(at, "Europe/London", words=LANGUAGES["en"]) for at in (FIRST, SECOND)]
    assert said == ["London time (British Summer Time)", "London time (Greenwich Mean Time)"]
    said = [zone_then(at, "Europe/London", words=LANGUAGES["es"]) for at in (FIRST, SECOND)]
    assert said == ["hora de Londres (hora de verano británica)", "hora de Londres (hora del meridiano de Greenwich)"]
    assert zone_place(FIRST, "Europe/London", words=LANGUAGES["en"]) == "London time", "of a list, whose times say it"
    assert zone_then(WINTER, "Europe/London", words=LANGUAGES["en"]) == "London time"
    assert exact_time(FIRST, "Europe/London", locale="en") == "01:30, British Summer Time"
    assert exact_time(SECOND, "Europe/London", locale="en") == "01:30, Greenwich Mean Time"
    assert exact_time(WINTER, "Europe/London", locale="en") == "12:00"


def test_the_waiting_room_of_a_call_in_the_second_of_two_equal_hours_opens_in_the_first() -> None:
    visit: Any = SimpleNamespace(starts_at=datetime(2026, 10, 25, 1, tzinfo=UTC))
    said = say_when(visit, "Europe/London", LANGUAGES["en"])
    assert (said.clock, said.zone) == ("01:00", "London time (Greenwich Mean Time)")
    assert said.opens == "01:30, British Summer Time"


def test_a_waiting_room_that_opens_the_day_before_says_so() -> None:
    visit: Any = SimpleNamespace(starts_at=datetime(2026, 1, 16, 0, 15, tzinfo=UTC))
    assert say_when(visit, "Europe/London", LANGUAGES["en"]).opens == "Thu 15 January, 23:45 London time"
    assert say_when(visit, "Europe/Berlin", LANGUAGES["en"]).opens == "00:45"


def test_summer_is_summer_in_ireland_where_the_database_says_that_winter_deviates() -> None:
    assert zone_name(SUMMER, "Europe/Dublin", locale="en") == "Irish Standard Time"
    assert zone_name(WINTER, "Europe/Dublin", locale="en") == "Greenwich Mean Time"
    assert zone_name(SUMMER, "Europe/London", locale="en") == "British Summer Time"
    assert zone_name(WINTER, "Australia/Sydney", locale="en") == "Australian Eastern Daylight Time"


def test_another_zones_clock_is_said_with_the_day_where_it_is_another_one() -> None:
    assert clock_beside(WINTER, "Asia/Kathmandu", "Europe/London", locale="en") == "17:45"
    assert clock_beside(WINTER, "Pacific/Kiritimati", "Europe/London", locale="en") == "Fri 16 Jan, 02:00"
