"""When the door of a call is open, and to whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from consult.consultations.model import Booking, Door
from consult.consultations.seats import device_of

START = datetime(2026, 3, 12, 15, 0, tzinfo=UTC)
BOOKING = Booking(uuid4(), 1, 2, "America/Toronto", START, START + timedelta(minutes=45), None, None, None)
WINDOW = {"before": timedelta(minutes=30), "after": timedelta(hours=2)}


@pytest.mark.parametrize(
    ("minutes", "door"),
    [(-31, Door.TOO_EARLY), (-30, Door.OPEN), (45, Door.OPEN), (164, Door.OPEN), (165, Door.CLOSED)],
)
def test_guests_come_from_30_minutes_before_to_2_hours_after(minutes: int, door: Door) -> None:
    assert BOOKING.door_for_guests(START + timedelta(minutes=minutes), **WINDOW) is door


def test_the_expert_may_come_on_the_whole_day_in_their_own_zone() -> None:
    midnight = datetime(2026, 3, 12, 4, 0, tzinfo=UTC)  # in Toronto
    assert BOOKING.door_for_expert(midnight - timedelta(seconds=1), **WINDOW) is Door.TOO_EARLY
    assert BOOKING.door_for_expert(midnight, **WINDOW) is Door.OPEN
    assert BOOKING.door_for_expert(midnight + timedelta(hours=23), **WINDOW) is Door.OPEN
    assert BOOKING.door_for_expert(midnight + timedelta(hours=24), **WINDOW) is Door.CLOSED


def test_a_cancelled_or_ended_call_is_closed_to_everybody() -> None:
    cancelled, over = replace(BOOKING, cancelled_at=START), replace(BOOKING, over_at=START)
    for booking, door in ((cancelled, Door.CANCELLED), (over, Door.OVER)):
        assert booking.door_for_guests(START, **WINDOW) is door
        assert booking.door_for_expert(START, **WINDOW) is door


def test_a_device_keeps_its_name_and_tells_nothing_of_its_session() -> None:
    assert device_of("token") == device_of("token") != device_of("other")
    assert "token" not in device_of("token")
