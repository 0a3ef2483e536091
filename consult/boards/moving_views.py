"""Where an appointment on a board could go, and the question before it goes there. Moving itself is `scheduling`'s."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from consult.boards import service
from consult.boards.model import BoardLine
from consult.db.pool import Connection
from consult.domain.access import StaffRole
from consult.domain.clock import epoch_ms, utc_now
from consult.domain.errors import NotFound
from consult.domain.ids import AppointmentId, StaffId
from consult.domain.slots import Slot
from consult.keys import POOL
from consult.people import service as people
from consult.people.model import Staff
from consult.scheduling import service as scheduling
from consult.web.params import day_in_query, number_in_query, uuid_in_path
from consult.web.render import clock_time, reader_words, render
from consult.web.session import require_staff

routes = web.RouteTableDef()

MOST_DAYS = 7
YEARS = range(2000, 2200)  # near the ends of the calendar zones cannot be computed


@routes.get("/board/moves/{id}")
async def list_targets(request: web.Request) -> web.Response:
    """The free times for one appointment on the days that a board shows: ?day= the first, ?days= how many, ?expert=."""
    staff = await require_staff(request, StaffRole.SCHEDULER)
    zone, now = ZoneInfo(staff.time_zone), utc_now()
    day = day_in_query(request, now.astimezone(zone).date())
    days = min(max(number_in_query(request, "days") or 1, 1), MOST_DAYS)
    bounds = service.bounds_of(day, day + timedelta(days=days - 1), zone)
    wanted = number_in_query(request, "expert")
    async with request.app[POOL].acquire() as conn:
        line = await service.fetch_line(conn, AppointmentId(uuid_in_path(request)))
        experts = [one for one in await people.list_experts(conn) if wanted in (None, one.id)]
        free = await _free_for(conn, line, experts, bounds, now)
    language = reader_words(request).language
    targets = [
        {
            "expert": expert.id,
            "expert_name": expert.name,
            "at": slot.starts_at.isoformat(),
            "at_ms": epoch_ms(slot.starts_at),
            "day": slot.starts_at.astimezone(zone).date().isoformat(),
            "time": clock_time(slot.starts_at, zone, locale=language),
        }
        for expert in experts
        for slot in free.get(expert.id, [])
        if slot != line.slot or expert.id != line.lead_id
    ]
    minutes = (line.ends_at - line.starts_at) // timedelta(minutes=1)
    now_at = {"expert": line.lead_id, "starts_ms": epoch_ms(line.starts_at), "minutes": minutes}
    return web.json_response(now_at | {"targets": targets})


async def _free_for(
    conn: Connection, line: BoardLine, experts: list[Staff], bounds: Slot, now: datetime
) -> dict[StaffId, list[Slot]]:
    """Return when each expert could take the appointment; of a panel only its lead, when all of it are free."""
    if bounds.ends_at <= now or now >= line.starts_at:
        return {}
    length = line.ends_at - line.starts_at
    # The experts' days may begin a day before or after those of the reader.
    first, last = (max(bounds.starts_at, now) - timedelta(days=1)).date(), (bounds.ends_at + timedelta(days=1)).date()
    if len(line.expert_ids) > 1:
        everybody = {one.id: one for one in await people.list_experts(conn)}
        panel = [everybody[one] for one in line.expert_ids if one in everybody]
        common = await scheduling.list_panel_slots(
            conn, panel, first, last, length, now=now, record_count=line.record_count
        )
        found = {line.lead_id: common}
    else:
        found = await scheduling.list_free_slots(
            conn, experts, first, last, length, now=now, record_count=line.record_count
        )
    return {
        expert_id: [slot for slot in slots if bounds.starts_at <= slot.starts_at < bounds.ends_at]
        for expert_id, slots in found.items()
    }


@routes.get("/board/moves/{id}/to")
async def ask_before_moving(request: web.Request) -> web.Response:
    """From when to when, in the zones of those concerned, and what follows: ?expert=, ?at= (ISO 8601).

    Its button moves; whether the time is still free is seen then. Without a time the appointment's page asks for one.
    """
    staff = await require_staff(request, StaffRole.SCHEDULER)
    starts_at = _instant_in_query(request)
    appointment_id = AppointmentId(uuid_in_path(request))
    if starts_at is None:
        return web.Response(status=303, headers={"Location": f"/appointments/{appointment_id}/move"})
    async with request.app[POOL].acquire() as conn:
        line = await service.fetch_line(conn, appointment_id)
        experts = {one.id: one for one in await people.list_experts(conn)}
    wanted, lead = number_in_query(request, "expert"), experts.get(line.lead_id)
    expert = lead if wanted is None else next((one for one in experts.values() if one.id == wanted), None)
    if expert is None:
        raise NotFound("expert")
    values: dict[str, Any] = {
        "line": line,
        "from_expert": lead,
        "to_expert": expert,
        "to_at": starts_at,
        "zones": zones_of(line, expert, staff.time_zone),
        "now": utc_now(),
    }
    return render(request, "staff/board_move.html", values)


def zones_of(line: BoardLine, expert: Staff, reader_zone: str) -> list[tuple[str, str]]:
    """Return whose time a move is told in, and the zone: of the reader, the patient and the expert, each zone once."""
    told: dict[str, str] = {}
    for whose, zone in (("reader", reader_zone), ("patient", line.patient_time_zone), ("expert", expert.time_zone)):
        if zone:
            told.setdefault(zone, whose)
    return [(whose, zone) for zone, whose in told.items()]


def _instant_in_query(request: web.Request) -> datetime | None:
    try:
        instant = datetime.fromisoformat(request.query.get("at", ""))
    except ValueError:
        return None
    return instant if instant.tzinfo is not None and instant.year in YEARS else None
