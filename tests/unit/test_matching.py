"""Matching without a database: every answer with its sentence, and what must hold of the order whoever is compared."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consult.domain.ids import ConditionCode, SpecialtyCode, StaffId
from consult.domain.slots import Slot
from consult.matching import scoring
from consult.matching.codes import is_language, is_region, language_names, region_names
from consult.matching.model import (
    Answer,
    Candidate,
    CaseProfile,
    Condition,
    ExpertProfile,
    Match,
    Part,
    Specialty,
    Workload,
)
from consult.matching.scoring import POINTS, assess, away_until, rank

NOW = datetime(2026, 3, 9, 8, tzinfo=UTC)
FIELDS = [Specialty(SpecialtyCode(code), code.title()) for code in ("lung", "brain", "heart")]
CONDITIONS = [
    Condition(ConditionCode(f"{field.code}-{number}"), f"{field.name} {number}", field, "")
    for field in FIELDS
    for number in range(2)
]
LUNG = CONDITIONS[0]
CASE = CaseProfile("pt", LUNG, ("en", "es"), "PT")


def profile_of(expert_id: int = 1, conditions: Sequence[Condition] = (), **more: Any) -> ExpertProfile:
    return ExpertProfile(
        StaffId(expert_id),
        conditions=frozenset(one.code for one in conditions),
        fields=frozenset(one.specialty.code for one in conditions),
        **more,
    )


def candidate_of(profile: ExpertProfile | None = None, **more: Any) -> Candidate:
    known: dict[str, Any] = {"name": "Dr One", "free": (slot_in(hours=30),)}
    profile = profile or profile_of()
    return Candidate(profile.expert_id, profile=profile, **(known | more))


def slot_in(**later: int) -> Slot:
    starts_at = NOW + timedelta(**later)
    return Slot(starts_at, starts_at + timedelta(minutes=45))


def answer(candidate: Candidate, part: Part, case: CaseProfile = CASE) -> tuple[Answer, str]:
    found = next(one for one in assess(candidate, case, NOW).reasons if one.part is part)
    return found.answer, found.sentence


@pytest.mark.parametrize(
    ("conditions", "wanted", "expected"),
    [
        ([LUNG], LUNG, (Answer.YES, scoring.REVIEWS)),
        ([CONDITIONS[1]], LUNG, (Answer.PARTLY, scoring.SAME_FIELD)),
        ([CONDITIONS[2]], LUNG, (Answer.NO, scoring.OTHER_FIELD)),
        ([], LUNG, (Answer.UNKNOWN, scoring.NO_FIELDS)),
        ([LUNG], None, (Answer.UNKNOWN, scoring.NO_CONDITION)),
    ],
)
def test_a_condition_is_reviewed_or_lies_in_the_same_field_or_in_another(
    conditions: list[Condition], wanted: Condition | None, expected: tuple[Answer, str]
) -> None:
    candidate = candidate_of(profile_of(conditions=conditions))
    assert answer(candidate, Part.CONDITION, replace(CASE, condition=wanted)) == expected


@pytest.mark.parametrize(
    ("licences", "region", "expected"),
    [
        (("ES", "PT"), "PT", (Answer.YES, scoring.LICENSED)),
        (("US",), "US-CA", (Answer.YES, scoring.LICENSED)),
        (("US-CA",), "US-CA", (Answer.YES, scoring.LICENSED)),
        (("US-NY", "US-CA"), "US", (Answer.PARTLY, scoring.LICENSED_IN_PART)),
        (("US-NY",), "US-CA", (Answer.NO, scoring.NOT_LICENSED)),
        (("ES",), "PT", (Answer.NO, scoring.NOT_LICENSED)),
        ((), "PT", (Answer.UNKNOWN, scoring.NO_LICENCES)),
        (("PT",), None, (Answer.UNKNOWN, scoring.NO_REGION)),
    ],
)
def test_a_licence_of_a_country_is_one_of_its_states_but_not_the_other_way_round(
    licences: tuple[str, ...], region: str | None, expected: tuple[Answer, str]
) -> None:
    candidate = candidate_of(profile_of(licences=licences))
    assert answer(candidate, Part.LICENCE, replace(CASE, region=region)) == expected


@pytest.mark.parametrize(
    ("languages", "expected"),
    [
        (("en", "pt"), (Answer.YES, scoring.SPEAKS)),
        (("es",), (Answer.PARTLY, scoring.BOTH_SPEAK)),
        (("de",), (Answer.NO, scoring.INTERPRETER)),
        ((), (Answer.UNKNOWN, scoring.NO_LANGUAGES)),
    ],
)
def test_the_first_language_is_best_another_shared_one_will_do_and_else_an_interpreter_is_needed(
    languages: tuple[str, ...], expected: tuple[Answer, str]
) -> None:
    assert answer(candidate_of(profile_of(languages=languages)), Part.LANGUAGE) == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"free": (slot_in(days=7),)}, (Answer.YES, scoring.FREE)),
        ({"free": (slot_in(days=7, seconds=1),)}, (Answer.PARTLY, scoring.FREE_LATER)),
        (
            {"free": (slot_in(days=20),), "away_until": NOW + timedelta(days=19)},
            (Answer.PARTLY, scoring.FREE_AFTER_ABSENCE),
        ),
        ({"free": (), "away_until": NOW + timedelta(days=40)}, (Answer.NO, scoring.AWAY)),
        ({"free": (), "has_hours": False}, (Answer.NO, scoring.NO_HOURS)),
        ({"free": (), "gives_reviews": False}, (Answer.NO, scoring.NO_REVIEWS)),
        ({"free": ()}, (Answer.NO, scoring.FULL)),
    ],
)
def test_time_is_soon_or_later_or_there_is_none_and_the_sentence_says_why(
    more: dict[str, Any], expected: tuple[Answer, str]
) -> None:
    assert answer(candidate_of(**more), Part.TIME) == expected


def test_absences_in_a_row_are_one_and_short_or_late_ones_are_none() -> None:
    def days(first: int, last: int) -> Slot:
        return Slot(NOW + timedelta(days=first), NOW + timedelta(days=last))

    assert away_until([days(20, 30), days(-2, 20)], NOW) == NOW + timedelta(days=30)
    assert away_until([days(6, 9)], NOW) == NOW + timedelta(days=9)
    assert away_until([days(0, 40), days(3, 5)], NOW) == NOW + timedelta(days=40)
    for nothing in ([], [days(-30, -1)], [days(-1, 6)], [days(8, 60)]):
        assert away_until(nothing, NOW) is None


@pytest.mark.parametrize(
    ("calls", "opinions", "a_week", "expected"),
    [
        (0, 0, 2, Answer.YES),
        (6, 0, 2, Answer.YES),
        (5, 2, 2, Answer.PARTLY),
        (6, 2, 2, Answer.NO),
        (0, 0, 0, Answer.NO),
        (9, 9, None, Answer.UNKNOWN),
    ],
)
def test_load_is_held_against_what_the_expert_wants_in_four_weeks(
    calls: int, opinions: int, a_week: int | None, expected: Answer
) -> None:
    candidate = candidate_of(profile_of(new_cases_a_week=a_week), workload=Workload(calls, opinions))
    assert answer(candidate, Part.LOAD)[0] is expected


def test_whoever_has_no_licence_stays_on_the_list_behind_those_whom_nothing_speaks_against() -> None:
    best = candidate_of(profile_of(1, [LUNG], licences=("ES",), languages=("pt",)), knows_case=True)
    unknown = candidate_of(profile_of(2), name="Dr Two")
    assert [match.candidate.expert_id for match in rank([best, unknown], CASE, NOW)] == [2, 1]
    assert rank([best], CASE, NOW)[0].objections == 1


def test_every_part_gives_more_for_a_better_answer_and_the_parts_weigh_in_the_order_they_are_named() -> None:
    for part in Part:
        given = [
            POINTS[part][one] for one in (Answer.YES, Answer.PARTLY, Answer.UNKNOWN, Answer.NO) if one in POINTS[part]
        ]
        assert given == sorted(set(given), reverse=True), part
    most = [max(POINTS[part].values()) for part in Part]
    assert most == sorted(most, reverse=True)


CODES = st.sampled_from(["pt", "en", "es", "de", "fr"])
REGIONS = st.sampled_from(["PT", "ES", "US", "US-CA", "US-NY", "GB"])
CASES = st.builds(
    CaseProfile,
    first_language=CODES,
    condition=st.none() | st.sampled_from(CONDITIONS),
    other_languages=st.lists(CODES, max_size=3, unique=True).map(tuple),
    region=st.none() | REGIONS,
)


@st.composite
def candidates(draw: st.DrawFn, expert_id: int) -> Candidate:
    profile = profile_of(
        expert_id,
        draw(st.lists(st.sampled_from(CONDITIONS), max_size=3)),
        languages=draw(st.lists(CODES, max_size=3, unique=True).map(tuple)),
        licences=draw(st.lists(REGIONS, max_size=3, unique=True).map(tuple)),
        new_cases_a_week=draw(st.none() | st.integers(0, 3)),
    )
    return Candidate(
        profile.expert_id,
        draw(st.text(string.ascii_letters, max_size=2)),
        profile,
        Workload(draw(st.integers(0, 12)), draw(st.integers(0, 4))),
        tuple(slot_in(hours=hours) for hours in sorted(draw(st.lists(st.integers(1, 600), max_size=3)))),
        draw(st.none() | st.integers(1, 60).map(lambda days: NOW + timedelta(days=days))),
        draw(st.booleans()),
        draw(st.booleans()),
    )


@st.composite
def clinics(draw: st.DrawFn) -> list[Candidate]:
    return [draw(candidates(number)) for number in range(1, draw(st.integers(1, 8)) + 1)]


def order(matches: Sequence[Match]) -> list[int]:
    return [match.candidate.expert_id for match in matches]


@given(clinics(), CASES, st.randoms(use_true_random=False))
def test_the_order_is_total_and_the_same_from_wherever_it_begins(
    clinic: list[Candidate], case: CaseProfile, chance: Any
) -> None:
    ranked = rank(clinic, case, NOW)
    shuffled = list(clinic)
    chance.shuffle(shuffled)
    assert rank(shuffled, case, NOW) == ranked
    assert sorted(order(ranked)) == [candidate.expert_id for candidate in clinic], "nobody is hidden or named twice"


@given(clinics(), CASES)
def test_whoever_is_taken_away_changes_nothing_between_the_others(clinic: list[Candidate], case: CaseProfile) -> None:
    ranked = order(rank(clinic, case, NOW))
    for gone in clinic:
        rest = [candidate for candidate in clinic if candidate is not gone]
        assert order(rank(rest, case, NOW)) == [one for one in ranked if one != gone.expert_id]


@given(clinics(), CASES, st.data())
def test_adding_what_fits_the_case_never_lowers_a_place(
    clinic: list[Candidate], case: CaseProfile, data: st.DataObject
) -> None:
    before = order(rank(clinic, case, NOW))
    one = data.draw(st.sampled_from(clinic))
    profile = one.profile
    additions = [
        replace(profile, languages=(*profile.languages, case.first_language)),
        replace(profile, new_cases_a_week=50),
    ]
    if case.condition is not None:
        added = profile.conditions | {case.condition.code}
        fields = profile.fields | {case.condition.specialty.code}
        additions += [replace(profile, conditions=added, fields=fields), replace(profile, fields=fields)]
    if case.region is not None:
        additions.append(replace(profile, licences=(*profile.licences, case.region)))
    changed = data.draw(
        st.sampled_from([*(replace(one, profile=new) for new in additions), replace(one, knows_case=True)])
    )
    after = order(rank([changed if each is one else each for each in clinic], case, NOW))
    assert after.index(one.expert_id) <= before.index(one.expert_id)


@given(clinics(), CASES)
def test_no_objection_comes_before_any_and_within_both_points_fall(clinic: list[Candidate], case: CaseProfile) -> None:
    ranked = rank(clinic, case, NOW)
    keys = [(match.objections, -match.points) for match in ranked]
    assert keys == sorted(keys)


def test_languages_and_regions_are_known_by_code_and_named_in_every_language() -> None:
    assert language_names("es")["pt"] == "Portugués"
    assert region_names("es")["US-NY"] == "Estados Unidos, New York"
    assert region_names("en")["CA-QC"] == "Canada, Quebec"
    for wrong in ("", "PT", "xx", "pt-BR", "en_US", "🩻"):
        assert not is_language(wrong)
    for wrong in ("", "pt", "EU", "ZZ", "US-ZZ", "001", "XA"):
        assert not is_region(wrong)
    assert list(region_names("en"))[:1] == ["AF"]
