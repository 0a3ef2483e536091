"""Matching experts to cases: the clinic's list of conditions, profiles, the ranked list, and what the scheduler chose.

Functions take a connection; who calls owns the transaction, except where a docstring says otherwise. Nothing here
decides anything: `rank_experts` orders and explains, `choose` writes down what a person decided.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import asyncpg

from consult.availability import service as availability
from consult.cases import service as cases
from consult.domain.clock import earliest_day
from consult.domain.errors import InvalidInput
from consult.domain.ids import CaseId, ConditionCode, SpecialtyCode, StaffId
from consult.domain.kinds import USUAL_LENGTHS, ConsultationKind
from consult.domain.slots import Slot
from consult.domain.words import N_
from consult.matching import queries
from consult.matching.codes import is_language, is_region
from consult.matching.model import (
    MAX_CONDITION_CHARS,
    MAX_CONDITIONS,
    MAX_CONDITIONS_OF_EXPERT,
    MAX_LANGUAGES,
    MAX_LICENCES,
    MAX_NEW_CASES_A_WEEK,
    MAX_NOTE_CHARS,
    MAX_OTHER_LANGUAGES,
    Candidate,
    CaseProfile,
    Condition,
    ExpertChoice,
    ExpertProfile,
    Match,
    Specialty,
)
from consult.matching.scoring import WEEKS_LOOKED_AT, away_until, rank
from consult.matching.sentences import (
    CaseChoices,
    Explained,
    OptionGroup,
    case_choices,
    describe,
    explain,
    language_choices,
    option_groups,
    region_choices,
    time_said,
    with_names,
)
from consult.people import service as people
from consult.people.model import Staff
from consult.scheduling import service as scheduling
from consult.web.words import Words

__all__ = [
    "CaseChoices",
    "Explained",
    "OptionGroup",
    "add_condition",
    "case_choices",
    "choose",
    "describe",
    "explain",
    "fetch_case_profile",
    "fetch_profile",
    "find_choice",
    "language_choices",
    "list_choices",
    "list_conditions",
    "list_option_groups",
    "list_profiles",
    "list_specialties",
    "rank_experts",
    "region_choices",
    "review_length",
    "set_case_profile",
    "set_profile",
    "time_said",
    "with_names",
]

LOOKED_AHEAD = timedelta(weeks=WEEKS_LOOKED_AT)
OPINIONS_SINCE = timedelta(days=14)  # what is older was written, outside Consult for now, or will not be
FREE_TIMES_KEPT = 3
SAME_CHOICE_WITHIN = timedelta(minutes=1)  # a double press
ICD10 = re.compile(r"[A-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?(-[A-Z][0-9][0-9A-Z])?")

UNKNOWN_CONDITION = N_("This condition is not on the clinic's list. Choose one that is.")
UNKNOWN_SPECIALTY = N_("This specialty is not on the clinic's list. Choose one that is.")
UNKNOWN_LANGUAGE = N_("There is no such language on the list. Choose one that is.")
UNKNOWN_REGION = N_("There is no such country or state on the list. Choose one that is.")
TOO_MANY_CONDITIONS = N_("These are too many conditions. Name the specialty and leave those reviewed often.")
TOO_MANY_LANGUAGES = N_("These are too many languages. Leave those that are spoken well.")
TOO_MANY_LICENCES = N_("These are too many countries and states. Leave those that matter most.")
CASES_RANGE = N_("Enter how many new cases a week, from 0 to 50, or leave it empty.")
NAME_MISSING = N_("Write the name of the condition.")
NAME_LONG = N_("Write the name in at most 120 characters.")
NAME_KNOWN = N_("This name is on the list already.")
SPECIALTY_MISSING = N_("Choose a specialty, or write a new one.")
ICD10_WRONG = N_("This is not a code of ICD-10. It looks like C34, G12.2 or C82-C85.")
LIST_FULL = N_("The list is as long as it can be: 1,000 conditions.")
CHOOSE_EXPERT = N_("Choose an expert from the list.")
NOTE_LONG = N_("Write the note in at most 500 characters.")


async def list_conditions(conn: asyncpg.Connection) -> list[Condition]:
    """Return the clinic's list, by specialty and name."""
    return await queries.list_conditions(conn)


