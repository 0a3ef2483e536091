"""The scheduler's board: a day by the hour, a week, a month of availability; and beside each what needs a hand now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from aiohttp import web
from babel.dates import format_date, format_skeleton

from consult.availability import service as availability
from consult.availability.model import ExpertTime
from consult.boards import service
from consult.boards.board import columns_of, needs_of, span_of
from consult.boards.weeks import ONE_DAY, free_by_day, monday_of, month_days, month_of, week_of
from consult.db.pool import Connection
from consult.domain.access import StaffRole
from consult.domain.clock import epoch_ms, utc_now
from consult.domain.ids import StaffId
from consult.domain.slots import Slot
from consult.keys import POOL
from consult.notices import service as notices
from consult.people import service as people
from consult.people.model import Staff
from consult.scheduling import service as scheduling
from consult.web.params import day_in_query, number_in_query
from consult.web.render import reader_words, render
from consult.web.session import require_staff

routes = web.RouteTableDef()

WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a board is asked for. zone: the reader's; expert: whose board, None for everybody's."""

    now: datetime
    zone: ZoneInfo
    day: date
    experts: Sequence[Staff]
    expert: Staff | None

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    @property
    def shown(self) -> Sequence[Staff]:
        return [self.expert] if self.expert else self.experts

    @property
    def expert_id(self) -> StaffId | None:
        return self.expert.id if self.expert else None


@routes.get("/board")
async def show_board(request: web.Request) -> web.Response:
    """?view=day, week or month; ?day= any day of it; ?expert= one of them. What makes no sense is left out."""
    staff = await require_staff(request, StaffRole.SCHEDULER)
    now, zone = utc_now(), ZoneInfo(staff.time_zone)
    view = request.query.get("view", "day")
    fill = {"week": _week_values, "month": _month_values}.get(view, _day_values)
    async with request.app[POOL].acquire() as conn:
        experts = await people.list_experts(conn)
        wanted = number_in_query(request, "expert")
        expert = next((one for one in experts if one.id == wanted), None)
        asked = Asked(now, zone, day_in_query(request, now.astimezone(zone).date()), experts, expert)
        unreached = await notices.list_unreached(conn, now)
        urgent = await service.list_lines(conn, asked.today, asked.today + ONE_DAY, zone)
        values = await fill(conn, asked, reader_words(request).language)
    template = {_week_values: "staff/board_week.html", _month_values: "staff/board_month.html"}.get(fill)
    known = {
        "day": asked.day,
        "today": asked.today,
        "now": now,
        "now_ms": epoch_ms(now),
        "board_url": board_url,
        "zone": staff.time_zone,
        "experts": experts,
        "shown": asked.shown,
        "expert": expert,
        "expert_names": {one.id: one.name for one in experts},
        "needs": needs_of(urgent, now),
        "unreached": unreached,
    }
    return render(request, template or "staff/board.html", known | values)


def board_url(view: str, day: date, expert: Staff | None = None) -> str:
    """Return the address of a board. What goes without saying is left out."""
    asked = {"view": view} if view != "day" else {}
    asked |= {"day": day.isoformat()}
    return f"/board?{urlencode(asked | ({'expert': str(expert.id)} if expert else {}))}"


async def _day_values(conn: Connection, asked: Asked, language: str) -> dict[str, Any]:
    day, now, monday = asked.day, asked.now, monday_of(asked.day)
    bounds = service.bounds_of(day, day, asked.zone)
    ids = [one.id for one in asked.shown]
    lines = await service.list_lines(conn, day, day, asked.zone, expert_id=asked.expert_id)
    begun = [line for line in lines if line.starts_at >= bounds.starts_at]  # not the night before
    counts = await service.count_by_day(conn, monday, monday + 6 * ONE_DAY, asked.zone, expert_id=asked.expert_id)
    kept = await service.list_kept(conn, ids, bounds, now=now)
    times = await availability.fetch_times(conn, asked.shown)
    free = await free_within(conn, asked, times, bounds)
    absences = {expert_id: time.absences for expert_id, time in times.items()}
    taken = [*(line.slot for line in lines), *(one.slot for one in kept)]
    span = span_of([*taken, *(slot for slots in free.values() for slot in slots)], bounds, now)
    return {
        "view": "day",
        "columns": {
            one: entries
            for one, entries in columns_of(ids, lines, free, kept, span, now, absences).items()
            if one in ids
        },
        "span": span,
        "span_ms": epoch_ms(span.starts_at),
        "call_count": len(begun),
        "is_empty": not lines,
        "done_count": sum(line.call_ended_at is not None for line in begun),
        "free_count": sum(map(len, free.values())),
        "week": week_labels(monday, counts, language),
        "before": monday - WEEK,
        "after": monday + WEEK,
    }


