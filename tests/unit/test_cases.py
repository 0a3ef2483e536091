"""Cases without a database: age, the line of steps, who acts next."""

from __future__ import annotations

import email
import email.policy
import uuid
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consult.cases.model import CaseFacts, NextAct, Patient, StepName, StepState, next_act, way_of
from consult.domain.addresses import looks_like_email
from consult.domain.ids import AppointmentId, PatientId

OPENED = datetime(2026, 3, 1, 9, tzinfo=UTC)


def patient(born_on: date | None) -> Patient:
    return Patient(PatientId(uuid.uuid4()), "Ana Ribeiro", "", born_on, "en", None)


def test_an_age_counts_full_years() -> None:
    assert patient(date(1965, 3, 12)).age_on(date(2026, 3, 11)) == 60
    assert patient(date(1965, 3, 12)).age_on(date(2026, 3, 12)) == 61
    assert patient(date(2000, 2, 29)).age_on(date(2026, 2, 28)) == 25
    assert patient(None).age_on(date(2026, 3, 12)) is None
    assert patient(date(2027, 1, 1)).age_on(date(2026, 3, 12)) is None


def states(facts: CaseFacts) -> list[str]:
    return [step.state.value for step in way_of(facts)]


def test_a_new_case_stands_at_its_records() -> None:
    assert states(CaseFacts(OPENED)) == ["done", "now", "later", "later", "later", "later"]
    assert next_act(CaseFacts(OPENED)) is NextAct.BOOK


def test_a_case_can_be_booked_before_its_records_came() -> None:
    facts = CaseFacts(
        OPENED,
        booked_at=OPENED,
        next_appointment_id=AppointmentId(uuid.uuid4()),
        next_starts_at=OPENED + timedelta(days=2),
    )
    assert states(facts) == ["done", "now", "done", "later", "later", "later"]
    assert next_act(facts) is NextAct.HOLD_CALL


def test_a_booked_case_waits_for_its_call_and_says_when() -> None:
    starts_at = OPENED + timedelta(days=2)
    facts = CaseFacts(
        OPENED,
        first_record_at=OPENED,
        booked_at=OPENED,
        next_appointment_id=AppointmentId(uuid.uuid4()),
        next_starts_at=starts_at,
    )
    call = way_of(facts)[3]
    assert (call.name, call.state, call.at) == (StepName.CALL, StepState.NOW, starts_at)


def test_after_the_call_the_server_files_and_then_the_expert_writes() -> None:
    ended = CaseFacts(OPENED, first_record_at=OPENED, booked_at=OPENED, call_started_at=OPENED, call_ended_at=OPENED)
    assert next_act(ended) is NextAct.FILE
    assert states(ended) == ["done", "done", "done", "done", "now", "later"]
    filed = CaseFacts(
        OPENED,
        first_record_at=OPENED,
        booked_at=OPENED,
        call_started_at=OPENED,
        call_ended_at=OPENED,
        filed_at=OPENED,
    )
    assert next_act(filed) is NextAct.WRITE_OPINION
    assert states(filed) == ["done", "done", "done", "done", "done", "now"]


def test_a_running_call_is_what_happens_now() -> None:
    facts = CaseFacts(OPENED, booked_at=OPENED, call_started_at=OPENED)
    assert next_act(facts) is NextAct.CALL_RUNNING


@pytest.mark.parametrize(
    "text",
    ["ana@example.org", "a.b+c_d'e=f@mail.example.org", "josé@example.org", "ana@exämple.org", "ana@उदाहरण.भारत"],
)
def test_an_address_is_taken(text: str) -> None:
    assert looks_like_email(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "ana", "@example.org", "ana@", "ana@.org", "ana@example.", "ana@example..org", "ana@b@example.org",
        "Ana<ana@example.org>", "friends:ana@example.org;", "ana(mine)@example.org", "ana,rui@example.org",
        '"ana"@example.org', "ana\\@example.org", "=?utf-8?q?ana=0D=0ABcc?=@example.org", "ana@example.org\nBcc:a",
        "ana\u202e@example.org", "a" * 250 + "@example.org", "a" * 65 + "@example.org",
        "rui@x", "ana@localhost", "ana@example.c", "ana@192.0.2.1", "ana@-example.org", "ana@example-.org",
        "ana@exam_ple.org", "ana@example/.org", "ana@" + "a" * 64 + ".org",
    ],
)  # fmt: skip
def test_what_is_no_plain_address_is_refused(text: str) -> None:
    assert not looks_like_email(text)


PIECES = st.sampled_from([*"ab.;:<>()[]\"'\\@=?_-+%é,\r\n\u202e", "=?utf-8?q?", "?=", "=0D=0A", "@x.yz", "\nBcc: "])


@given(st.lists(PIECES, max_size=5).map("".join) | st.text(max_size=20), st.lists(PIECES, max_size=3).map("".join))
def test_a_mail_to_whatever_is_taken_goes_there_alone_and_has_no_header_more(name: str, end: str) -> None:
    text = f"{name}a@x.yz{end}"
    if not looks_like_email(text):
        return
    mail = EmailMessage()
    mail["Subject"], mail["To"] = "A", text
    mail.set_content("B")
    assert [one.addr_spec for one in mail["To"].addresses] == [text]
    sent = email.message_from_bytes(mail.as_bytes(policy=email.policy.SMTPUTF8), policy=email.policy.default)
    assert sent.keys() == mail.keys()
