"""Instants are aware UTC; places in a consultation are whole milliseconds from its start; zones have IANA's names."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import available_timezones


def utc_now() -> datetime:
    """Return this instant. Only the edges call it; everything else gets `now` as an argument."""
    return datetime.now(UTC)


def earliest_day(now: datetime) -> date:
    """Return the day that it still is somewhere on earth: whoever looks for times from today on begins there."""
    return (now.astimezone(UTC) - timedelta(hours=12)).date()


def latest_day(now: datetime) -> date:
    """Return the day that it already is somewhere on earth."""
    return (now.astimezone(UTC) + timedelta(hours=14)).date()


def ms_between(start_at: datetime, end_at: datetime) -> int:
    """Return the whole milliseconds from start_at to end_at, negative if it lies before."""
    return (end_at - start_at) // timedelta(milliseconds=1)


def ms_after(start_at: datetime, offset_ms: int) -> datetime:
    """Return the instant offset_ms after start_at."""
    return start_at + timedelta(milliseconds=offset_ms)


def epoch_ms(at: datetime) -> int:
    """Return ms since 1970 UTC."""
    return ms_between(datetime(1970, 1, 1, tzinfo=UTC), at)


def from_epoch_ms(value_ms: int) -> datetime:
    """Return the instant value_ms after 1970 UTC."""
    return ms_after(datetime(1970, 1, 1, tzinfo=UTC), value_ms)


def is_time_zone(name: str) -> bool:
    """Whether IANA knows a zone of this name, for example Europe/Lisbon."""
    return name in _zones()


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())  # reads some six hundred files
