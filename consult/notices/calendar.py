"""Appointments as calendar programs read them (RFC 5545, RFC 5546): entries in mails, and whole calendars.

No name, nothing clinical and no link's secret: calendars are shared with families, assistants and employers. Pure.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

import icalendar

from consult.domain.ids import AppointmentId
from consult.domain.zones import is_shown_twice

PRODUCT = "-//Consult//Consult//EN"
REFRESH_EVERY = timedelta(hours=1)
_LOOK_EVERY = timedelta(hours=12)  # no zone changes its clock twice within


class Method(StrEnum):
    """PUBLISH: a calendar to look at, nobody is asked to come."""

    REQUEST = "REQUEST"
    CANCEL = "CANCEL"
    PUBLISH = "PUBLISH"


@dataclass(frozen=True, slots=True)
class Entry:
    """One appointment for one attendee. sequence: the highest wins. changed_at: when what it says was last changed.

    organizer, attendee: e-mail addresses; attendee: "" where nobody is asked to come.
    """

    uid: str
    sequence: int
    starts_at: datetime
    ends_at: datetime
    time_zone: str
    changed_at: datetime
    is_cancelled: bool
    title: str
    text: str
    place: str
    organizer: str
    organizer_name: str
    attendee: str


def entry_uid(appointment_id: AppointmentId, person: str, host: str) -> str:
    """Return what an appointment is called in one person's calendar, the same in every mail and in the calendar."""
    return f"{uuid.uuid5(appointment_id, person)}@{host}"


def write_calendar(entries: Sequence[Entry], *, method: Method, language: str, name: str = "") -> bytes:
    """Return a calendar, the zones of its entries included. name: of a calendar that is subscribed to."""
    calendar = icalendar.Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", method.value)
    if name:
        calendar.add("x-wr-calname", name)
        calendar.add("name", name)
        calendar.add("refresh-interval", icalendar.vDuration(REFRESH_EVERY), parameters={"VALUE": "DURATION"})
        calendar.add("x-published-ttl", icalendar.vDuration(REFRESH_EVERY))
    for key, years in sorted(_zones_of(entries).items()):
        calendar.add_component(_zone(key, min(years), max(years)))
    for entry in entries:
        calendar.add_component(_event(entry, language))
    return bytes(calendar.to_ical())


def _event(entry: Entry, language: str) -> icalendar.Event:
    zone = ZoneInfo(entry.time_zone)
    event = icalendar.Event()
    event.add("uid", entry.uid)
    event.add("sequence", entry.sequence)
    event.add("dtstamp", entry.changed_at.astimezone(UTC).replace(microsecond=0))
    event.add("last-modified", entry.changed_at.astimezone(UTC).replace(microsecond=0))
    event.add("dtstart", _local(entry.starts_at, zone))
    event.add("dtend", _local(entry.ends_at, zone))
    event.add("summary", entry.title, parameters={"LANGUAGE": language})
    event.add("description", entry.text, parameters={"LANGUAGE": language})
    event.add("location", entry.place)
    event.add("status", "CANCELLED" if entry.is_cancelled else "CONFIRMED")
    event.add("transp", "TRANSPARENT" if entry.is_cancelled else "OPAQUE")
    event.add("class", "PRIVATE")
    organizer = icalendar.vCalAddress(f"mailto:{entry.organizer}")
    organizer.params["CN"] = entry.organizer_name
    event.add("organizer", organizer)  # of a calendar that is only looked at, too (RFC 5546 §3.2.1)
    if entry.attendee:
        attendee = icalendar.vCalAddress(f"mailto:{entry.attendee}")
        # Nobody reads answers, so none is asked for: moving and cancelling is done by the link.
        attendee.params.update({"ROLE": "REQ-PARTICIPANT", "PARTSTAT": "ACCEPTED", "RSVP": "FALSE"})
        event.add("attendee", attendee)
    return event


def _local(instant: datetime, zone: ZoneInfo) -> datetime | icalendar.vDatetime:
    """Return the local time with its zone; in UTC where the zone has that local time twice.

    A local time then means its first passing (RFC 5545 §3.3.5), but Thunderbird takes the second.
    """
    local = instant.astimezone(zone).replace(microsecond=0)
    is_local = zone.key != "UTC" and not is_shown_twice(local)
    return local if is_local else instant.astimezone(UTC).replace(microsecond=0)


def _zones_of(entries: Iterable[Entry]) -> dict[str, set[int]]:
    zones: dict[str, set[int]] = {}
    for entry in entries:
        if entry.time_zone != "UTC":
            zone = ZoneInfo(entry.time_zone)
            years = {at.astimezone(zone).year for at in (entry.starts_at, entry.ends_at)}
            zones.setdefault(entry.time_zone, set()).update(years)
    return zones


def _zone(key: str, first_year: int, last_year: int) -> icalendar.Timezone:
    """Return a zone's rules for some years.

    icalendar's own from_tzinfo tells the beginning of summer time in the new offset instead of the old one, an hour
    late (RFC 5545 §3.6.5): so every change of the clock is written out here, with the offset that held before it.
    """
    component = icalendar.Timezone()
    component.add("tzid", key)
    for change in _changes(key, first_year, last_year):
        part = icalendar.TimezoneDaylight() if change.is_summer else icalendar.TimezoneStandard()
        part.add("dtstart", (change.at + change.before).replace(tzinfo=None))
        part.add("tzoffsetfrom", change.before)
        part.add("tzoffsetto", change.after)
        part.add("tzname", change.name)
        component.add_component(part)
    return component


@dataclass(frozen=True, slots=True)
class _Change:
    at: datetime
    before: timedelta
    after: timedelta
    is_summer: bool
    name: str


@lru_cache(maxsize=256)
def _changes(key: str, first_year: int, last_year: int) -> tuple[_Change, ...]:
    """Every change of a zone's clock in these years, and first of all how it stands before them."""
    zone = ZoneInfo(key)
    begin, end = datetime(first_year, 1, 1, tzinfo=UTC) - _LOOK_EVERY * 2, datetime(last_year + 1, 1, 2, tzinfo=UTC)
    return (_change(begin, zone, _offset(begin, zone)), *_later_changes(begin, end, zone))


def _later_changes(begin: datetime, end: datetime, zone: ZoneInfo) -> Iterator[_Change]:
    at = begin
    while at < end:
        before, later = _offset(at, zone), at + _LOOK_EVERY
        if _offset(later, zone) != before:
            yield _change(_first_instant(at, later, zone), zone, before)
        at = later


def _first_instant(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Return the second at which the clock changes between two instants."""
    low, high, old = 0, int((after - before).total_seconds()), _offset(before, zone)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(before + timedelta(seconds=middle), zone) == old else (low, middle)
    return before + timedelta(seconds=high)


def _change(at: datetime, zone: ZoneInfo, before: timedelta) -> _Change:
    local = at.astimezone(zone)
    # A positive difference is summer time; Ireland's winter, which the database calls the difference, is not.
    return _Change(
        at, before, _offset(at, zone), (local.dst() or timedelta()) > timedelta(), local.tzname() or zone.key
    )


def _offset(at: datetime, zone: ZoneInfo) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()
