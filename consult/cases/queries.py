"""SQL of cases, patients and questions. Each function takes a connection and returns model objects."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import asyncpg

from consult.cases.model import AskedBy, Case, CaseFacts, CaseLine, NewPatient, Patient, Question
from consult.domain.ids import AppointmentId, CaseId, PatientId, QuestionId, StaffId

INSERT_PATIENT = """
insert into patients (id, name, email, born_on, language, phone, created_at)
values ($1, $2, $3, $4, $5, $6, $7)
"""

INSERT_CASE = """
insert into cases (patient_id, diagnosis, plan, history, referring_physician, opened_by, opened_at)
values ($1, $2, $3, $4, $5, $6, $7)
returning id
"""

FETCH_CASE = """
select c.id, c.diagnosis, c.plan, c.history, c.referring_physician, c.opened_by, s.name as opened_by_name, c.opened_at,
       c.closed_at, p.id as patient_id, p.name, p.email, p.born_on, p.language, p.time_zone
from cases c
join patients p on p.id = c.patient_id
join staff s on s.id = c.opened_by
where c.id = $1
"""

# What happened to a case, from the tables where it happened. $2 is now. A call that nobody ended is over when its door
# closes for good, two hours after the appointment's time. One of which nothing was recorded is filed when it is over.
FACTS = """
select c.id, c.opened_at, p.name as patient_name, c.diagnosis,
       (select count(*) from questions q where q.case_id = c.id) as question_count,
       r.record_count, r.first_record_at, booked.booked_at,
       coming.id as next_appointment_id, lower(coming.during) as next_starts_at, upper(coming.during) as next_ends_at,
       coming.expert_id as next_expert_id, coming.expert_names as next_expert_names,
       talk.started_at as call_started_at, talk.ended_at as call_ended_at,
       coalesce(
         (select min(g.filed_at) from segments g where g.consultation_id = talk.id),
         case when not exists (select from room_events v
                                where v.appointment_id = talk.appointment_id and v.kind = 'RecordingFinished')
              then talk.ended_at end) as filed_at
from cases c
join patients p on p.id = c.patient_id
cross join lateral (
  select count(*) as record_count, min(uploaded_at) as first_record_at
  from records where case_id = c.id and removed_at is null
) r
left join lateral (
  select max(booked_at) as booked_at from appointments where case_id = c.id and cancelled_at is null
) booked on true
left join lateral (
  select a.id, a.during, a.expert_id,
         e.name || array(
           select o.name from panel_experts x join staff o on o.id = x.expert_id
           where x.appointment_id = a.id order by o.name, o.id
         ) as expert_names
  from appointments a
  join staff e on e.id = a.expert_id
  left join consultations k on k.appointment_id = a.id
  where a.case_id = c.id and a.cancelled_at is null and upper(a.during) > $2 and k.ended_at is null
  order by a.during limit 1
) coming on true
left join lateral (
  select k.id, k.appointment_id, k.started_at,
         coalesce(k.ended_at, case when upper(a.during) + interval '2 hours' <= $2 then upper(a.during) end) as ended_at
  from consultations k join appointments a on a.id = k.appointment_id
  where a.case_id = c.id
  order by k.started_at desc limit 1
) talk on true
"""

FETCH_FACTS = FACTS + "where c.id = $1"

# $1 is the text that was searched, as a LIKE pattern or null; $3 an expert whose cases alone are meant, or null.
LIST_CASES = (
    FACTS
    + """
where ($1::text is null or p.name ilike $1 or c.diagnosis ilike $1 or c.id::text = trim(both '%' from $1))
  and ($3::bigint is null or exists (
    select from appointments x left join panel_experts m on m.appointment_id = x.id and m.expert_id = $3
    where x.case_id = c.id and x.cancelled_at is null and $3 in (x.expert_id, m.expert_id)
  ))
