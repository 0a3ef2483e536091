"""Reasons, languages and regions in the reader's words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_time

from consult.domain.words import N_
from consult.matching.codes import PARTS as PARTS_OF_COUNTRIES
from consult.matching.codes import language_in_sentence, language_names, region_names
from consult.matching.model import Answer, CaseProfile, Condition, Part, Reason, Specialty
from consult.web.words import Words

ANSWERS = {Answer.YES: N_("Yes"), Answer.PARTLY: N_("Partly"), Answer.NO: N_("No"), Answer.UNKNOWN: N_("Not known")}
PARTS = {
    Part.CONDITION: N_("Condition"),
    Part.LICENCE: N_("Licence"),
    Part.LANGUAGE: N_("Language"),
    Part.TIME: N_("Time"),
    Part.LOAD: N_("Load"),
    Part.KNOWN: N_("Earlier appointment"),
}


@dataclass(frozen=True, slots=True)
class Explained:
    """A reason as the reader reads it. answer: yes, partly, no, unknown; word: the same in their language."""

    part: str
    answer: str
    word: str
    text: str


def explain(reasons: Iterable[Reason], words: Words, time_zone: str) -> list[Explained]:
    """Return the reasons in the reader's language; times in the named zone."""
    return [
        Explained(
            words.gettext(PARTS[reason.part]),
            reason.answer.value,
            words.gettext(ANSWERS[reason.answer]),
            words.say(
                reason.sentence,
                **{name: _said(name, value, words, time_zone) for name, value in reason.values.items()},
            ),
        )
        for reason in reasons
    ]


@dataclass(frozen=True, slots=True)
class Option:
    """A condition as it can be chosen. icd10: "" if there is none."""

    code: str
    name: str
    icd10: str


@dataclass(frozen=True, slots=True)
class OptionGroup:
    """A specialty with its conditions, by name in the reader's language."""

    code: str
    name: str
    options: list[Option]


@dataclass(frozen=True, slots=True)
class CaseChoices:
    """What the form of a case offers, and what is chosen in it. Pairs are code and name."""

    groups: list[OptionGroup]
    languages: list[tuple[str, str]]
    regions: list[tuple[str, str]]
    condition: str
    other_languages: list[tuple[str, str]]
    region: str


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """A case's profile as the reader reads it. condition, region: "" while not known."""

    condition: str
    languages: list[str]
    region: str


def option_groups(specialties: Iterable[Specialty], conditions: Iterable[Condition], words: Words) -> list[OptionGroup]:
    """Return every specialty with its conditions, ordered by what the reader calls them."""
    groups = {one.code: OptionGroup(one.code, words.gettext(one.name), []) for one in specialties}
    for one in conditions:
        groups[one.specialty.code].options.append(Option(one.code, words.gettext(one.name), one.icd10))
    for group in groups.values():
        group.options.sort(key=lambda option: option.name.casefold())
    return sorted(groups.values(), key=lambda group: group.name.casefold())


def case_choices(
    groups: list[OptionGroup], words: Words, *, condition: str, other_languages: Iterable[str], region: str
) -> CaseChoices:
    """Return what a case's form shows. Codes that there are not are left out."""
    languages = language_choices(words)
    return CaseChoices(
        groups, languages, region_choices(words), condition, with_names(other_languages, languages), region
    )


def describe(case: CaseProfile, words: Words) -> CaseFacts:
    """Return what is known of a case, in the reader's words; the patient's first language comes first."""
    names = dict(language_choices(words))
    return CaseFacts(
        condition=words.gettext(case.condition.name) if case.condition else "",
        languages=[names.get(code, code) for code in (case.first_language, *case.other_languages)],
        region=region_said(case.region, words) if case.region else "",
    )


def language_choices(words: Words) -> list[tuple[str, str]]:
    """Return code and name of every language that can be chosen, ordered by name."""
    return list(language_names(words.language).items())


def region_choices(words: Words) -> list[tuple[str, str]]:
    """Return code and name of every country, and of the states of some, ordered by name."""
    return list(region_names(words.language).items())


def with_names(codes: Iterable[str], choices: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the codes that there are, each with its name."""
    names = dict(choices)
    return [(code, names[code]) for code in codes if code in names]


def region_said(code: str, words: Words) -> str:
    return region_names(words.language).get(code, code)


def time_said(instant: datetime, words: Words, time_zone: str) -> str:
    """Return an instant in a zone: Mon 30 Nov, 09:00."""
    local = instant.astimezone(ZoneInfo(time_zone))
    return f"{format_date(local, 'EEE d MMM', words.language)}, {format_time(local, 'HH:mm', locale=words.language)}"


def _said(name: str, value: str | int | list[str], words: Words, time_zone: str) -> str | int:
    match name, value:
        case (("language" | "first"), str()):
            return language_in_sentence(value, words.language)
        case "region", str():
            return region_said(value, words)
        case "regions", list():
            return ", ".join(PARTS_OF_COUNTRIES.get(code, code) for code in value)
        case (("condition" | "specialty"), str()):
            return words.gettext(value)
        case "at", str():
            return time_said(datetime.fromisoformat(value), words, time_zone)
        case "until", str():
            until = datetime.fromisoformat(value).astimezone(ZoneInfo(time_zone))
            return str(format_date(until, "EEE d MMM y", words.language))
        case _, int():
            return value
    raise ValueError(f"a reason names {name}, which nobody can say")
