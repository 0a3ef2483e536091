"""What a case is: the patient, what was said before, what they ask, and where it stands.

Owns the values and the rules that need no database: age, the line of steps, who acts next. Leaves records, appointments
and calls to their own packages; `CaseFacts` is the little that a case must know of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from consult.domain.ids import AppointmentId, CaseId, PatientId, QuestionId, StaffId

MAX_NAME_CHARS = 120
MAX_DIAGNOSIS_CHARS = 400
MAX_TEXT_CHARS = 8000
MAX_QUESTION_CHARS = 2000
MAX_QUESTIONS = 40
OLDEST_BIRTH = date(1900, 1, 1)


class AskedBy(StrEnum):
    PATIENT = "patient"
    STAFF = "staff"


class StepName(StrEnum):
    REFERRAL = "referral"
    RECORDS = "records"
    BOOKED = "booked"
    CALL = "call"
    FILED = "filed"
    OPINION = "opinion"


@dataclass(frozen=True, slots=True)
class Patient:
    """time_zone: IANA name learnt from the patient's browser, None until then."""

    id: PatientId
    name: str
    email: str
    born_on: date | None
    language: str
    time_zone: str | None

    def age_on(self, day: date) -> int | None:
        """Full years on a day; None if the date of birth is not known or lies ahead."""
        if self.born_on is None or self.born_on > day:
            return None
        had_birthday = (day.month, day.day) >= (self.born_on.month, self.born_on.day)
        return day.year - self.born_on.year - (0 if had_birthday else 1)


@dataclass(frozen=True, slots=True)
class NewPatient:
    name: str
    email: str
    born_on: date | None
    language: str
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    id: CaseId
    patient: Patient
    diagnosis: str
    plan: str
    history: str
    referring_physician: str
    opened_by: StaffId
    opened_by_name: str
    opened_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Question:
    id: QuestionId
    case_id: CaseId
    position: int
    text: str
    asked_by: AskedBy
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What happened to a case so far. Instants are None until they happen.

    next_*: the earliest appointment that is not cancelled and has not ended; of its experts the lead first.
    last_call_*: the latest consultation.
    """

    opened_at: datetime
    question_count: int = 0
    record_count: int = 0
    first_record_at: datetime | None = None
    booked_at: datetime | None = None
    next_appointment_id: AppointmentId | None = None
    next_starts_at: datetime | None = None
    next_ends_at: datetime | None = None
    next_expert_id: StaffId | None = None
    next_expert_names: tuple[str, ...] = ()
    call_started_at: datetime | None = None
    call_ended_at: datetime | None = None
    filed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CaseLine:
    """One case as it stands in a list."""

    id: CaseId
    patient_name: str
    diagnosis: str
    facts: CaseFacts


class StepState(StrEnum):
    DONE = "done"
    NOW = "now"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Step:
    name: StepName
    state: StepState
    at: datetime | None


def way_of(facts: CaseFacts) -> tuple[Step, ...]:
    """The line of steps, in order. The first that has not happened is the one where the case stands now."""
    happened: list[tuple[StepName, datetime | None]] = [
        (StepName.REFERRAL, facts.opened_at),
        (StepName.RECORDS, facts.first_record_at),
        (StepName.BOOKED, facts.booked_at),
        (StepName.CALL, facts.call_ended_at),
        (StepName.FILED, facts.filed_at),
        (StepName.OPINION, None),
    ]
    steps: list[Step] = []
    here = False
    for name, at in happened:
        if at is not None:
            steps.append(Step(name, StepState.DONE, at))
        elif here:
            steps.append(Step(name, StepState.LATER, None))
        else:
            here = True
            steps.append(Step(name, StepState.NOW, facts.next_starts_at if name is StepName.CALL else None))
    return tuple(steps)


class NextAct(StrEnum):
    """What has to happen next, and with it who acts."""

    CALL_RUNNING = "call_running"  # expert and patient, now
    HOLD_CALL = "hold_call"  # expert and patient, at the booked time
    FILE = "file"  # the server makes the transcript
    WRITE_OPINION = "write_opinion"  # the expert
    BOOK = "book"  # the scheduler


def next_act(facts: CaseFacts) -> NextAct:
    if facts.call_started_at is not None and facts.call_ended_at is None:
        return NextAct.CALL_RUNNING
    if facts.next_appointment_id is not None:
        return NextAct.HOLD_CALL
    if facts.call_ended_at is not None:
        return NextAct.WRITE_OPINION if facts.filed_at is not None else NextAct.FILE
    return NextAct.BOOK