order by c.id desc
limit $4
"""
)

LIST_QUESTIONS = """
select id, case_id, position, text, asked_by, asked_at from questions where case_id = $1 order by position
"""

LOCK_CASE = "select id from cases where id = $1 for update"

INSERT_QUESTION = """
insert into questions (id, case_id, position, text, asked_by, asked_at)
select $1, $2, coalesce(max(position), 0) + 1, $3, $4, $5 from questions where case_id = $2
returning position
"""

UPDATE_QUESTION = "update questions set text = $4 where id = $1 and case_id = $2 and asked_by = $3 returning id"

DELETE_QUESTION = "delete from questions where id = $1 and case_id = $2 and asked_by = $3 returning id"

FETCH_CALL_STARTED = """
select exists (
  select from consultations k join appointments a on a.id = k.appointment_id where a.case_id = $1
)
"""

UPDATE_TIME_ZONE = "update patients set time_zone = $2 where id = $1"

UPDATE_EMAIL = "update patients set email = $2 where id = $1 returning id"

UPDATE_LANGUAGE = "update patients set language = $2 where id = $1"


async def insert_patient(conn: asyncpg.Connection, patient: NewPatient, now: datetime) -> PatientId:
    patient_id = PatientId(uuid.uuid4())
    await conn.execute(
        INSERT_PATIENT,
        patient_id,
        patient.name,
        patient.email,
        patient.born_on,
        patient.language,
        patient.phone,
        now,
    )
    return patient_id


async def insert_case(
    conn: asyncpg.Connection,
    patient_id: PatientId,
    *,
    diagnosis: str,
    plan: str,
    history: str,
    referring_physician: str,
    opened_by: StaffId,
    now: datetime,
) -> CaseId:
    number: int = await conn.fetchval(
        INSERT_CASE, patient_id, diagnosis, plan, history, referring_physician, opened_by, now
    )
    return CaseId(number)


async def fetch_case(conn: asyncpg.Connection, case_id: CaseId) -> Case | None:
    row = await conn.fetchrow(FETCH_CASE, case_id)
    if row is None:
        return None
    patient = Patient(
        id=PatientId(row["patient_id"]),
        name=row["name"],
        email=row["email"],
        born_on=row["born_on"],
        language=row["language"],
        time_zone=row["time_zone"],
    )
    return Case(
        id=CaseId(row["id"]),
        patient=patient,
        diagnosis=row["diagnosis"],
        plan=row["plan"],
        history=row["history"],
        referring_physician=row["referring_physician"],
        opened_by=StaffId(row["opened_by"]),
        opened_by_name=row["opened_by_name"],
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
    )


async def fetch_facts(conn: asyncpg.Connection, case_id: CaseId, now: datetime) -> CaseFacts | None:
    row = await conn.fetchrow(FETCH_FACTS, case_id, now)
    return None if row is None else _facts(row)


async def list_cases(
    conn: asyncpg.Connection, *, pattern: str | None, expert_id: StaffId | None, limit: int, now: datetime
) -> list[CaseLine]:
    rows = await conn.fetch(LIST_CASES, pattern, now, expert_id, limit)
    return [CaseLine(CaseId(row["id"]), row["patient_name"], row["diagnosis"], _facts(row)) for row in rows]


async def list_questions(conn: asyncpg.Connection, case_id: CaseId) -> list[Question]:
    return [
        Question(
            id=QuestionId(row["id"]),
            case_id=CaseId(row["case_id"]),
            position=row["position"],
            text=row["text"],
            asked_by=AskedBy(row["asked_by"]),
            asked_at=row["asked_at"],
        )
        for row in await conn.fetch(LIST_QUESTIONS, case_id)
    ]


async def lock_case(conn: asyncpg.Connection, case_id: CaseId) -> bool:
    """Let nobody else add to the case until this transaction ends. False if there is no such case."""
    return await conn.fetchval(LOCK_CASE, case_id) is not None


async def insert_question(
    conn: asyncpg.Connection, case_id: CaseId, text: str, asked_by: AskedBy, now: datetime
) -> Question:
    question_id = QuestionId(uuid.uuid4())
    position: int = await conn.fetchval(INSERT_QUESTION, question_id, case_id, text, asked_by, now)
    return Question(question_id, case_id, position, text, asked_by, now)


async def update_question(
    conn: asyncpg.Connection, case_id: CaseId, question_id: QuestionId, asked_by: AskedBy, text: str
) -> bool:
    return await conn.fetchval(UPDATE_QUESTION, question_id, case_id, asked_by, text) is not None


async def delete_question(
    conn: asyncpg.Connection, case_id: CaseId, question_id: QuestionId, asked_by: AskedBy
) -> bool:
    return await conn.fetchval(DELETE_QUESTION, question_id, case_id, asked_by) is not None


async def fetch_call_started(conn: asyncpg.Connection, case_id: CaseId) -> bool:
    started: bool = await conn.fetchval(FETCH_CALL_STARTED, case_id)
    return started


async def update_time_zone(conn: asyncpg.Connection, patient_id: PatientId, time_zone: str) -> None:
    await conn.execute(UPDATE_TIME_ZONE, patient_id, time_zone)


async def update_email(conn: asyncpg.Connection, patient_id: PatientId, email: str) -> bool:
    return await conn.fetchval(UPDATE_EMAIL, patient_id, email) is not None


async def update_language(conn: asyncpg.Connection, patient_id: PatientId, language: str) -> None:
    await conn.execute(UPDATE_LANGUAGE, patient_id, language)


def _facts(row: Any) -> CaseFacts:
    appointment_id, expert_id = row["next_appointment_id"], row["next_expert_id"]
    return CaseFacts(
        opened_at=row["opened_at"],
        question_count=row["question_count"],
        record_count=row["record_count"],
        first_record_at=row["first_record_at"],
        booked_at=row["booked_at"],
        next_appointment_id=None if appointment_id is None else AppointmentId(appointment_id),
        next_starts_at=row["next_starts_at"],
        next_ends_at=row["next_ends_at"],
        next_expert_id=None if expert_id is None else StaffId(expert_id),
        next_expert_names=tuple(row["next_expert_names"] or ()),
        call_started_at=row["call_started_at"],
        call_ended_at=row["call_ended_at"],
        filed_at=row["filed_at"],
    )