async def list_specialties(conn: asyncpg.Connection) -> list[Specialty]:
    return await queries.list_specialties(conn)


async def list_option_groups(conn: asyncpg.Connection, words: Words) -> list[OptionGroup]:
    """Return the clinic's list as forms show it: by specialty, in the reader's words."""
    return option_groups(await queries.list_specialties(conn), await queries.list_conditions(conn), words)


async def add_condition(
    conn: asyncpg.Connection,
    *,
    name: str,
    specialty: str,
    new_specialty: str = "",
    icd10: str = "",
    by: StaffId,
    now: datetime,
) -> None:
    """Put a condition on the clinic's list; new_specialty, if given, is put on that of specialties and used.

    Raises InvalidInput with fields `name`, `specialty`, `new_specialty`, `icd10`.
    """
    name, new_specialty, icd10 = _one_line(name), _one_line(new_specialty), icd10.strip().upper().replace("–", "-")
    known = {one.code for one in await queries.list_specialties(conn)}
    wrong: dict[str, str] = {}
    if not name:
        wrong["name"] = NAME_MISSING
    if len(name) > MAX_CONDITION_CHARS:
        wrong["name"] = NAME_LONG
    if len(new_specialty) > MAX_CONDITION_CHARS:
        wrong["new_specialty"] = NAME_LONG
    if not new_specialty and specialty not in known:
        wrong["specialty"] = UNKNOWN_SPECIALTY if specialty else SPECIALTY_MISSING
    if icd10 and not ICD10.fullmatch(icd10):
        wrong["icd10"] = ICD10_WRONG
    if not wrong and await queries.count_conditions(conn) >= MAX_CONDITIONS:
        wrong["name"] = LIST_FULL
    if wrong:
        raise InvalidInput(wrong)
    async with conn.transaction():
        field = SpecialtyCode(specialty)
        if new_specialty:
            field = SpecialtyCode(_code_of(new_specialty))
            if not await queries.insert_specialty(conn, field, new_specialty):
                raise InvalidInput({"new_specialty": NAME_KNOWN})
        if not await queries.insert_condition(conn, _code_of(name), name, field, icd10, by, now):
            raise InvalidInput({"name": NAME_KNOWN})


async def fetch_profile(conn: asyncpg.Connection, expert_id: StaffId) -> ExpertProfile:
    """Return an expert's profile, an empty one while nothing was entered. Raises NotFound."""
    await availability.fetch_expert(conn, expert_id)
    return (await queries.list_profiles(conn, [expert_id]))[expert_id]


async def list_profiles(conn: asyncpg.Connection, expert_ids: Sequence[StaffId]) -> dict[StaffId, ExpertProfile]:
    """Return the profiles of several experts by one statement, empty ones included."""
    return await queries.list_profiles(conn, expert_ids)


