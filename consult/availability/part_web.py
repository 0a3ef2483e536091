"""What the pages of an expert's time share: who may open them, how they are shown, and the times people type."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from datetime import time
from typing import Any

from aiohttp import web

from consult.availability import service
from consult.db.pool import Connection
from consult.domain.access import StaffRole, may_set_hours
from consult.domain.clock import utc_now
from consult.domain.errors import NotFound
from consult.domain.ids import StaffId
from consult.domain.words import N_
from consult.keys import POOL
from consult.people import service as people
from consult.people.model import Staff
from consult.waiting import service as waiting
from consult.web.forms import Form, time_of_day
from consult.web.params import number_in_path
from consult.web.render import render
from consult.web.session import require_staff

SAVED = "saved"
ACROSS_MIDNIGHT = N_(
    "This ends before it starts. For hours across midnight, enter two: to 00:00 here, and from 00:00 on the next day."
)


async def expert_of(request: web.Request) -> Staff:
    """Return the expert of the address, if who is signed in may enter their time. Raises NotFound."""
    staff = await require_staff(request, StaffRole.SCHEDULER, StaffRole.EXPERT)
    expert_id = StaffId(number_in_path(request))
    if not may_set_hours(staff.role, staff.id, expert_id):
        raise NotFound("hours")
    async with request.app[POOL].acquire() as conn:
        expert = await people.fetch_staff(conn, expert_id)
    if expert.role is not StaffRole.EXPERT:
        raise NotFound("expert")
    return expert


@contextlib.asynccontextmanager
async def changing_time(request: web.Request, expert: Staff) -> AsyncIterator[Connection]:
    """A connection to change an expert's time on. What becomes free by it is offered on, in the same transaction."""
    async with request.app[POOL].acquire() as conn, conn.transaction():
        yield conn
        await waiting.queue_new_hours(conn, expert.id, utc_now())


async def render_part(
    request: web.Request, part: str, expert: Staff, values: Mapping[str, Any], form: Form | None = None
) -> web.Response:
    """Answer with one page of an expert's time, above it the appointments that lie outside of it.

    form: what was typed, if it could not be saved; the status is 422 then.
    """
    staff = await require_staff(request, StaffRole.SCHEDULER, StaffRole.EXPERT)
    now = utc_now()
    async with request.app[POOL].acquire() as conn:
        expert_time = (await service.fetch_times(conn, [expert]))[expert.id]
        collisions = await service.list_collisions(conn, expert_time, now=now)
    shown = {
        "part": part,
        "expert": expert,
        "collisions": collisions,
        "is_own": staff.id == expert.id,
        "may_open_appointments": staff.role is StaffRole.SCHEDULER,
        "errors": form.errors if form else {},
        "typed": form.values if form else {},
        "saved": form is None and request.query.get(SAVED) == "1",
        "now": now,
        **values,
    }
    return render(request, f"staff/{part}.html", shown, status=422 if form else 200)


def saved(expert: Staff, part: str) -> web.Response:
    """Lead to the page of what was saved."""
    return web.Response(status=303, headers={"Location": f"/experts/{expert.id}/{part}?{SAVED}=1"})


def end_to_time(text: str) -> time:
    """Return the end of hours; 24:00 is 00:00, which as an end means midnight. Raises ValueError."""
    return time() if text == "24:00" else time_of_day(text)
