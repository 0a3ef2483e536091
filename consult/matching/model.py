"""What experts say of themselves, what a case needs, and what a comparison of the two finds. Pure values.

`scoring` compares them. Languages are BCP 47 codes without region and script ("pt"), regions ISO 3166-1 or 3166-2 codes
("PT", "US-CA"); who shows them gives them names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from consult.domain.ids import CaseId, ConditionCode, ExpertChoiceId, SpecialtyCode, StaffId
from consult.domain.slots import Slot

MAX_LANGUAGES = 20
MAX_OTHER_LANGUAGES = 10
MAX_LICENCES = 60
MAX_CONDITIONS_OF_EXPERT = 80
MAX_NEW_CASES_A_WEEK = 50
MAX_CONDITIONS = 1000  # on the clinic's list
MAX_CONDITION_CHARS = 120
MAX_NOTE_CHARS = 500


@dataclass(frozen=True, slots=True)
class Specialty:
    code: SpecialtyCode
    name: str


@dataclass(frozen=True, slots=True)
class Condition:
    """One entry of the clinic's list. icd10: a code or a block of codes, "" if there is none."""

    code: ConditionCode
    name: str
    specialty: Specialty
    icd10: str


@dataclass(frozen=True, slots=True)
class ExpertProfile:
    """What an expert reviews and speaks, and where they may give opinions.

    specialties: as entered; fields: with those of their conditions. new_cases_a_week: the most they want, None: not
    said. updated_at: None while nothing was entered.
    """

    expert_id: StaffId
    conditions: frozenset[ConditionCode] = frozenset()
    specialties: frozenset[SpecialtyCode] = frozenset()
    fields: frozenset[SpecialtyCode] = frozenset()
    languages: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    new_cases_a_week: int | None = None
    leads_panels: bool = False
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CaseProfile:
    """What a match needs to know of a case. condition, region: None while nobody said it."""

    first_language: str
    condition: Condition | None = None
    other_languages: tuple[str, ...] = ()
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    """calls: booked for the weeks that are looked at. opinions: calls that are over in cases that are still open."""

    calls: int = 0
    opinions: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """An expert as a case sees them.

    free: the earliest free times, none if there are none in the weeks looked at. away_until: the end of an absence that
    has begun or begins within days. has_hours: whether they have entered when they work at all. gives_reviews: whether
    first reviews are among the kinds of consultation that they give.
    """

    expert_id: StaffId
    name: str
    profile: ExpertProfile
    workload: Workload = Workload()
    free: tuple[Slot, ...] = ()
    away_until: datetime | None = None
    has_hours: bool = True
    gives_reviews: bool = True
    knows_case: bool = False


class Part(StrEnum):
    """What is compared, the weightiest first."""

    CONDITION = "condition"
    LICENCE = "licence"
    LANGUAGE = "language"
    TIME = "time"
    LOAD = "load"
    KNOWN = "known"


class Answer(StrEnum):
    YES = "yes"
    PARTLY = "partly"
    NO = "no"
    UNKNOWN = "unknown"


Values: TypeAlias = Mapping[str, str | int | list[str]]


@dataclass(frozen=True, slots=True)
class Reason:
    """One part of a comparison, as a sentence.

    sentence: an English key. values: what its {placeholders} stand for: `language`, `first` a language, `region` and
    `regions` regions, `condition` and `specialty` names from the clinic's list, `at` and `until` instants in ISO 8601.
    """

    part: Part
    answer: Answer
    sentence: str
    values: Values


@dataclass(frozen=True, slots=True)
class Match:
    """How an expert fits a case. objections: how many of the reasons speak against asking them now."""

    candidate: Candidate
    reasons: tuple[Reason, ...]
    points: int
    objections: int

    def answer_to(self, part: Part) -> Answer:
        return next((reason.answer for reason in self.reasons if reason.part is part), Answer.NO)


@dataclass(frozen=True, slots=True)
class ExpertChoice:
    """Whom the scheduler chose, and what the list said then. place: on that list, of of_experts; 1 is first."""

    id: ExpertChoiceId
    case_id: CaseId
    expert_id: StaffId
    expert_name: str
    chosen_by_name: str
    chosen_at: datetime
    place: int
    of_experts: int
    reasons: tuple[Reason, ...]
    note: str