async def _week_values(conn: Connection, asked: Asked, language: str) -> dict[str, Any]:
    monday = monday_of(asked.day)
    sunday = monday + 6 * ONE_DAY
    lines = await service.list_lines(conn, monday, sunday, asked.zone, expert_id=asked.expert_id)
    bounds = service.bounds_of(monday, sunday, asked.zone)
    times = await availability.fetch_times(conn, asked.shown)
    free = free_by_day(await free_within(conn, asked, times, bounds), asked.zone)
    days = week_of(monday, lines, free, asked.zone, asked.now)
    return {
        "view": "week",
        "days": [{"of": one, "label": format_date(one.day, "EEE d", language)} for one in days],
        "title": week_title(monday, language),
        "call_count": sum(one.call_count for one in days),
        "free_count": sum(one.free_count for one in days),
        "before": monday - WEEK,
        "after": monday + WEEK,
    }


async def _month_values(conn: Connection, asked: Asked, language: str) -> dict[str, Any]:
    days = month_days(asked.day)
    bounds = service.bounds_of(days[0], days[-1], asked.zone)
    booked = await service.count_by_day(conn, days[0], days[-1], asked.zone, expert_id=asked.expert_id)
    times = await availability.fetch_times(conn, asked.shown)
    free = free_by_day(await free_within(conn, asked, times, bounds), asked.zone)
    month = month_of(asked.day, booked, free)
    first = asked.day.replace(day=1)
    return {
        "view": "month",
        "days": [{"of": one, "label": format_date(one.day, "EEE d", language)} for one in month],
        "weekdays": [format_date(one, "EEE", language) for one in days[:7]],
        "title": format_skeleton("yMMMM", first, locale=language),
        "call_count": sum(one.booked_count for one in month if not one.is_outside),
        "free_count": sum(one.free_count for one in month if not one.is_outside),
        "before": (first - ONE_DAY).replace(day=1),
        "after": (first + timedelta(days=31)).replace(day=1),
    }


async def free_within(
    conn: Connection, asked: Asked, times: Mapping[StaffId, ExpertTime], bounds: Slot
) -> dict[StaffId, list[Slot]]:
    """Return the free times of the shown experts that begin within bounds, each in the expert's own length.

    None of the past is asked for.
    """
    nothing: dict[StaffId, list[Slot]] = {one.id: [] for one in asked.shown}
    if bounds.ends_at <= asked.now:
        return nothing
    # The experts' days may begin a day before or after those of the reader.
    first = max(bounds.starts_at, asked.now).astimezone(asked.zone).date() - ONE_DAY
    last = bounds.ends_at.astimezone(asked.zone).date() + ONE_DAY
    by_length: dict[timedelta, list[Staff]] = {}
    for one in asked.shown:
        if (length := times[one.id].board_length) is not None:
            by_length.setdefault(length, []).append(one)
    ahead = dict(nothing)
    for length, experts in by_length.items():
        ahead |= await scheduling.list_free_slots(conn, experts, first, last, length, now=asked.now)
    return {
        expert_id: [slot for slot in slots if bounds.starts_at <= slot.starts_at < bounds.ends_at]
        for expert_id, slots in ahead.items()
    }


def week_labels(monday: date, counts: dict[date, int], language: str) -> list[dict[str, Any]]:
    days = [monday + number * ONE_DAY for number in range(7)]
    return [{"day": one, "label": format_date(one, "EEE d", language), "count": counts.get(one, 0)} for one in days]


def week_title(monday: date, language: str) -> str:
    """23 Nov – 29 Nov 2026."""
    first = format_date(monday, "d MMM", language)
    return f"{first} – {format_date(monday + 6 * ONE_DAY, 'd MMM y', language)}"
