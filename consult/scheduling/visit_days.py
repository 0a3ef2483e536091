"""Free times as a patient reads them: by day and month of their own zone."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import babel.dates

from consult.domain.slots import Slot
from consult.web.render import exact_time, zone
from consult.web.words import Words


@dataclass(frozen=True, slots=True)
class FreeDay:
    """A day of the patient's with free times. label: Thursday 26 November."""

    day: date
    label: str
    slots: Sequence[Slot]

    @property
    def month(self) -> str:
        """2026-11"""
        return f"{self.day:%Y-%m}"


@dataclass(frozen=True, slots=True)
class FreeMonth:
    """The month that is shown. earlier, later: the nearest ones with free times, None if there are none."""

    label: str
    days: Sequence[FreeDay]
    earlier: str | None
    later: str | None


@dataclass(frozen=True, slots=True)
class TimeChoice:
    """value: the instant. label: 15:30; where the clock shows it twice that day, with the zone's name then."""

    value: str
    label: str


def by_day(slots: Iterable[Slot], time_zone: str, words: Words) -> list[FreeDay]:
    """Return the days of that zone on which free times begin, in order."""
    days = itertools.groupby(sorted(slots), key=lambda slot: local_day(slot.starts_at, time_zone))
    return [FreeDay(day, _day_name(day, words), list(group)) for day, group in days]


def month_of(days: Sequence[FreeDay], wanted: str, words: Words) -> FreeMonth | None:
    """Return the wanted month, 2026-11, or the first one if nothing is free in it; None if nothing is free at all."""
    months = list(dict.fromkeys(one.month for one in days))
    if not months:
        return None
    place = months.index(wanted) if wanted in months else 0
    return FreeMonth(
        label=_month_name(months[place], words),
        days=[one for one in days if one.month == months[place]],
        earlier=months[place - 1] if place > 0 else None,
        later=months[place + 1] if place + 1 < len(months) else None,
    )


def time_choices(slots: Sequence[Slot], time_zone: str, words: Words) -> list[TimeChoice]:
    return [
        TimeChoice(slot.starts_at.isoformat(), exact_time(slot.starts_at, time_zone, locale=words.language))
        for slot in slots
    ]


def local_day(instant: datetime, time_zone: str) -> date:
    return instant.astimezone(zone(time_zone)).date()


def _day_name(day: date, words: Words) -> str:
    form = "EEEE d 'de' MMMM" if words.language == "es" else "EEEE d MMMM"
    name: str = babel.dates.format_date(day, form, locale=words.language)
    return name[:1].upper() + name[1:]


def _month_name(month: str, words: Words) -> str:
    name: str = babel.dates.format_date(date.fromisoformat(f"{month}-01"), "LLLL y", locale=words.language)
    return name[:1].upper() + name[1:]
