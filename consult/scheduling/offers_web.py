"""The free times that a page of the staff offers: a month at a glance, and the times of one day.

Shared by booking and moving. Days are those of the expert who leads.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
from babel.dates import format_skeleton, get_day_names

from consult.domain.clock import earliest_day
from consult.domain.errors import ConsultError, RoomsFull, SlotInPast, SlotOutsideHours, SlotTaken
from consult.domain.slots import Slot, instants_of
from consult.domain.words import N_
from consult.people.model import Staff
from consult.scheduling import service
from consult.scheduling.month import by_day, day_from, month_of, next_month
from consult.web.forms import NOT_A_DATE, Form
from consult.web.words import Words

DAYS_LOOKED_AHEAD = 60
DAYS_AHEAD = 365
REFUSED = (SlotTaken, SlotInPast, SlotOutsideHours, RoomsFull)  # about the time: shown beside it, with others to choose

CHOOSE_EXPERT = N_("Choose an expert.")
CHOOSE_TIME = N_("Choose one of the free times.")
SKIPPED_TIME = N_("The clock skips this time on that day. Choose another one.")
SHOWN_TWICE = N_("The clock shows this time twice on that day. Choose which of the two.")
WHICH_HOUR = ("first", "second")
YEARS = range(2000, 2200)  # what lies outside is a slip, and near the ends of the calendar zones cannot be computed


async def list_offers(
    conn: asyncpg.Connection,
    experts: Sequence[Staff],
    length: timedelta,
    *,
    record_count: int,
    now: datetime,
    wanted_day: str,
    words: Words,
) -> dict[str, Any]:
    """Return what `staff/_times.html` shows. experts: who must all be free, the lead first."""
    zone = ZoneInfo(experts[0].time_zone)
    today = now.astimezone(zone).date()
    last = today + timedelta(days=DAYS_AHEAD)
    chosen = day_from(wanted_day, today, last)
    until = max(today + timedelta(days=DAYS_LOOKED_AHEAD), next_month((chosen or today).replace(day=1)))
    slots = await service.list_panel_slots(  # of a lead who travels it may still be yesterday
        conn, experts, earliest_day(now), min(until, last), length, now=now, record_count=record_count
    )
    days = by_day(slots, zone)
    first_free = min(days, default=None)
    day = chosen or first_free or today
    return {
        "day": day,
        "month": month_of(day, days, today, last),
        "month_name": _month_name(day, words.language),
        "weekdays": [get_day_names("abbreviated", locale=words.language)[number] for number in range(7)],
        "free": days.get(day, []),
        "next_free": min((one for one in days if one > day), default=first_free if first_free != day else None),
        "today": today,
    }


def _month_name(day: date, language: str) -> str:
    name = format_skeleton("yMMMM", datetime(day.year, day.month, 1, tzinfo=UTC), locale=language)  # marzo de 2026
    return name[:1].upper() + name[1:]


def wanted_start(form: Form, lead: Staff, *, outside_hours: bool) -> datetime | None:
    """Return the instant that was chosen from the list, or typed in the lead's local time. Marks what is wrong."""
    if not outside_hours:
        starts_at = instant_from(form.text("slot", max_chars=40))
        if starts_at is None:
            form.wrong("slot", CHOOSE_TIME)
        return starts_at
    instants = typed_instants(form, lead)
    if len(instants) < 2:
        return next(iter(instants), None)
    which = form.choice("hour", WHICH_HOUR, required=False)
    if not which:
        form.wrong("hour", SHOWN_TWICE)
        return None
    return instants[WHICH_HOUR.index(which)]


def typed_instants(form: Form, lead: Staff) -> list[datetime]:
    """Return the instants of a typed day and time of the lead: two where the clock shows it twice. Marks wrong ones."""
    day, at = form.date("date"), form.clock_time("time")
    if day is None or at is None:
        return []
    if day.year not in YEARS:
        form.wrong("date", NOT_A_DATE)
        return []
    instants = instants_of(datetime.combine(day, at), ZoneInfo(lead.time_zone))
    if not instants:
        form.wrong("time", SKIPPED_TIME)
    return instants


def hours_to_choose(form: Form | None, lead: Staff | None) -> list[tuple[str, datetime]]:
    """Return what `times.hour_choice` offers: both instants of a typed time that comes twice."""
    if form is None or lead is None or not form.checked("outside_hours"):
        return []
    instants = typed_instants(form, lead)
    return list(zip(WHICH_HOUR, instants, strict=True)) if len(instants) == len(WHICH_HOUR) else []


def instant_from(text: str) -> datetime | None:
    """Return the instant that a form or an address carries, None if it is none that can be booked."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo is not None and instant.year in YEARS else None


def nearest_of(refused: ConsultError | None) -> list[Slot]:
    found: Any = refused.values.get("nearest", []) if refused else []
    return list(found)


def day_of(starts_at: datetime | None, lead: Staff) -> date | None:
    """Return the lead's day of an instant."""
    return None if starts_at is None else starts_at.astimezone(ZoneInfo(lead.time_zone)).date()
