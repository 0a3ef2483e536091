"""Reasons, languages and regions in the reader's words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_time

from consult.domain.words import N_
from consult.matching.codes import language_in_sentence, language_names, region_names
from consult.matching.model import Answer, Condition, Part, Reason
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


def language_choices(words: Words) -> list[tuple[str, str]]:
    """Return code and name of every language that can be chosen, ordered by name."""
    return list(language_names(words.language).items())


def region_choices(words: Words) -> list[tuple[str, str]]:
    """Return code and name of every country, and of the states of some, ordered by name."""
    return list(region_names(words.language).items())


def languages_said(codes: Iterable[str], words: Words) -> list[str]:
    names = language_names(words.language)
    return [names.get(code, code) for code in codes]


def region_said(code: str, words: Words) -> str:
    return region_names(words.language).get(code, code)


def by_specialty(conditions: Sequence[Condition], words: Words) -> list[tuple[str, str, list[Condition]]]:
    """Return the conditions by specialty: its code, its name in the reader's language, its conditions; by name."""
    groups: dict[str, tuple[str, str, list[Condition]]] = {}
    for one in conditions:
        field = one.specialty
        groups.setdefault(field.code, (field.code, words.gettext(field.name), []))[2].append(one)
    for _code, _name, members in groups.values():
        members.sort(key=lambda one: words.gettext(one.name).casefold())
    return sorted(groups.values(), key=lambda group: group[1].casefold())


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
            return ", ".join(region_said(code, words) for code in value)
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
