"""Opening cases, finding them, and the questions that belong to them.

Functions take a connection; who calls owns the transaction. Who may call is decided by the views.
"""

from __future__ import annotations

from datetime import datetime

import asyncpg

from consult.cases import queries
from consult.cases.model import (
    MAX_DIAGNOSIS_CHARS,
    MAX_NAME_CHARS,
    MAX_QUESTION_CHARS,
    MAX_QUESTIONS,
    MAX_TEXT_CHARS,
    OLDEST_BIRTH,
    AskedBy,
    Case,
    CaseFacts,
    CaseLine,
    NewPatient,
    Question,
)
from consult.domain.addresses import looks_like_email as looks_like_email
from consult.domain.clock import is_time_zone, latest_day
from consult.domain.errors import InvalidInput, NotFound
from consult.domain.ids import CaseId, PatientId, QuestionId, StaffId
from consult.domain.phones import clean_phone
from consult.domain.words import N_

MAX_LISTED = 200
NAME_MISSING = N_("Write the patient's name.")
DIAGNOSIS_MISSING = N_("Write what the diagnosis is, in a few words.")
TOO_LONG = N_("This is too long. Please write it shorter.")
EMAIL_WRONG = N_(
    "This does not look like an e-mail address. It needs a name, an @ and a place with a dot: ana@example.org."
)
PHONE_WRONG = N_("Please write the number with its country, for example +351 912 345 678.")


async def open_case(
    conn: asyncpg.Connection,
    patient: NewPatient,
    *,
    diagnosis: str,
    plan: str = "",
    history: str = "",
    referring_physician: str = "",
    first_question: str = "",
    opened_by: StaffId,
    now: datetime,
) -> CaseId:
    """Return the number of a new case with its patient and, if one was given, the first question.

    Raises InvalidInput with a sentence per field that cannot be used.
    """
    patient = _trimmed(patient)
    diagnosis, first_question = diagnosis.strip(), first_question.strip()
    wrong = find_wrong_fields(patient, diagnosis, now)
    for field, text, limit in (
        ("diagnosis", diagnosis, MAX_DIAGNOSIS_CHARS),
        ("plan", plan, MAX_TEXT_CHARS),
        ("history", history, MAX_TEXT_CHARS),
        ("referring_physician", referring_physician, MAX_NAME_CHARS),
        ("question", first_question, MAX_QUESTION_CHARS),
    ):
        if len(text) > limit:
            wrong[field] = TOO_LONG
    if wrong:
        raise InvalidInput(wrong)
    async with conn.transaction():
        patient_id = await queries.insert_patient(conn, patient, now)
        case_id = await queries.insert_case(
            conn,
            patient_id,
            diagnosis=diagnosis,
            plan=plan.strip(),
            history=history.strip(),
            referring_physician=referring_physician.strip(),
            opened_by=opened_by,
            now=now,
        )
        if first_question:
            await queries.insert_question(conn, case_id, first_question, AskedBy.STAFF, now)
    return case_id


async def fetch_case(conn: asyncpg.Connection, case_id: CaseId) -> Case:
    """Raises NotFound."""
    case = await queries.fetch_case(conn, case_id)
    if case is None:
        raise NotFound
    return case


async def fetch_facts(conn: asyncpg.Connection, case_id: CaseId, now: datetime) -> CaseFacts:
    """What happened to the case so far, for its line of steps. Raises NotFound."""
    facts = await queries.fetch_facts(conn, case_id, now)
    if facts is None:
        raise NotFound
    return facts


async def list_cases(
    conn: asyncpg.Connection,
    *,
    now: datetime,
    search: str = "",
    expert_id: StaffId | None = None,
    limit: int = MAX_LISTED,
) -> list[CaseLine]:
    """Return cases, newest first.

    search: part of a name or diagnosis, or a case number. expert_id: only cases that were booked with them.
    """
    words = search.strip()
    pattern = "%" + words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%" if words else None
    return await queries.list_cases(conn, pattern=pattern, expert_id=expert_id, limit=limit, now=now)


async def list_questions(conn: asyncpg.Connection, case_id: CaseId) -> list[Question]:
    return await queries.list_questions(conn, case_id)


