"""What changes an expert's time besides the week: days that differ, absences, travel, rules, kinds of consultation.

What is booked already stays, whatever is entered. Each function takes the expert's lock, so that nobody books meanwhile
by what was true before, and opens its own transaction. Wrong entries raise InvalidInput with the form's field names.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import asyncpg

from consult.availability import queries
from consult.availability.model import ExpertRules, ExpertTime, wrong_blocks
from consult.availability.service import fetch_expert
from consult.domain.errors import InvalidInput
from consult.domain.ids import StaffId
from consult.domain.kinds import LONGEST, SHORTEST, ConsultationKind
from consult.domain.slots import Slot
from consult.domain.words import N_
from consult.domain.working_days import Travel, WorkingBlock
from consult.domain.zones import DAY_S, instant_to_utc, spans_of

MOST_DAYS_AHEAD = 3 * 366
MOST_ENTRIES = 400

DAY_OVER = N_("This day is over. Please enter a day from today on.")
TOO_FAR = N_("Please enter a day within the next three years.")
ENDS_BEFORE = N_("This is before the first day. Please look at both days.")
ENDS_BEFORE_START = N_("The absence ends before it begins. Please look at both times.")
ALREADY_OVER = N_("This time is over already. Please enter one that is still to come.")
NO_SUCH_MOMENT = N_("The clock skips this day in the expert's zone. Please enter another one.")
SKIPPED = N_("The clock skips this time on that day. Choose another one.")
NO_SUCH_ZONE = N_("There is no time zone of this name. Choose one from the list, for example Europe/Lisbon.")
OTHER_TRAVEL = N_("A journey is entered already for some of these days. Remove it first.")
HOURS_OR_NONE = N_("Enter hours, or tick that there are none on this day.")
NOT_BOTH = N_("There are hours below. Remove them, or take the tick away.")
TOO_MANY = N_("There are too many entries already. Remove some first.")
MOST_LESS_THAN_BASE = N_("This cannot be less than the preparation of every call.")
NO_KIND = N_("Choose at least one kind of consultation.")
LENGTH_RANGE = N_("A call lasts between 10 minutes and 3 hours.")


@dataclass(frozen=True, slots=True)
class AbsenceWish:
    """An absence as it was entered, local to where the expert is on these days. No time: from or to the day's end."""

    day_from: date
    time_from: time | None
    day_to: date
    time_to: time | None
    note: str = ""


async def set_day(
    conn: asyncpg.Connection, expert_id: StaffId, day: date, blocks: Sequence[WorkingBlock], *, today: date
) -> None:
    """Let other hours stand on a day, in place of the week's and of what was entered for it before; none: no hours.

    Raises InvalidInput with fields day, `block-N`; NotFound.
    """
    _check_day("day", day, today)
    if wrong := wrong_blocks(blocks):
        raise InvalidInput({f"block-{place}": sentence for place, sentence in wrong.items()})
    async with _changing(conn, expert_id):
        await queries.replace_day_hours(conn, expert_id, day, blocks)
        await _check_count(conn, expert_id, today)


async def forget_day(conn: asyncpg.Connection, expert_id: StaffId, day: date) -> None:
    """Let the week's hours stand again on a day."""
    async with _changing(conn, expert_id):
        await queries.delete_day_hours(conn, expert_id, day)


async def add_absence(conn: asyncpg.Connection, expert_time: ExpertTime, wish: AbsenceWish, *, now: datetime) -> Slot:
    """Keep an expert's time free of calls, and return it. Raises InvalidInput with fields day_from, day_to."""
    during = absence_of(expert_time, wish, now)
    async with _changing(conn, expert_time.expert_id):
        await queries.insert_absence(conn, uuid.uuid4(), expert_time.expert_id, during, wish.note, now)
        await _check_count(conn, expert_time.expert_id, now.date())
    return during


def absence_of(expert_time: ExpertTime, wish: AbsenceWish, now: datetime) -> Slot:
    """Return an absence as real time; of a time that the clock repeats, all of it. Raises InvalidInput."""
    today = now.astimezone(expert_time.home_zone).date()
    for name, day in (("day_from", wish.day_from), ("day_to", wish.day_to)):
        if (day - today).days > MOST_DAYS_AHEAD:
            raise InvalidInput({name: TOO_FAR})
    if (today - wish.day_to).days > 1:
        raise InvalidInput({"day_to": ALREADY_OVER})
    if (today - wish.day_from).days > MOST_DAYS_AHEAD:
        raise InvalidInput({"day_from": DAY_OVER})
    if wish.day_to < wish.day_from:
        raise InvalidInput({"day_to": ENDS_BEFORE_START})
    starts_at = _first_instant(expert_time.zone_on(wish.day_from), wish.day_from, wish.time_from)
    if starts_at is None:
        raise InvalidInput({"day_from": NO_SUCH_MOMENT})
    ends_at = _last_instant(expert_time.zone_on(wish.day_to), wish.day_to, wish.time_to)
    if ends_at is None:
        raise InvalidInput({"day_to": NO_SUCH_MOMENT})
    if ends_at <= starts_at:
        is_in_order = wish.day_from == wish.day_to and (wish.time_from or time.min) < (wish.time_to or time.max)
        raise InvalidInput({"time_to": SKIPPED if is_in_order else ENDS_BEFORE_START})
    if ends_at <= now:
        raise InvalidInput({"day_to": ALREADY_OVER})
    return Slot(starts_at, ends_at)


