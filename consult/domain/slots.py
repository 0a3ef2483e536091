"""Stretches of time: what can be booked or is taken, days of a zone, local times that may not exist."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """A stretch of time. Aware UTC; ends_at is not part of it."""

    starts_at: datetime
    ends_at: datetime

    def overlaps(self, other: Slot) -> bool:
        return self.starts_at < other.ends_at and other.starts_at < self.ends_at


def instant_of(local: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the instant of a naive local time: the first of two where the clock repeats it, None where it skips it."""
    return next(iter(instants_of(local, zone)), None)


def instants_of(local: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return when a zone's clock shows a naive local time: once, twice, or never where it skips it."""
    found = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return sorted({instant for instant in found if instant.astimezone(zone).replace(tzinfo=None) == local})


def day_bounds(day: date, zone: ZoneInfo) -> Slot:
    """Return the first instant of a day in a zone, and that of the next day: 23, 24 or 25 hours."""
    return Slot(_midnight(day, zone), _midnight(day + timedelta(days=1), zone))


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    # Where the clock skips midnight, the zone's arithmetic gives the first instant after the gap.
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def nearest(slots: Iterable[Slot], wanted_at: datetime, count: int = 3) -> list[Slot]:
    """Return the slots closest to a wanted start, in the order of time."""
    return sorted(sorted(slots, key=lambda slot: abs(slot.starts_at - wanted_at))[:count])