async def ask_question(
    conn: asyncpg.Connection, case_id: CaseId, text: str, asked_by: AskedBy, now: datetime
) -> Question:
    """Put a question at the end of the case's list. Raises InvalidInput (field `question`), NotFound."""
    text = _question_text(text)
    async with conn.transaction():
        if not await queries.lock_case(conn, case_id):
            raise NotFound
        asked = await queries.list_questions(conn, case_id)
        for question in asked:
            if question.text == text:  # a double press sends the form twice
                return question
        if len(asked) >= MAX_QUESTIONS:
            raise InvalidInput({"question": N_("There are 40 questions already. Change one of them instead.")})
        return await queries.insert_question(conn, case_id, text, asked_by, now)


async def update_question(
    conn: asyncpg.Connection, case_id: CaseId, question_id: QuestionId, text: str, asked_by: AskedBy
) -> None:
    """Change one's own question before the call. Raises InvalidInput, NotFound."""
    text = _question_text(text)
    await _before_the_call(conn, case_id)
    if not await queries.update_question(conn, case_id, question_id, asked_by, text):
        raise NotFound


async def remove_question(
    conn: asyncpg.Connection, case_id: CaseId, question_id: QuestionId, asked_by: AskedBy
) -> None:
    """Take one's own question back before the call. Raises InvalidInput, NotFound."""
    await _before_the_call(conn, case_id)
    if not await queries.delete_question(conn, case_id, question_id, asked_by):
        raise NotFound


async def learn_time_zone(conn: asyncpg.Connection, patient_id: PatientId, time_zone: str) -> bool:
    """Remember the zone that the patient's browser named. False if there is no such zone."""
    if not is_time_zone(time_zone):
        return False
    await queries.update_time_zone(conn, patient_id, time_zone)
    return True


async def correct_email(conn: asyncpg.Connection, patient_id: PatientId, email: str) -> str:
    """Give a patient another address, and return it as it is kept. Raises InvalidInput (field `email`), NotFound."""
    email = email.strip()
    if not looks_like_email(email):
        raise InvalidInput({"email": EMAIL_WRONG})
    if not await queries.update_email(conn, patient_id, email):
        raise NotFound
    return email


async def choose_language(conn: asyncpg.Connection, patient_id: PatientId, language: str) -> None:
    await queries.update_language(conn, patient_id, language)


def _question_text(text: str) -> str:
    text = text.strip()
    if not text:
        raise InvalidInput({"question": N_("Write your question first.")})
    if len(text) > MAX_QUESTION_CHARS:
        raise InvalidInput({"question": TOO_LONG})
    return text


async def _before_the_call(conn: asyncpg.Connection, case_id: CaseId) -> None:
    if await queries.fetch_call_started(conn, case_id):
        raise InvalidInput(
            {"question": N_("The call has begun, so the questions stay as they are. You can add another.")}
        )


def _trimmed(patient: NewPatient) -> NewPatient:
    phone = clean_phone(patient.phone)
    return NewPatient(
        patient.name.strip(),
        patient.email.strip(),
        patient.born_on,
        patient.language,
        patient.phone if phone is None else phone,
    )


def find_wrong_fields(patient: NewPatient, diagnosis: str, now: datetime) -> dict[str, str]:
    """Return a sentence for each field of a new case that cannot be used, but for texts that are too long.

    A form asks before it opens the case, so that everything is said at once.
    """
    patient = _trimmed(patient)
    wrong: dict[str, str] = {}
    if not patient.name:
        wrong["name"] = NAME_MISSING
    elif len(patient.name) > MAX_NAME_CHARS:
        wrong["name"] = TOO_LONG
    if patient.email and not looks_like_email(patient.email):
        wrong["email"] = EMAIL_WRONG
    if clean_phone(patient.phone) is None:
        wrong["phone"] = PHONE_WRONG
    if patient.born_on is not None and patient.born_on > latest_day(now):
        wrong["born_on"] = N_("This day has not come yet. Check the year.")
    elif patient.born_on is not None and patient.born_on < OLDEST_BIRTH:
        wrong["born_on"] = N_("This is before 1900. Check the year.")
    if not diagnosis.strip():
        wrong["diagnosis"] = DIAGNOSIS_MISSING
    return wrong
