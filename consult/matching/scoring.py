"""How well experts fit a case: a sentence and an answer for each part, points for the order, nothing decided.

Pure. An answer in one part never changes another, and a better answer never gives fewer points, so whatever an expert
adds to their profile that fits a case never lowers their place in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from consult.domain.slots import Slot
from consult.domain.words import N_
from consult.matching.model import Answer, Candidate, CaseProfile, Match, Part, Reason, Values

WEEKS_LOOKED_AT = 4
SOON = timedelta(days=7)

POINTS: dict[Part, dict[Answer, int]] = {
    Part.CONDITION: {Answer.YES: 40, Answer.PARTLY: 20, Answer.UNKNOWN: 5, Answer.NO: 0},
    Part.LICENCE: {Answer.YES: 25, Answer.PARTLY: 12, Answer.UNKNOWN: 6, Answer.NO: 0},
    Part.LANGUAGE: {Answer.YES: 15, Answer.PARTLY: 10, Answer.UNKNOWN: 3, Answer.NO: 0},
    Part.TIME: {Answer.YES: 10, Answer.PARTLY: 5, Answer.NO: 0},
    Part.LOAD: {Answer.YES: 6, Answer.PARTLY: 3, Answer.UNKNOWN: 2, Answer.NO: 0},
    Part.KNOWN: {Answer.YES: 4, Answer.NO: 0},
}
# A "no" to one of these puts an expert behind all whom nothing speaks against. They stay on the list.
OBJECTIONS = frozenset({Part.CONDITION, Part.LICENCE, Part.TIME})


def rank(candidates: Iterable[Candidate], case: CaseProfile, now: datetime) -> list[Match]:
    """Return everybody, whoever fits best first: fewest objections, most points, earliest free time, then by name.

    The order is total and depends on nothing but its arguments.
    """
    return sorted((assess(candidate, case, now) for candidate in candidates), key=_order)


def assess(candidate: Candidate, case: CaseProfile, now: datetime) -> Match:
    """Return how one expert fits, with a reason for every part that says something."""
    reasons = (
        _condition(candidate, case),
        _licence(candidate, case),
        _language(candidate, case),
        _time(candidate, now),
        _load(candidate),
        *([_reason(Part.KNOWN, Answer.YES, KNOWS)] if candidate.knows_case else []),
    )
    points = sum(POINTS[reason.part][reason.answer] for reason in reasons)
    objections = sum(reason.part in OBJECTIONS and reason.answer is Answer.NO for reason in reasons)
    return Match(candidate, reasons, points, objections)


def away_until(absences: Iterable[Slot], now: datetime) -> datetime | None:
    """Return the end of an absence that begins within days and lasts longer than those; absences in a row are one."""
    until: datetime | None = None
    for absence in sorted(absences):
        if absence.starts_at <= (until or now + SOON):
            until = max(until or absence.ends_at, absence.ends_at)
    return until if until is not None and until > now + SOON else None


def _order(match: Match) -> tuple[int, int, float, str, int]:
    candidate = match.candidate
    earliest = candidate.free[0].starts_at.timestamp() if candidate.free else float("inf")
    return match.objections, -match.points, earliest, candidate.name.casefold(), candidate.expert_id


def _reason(part: Part, answer: Answer, sentence: str, **values: str | int | list[str]) -> Reason:
    kept: Values = values
    return Reason(part, answer, sentence, kept)


REVIEWS = N_("Reviews this condition: {condition}.")
SAME_FIELD = N_("Works in the same field, without naming the condition: {specialty}.")
OTHER_FIELD = N_("Names neither the condition nor its field: {specialty}.")
NO_CONDITION = N_("The case names no condition yet.")
NO_FIELDS = N_("Has not entered what they review.")


def _condition(candidate: Candidate, case: CaseProfile) -> Reason:
    wanted, profile = case.condition, candidate.profile
    if wanted is None:
        return _reason(Part.CONDITION, Answer.UNKNOWN, NO_CONDITION)
    if wanted.code in profile.conditions:
        return _reason(Part.CONDITION, Answer.YES, REVIEWS, condition=wanted.name)
    field = wanted.specialty.name
    if wanted.specialty.code in profile.fields:
        return _reason(Part.CONDITION, Answer.PARTLY, SAME_FIELD, specialty=field)
    if not profile.fields:
        return _reason(Part.CONDITION, Answer.UNKNOWN, NO_FIELDS)
    return _reason(Part.CONDITION, Answer.NO, OTHER_FIELD, specialty=field)


LICENSED = N_("May give opinions in {region}.")
LICENSED_IN_PART = N_("May give opinions in parts of {region}: {regions}. Where in it the patient lives is not known.")
NOT_LICENSED = N_("Has entered no licence for {region}.")
NO_REGION = N_("Where the patient lives is not known.")
NO_LICENCES = N_("Has not entered where they may give opinions.")


def _licence(candidate: Candidate, case: CaseProfile) -> Reason:
    licences = candidate.profile.licences
    if case.region is None:
        return _reason(Part.LICENCE, Answer.UNKNOWN, NO_REGION)
    if not licences:
        return _reason(Part.LICENCE, Answer.UNKNOWN, NO_LICENCES)
    country = case.region.partition("-")[0]
    if case.region in licences or country in licences:
        return _reason(Part.LICENCE, Answer.YES, LICENSED, region=case.region)
    inside = sorted(one for one in licences if one.startswith(f"{case.region}-"))
    if inside:
        return _reason(Part.LICENCE, Answer.PARTLY, LICENSED_IN_PART, region=case.region, regions=inside)
    return _reason(Part.LICENCE, Answer.NO, NOT_LICENSED, region=case.region)


SPEAKS = N_("Speaks the patient's first language: {language}.")
BOTH_SPEAK = N_("Both speak {language}. The patient's first language is another one: {first}.")
INTERPRETER = N_("They share no language. An interpreter is needed: {first}.")
NO_LANGUAGES = N_("Has not entered which languages they speak.")


def _language(candidate: Candidate, case: CaseProfile) -> Reason:
    spoken = candidate.profile.languages
    if not spoken:
        return _reason(Part.LANGUAGE, Answer.UNKNOWN, NO_LANGUAGES)
    if case.first_language in spoken:
        return _reason(Part.LANGUAGE, Answer.YES, SPEAKS, language=case.first_language)
    for language in case.other_languages:
        if language in spoken:
            return _reason(Part.LANGUAGE, Answer.PARTLY, BOTH_SPEAK, language=language, first=case.first_language)
    return _reason(Part.LANGUAGE, Answer.NO, INTERPRETER, first=case.first_language)


FREE = N_("Has free time from {at}.")
FREE_LATER = N_("Has free time only from {at}.")
FREE_AFTER_ABSENCE = N_("Is away until {until}. Has free time from {at}.")
AWAY = N_("Is away until {until}.")
NO_HOURS = N_("Has entered no working hours.")
NO_REVIEWS = N_("Gives no first reviews.")
FULL = N_("Has no free time in the next four weeks.")


def _time(candidate: Candidate, now: datetime) -> Reason:
    until = candidate.away_until.isoformat() if candidate.away_until else None
    if candidate.free:
        first = candidate.free[0].starts_at
        at = first.isoformat()
        if first - now <= SOON:
            return _reason(Part.TIME, Answer.YES, FREE, at=at)
        if until is not None:
            return _reason(Part.TIME, Answer.PARTLY, FREE_AFTER_ABSENCE, until=until, at=at)
        return _reason(Part.TIME, Answer.PARTLY, FREE_LATER, at=at)
    if not candidate.gives_reviews:
        return _reason(Part.TIME, Answer.NO, NO_REVIEWS)
    if until is not None:
        return _reason(Part.TIME, Answer.NO, AWAY, until=until)
    return _reason(Part.TIME, Answer.NO, FULL if candidate.has_hours else NO_HOURS)


LOAD = N_("Booked in the next four weeks: {calls}. Opinions to write: {opinions}. Wanted: at most {wanted}.")
LOAD_ALONE = N_(
    "Booked in the next four weeks: {calls}. Opinions to write: {opinions}. How many are wanted is not said."
)


def _load(candidate: Candidate) -> Reason:
    """Three quarters of what they want in four weeks is room enough; all of it is none."""
    load, a_week = candidate.workload, candidate.profile.new_cases_a_week
    counted = {"calls": load.calls, "opinions": load.opinions}
    if a_week is None:
        return _reason(Part.LOAD, Answer.UNKNOWN, LOAD_ALONE, **counted)
    wanted, taken = a_week * WEEKS_LOOKED_AT, load.calls + load.opinions
    if taken >= wanted:
        answer = Answer.NO
    else:
        answer = Answer.PARTLY if taken * 4 > wanted * 3 else Answer.YES
    return _reason(Part.LOAD, answer, LOAD, **counted, wanted=wanted)


KNOWS = N_("Knows the case: they have an appointment in it.")
