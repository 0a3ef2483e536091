"""Cases and questions against real PostgreSQL."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from consult.cases import service as cases
from consult.cases.model import MAX_QUESTIONS, AskedBy, NewPatient, NextAct, next_act
from consult.domain.errors import InvalidInput, NotFound
from consult.domain.ids import CaseId
from consult.scheduling import service as scheduling
from tests.integration.clinic import NOW, book_one, open_case, open_clinic


async def test_every_wrong_field_is_named_and_nothing_is_kept(conn: Any) -> None:
    clinic = await open_clinic(conn)
    with pytest.raises(InvalidInput) as wrong:
        await cases.open_case(
            conn,
            NewPatient(" ", "ana at home", date(2190, 1, 1), "en"),
            diagnosis="",
            plan="x" * 9000,
            opened_by=clinic.scheduler,
            now=NOW,
        )
    assert set(wrong.value.fields) == {"name", "email", "born_on", "diagnosis", "plan"}
    assert await conn.fetchval("select count(*) from patients") == 1


async def test_somebody_born_today_has_a_case_wherever_it_is_that_day_first() -> None:
    before_noon = datetime(2026, 3, 9, 11, 0, tzinfo=UTC)  # Tuesday has begun in Kiritimati
    wrong = {
        day: cases.find_wrong_fields(NewPatient("Ana", "", day, "en"), "Atresia", before_noon)
        for day in (date(2026, 3, 10), date(2026, 3, 11))
    }
    assert not wrong[date(2026, 3, 10)]
    assert set(wrong[date(2026, 3, 11)]) == {"born_on"}


@pytest.mark.parametrize("email", ["a@b\nBcc: x@y", "a b@c", "a@b@c", "@b", "a@", "a,b@c", "x" * 250 + "@long"])
async def test_an_address_that_could_not_be_written_to_is_refused(conn: Any, email: str) -> None:
    clinic = await open_clinic(conn)
    with pytest.raises(InvalidInput) as wrong:
        await open_case(conn, clinic.scheduler, email=email)
    assert set(wrong.value.fields) == {"email"}


async def test_a_search_finds_names_diagnoses_and_numbers_and_takes_signs_as_they_are(conn: Any) -> None:
    clinic = await open_clinic(conn)
    await open_case(conn, clinic.scheduler, name="Rosa 50% Díaz_")

    async def found(search: str) -> list[str]:
        return [line.patient_name for line in await cases.list_cases(conn, now=NOW, search=search)]

    assert await found("") == ["Rosa 50% Díaz_", "Ana Ribeiro"]
    assert await found("ribei") == ["Ana Ribeiro"]
    assert await found("50%") == ["Rosa 50% Díaz_"]
    assert await found("z_") == ["Rosa 50% Díaz_"]
    assert await found("%%") == []
    assert await found("\\") == []
    assert await found(str(clinic.case)) == ["Ana Ribeiro"]
    assert len(await found("stage iiia")) == 2


async def test_what_happened_to_a_case_is_read_from_where_it_happened(conn: Any) -> None:
    clinic = await open_clinic(conn)
    facts = await cases.fetch_facts(conn, clinic.case, NOW)
    assert (facts.question_count, facts.record_count, next_act(facts)) == (1, 0, NextAct.BOOK)
    appointment, _link = await book_one(conn, clinic, NOW + timedelta(days=1))
    facts = await cases.fetch_facts(conn, clinic.case, NOW)
    assert (facts.next_appointment_id, facts.next_expert_names) == (appointment.id, ("Dr Sabine Brandt",))
    assert next_act(facts) is NextAct.HOLD_CALL
    await conn.execute(
        "insert into consultations (id, appointment_id, started_at) values (gen_random_uuid(), $1, $2)",
        appointment.id, appointment.starts_at,
    )  # fmt: skip
    facts = await cases.fetch_facts(conn, clinic.case, appointment.starts_at)
    assert next_act(facts) is NextAct.CALL_RUNNING
    await conn.execute("update consultations set ended_at = $1", appointment.ends_at)
    facts = await cases.fetch_facts(conn, clinic.case, appointment.starts_at)
    assert (facts.next_appointment_id, facts.filed_at) == (None, appointment.ends_at), "nothing waits to be filed"
    assert next_act(facts) is NextAct.WRITE_OPINION
    await conn.execute(
        """insert into room_events (event_id, appointment_id, kind, at_ms, happened_at, payload)
           values (gen_random_uuid(), $1, 'RecordingFinished', 0, $2, '{}')""",
        appointment.id, appointment.ends_at,
    )  # fmt: skip
    facts = await cases.fetch_facts(conn, clinic.case, appointment.starts_at)
    assert facts.filed_at is None
    assert next_act(facts) is NextAct.FILE
    await scheduling.cancel(conn, appointment.id, NOW, by=clinic.scheduler)
    with pytest.raises(NotFound):
        await cases.fetch_facts(conn, CaseId(999), NOW)


async def test_questions_keep_their_order_and_a_double_press_asks_once(conn: Any) -> None:
    clinic = await open_clinic(conn)
    first = await cases.ask_question(conn, clinic.case, " Is it growing? ", AskedBy.PATIENT, NOW)
    again = await cases.ask_question(conn, clinic.case, "Is it growing?", AskedBy.PATIENT, NOW)
    assert again.id == first.id
    questions = await cases.list_questions(conn, clinic.case)
    assert [(one.position, one.text) for one in questions] == [
        (1, "Is surgery possible for me?"),
        (2, "Is it growing?"),
    ]


async def test_one_changes_and_removes_ones_own_question_until_the_call(conn: Any) -> None:
    clinic = await open_clinic(conn)
    mine = await cases.ask_question(conn, clinic.case, "Is it growing?", AskedBy.PATIENT, NOW)
    theirs = (await cases.list_questions(conn, clinic.case))[0]
    await cases.update_question(conn, clinic.case, mine.id, "Is it smaller?", AskedBy.PATIENT)
    for question, case_id in ((theirs, clinic.case), (mine, CaseId(999))):
        with pytest.raises(NotFound):
            await cases.remove_question(conn, case_id, question.id, AskedBy.PATIENT)
    appointment, _link = await book_one(conn, clinic, NOW + timedelta(days=1))
    await conn.execute(
        "insert into consultations (id, appointment_id, started_at) values (gen_random_uuid(), $1, $2)",
        appointment.id, NOW,
    )  # fmt: skip
    with pytest.raises(InvalidInput):
        await cases.remove_question(conn, clinic.case, mine.id, AskedBy.PATIENT)
    await cases.ask_question(conn, clinic.case, "One more?", AskedBy.PATIENT, NOW)


async def test_questions_have_an_end_and_a_size(conn: Any) -> None:
    clinic = await open_clinic(conn)
    for wrong in ("", "  ", "x" * 2001):
        with pytest.raises(InvalidInput):
            await cases.ask_question(conn, clinic.case, wrong, AskedBy.PATIENT, NOW)
    for number in range(MAX_QUESTIONS - 1):
        await cases.ask_question(conn, clinic.case, f"Question {number}?", AskedBy.PATIENT, NOW)
    with pytest.raises(InvalidInput):
        await cases.ask_question(conn, clinic.case, "One too many?", AskedBy.PATIENT, NOW)
    with pytest.raises(NotFound):
        await cases.ask_question(conn, CaseId(999), "Where?", AskedBy.PATIENT, NOW)


async def test_a_patients_zone_is_learnt_if_there_is_one_of_that_name(conn: Any) -> None:
    clinic = await open_clinic(conn)
    patient = (await cases.fetch_case(conn, clinic.case)).patient
    assert not await cases.learn_time_zone(conn, patient.id, "Europe/../etc/passwd")
    assert await cases.learn_time_zone(conn, patient.id, "Europe/Lisbon")
    assert (await cases.fetch_case(conn, clinic.case)).patient.time_zone == "Europe/Lisbon"
