"""Matching on a real database: profiles, cases, the list for many experts in few statements, and choices that stay."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import asyncpg
import pytest

from consult.availability import service as availability
from consult.domain.access import StaffRole
from consult.domain.errors import InvalidInput, NotFound
from consult.domain.ids import CaseId, StaffId
from consult.domain.working_days import WorkingBlock
from consult.matching import scoring
from consult.matching import service as matching
from consult.matching.model import MAX_CONDITIONS_OF_EXPERT, MAX_LANGUAGES, Answer, Match, Part, Workload
from consult.matching.shipped_names import SHIPPED_NAMES
from consult.people import service as people
from consult.scheduling import service as scheduling
from tests.conftest import Database
from tests.integration.clinic import NOW, PASSWORD, Clinic, book_one, open_case, open_clinic

LUNG, GLIOMA = "lung-cancer-non-small-cell", "low-grade-glioma"


@pytest.fixture
async def clinic(conn: Any) -> Clinic:
    return await open_clinic(conn)


async def set_profile(conn: Any, clinic: Clinic, expert: StaffId, **more: Any) -> None:
    known: dict[str, Any] = {
        "conditions": [], "specialties": [], "languages": [], "licences": [], "new_cases_a_week": None,
        "leads_panels": False,
    }  # fmt: skip
    await matching.set_profile(conn, expert, **(known | more), by=clinic.scheduler, now=NOW)


async def describe(conn: Any, clinic: Clinic, case: CaseId | None = None, **more: Any) -> None:
    known: dict[str, Any] = {"condition": "", "other_languages": [], "region": ""}
    await matching.set_case_profile(conn, case or clinic.case, **(known | more), by=clinic.scheduler, now=NOW)


def fields_of(raised: pytest.ExceptionInfo[InvalidInput]) -> set[str]:
    return set(raised.value.fields)


def answers(match: Match) -> dict[str, str]:
    return {reason.part.value: reason.answer.value for reason in match.reasons}


async def test_every_name_that_comes_with_consult_can_be_translated(conn: Any) -> None:
    rows = await conn.fetch("select name from conditions union all select name from specialties")
    assert sorted(row["name"] for row in rows) == sorted(SHIPPED_NAMES)


async def test_free_times_are_counted_from_the_experts_day_on_also_when_greenwich_has_the_next(
    conn: Any, clinic: Clinic
) -> None:
    await conn.execute("update staff set time_zone = 'Pacific/Honolulu' where id = $1", clinic.other_expert)
    await availability.set_working_hours(conn, clinic.other_expert, [WorkingBlock(0, time(15), time(18))])
    three = datetime(2026, 3, 10, 1, 0, tzinfo=UTC)  # still Monday there
    matches = await matching.rank_experts(conn, clinic.case, now=three - timedelta(minutes=30))
    (candidate,) = [one.candidate for one in matches if one.candidate.expert_id == clinic.other_expert]
    assert candidate.free[0].starts_at == three


async def test_a_profile_is_kept_whole_and_replaced_whole(conn: Any, clinic: Clinic) -> None:
    assert (await matching.fetch_profile(conn, clinic.expert)).updated_at is None
    await set_profile(
        conn, clinic, clinic.expert, conditions=[GLIOMA] * 2, specialties=["neurology"], languages=["de", "en", "de"],
        licences=["DE", "US-CA", "DE"], new_cases_a_week=3, leads_panels=True,
    )  # fmt: skip
    profile = await matching.fetch_profile(conn, clinic.expert)
    assert profile.conditions == {GLIOMA}
    assert profile.fields == {"neurology", "neuro-oncology"}, "a condition tells its specialty"
    assert (profile.languages, profile.licences) == (("de", "en"), ("DE", "US-CA"))
    assert (profile.new_cases_a_week, profile.leads_panels, profile.updated_at) == (3, True, NOW)
    await set_profile(conn, clinic, clinic.expert, languages=["fr"])
    profile = await matching.fetch_profile(conn, clinic.expert)
    assert (profile.conditions, profile.specialties, profile.languages) == (frozenset(), frozenset(), ("fr",))
    assert profile.new_cases_a_week is None


async def test_a_profile_refuses_what_is_not_on_the_lists_and_too_much_of_it(conn: Any, clinic: Clinic) -> None:
    with pytest.raises(InvalidInput) as raised:
        await set_profile(
            conn, clinic, clinic.expert, conditions=["the vapours"], specialties=["alchemy"], languages=["xx"],
            licences=["EU"], new_cases_a_week=51,
        )  # fmt: skip
    assert fields_of(raised) == {"conditions", "specialties", "languages", "licences", "new_cases_a_week"}
    languages = [code for code, _name in matching.language_choices(await words())][: MAX_LANGUAGES + 1]
    with pytest.raises(InvalidInput) as raised:
        await set_profile(conn, clinic, clinic.expert, languages=languages)
    assert fields_of(raised) == {"languages"}
    for number in range(MAX_CONDITIONS_OF_EXPERT):
        await matching.add_condition(conn, name=f"Fever {number}", specialty="neurology", by=clinic.scheduler, now=NOW)
    every = [one.code for one in await matching.list_conditions(conn)]
    with pytest.raises(InvalidInput) as raised:
        await set_profile(conn, clinic, clinic.expert, conditions=every)
    assert fields_of(raised) == {"conditions"}
    assert (await matching.fetch_profile(conn, clinic.expert)).updated_at is None
    with pytest.raises(NotFound):
        await set_profile(conn, clinic, clinic.scheduler)


async def words() -> Any:
    from consult.files import folder
    from consult.web.words import load_languages

    return load_languages(folder("locale"), ["en", "es"])["en"]


async def test_the_database_refuses_codes_that_are_none(conn: Any, clinic: Clinic) -> None:
    statement = """insert into expert_profiles (expert_id, languages, licences, updated_by, updated_at)
                   values ($1, $2, $3, $1, now())"""
    for languages, licences in ((["DE"], []), (["de", None], []), ([], ["de"]), ([], ["DE-"]), (["de"] * 21, [])):
        with pytest.raises(asyncpg.CheckViolationError):
            await conn.execute(statement, clinic.expert, languages, licences)


async def test_the_scheduler_adds_a_condition_once(conn: Any, clinic: Clinic) -> None:
    async def add(**more: Any) -> None:
        known: dict[str, Any] = {"name": "Moyamoya  disease", "specialty": "neurosurgery", "icd10": " i67.5 "}
        await matching.add_condition(conn, **(known | more), by=clinic.scheduler, now=NOW)

    await add()
    added = next(one for one in await matching.list_conditions(conn) if one.name == "Moyamoya disease")
    assert (added.specialty.code, added.icd10) == ("neurosurgery", "I67.5")
    for wrong, field in (
        ({"name": "MOYAMOYA disease"}, "name"), ({"name": ""}, "name"), ({"name": "x" * 121}, "name"),
        ({"name": "A", "specialty": ""}, "specialty"), ({"name": "A", "specialty": "alchemy"}, "specialty"),
        ({"name": "A", "icd10": "C3"}, "icd10"), ({"name": "A", "new_specialty": "cardiology"}, "new_specialty"),
    ):  # fmt: skip
        with pytest.raises(InvalidInput) as raised:
            await add(**wrong)
        assert fields_of(raised) == {field}, wrong
    await add(name="קדחת", new_specialty="Tropical medicine", icd10="")
    names = {one.name: one.specialty.name for one in await matching.list_conditions(conn)}
    assert names["קדחת"] == "Tropical medicine"


async def test_a_case_without_a_profile_still_gets_its_list(conn: Any, clinic: Clinic) -> None:
    case = await matching.fetch_case_profile(conn, clinic.case)
    assert (case.first_language, case.condition, case.region) == ("en", None, None)
    matches = await matching.rank_experts(conn, clinic.case, now=NOW)
    assert [match.candidate.expert_id for match in matches] == [clinic.expert, clinic.other_expert]
    assert answers(matches[1])["time"] == "no", "no hours are entered"
    with pytest.raises(NotFound):
        await matching.rank_experts(conn, CaseId(10**9), now=NOW)


async def test_what_a_case_needs_is_kept_checked_and_taken_back(conn: Any, clinic: Clinic) -> None:
    await describe(conn, clinic, condition=LUNG, other_languages=["pt", "en", "pt"], region="PT")
    case = await matching.fetch_case_profile(conn, clinic.case)
    assert case.condition is not None and case.condition.code == LUNG
    assert case.other_languages == ("pt",), "the first language is not another one"
    with pytest.raises(InvalidInput) as raised:
        await describe(conn, clinic, condition="alchemy", other_languages=["pt-BR"], region="XX")
    assert fields_of(raised) == {"condition", "other_languages", "region"}
    await describe(conn, clinic)
    assert (await matching.fetch_case_profile(conn, clinic.case)).region is None


async def test_the_list_says_why_and_counts_what_is_booked_and_left_to_write(conn: Any, clinic: Clinic) -> None:
    await describe(conn, clinic, condition=LUNG, other_languages=["de"], region="PT")
    await set_profile(
        conn, clinic, clinic.expert, conditions=[LUNG], languages=["de"], licences=["PT"], new_cases_a_week=1
    )
    await set_profile(conn, clinic, clinic.other_expert, conditions=[GLIOMA], languages=["en"], licences=["CA"])
    begun, _link = await book_one(conn, clinic, NOW + timedelta(hours=1))
    await conn.execute(
        "insert into consultations (id, appointment_id, started_at, ended_at) values (gen_random_uuid(), $1, $2, $3)",
        begun.id, NOW - timedelta(hours=2), NOW - timedelta(hours=1),
    )  # fmt: skip
    first, second = await matching.rank_experts(conn, clinic.case, now=NOW)
    assert first.candidate.workload == Workload(calls=1, opinions=1)
    assert answers(first) == {
        "condition": "yes", "licence": "yes", "language": "partly", "time": "yes", "load": "yes", "known": "yes",
    }  # fmt: skip
    assert first.candidate.free[0].starts_at > NOW + timedelta(hours=1), "what is booked is not offered"
    assert answers(second) == {
        "condition": "no", "licence": "no", "language": "yes", "time": "no", "load": "unknown",
    }  # fmt: skip
    assert second.objections == 3


async def test_sitting_in_a_panel_counts_as_work_for_everybody_in_it(conn: Any, clinic: Clinic) -> None:
    async def loads() -> dict[StaffId, Workload]:
        matches = await matching.rank_experts(conn, clinic.case, now=NOW)
        return {one.candidate.expert_id: one.candidate.workload for one in matches}

    for hours in (30, 54):
        booked, _link = await book_one(conn, clinic, NOW + timedelta(hours=hours))
        await conn.execute("insert into panel_experts values ($1, $2)", booked.id, clinic.other_expert)
    assert await loads() == {clinic.expert: Workload(2, 0), clinic.other_expert: Workload(2, 0)}
    await conn.execute(
        "insert into consultations (id, appointment_id, started_at, ended_at) values (gen_random_uuid(), $1, $2, $3)",
        booked.id, NOW - timedelta(hours=2), NOW - timedelta(hours=1),
    )  # fmt: skip
    assert await loads() == {clinic.expert: Workload(2, 1), clinic.other_expert: Workload(2, 1)}
    await scheduling.cancel(conn, booked.id, NOW, by=clinic.scheduler)
    assert (await loads())[clinic.other_expert].calls == 1


async def test_an_experts_own_length_kinds_and_absences_decide_what_is_free(conn: Any, clinic: Clinic) -> None:
    async def time_reason() -> tuple[str, int]:
        matches = await matching.rank_experts(conn, clinic.case, now=NOW)
        found = next(one for one in matches if one.candidate.expert_id == clinic.expert)
        sentence = next(reason.sentence for reason in found.reasons if reason.part is Part.TIME)
        free = found.candidate.free
        return sentence, int((free[0].ends_at - free[0].starts_at).total_seconds()) // 60 if free else 0

    await conn.execute("insert into expert_kinds values ($1, 'first_review', 60)", clinic.expert)
    assert await time_reason() == (scoring.FREE, 60)
    await conn.execute(
        """insert into absences (id, expert_id, during, entered_at)
           values (gen_random_uuid(), $1, tstzrange($2, $3), $2)""",
        clinic.expert, NOW, NOW + timedelta(days=10),
    )  # fmt: skip
    assert await time_reason() == (scoring.FREE_AFTER_ABSENCE, 60)
    await conn.execute("update absences set during = tstzrange($1, $2)", NOW, NOW + timedelta(days=60))
    assert await time_reason() == (scoring.AWAY, 0)
    await conn.execute("update expert_kinds set kind = 'panel'")
    assert await time_reason() == (scoring.NO_REVIEWS, 0)


async def test_whoever_left_is_not_on_the_list(conn: Any, clinic: Clinic) -> None:
    await conn.execute("update staff set disabled_at = $2 where id = $1", clinic.expert, NOW)
    assert [one.candidate.expert_id for one in await matching.rank_experts(conn, clinic.case, now=NOW)] == [
        clinic.other_expert
    ]


async def test_a_choice_keeps_the_reasons_of_its_moment(conn: Any, clinic: Clinic) -> None:
    await describe(conn, clinic, condition=LUNG)
    await set_profile(conn, clinic, clinic.expert, conditions=[LUNG])
    choice = await matching.choose(conn, clinic.case, clinic.expert, note=" She asked. ", by=clinic.scheduler, now=NOW)
    assert (choice.place, choice.of_experts, choice.note, choice.expert_name) == (
        1,
        2,
        "She asked.",
        "Dr Sabine Brandt",
    )
    await set_profile(conn, clinic, clinic.expert, conditions=[GLIOMA])
    kept = await matching.find_choice(conn, clinic.case)
    assert kept == choice
    assert kept is not None and kept.reasons[0].part is Part.CONDITION and kept.reasons[0].answer is Answer.YES
    again = await matching.choose(conn, clinic.case, clinic.expert, note="She asked.", by=clinic.scheduler, now=NOW)
    assert again == choice, "a double press chooses once"
    later = NOW + timedelta(minutes=5)
    other = await matching.choose(conn, clinic.case, clinic.other_expert, by=clinic.scheduler, now=later)
    assert await matching.list_choices(conn, [clinic.case]) == {clinic.case: other}
    assert await conn.fetchval("select count(*) from expert_choices") == 2, "the earlier one stays"


async def test_only_an_expert_of_the_clinic_can_be_chosen(conn: Any, clinic: Clinic) -> None:
    for nobody in (None, 10**9, clinic.scheduler):
        with pytest.raises(InvalidInput) as raised:
            await matching.choose(conn, clinic.case, nobody, by=clinic.scheduler, now=NOW)
        assert fields_of(raised) == {"expert"}
    with pytest.raises(InvalidInput) as raised:
        await matching.choose(conn, clinic.case, clinic.expert, note="x" * 501, by=clinic.scheduler, now=NOW)
    assert fields_of(raised) == {"note"}
    assert await matching.find_choice(conn, clinic.case) is None


async def count_statements(database: Database, case: CaseId) -> tuple[int, list[Match]]:
    """Over a fresh connection: how many statements the list takes, and the list."""
    from consult.db.pool import prepare_connection

    conn = await asyncpg.connect(database.url)
    try:
        await prepare_connection(conn)
        asked: list[str] = []
        with conn.query_logger(lambda record: asked.append(record.query)):
            matches = await matching.rank_experts(conn, case, now=NOW)
        return len(asked), matches
    finally:
        await conn.close()


async def test_fifty_experts_take_as_many_statements_as_two(database: Database, conn: Any, clinic: Clinic) -> None:
    await describe(conn, clinic, condition=LUNG, region="PT")
    few, _two = await count_statements(database, clinic.case)
    blocks = [WorkingBlock(weekday, time(9), time(17)) for weekday in range(5)]
    codes = [one.code for one in await matching.list_conditions(conn)]
    for number in range(48):
        expert = await people.create_staff(
            conn, email=f"e{number}@clinic.example", name=f"Dr Number {number}", role=StaffRole.EXPERT,
            time_zone="Europe/Berlin", password=PASSWORD, now=NOW,
        )  # fmt: skip
        await availability.set_working_hours(conn, expert, blocks)
        await set_profile(
            conn, clinic, expert, conditions=codes[number : number + 5], languages=["en"], licences=["PT"]
        )
        other = await open_case(conn, clinic.scheduler, name=f"Patient {number}")
        await scheduling.book(
            conn, other, expert, datetime(2026, 3, 10, 12, tzinfo=UTC), timedelta(minutes=45),
            booked_by=clinic.scheduler, now=NOW, outside_hours=True,
        )  # fmt: skip
    many, matches = await count_statements(database, clinic.case)
    assert len(matches) == 50
    assert all(match.candidate.free for match in matches if match.candidate.expert_id != clinic.other_expert)
    assert many == few <= 18
