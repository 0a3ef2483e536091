"""Links without a database: secrets, codes, what people type, and the window in which a seat is given."""

from __future__ import annotations

import base64
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from consult.domain.ids import AppointmentId, CaseId, InvitationId, PatientId, StaffId, VisitId
from consult.scheduling.links import (
    CODE_ALPHABET,
    encode_code,
    encode_secret,
    hash_code,
    hash_secret,
    read_code,
    read_number,
    read_secret,
)
from consult.scheduling.model import IssuedLink, Visit, may_join_at

START = datetime(2026, 3, 12, 15, 30, tzinfo=UTC)
END = START + timedelta(minutes=45)


def visit() -> Visit:
    return Visit(
        id=VisitId(uuid.uuid4()),
        invitation_id=InvitationId(uuid.uuid4()),
        appointment_id=AppointmentId(uuid.uuid4()),
        appointment_number=7,
        case_id=CaseId(147),
        patient_id=PatientId(uuid.uuid4()),
        patient_name="Ana Ribeiro",
        person_id=str(uuid.uuid4()),
        role="patient",
        name="Ana Ribeiro",
        language="en",
        time_zone="Europe/Lisbon",
        starts_at=START,
        ends_at=END,
        expert_id=StaffId(3),
        expert_name="Dr Helen Okafor",
        expert_specialty="Thoracic oncology",
        expert_time_zone="America/Toronto",
    )


def test_a_secret_carries_256_bits_and_survives_its_writing() -> None:
    random = bytes(range(32))
    secret = encode_secret(random)
    assert len(secret) == 43
    assert base64.urlsafe_b64decode(secret + "=") == random
    assert read_secret(f" #{secret}\n") == secret
    assert len(hash_secret(secret)) == 32


@pytest.mark.parametrize("text", ["", "short", "x" * 44, "é" * 43, "a" * 42 + "/", "<script>" * 6])
def test_what_cannot_be_a_secret_is_not_looked_up(text: str) -> None:
    assert read_secret(text) is None


def test_a_code_has_eight_letters_that_are_hard_to_misread() -> None:
    code = encode_code(bytes(range(100, 116)))
    assert len(code) == 8
    assert set(code) <= set(CODE_ALPHABET)
    assert not set("01ILOU") & set(CODE_ALPHABET)


def test_a_code_may_be_typed_in_any_of_the_ways_people_type() -> None:
    assert read_code("ABCD-2345") == "ABCD2345"
    assert read_code(" abcd 2345 ") == "ABCD2345"
    assert read_code("ABCD–2345") == "ABCD2345"
    assert read_code("ABCD-234") is None
    assert read_code("ABCD-23O1") is None


def test_a_number_is_digits_alone() -> None:
    assert read_number(" #12 3 ") == 123
    assert read_number("12a") is None
    assert read_number("") is None
    assert read_number("9" * 40) is None
    assert read_number("١٢") is None


def test_equal_codes_of_two_appointments_have_different_hashes() -> None:
    one, other = AppointmentId(uuid.uuid4()), AppointmentId(uuid.uuid4())
    assert hash_code(one, "ABCD2345") != hash_code(other, "ABCD2345")


def test_a_link_stands_in_the_fragment_and_never_in_a_log() -> None:
    link = IssuedLink(InvitationId(uuid.uuid4()), AppointmentId(uuid.uuid4()), 12, "s" * 43, "ABCD2345")
    assert link.url("https://consult.example.org/") == "https://consult.example.org/join#" + "s" * 43
    assert link.code_to_read == "ABCD-2345"
    assert "sss" not in repr(link)
    assert "ABCD" not in repr(link)


@pytest.mark.parametrize(
    ("now", "open_"),
    [
        (START - timedelta(minutes=30, seconds=1), False),
        (START - timedelta(minutes=30), True),
        (START, True),
        (END + timedelta(hours=2, seconds=-1), True),
        (END + timedelta(hours=2), False),
    ],
)
def test_a_seat_is_given_from_half_an_hour_before_to_two_hours_after(now: datetime, open_: bool) -> None:
    assert may_join_at(visit(), now) is open_
