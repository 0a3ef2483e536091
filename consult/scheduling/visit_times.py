"""An appointment's time as a person reads it: day, clock and the zone by the name of its city."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import babel.dates

from consult.domain.words import N_
from consult.scheduling.model import JOIN_BEFORE, Visit
from consult.web.render import clock_time, exact_time, zone, zone_then
from consult.web.words import Words

ONE_LINE = N_("{day}, {clock} {zone}")


@dataclass(frozen=True, slots=True)
class WhenWords:
    """day: Sunday 22 November. clock: 15:30. zone: Lisbon time. short: all in one.

    opens: when one may come: 15:00, with its day if that is the one before.
    """

    time_zone: str
    day: str
    clock: str
    zone: str
    opens: str
    short: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class InstantWords:
    """As WhenWords: Sunday 22 November, 15:30, Lisbon time."""

    day: str
    clock: str
    zone: str


def zone_of(visit: Visit) -> str:
    """The patient's own zone as soon as their browser has said it, until then the expert's."""
    return visit.time_zone or visit.expert_time_zone


def say_when(visit: Visit, time_zone: str, words: Words) -> WhenWords:
    locale = words.language
    return WhenWords(
        time_zone=time_zone,
        day=_capital(_day(visit.starts_at, time_zone, "EEEE", locale)),
        clock=clock_time(visit.starts_at, time_zone, locale=locale),
        zone=zone_then(visit.starts_at, time_zone, words=words),
        opens=_opens(visit.starts_at - JOIN_BEFORE, visit.starts_at, time_zone, words),
        short=_capital(in_one_line(visit.starts_at, time_zone, words)),
    )


def _opens(opens_at: datetime, starts_at: datetime, time_zone: str, words: Words) -> str:
    if opens_at.astimezone(zone(time_zone)).date() != starts_at.astimezone(zone(time_zone)).date():
        return _capital(in_one_line(opens_at, time_zone, words))
    return exact_time(opens_at, time_zone, locale=words.language)


def say_instant(instant: datetime, time_zone: str, words: Words) -> InstantWords:
    return InstantWords(
        day=_capital(_day(instant, time_zone, "EEEE", words.language)),
        clock=clock_time(instant, time_zone, locale=words.language),
        zone=zone_then(instant, time_zone, words=words),
    )


def in_one_line(instant: datetime, time_zone: str, words: Words) -> str:
    """Sun 22 November, 15:30 Lisbon time: within a sentence, so in Spanish with a small letter."""
    day = _day(instant, time_zone, "EEE", words.language)
    clock = clock_time(instant, time_zone, locale=words.language)
    return words.say(ONE_LINE, day=day, clock=clock, zone=zone_then(instant, time_zone, words=words))


def _day(instant: datetime, time_zone: str, weekday: str, locale: str) -> str:
    """Sunday 22 November; weekday: EEEE in full, EEE short. Without the year: a link lives for weeks, not years."""
    form = f"{weekday} d 'de' MMMM" if locale == "es" else f"{weekday} d MMMM"
    day: str = babel.dates.format_date(instant.astimezone(zone(time_zone)), form, locale=locale)
    return day


def whole_minutes(length: timedelta) -> int:
    return round(length.total_seconds() / 60)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