async def set_profile(
    conn: asyncpg.Connection,
    expert_id: StaffId,
    *,
    conditions: Collection[str],
    specialties: Collection[str],
    languages: Sequence[str],
    licences: Sequence[str],
    new_cases_a_week: int | None,
    leads_panels: bool,
    by: StaffId,
    now: datetime,
) -> None:
    """Replace an expert's profile. What is named twice is kept once.

    Raises NotFound, InvalidInput with fields `conditions`, `specialties`, `languages`, `licences`, `new_cases_a_week`.
    """
    await availability.fetch_expert(conn, expert_id)
    known = await queries.list_conditions(conn)
    fields = {str(one.code) for one in await queries.list_specialties(conn)}
    spoken, licensed = _once(languages), _once(licences)
    wrong: dict[str, str] = {}
    if not set(conditions) <= {str(one.code) for one in known}:
        wrong["conditions"] = UNKNOWN_CONDITION
    elif len(set(conditions)) > MAX_CONDITIONS_OF_EXPERT:
        wrong["conditions"] = TOO_MANY_CONDITIONS
    if not set(specialties) <= fields:
        wrong["specialties"] = UNKNOWN_SPECIALTY
    if wrong_languages := _wrong_languages(spoken, MAX_LANGUAGES):
        wrong["languages"] = wrong_languages
    if not all(is_region(code) for code in licensed):
        wrong["licences"] = UNKNOWN_REGION
    elif len(licensed) > MAX_LICENCES:
        wrong["licences"] = TOO_MANY_LICENCES
    if new_cases_a_week is not None and not 0 <= new_cases_a_week <= MAX_NEW_CASES_A_WEEK:
        wrong["new_cases_a_week"] = CASES_RANGE
    if wrong:
        raise InvalidInput(wrong)
    profile = ExpertProfile(
        expert_id=expert_id,
        conditions=frozenset(ConditionCode(code) for code in conditions),
        specialties=frozenset(SpecialtyCode(code) for code in specialties),
        languages=spoken,
        licences=licensed,
        new_cases_a_week=new_cases_a_week,
        leads_panels=leads_panels,
    )
    async with conn.transaction():
        await availability.lock_expert(conn, expert_id)  # two who save at once: the later one stays, whole
        await queries.upsert_profile(conn, profile, by, now)


async def fetch_case_profile(conn: asyncpg.Connection, case_id: CaseId) -> CaseProfile:
    """Return what is known of a case for a match. Raises NotFound."""
    case = await cases.fetch_case(conn, case_id)
    condition, other_languages, region = await queries.fetch_case_profile(conn, case_id)
    return CaseProfile(case.patient.language, condition, other_languages, region)


async def set_case_profile(
    conn: asyncpg.Connection,
    case_id: CaseId,
    *,
    condition: str,
    other_languages: Sequence[str],
    region: str,
    by: StaffId,
    now: datetime,
) -> None:
    """Write down what a match needs to know of a case; "" says that it is not known.

    Raises NotFound, InvalidInput with fields `condition`, `other_languages`, `region`.
    """
    case = await cases.fetch_case(conn, case_id)
    spoken = tuple(code for code in _once(other_languages) if code != case.patient.language)
    wrong: dict[str, str] = {}
    if condition and condition not in {str(one.code) for one in await queries.list_conditions(conn)}:
        wrong["condition"] = UNKNOWN_CONDITION
    if wrong_languages := _wrong_languages(spoken, MAX_OTHER_LANGUAGES):
        wrong["other_languages"] = wrong_languages
    if region and not is_region(region):
        wrong["region"] = UNKNOWN_REGION
    if wrong:
        raise InvalidInput(wrong)
    code = ConditionCode(condition) if condition else None
    await queries.upsert_case_profile(conn, case_id, code, spoken, region or None, by, now)


async def rank_experts(conn: asyncpg.Connection, case_id: CaseId, *, now: datetime) -> list[Match]:
    """Return every expert of the clinic, whoever fits the case best first, with the reasons. Raises NotFound.

    As many statements for fifty experts as for one.
    """
    case = await fetch_case_profile(conn, case_id)
    experts = await people.list_experts(conn)
    return rank(await _candidates(conn, case_id, experts, now), case, now)


