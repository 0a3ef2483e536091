"""When reminders are due, when messages are not needed, what entries are called, what phone numbers are."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from consult.domain.ids import AppointmentId, CaseId, PatientId
from consult.domain.phones import clean_phone
from consult.notices.calendar import entry_uid
from consult.notices.model import (
    Audience,
    Channel,
    Mail,
    MailId,
    MailKind,
    Occasion,
    PersonToTell,
    Upcoming,
)
from consult.notices.reminders import (
    MOVED,
    OVER,
    RECORDS_THERE,
    TOLD,
    TOO_LATE,
    UNTOLD,
    WITHDRAWN,
    due,
    why_not,
)
from consult.notices.webhooks import is_public

START = datetime(2026, 3, 31, 13, 30, tzinfo=UTC)
LONG_AGO = START - timedelta(days=60)
HOUR = timedelta(hours=1)
PATIENT = PersonToTell(Audience.PATIENT, str(uuid.UUID(int=7)), "ana@example.org", "en", "Europe/Lisbon")
EXPERT = PersonToTell(Audience.EXPERT, "3", "brandt@clinic.example", "en", "Europe/Berlin")


def upcoming(known_since: datetime = LONG_AGO, *, wants: bool = False, told: Any = ()) -> Upcoming:
    return Upcoming(AppointmentId(uuid.UUID(int=1)), START, known_since, wants, frozenset(told))


def kinds(one: Upcoming, before_start: timedelta) -> list[MailKind]:
    return [kind for kind, _about in due(one, START - before_start)]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (timedelta(hours=24, seconds=1), []),
        (timedelta(hours=24), [MailKind.REMINDER_DAY]),
        (timedelta(hours=4), [MailKind.REMINDER_DAY]),  # after twenty hours without a worker
        (timedelta(hours=2), []),
        (timedelta(minutes=60), [MailKind.REMINDER_HOUR]),
        (timedelta(minutes=11), [MailKind.REMINDER_HOUR]),
        (timedelta(minutes=10), []),
        (timedelta(0), []),
        (-HOUR, []),
    ],
)
def test_reminders_are_due_a_day_and_an_hour_before_and_not_when_it_is_too_late(
    before: timedelta, expected: list[MailKind]
) -> None:
    assert kinds(upcoming(), before) == expected


def test_who_booked_or_moved_just_now_is_not_reminded_at_once() -> None:
    assert kinds(upcoming(START - 25 * HOUR), 23 * HOUR) == []
    assert kinds(upcoming(START - 26 * HOUR), 23 * HOUR) == [MailKind.REMINDER_DAY]
    assert kinds(upcoming(START - timedelta(minutes=80)), timedelta(minutes=50)) == []
    assert kinds(upcoming(START - timedelta(minutes=90)), timedelta(minutes=50)) == [MailKind.REMINDER_HOUR]


def test_what_was_queued_is_not_due_again_but_a_new_time_is_reminded_of_anew() -> None:
    assert kinds(upcoming(told=[(MailKind.REMINDER_DAY, START)]), 23 * HOUR) == []
    assert kinds(upcoming(told=[(MailKind.REMINDER_DAY, START - 48 * HOUR)]), 23 * HOUR) == [MailKind.REMINDER_DAY]


def test_missing_records_are_asked_for_twice_and_never_on_the_last_day() -> None:
    asked: list[datetime] = []
    told: set[tuple[MailKind, datetime]] = set()
    now = START - timedelta(days=20)
    while now < START:
        for kind, about_at in due(upcoming(wants=True, told=told), now):
            told.add((kind, about_at))
            if kind is MailKind.RECORDS_MISSING:
                asked.append(now)
        now += timedelta(minutes=30)
    assert asked == [START - timedelta(days=7), START - timedelta(days=3)]


def test_late_asking_leaves_days_to_the_next_and_the_invitation_counts_as_asking() -> None:
    assert kinds(upcoming(wants=True), timedelta(days=5, hours=1)) == [MailKind.RECORDS_MISSING]
    assert kinds(upcoming(wants=True), timedelta(days=4, hours=23)) == []
    assert kinds(upcoming(START - timedelta(days=3, hours=20), wants=True), timedelta(days=3)) == []
    assert kinds(upcoming(START - timedelta(days=4), wants=True), timedelta(days=3)) == [MailKind.RECORDS_MISSING]


def test_a_day_is_24_hours_on_the_night_that_the_clock_changes() -> None:
    lisbon = ZoneInfo("Europe/Lisbon")
    starts_at = datetime(2026, 3, 29, 9, 0, tzinfo=lisbon).astimezone(UTC)  # the clock changed at 01:00 that day
    one = Upcoming(AppointmentId(uuid.UUID(int=1)), starts_at, LONG_AGO, False, frozenset())
    assert due(one, starts_at - timedelta(hours=24, minutes=1)) == []
    assert due(one, starts_at - timedelta(hours=24)) == [(MailKind.REMINDER_DAY, starts_at)]
    assert (starts_at - timedelta(hours=24)).astimezone(lisbon).hour == 8


def mail(kind: MailKind, *, audience: Audience = Audience.PATIENT, person: str = "", again: bool = False) -> Mail:
    return Mail(
        id=MailId(uuid.UUID(int=9)),
        appointment_id=AppointmentId(uuid.UUID(int=1)),
        offer_id=None,
        kind=kind,
        channel=Channel.MAIL,
        audience=audience,
        person=person,
        recipient="ana@example.org",
        about_at=START if kind.is_reminder else None,
        sequence=None,
        again_of=MailId(uuid.UUID(int=8)) if again else None,
        tries=0,
        queued_at=LONG_AGO,
        sent_at=None,
        failed_at=None,
        failure=None,
        bounced_at=None,
        bounce_status="",
        dropped_at=None,
    )


def occasion(*, starts_at: datetime = START, cancelled: bool = False, sequence: int = 0, records: int = 0) -> Occasion:
    return Occasion(
        appointment_id=AppointmentId(uuid.UUID(int=1)),
        number=1042,
        case_id=CaseId(5),
        patient_id=PatientId(uuid.UUID(int=7)),
        sequence=sequence,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(minutes=45),
        booked_at=LONG_AGO,
        changed_at=LONG_AGO,
        cancelled_at=LONG_AGO if cancelled else None,
        record_count=records,
        patient=PATIENT,
        patient_phone="",
        experts=(EXPERT,),
    )


def test_a_message_whose_turn_comes_late_is_dropped_if_it_would_say_something_wrong() -> None:
    soon = START - timedelta(minutes=40)
    hour = mail(MailKind.REMINDER_HOUR)
    assert why_not(hour, occasion(), None, soon) is None
    assert why_not(hour, occasion(cancelled=True), None, soon) == OVER
    assert why_not(hour, occasion(starts_at=START + HOUR), None, soon) == MOVED
    assert why_not(hour, occasion(), None, START - timedelta(minutes=5)) == TOO_LATE
    records = mail(MailKind.RECORDS_MISSING)
    assert why_not(records, occasion(records=1), None, START - timedelta(days=3)) == RECORDS_THERE
    assert why_not(mail(MailKind.INVITATION), occasion(), None, START + 2 * HOUR) == TOO_LATE
    assert why_not(mail(MailKind.CANCELLATION), occasion(cancelled=True), None, soon) is None


def test_a_move_is_told_once_however_many_came_before_it_went_out() -> None:
    change, now = mail(MailKind.CHANGE), START - timedelta(days=2)
    assert why_not(change, occasion(sequence=2), None, now) is None
    assert why_not(change, occasion(sequence=2), 1, now) is None
    assert why_not(change, occasion(sequence=2), 2, now) == TOLD
    assert why_not(mail(MailKind.CHANGE, again=True), occasion(sequence=2), 2, now) is None


def test_an_expert_who_has_it_no_more_gets_its_cancellation_alone() -> None:
    now = START - timedelta(days=2)
    assert why_not(mail(MailKind.CHANGE, audience=Audience.EXPERT, person="4"), occasion(), None, now) == MOVED
    assert why_not(mail(MailKind.CHANGE, audience=Audience.EXPERT, person="3"), occasion(sequence=1), 0, now) is None
    assert why_not(mail(MailKind.CANCELLATION, audience=Audience.EXPERT, person="4"), occasion(), None, now) is None


def test_an_entry_is_called_the_same_for_one_person_and_differently_for_another() -> None:
    appointment = AppointmentId(uuid.UUID(int=1))
    uid = entry_uid(appointment, PATIENT.person, "clinic.example")
    assert uid == entry_uid(appointment, PATIENT.person, "clinic.example")
    assert len({uid, entry_uid(appointment, EXPERT.person, "clinic.example")}) == 2
    assert PATIENT.person not in uid


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("", ""),
        ("  ", ""),
        ("+351 912 345 678", "+351912345678"),
        ("0049 (30) 901820-7", "+49309018207"),
        ("+1.415.555.2671", "+14155552671"),
        ("912345678", None),
        ("+12", None),
        ("+1234567890123456", None),
        ("+49 30 x", None),
        ("+٣٥١٩١٢٣٤٥", None),
        ("tel:+49301234567", None),
    ],
)
def test_phone_numbers_are_kept_with_their_country(typed: str, kept: str | None) -> None:
    assert clean_phone(typed) == kept


def test_a_guest_is_told_of_the_end_if_they_were_told_of_the_beginning() -> None:
    soon = START - timedelta(hours=1)

    def why(kind: MailKind, told: int | None, *, cancelled: bool = False, again: bool = False) -> str | None:
        letter = mail(kind, audience=Audience.GUEST, person="somebody", again=again)
        return why_not(letter, occasion(cancelled=cancelled), told, soon)

    assert why(MailKind.CANCELLATION, None, cancelled=True) == UNTOLD
    assert why(MailKind.CANCELLATION, 0, cancelled=True) is None
    assert why(MailKind.CANCELLATION, None, again=True) is None, "staff asked for it"
    assert why(MailKind.CHANGE, 0) == WITHDRAWN


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1", "64:ff9b::808:808"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "127.1",
        "2130706433", "localhost", "", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "fe80::1",
        "fe80::1%lo", "fd00::1", "fec0::1", "ff02::1", "2001:db8::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::1", "2002:a00:1::1", "2002:808:808::1",
    ],
)  # fmt: skip
def test_an_address_of_somebodys_own_network_is_not_public_however_it_is_written(address: str) -> None:
    assert not is_public(address)
