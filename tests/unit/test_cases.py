"""Cases without a database: age, the line of steps, who acts next."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta

from consult.cases.model import CaseFacts, NextAct, Patient, StepName, StepState, next_act, way_of
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
