"""What our calendar entries become in two real programs: the right instant in every zone, moved, cancelled."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from consult.notices.calendar import Entry, Method, write_calendar
from tests.calendar_programs import Khal, needs_khal, needs_thunderbirds_parser, read_as_thunderbird

BOOKED_AT = datetime(2026, 3, 1, 9, tzinfo=UTC)
STEP = timedelta(minutes=30)


def entry(starts_at: datetime, zone: str = "Europe/Lisbon", *, sequence: int = 0, cancelled: bool = False) -> Entry:
    return Entry(
        uid="one@clinic.example",
        sequence=sequence,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(minutes=45),
        time_zone=zone,
        changed_at=BOOKED_AT + timedelta(days=sequence),
        is_cancelled=cancelled,
        title="Video appointment 1042",
        text="Your link is in our latest mail; ask, for example, for a new one.\nLine two: ü, ñ.",
        place="https://clinic.example/join",
        organizer="consult@clinic.example",
        organizer_name='The "Clinic", Berlin; Mitte',
        attendee="ana@example.org",
    )


def changes_of(zone: ZoneInfo, year: int) -> list[datetime]:
    """The full hours of a year before which a zone's clock changes."""
    days = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=number) for number in range(366)]
    changing = [day for day in days if _changes(day, timedelta(days=1), zone)]
    hours = [day + timedelta(hours=number) for day in changing for number in range(24)]
    return [hour for hour in hours if _changes(hour, timedelta(hours=1), zone)]


def _changes(at: datetime, length: timedelta, zone: ZoneInfo) -> bool:
    return at.astimezone(zone).utcoffset() != (at + length).astimezone(zone).utcoffset()


@needs_thunderbirds_parser
def test_thunderbird_reads_what_we_wrote() -> None:
    starts_at = datetime(2026, 3, 31, 14, 30, tzinfo=UTC)
    (read,) = read_as_thunderbird([write_calendar([entry(starts_at)], method=Method.REQUEST, language="en")])
    assert read["method"] == "REQUEST"
    (found,) = read["entries"]
    assert found["uid"] == "one@clinic.example"
    assert (found["starts_s"], found["ends_s"]) == (starts_at.timestamp(), starts_at.timestamp() + 45 * 60)
    assert found["local"] == "2026-03-31T15:30:00"
    assert (found["zone"], found["zone_is_described"]) == ("Europe/Lisbon", True)
    assert found["text"].endswith("for example, for a new one.\nLine two: ü, ñ.")
    assert (found["status"], found["attendee"]) == ("CONFIRMED", "mailto:ana@example.org")


@needs_thunderbirds_parser
def test_every_zone_means_the_same_instant_around_every_change_of_its_clock() -> None:
    wanted: list[tuple[str, datetime]] = []
    for name in sorted(available_timezones()):
        if name == "localtime":
            continue
        zone, instants = ZoneInfo(name), [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, 12, tzinfo=UTC)]
        for change in changes_of(zone, 2026):
            instants += [change + STEP * number for number in range(-3, 7)]
        wanted += [(name, instant) for instant in instants]
    assert len(wanted) > 3000
    calendars = [write_calendar([entry(at, zone)], method=Method.REQUEST, language="en") for zone, at in wanted]
    wrong = [
        (zone, at.isoformat(), found["entries"][0]["starts_s"] - at.timestamp())
        for (zone, at), found in zip(wanted, read_as_thunderbird(calendars), strict=True)
        if found["entries"][0]["starts_s"] != at.timestamp()
        or found["entries"][0]["ends_s"] - found["entries"][0]["starts_s"] != 45 * 60
    ]
    assert wrong == []


@needs_thunderbirds_parser
def test_a_calendar_of_two_years_and_zones_describes_each_zone_once() -> None:
    starts = [datetime(2026, 10, 24, 22, tzinfo=UTC) + timedelta(days=number * 90) for number in range(6)]
    entries = [
        replace(entry(at, zone), attendee="") for at in starts for zone in ("Europe/Berlin", "America/Toronto", "UTC")
    ]
    data = write_calendar(entries, method=Method.PUBLISH, language="es", name="Consultas")
    assert data.count(b"BEGIN:VTIMEZONE") == 2
    assert data.count(b"ORGANIZER") == len(entries), "it is whose (RFC 5546 §3.2.1)"
    assert b"ATTENDEE" not in data, "and asks nobody to come"
    (read,) = read_as_thunderbird([data])
    assert [found["starts_s"] for found in read["entries"]] == [one.starts_at.timestamp() for one in entries]


@needs_khal
def test_khal_shows_the_time_in_its_own_zone_over_both_changes_of_the_clock(tmp_path: Path) -> None:
    khal = Khal(tmp_path, "America/New_York")
    for uid, starts_at, there in (
        ("before", datetime(2026, 3, 28, 10, tzinfo=UTC), "2026-03-28 06:00"),  # Lisbon in winter, New York in summer
        ("after", datetime(2026, 3, 30, 10, tzinfo=UTC), "2026-03-30 06:00"),
        ("autumn", datetime(2026, 10, 26, 10, tzinfo=UTC), "2026-10-26 06:00"),
        ("winter", datetime(2026, 11, 2, 10, tzinfo=UTC), "2026-11-02 05:00"),
    ):
        khal.open(write_calendar([replace(entry(starts_at), uid=uid)], method=Method.REQUEST, language="en"))
        (found,) = khal.entries(f"{starts_at:%Y-%m-%d}", 1)
        assert found[:2] == [uid, there]


@needs_khal
def test_khal_moves_the_entry_that_it_has_and_shows_it_as_cancelled(tmp_path: Path) -> None:
    khal = Khal(tmp_path, "Europe/Lisbon")
    first, later = datetime(2026, 3, 27, 9, tzinfo=UTC), datetime(2026, 3, 30, 9, tzinfo=UTC)
    khal.open(write_calendar([entry(first)], method=Method.REQUEST, language="en"))
    title = "Video appointment 1042"
    assert khal.entries("2026-03-20") == [
        ["one@clinic.example", "2026-03-27 09:00", "2026-03-27 09:45", title, "CONFIRMED"]
    ]
    khal.open(write_calendar([entry(later, sequence=1)], method=Method.REQUEST, language="en"))
    assert khal.entries("2026-03-20") == [
        ["one@clinic.example", "2026-03-30 10:00", "2026-03-30 10:45", title, "CONFIRMED"]
    ]
    khal.open(write_calendar([entry(later, sequence=2, cancelled=True)], method=Method.CANCEL, language="en"))
    (gone,) = khal.entries("2026-03-20")
    assert gone[4] == "CANCELLED"
