"""What somebody on the list wants, in the words of who reads it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import babel.dates

from consult.domain.ids import StaffId
from consult.domain.kinds import ConsultationKind
from consult.domain.words import N_
from consult.waiting.model import EVERY_WEEKDAY, Wishes
from consult.web.words import Words

KINDS = {
    ConsultationKind.FIRST_REVIEW: N_("First review"),
    ConsultationKind.FOLLOW_UP: N_("Follow-up"),
    ConsultationKind.PANEL: N_("Panel of experts"),
}


@dataclass(frozen=True, slots=True)
class Weekday:
    """number: Monday is 0."""

    number: int
    name: str


def weekdays(words: Words, width: Literal["wide", "abbreviated"] = "wide") -> list[Weekday]:
    names = babel.dates.get_day_names(width, locale=words.language)
    return [Weekday(number, _capital(names[number])) for number in range(7)]


def wanted(wishes: Wishes, names: Mapping[StaffId, str], words: Words) -> list[str]:
    """Return one short phrase per wish: Follow-up; With Dr Okafor; From 1 May 2026; Mon, Tue; 09:00 to 12:00."""
    phrases = [words.gettext(KINDS[wishes.kind]), _with_whom(wishes, names, words), *_days(wishes, words)]
    return [phrase for phrase in (*phrases, _times(wishes, words)) if phrase]


def _with_whom(wishes: Wishes, names: Mapping[StaffId, str], words: Words) -> str:
    known = [names.get(one, "") for one in wishes.expert_ids]
    if not known:
        return words.gettext(N_("With whichever expert is free"))
    if wishes.is_panel:
        return words.say(N_("{lead} leads, with {others}"), lead=known[0], others=", ".join(known[1:]))
    experts = functools.reduce(lambda one, other: words.say(N_("{one} or {other}"), one=one, other=other), known)
    return words.say(N_("With {experts}"), experts=experts)


def _days(wishes: Wishes, words: Words) -> list[str]:
    locale = words.language
    phrases: list[str] = []
    first, last = (
        babel.dates.format_date(day, "d MMM y", locale=locale) if day else ""
        for day in (wishes.day_from, wishes.day_to)
    )
    if first and last:
        phrases.append(words.say(N_("{first} to {last}"), first=first, last=last))
    elif first:
        phrases.append(words.say(N_("From {day}"), day=first))
    elif last:
        phrases.append(words.say(N_("By {day}"), day=last))
    if wishes.weekdays != EVERY_WEEKDAY:
        phrases.append(", ".join(one.name for one in weekdays(words, "abbreviated") if one.number in wishes.weekdays))
    return phrases


def _times(wishes: Wishes, words: Words) -> str:
    first = wishes.time_from.isoformat("minutes") if wishes.time_from else ""
    last = wishes.time_to.isoformat("minutes") if wishes.time_to else ""
    if first and last:
        return words.say(N_("Between {first} and {last}"), first=first, last=last)
    if first:
        return words.say(N_("Not before {time}"), time=first)
    return words.say(N_("Over by {time}"), time=last) if last else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