async def remove_absence(conn: asyncpg.Connection, expert_id: StaffId, absence_id: uuid.UUID) -> None:
    async with _changing(conn, expert_id):
        await queries.delete_absence(conn, expert_id, absence_id)


async def add_travel(conn: asyncpg.Connection, expert_id: StaffId, travel: Travel, *, today: date) -> None:
    """Let an expert's hours be local times of another zone for some days.

    Raises InvalidInput with fields day_from, day_to; NotFound.
    """
    _check_day("day_to", travel.day_to, today)
    if (today - travel.day_from).days > MOST_DAYS_AHEAD:
        raise InvalidInput({"day_from": DAY_OVER})
    if travel.day_to < travel.day_from:
        raise InvalidInput({"day_to": ENDS_BEFORE})
    try:
        async with _changing(conn, expert_id):
            await queries.insert_travel(conn, uuid.uuid4(), expert_id, travel)
            await _check_count(conn, expert_id, today)
    except asyncpg.ExclusionViolationError:
        raise InvalidInput({"day_from": OTHER_TRAVEL}) from None


async def remove_travel(conn: asyncpg.Connection, expert_id: StaffId, day_from: date) -> None:
    """Let the hours of a journey, named by its first day, be times at home again."""
    async with _changing(conn, expert_id):
        await queries.delete_travel(conn, expert_id, day_from)


async def set_rules(conn: asyncpg.Connection, expert_id: StaffId, rules: ExpertRules) -> None:
    """Replace an expert's rules; their ranges are those of the form and the database. Raises InvalidInput, NotFound."""
    if rules.preparation_most < rules.preparation:
        raise InvalidInput({"preparation_most": MOST_LESS_THAN_BASE})
    async with _changing(conn, expert_id):
        await queries.upsert_rules(conn, expert_id, rules)


async def set_lengths(
    conn: asyncpg.Connection, expert_id: StaffId, lengths: Mapping[ConsultationKind, timedelta]
) -> None:
    """Say which kinds of consultation an expert gives, and how long each lasts. Raises InvalidInput, NotFound."""
    if not lengths:
        raise InvalidInput({"kinds": NO_KIND})
    wrong = {f"length-{kind}": LENGTH_RANGE for kind, length in lengths.items() if not SHORTEST <= length <= LONGEST}
    if wrong:
        raise InvalidInput(wrong)
    async with _changing(conn, expert_id):
        await queries.replace_kinds(conn, expert_id, lengths)


@asynccontextmanager
async def _changing(conn: asyncpg.Connection, expert_id: StaffId) -> AsyncIterator[None]:
    """A transaction in which nobody else changes or books this expert's time. Raises NotFound."""
    await fetch_expert(conn, expert_id)
    async with conn.transaction():
        await queries.lock_expert(conn, expert_id)
        yield
        await queries.tell_of_change(conn, expert_id)


async def _check_count(conn: asyncpg.Connection, expert_id: StaffId, today: date) -> None:
    if await queries.count_entries(conn, expert_id, today) > MOST_ENTRIES:
        raise InvalidInput({"": TOO_MANY})


def _check_day(name: str, day: date, today: date) -> None:
    if day < today - timedelta(days=1):  # where the expert is, it may still be yesterday
        raise InvalidInput({name: DAY_OVER})
    if (day - today).days > MOST_DAYS_AHEAD:
        raise InvalidInput({name: TOO_FAR})


def _first_instant(zone: ZoneInfo, day: date, at: time | None) -> datetime | None:
    spans = spans_of(zone, day, _second_of(at) if at else 0, DAY_S)
    return instant_to_utc(spans[0][0]) if spans else None


def _last_instant(zone: ZoneInfo, day: date, at: time | None) -> datetime | None:
    if at is not None and not _second_of(at):  # at the very beginning of the day
        return _first_instant(zone, day, None)
    spans = spans_of(zone, day, 0, _second_of(at) if at else DAY_S)
    return instant_to_utc(spans[-1][1]) if spans else None


def _second_of(at: time) -> int:
    return at.hour * 3600 + at.minute * 60