async def choose(
    conn: asyncpg.Connection, case_id: CaseId, expert_id: int | None, *, note: str = "", by: StaffId, now: datetime
) -> ExpertChoice:
    """Write down whom the scheduler chose, with the place and the reasons of this moment. Returns the choice.

    The same choice twice in a row is kept once. Raises NotFound, InvalidInput with fields `expert`, `note`.
    """
    note = note.strip()
    if len(note) > MAX_NOTE_CHARS:
        raise InvalidInput({"note": NOTE_LONG})
    matches = await rank_experts(conn, case_id, now=now)
    found = next((place for place, one in enumerate(matches) if one.candidate.expert_id == expert_id), None)
    if found is None:
        raise InvalidInput({"expert": CHOOSE_EXPERT})
    match = matches[found]
    async with conn.transaction():
        await queries.lock_case(conn, case_id)
        earlier = (await queries.list_choices(conn, [case_id])).get(case_id)
        if (
            earlier
            and (earlier.expert_id, earlier.note) == (match.candidate.expert_id, note)
            and (now - earlier.chosen_at < SAME_CHOICE_WITHIN)
        ):
            return earlier
        await queries.insert_choice(
            conn, case_id, match.candidate.expert_id, by=by, now=now, place=found + 1, of_experts=len(matches),
            reasons=match.reasons, note=note,
        )  # fmt: skip
        return (await queries.list_choices(conn, [case_id]))[case_id]


async def review_length(conn: asyncpg.Connection, expert: Staff) -> timedelta:
    """Return how long a first review lasts with an expert; as usual with one who gives none."""
    lengths = (await availability.fetch_times(conn, [expert]))[expert.id].lengths
    return lengths.get(ConsultationKind.FIRST_REVIEW, USUAL_LENGTHS[ConsultationKind.FIRST_REVIEW])


async def find_choice(conn: asyncpg.Connection, case_id: CaseId) -> ExpertChoice | None:
    """Return the latest choice of an expert for a case, None if there is none."""
    return (await queries.list_choices(conn, [case_id])).get(case_id)


async def list_choices(conn: asyncpg.Connection, case_ids: Sequence[CaseId]) -> dict[CaseId, ExpertChoice]:
    """Return the latest choice of each case that has one."""
    return await queries.list_choices(conn, case_ids)


async def _candidates(
    conn: asyncpg.Connection, case_id: CaseId, experts: Sequence[Staff], now: datetime
) -> list[Candidate]:
    ids = [expert.id for expert in experts]
    profiles = await queries.list_profiles(conn, ids)
    loads = await queries.list_workloads(
        conn, ids, now=now, until=now + LOOKED_AHEAD, opinions_since=now - OPINIONS_SINCE
    )
    record_count = (await cases.fetch_facts(conn, case_id, now)).record_count
    known = await scheduling.list_expert_ids(conn, case_id)
    first, last = earliest_day(now), (now + LOOKED_AHEAD).date()
    diary = await scheduling.read_diary(conn, availability.homes_of(experts), first, last, now=now)
    found = []
    for expert in experts:
        time = diary.times[expert.id]
        length = time.lengths.get(ConsultationKind.FIRST_REVIEW)
        free: list[Slot] = []
        if length is not None:
            free = diary.free_slots(expert.id, first, last, length, record_count=record_count, now=now)
        candidate = Candidate(
            expert_id=expert.id,
            name=expert.name,
            profile=profiles[expert.id],
            workload=loads[expert.id],
            free=tuple(free[:FREE_TIMES_KEPT]),
            away_until=away_until(time.absences, now),
            has_hours=bool(time.week or time.day_hours),
            gives_reviews=length is not None,
            knows_case=expert.id in known,
        )
        found.append(candidate)
    return found


def _once(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _wrong_languages(codes: Sequence[str], most: int) -> str | None:
    if not all(is_language(code) for code in codes):
        return UNKNOWN_LANGUAGE
    return TOO_MANY_LANGUAGES if len(codes) > most else None


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _code_of(name: str) -> str:
    """Return a code that is the same for the same name in any case, and readable where the name is in Latin letters."""
    plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-")
    return f"{slug or 'entry'}-{hashlib.sha256(name.lower().encode()).hexdigest()[:8]}"
