"""The scheduler's board of a day, and the expert's own day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web
from babel.dates import format_date

from consult.boards import service
from consult.boards.board import columns_of, needs_of, span_of, state_of
from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.slots import day_bounds
from consult.keys import POOL
from consult.people import service as people
from consult.scheduling import service as scheduling
from consult.web.params import day_in_query
from consult.web.render import reader_words, render
from consult.web.session import require_staff

routes = web.RouteTableDef()

ONE_DAY = timedelta(days=1)


@routes.get("/board")
async def show_board(request: web.Request) -> web.Response:
    staff = await require_staff(request, StaffRole.SCHEDULER)
    zone, now = ZoneInfo(staff.time_zone), utc_now()
    today = now.astimezone(zone).date()
    day = day_in_query(request, today)
    monday = day - timedelta(days=day.weekday())
    bounds = day_bounds(day, zone)
    async with request.app[POOL].acquire() as conn:
        experts = await people.list_experts(conn)
        lines = await service.list_lines(conn, day, day, zone)
        urgent = await service.list_lines(conn, today, today + ONE_DAY, zone)
        counts = await service.count_by_day(conn, monday, monday + 6 * ONE_DAY, zone)
        kept = await service.list_kept(conn, [expert.id for expert in experts], bounds, now=now)
        ahead = await scheduling.list_free_slots(conn, experts, day - ONE_DAY, day + ONE_DAY, now=now)
    free = {
        expert_id: [slot for slot in slots if bounds.starts_at <= slot.starts_at < bounds.ends_at]
        for expert_id, slots in ahead.items()
    }
    taken = [*(line.slot for line in lines), *(one.slot for one in kept)]
    span = span_of([*taken, *(slot for slots in free.values() for slot in slots)], bounds)
    columns = columns_of([expert.id for expert in experts], lines, free, kept, span, now)
    return render(
        request,
        "staff/board.html",
        {
            "day": day,
            "today": today,
            "now": now,
            "zone": staff.time_zone,
            "experts": experts,
            "columns": columns,
            "span": span,
            "now_min": span.minute_of(now) if day == today else None,
            "needs": needs_of(urgent, now),
            "expert_names": {expert.id: expert.name for expert in experts},
            "call_count": len(lines),
            "done_count": sum(line.call_ended_at is not None for line in lines),
            "free_count": sum(map(len, free.values())),
            "week": _week(monday, counts, reader_words(request).language),
            "week_before": monday - 7 * ONE_DAY,
            "week_after": monday + 7 * ONE_DAY,
        },
    )


def _week(monday: date, counts: dict[date, int], language: str) -> list[dict[str, Any]]:
    days = [monday + number * ONE_DAY for number in range(7)]
    return [{"day": one, "label": format_date(one, "EEE d", language), "count": counts.get(one, 0)} for one in days]


@routes.get("/today")
async def show_today(request: web.Request) -> web.Response:
    """The expert's day: whom they see when, with the way into the call and into the case."""
    staff = await require_staff(request, StaffRole.EXPERT)
    zone, now = ZoneInfo(staff.time_zone), utc_now()
    today = now.astimezone(zone).date()
    day = day_in_query(request, today)
    async with request.app[POOL].acquire() as conn:
        lines = await service.list_lines(conn, day, day, zone, expert_id=staff.id)
        counts = await service.count_by_day(conn, today, today + 14 * ONE_DAY, zone, expert_id=staff.id)
    upcoming = sorted(one for one in counts if one > day)
    return render(
        request,
        "staff/today.html",
        {
            "day": day,
            "today": today,
            "now": now,
            "zone": staff.time_zone,
            "rows": [{"line": line, "state": state_of(line, now).value} for line in lines],
            "next_day": upcoming[0] if upcoming else None,
            "next_count": counts[upcoming[0]] if upcoming else 0,
            "day_before": day - ONE_DAY,
            "day_after": day + ONE_DAY,
        },
    )
