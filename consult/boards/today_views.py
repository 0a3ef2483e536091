"""The expert's own board: whom they see when, by the day or the week, with the way into the call and into the case."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web
from babel.dates import format_date

from consult.boards import service
from consult.boards.board import state_of
from consult.boards.board_views import week_title
from consult.boards.weeks import ONE_DAY, monday_of, week_of
from consult.domain.access import StaffRole
from consult.domain.clock import epoch_ms, utc_now
from consult.keys import POOL
from consult.web.params import day_in_query
from consult.web.render import reader_words, render
from consult.web.session import require_staff

routes = web.RouteTableDef()

DAYS_AHEAD = 14


@routes.get("/today")
async def show_today(request: web.Request) -> web.Response:
    staff = await require_staff(request, StaffRole.EXPERT)
    zone, now = ZoneInfo(staff.time_zone), utc_now()
    today = now.astimezone(zone).date()
    day = day_in_query(request, today)
    known = {"day": day, "today": today, "now": now, "now_ms": epoch_ms(now), "zone": staff.time_zone}
    async with request.app[POOL].acquire() as conn:
        if request.query.get("view") == "week":
            monday = monday_of(day)
            sunday = monday + 6 * ONE_DAY
            lines = await service.list_lines(conn, monday, sunday, zone, expert_id=staff.id)
            language = reader_words(request).language
            days = week_of(monday, lines, {}, zone, now)
            values: dict[str, Any] = {
                "days": [{"of": one, "label": format_date(one.day, "EEE d", language)} for one in days],
                "title": week_title(monday, language),
                "call_count": len(lines),
                "before": monday - 7 * ONE_DAY,
                "after": monday + 7 * ONE_DAY,
            }
            return render(request, "staff/today_week.html", known | values)
        lines = await service.list_lines(conn, day, day, zone, expert_id=staff.id)
        counts = await service.count_by_day(conn, today, today + DAYS_AHEAD * ONE_DAY, zone, expert_id=staff.id)
    upcoming = sorted(one for one in counts if one > day)
    values = {
        "rows": [{"line": line, "state": state_of(line, now).value} for line in lines],
        "next_day": upcoming[0] if upcoming else None,
        "day_before": day - ONE_DAY,
        "day_after": day + ONE_DAY,
    }
    return render(request, "staff/today.html", known | values)
