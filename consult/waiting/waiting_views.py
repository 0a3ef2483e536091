"""The staff's wait list: who waits, what they want, what they are offered now, and what a scheduler can do about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
from aiohttp import web

from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.errors import OfferNotOpen
from consult.domain.ids import WaitEntryId
from consult.keys import POOL
from consult.people import service as people
from consult.people.model import Staff
from consult.waiting import service
from consult.waiting.list_words import wanted
from consult.waiting.model import EntryLine, OfferDetails
from consult.waiting.web_taking import send_out, tell_taken
from consult.web.forms import read_form
from consult.web.params import number_in_query, uuid_in_path
from consult.web.render import reader_words, render
from consult.web.session import require_staff

routes = web.RouteTableDef()

WITHDRAW = "withdraw"
PAGE_LENGTH = 100


@dataclass(frozen=True, slots=True)
class ListLine:
    """One line of the list. may_rise, may_sink: whether it can change places with the one above or below."""

    number: int
    line: EntryLine
    wanted: list[str]
    offer: OfferDetails | None
    may_rise: bool
    may_sink: bool


@routes.get("/waiting")
async def show_list(request: web.Request) -> web.Response:
    staff = await require_staff(request, StaffRole.SCHEDULER)
    return await _render_list(request, staff)


@routes.post("/waiting/look")
async def look_for_times(request: web.Request) -> web.Response:
    """Have the free times of the next weeks offered to who waits for one like them."""
    await require_staff(request, StaffRole.SCHEDULER)
    now = utc_now()
    async with request.app[POOL].acquire() as conn, conn.transaction():
        for expert in await people.list_experts(conn):
            await service.queue_new_hours(conn, expert.id, now)
    return web.Response(status=303, headers={"Location": "/waiting?looking=1"})


@routes.post("/waiting/{id}/place")
async def move_in_list(request: web.Request) -> web.Response:
    form = await read_form(request)

    async def move(conn: asyncpg.Connection, entry_id: WaitEntryId, _staff: Staff) -> None:
        to = form.choice("to", ("up", "down"))
        form.raise_if_wrong()
        await service.move_in_list(conn, entry_id, up=to == "up", now=utc_now())

    return await _change(request, move)


@routes.post("/waiting/{id}/urgent")
async def mark_urgent(request: web.Request) -> web.Response:
    form = await read_form(request)

    async def mark(conn: asyncpg.Connection, entry_id: WaitEntryId, _staff: Staff) -> None:
        await service.mark_urgent(conn, entry_id, form.checked("urgent"), utc_now())

    return await _change(request, mark)


@routes.post("/waiting/{id}/again")
async def take_up_again(request: web.Request) -> web.Response:
    async def take_up(conn: asyncpg.Connection, entry_id: WaitEntryId, _staff: Staff) -> None:
        await service.take_up_again(conn, entry_id, utc_now())

    return await _change(request, take_up)


@routes.post("/waiting/{id}/remove")
async def remove(request: web.Request) -> web.Response:
    async def take_off(conn: asyncpg.Connection, entry_id: WaitEntryId, _staff: Staff) -> None:
        await service.remove(conn, entry_id, utc_now())

    return await _change(request, take_off, stays=False)


@routes.post("/waiting/{id}/offer")
async def answer_offer(request: web.Request) -> web.Response:
    """Write down what somebody said on the telephone to the time that is kept for them, or take the offer back."""
    staff = await require_staff(request, StaffRole.SCHEDULER)
    entry_id, now = WaitEntryId(uuid_in_path(request)), utc_now()
    form = await read_form(request)
    said = form.choice("answer", (*(one.value for one in service.Answer), WITHDRAW))
    form.raise_if_wrong()
    async with request.app[POOL].acquire() as conn, conn.transaction():
        if said == WITHDRAW:
            await service.withdraw(conn, entry_id, now)
            return _to_list(entry_id)
        try:
            answered = await service.answer_for(conn, entry_id, service.Answer(said), now, by=staff.id)
        except OfferNotOpen:
            answered = None
        if answered is not None and answered.appointment is not None:
            await tell_taken(conn, answered, now)
    if answered is None or answered.is_lost:
        return await _render_list(request, staff, is_lost=True, status=OfferNotOpen.status)
    if answered.appointment is None:
        return _to_list(entry_id)
    await send_out(request, answered)
    return web.Response(status=303, headers={"Location": f"/appointments/{answered.appointment.id}"})


async def _change(
    request: web.Request,
    do: Callable[[asyncpg.Connection, WaitEntryId, Staff], Awaitable[None]],
    *,
    stays: bool = True,
) -> web.Response:
    """Do something to the entry that the path names, and show the list again."""
    staff = await require_staff(request, StaffRole.SCHEDULER)
    entry_id = WaitEntryId(uuid_in_path(request))
    async with request.app[POOL].acquire() as conn, conn.transaction():
        await do(conn, entry_id, staff)
    return _to_list(entry_id if stays else None)


async def _render_list(request: web.Request, staff: Staff, *, is_lost: bool = False, status: int = 200) -> web.Response:
    now = utc_now()
    async with request.app[POOL].acquire() as conn:
        lines = await service.list_entries(conn, now)
        offers = {one.offer.entry_id: one for one in await service.list_open_offers(conn)}
        names = {one.id: one.name for one in await people.list_experts(conn)}
    words = reader_words(request)
    urgent = [line.entry.is_urgent for line in lines]
    page = _page_of(request, lines)
    first = (page - 1) * PAGE_LENGTH
    rows = [
        ListLine(
            number=place + 1,
            line=line,
            wanted=wanted(line.entry.wishes, names, words),
            offer=offers.get(line.entry.id),
            may_rise=place > 0 and urgent[place - 1] is urgent[place],
            may_sink=place + 1 < len(lines) and urgent[place + 1] is urgent[place],
        )
        for place, line in enumerate(lines[first : first + PAGE_LENGTH], first)
    ]
    values: dict[str, Any] = {
        "rows": rows,
        "earlier": page - 1,
        "later": page + 1 if len(lines) > first + PAGE_LENGTH else 0,
        "zone": staff.time_zone,
        "now": now,
        "is_lost": is_lost,
        "is_looking": request.query.get("looking") == "1",
        "open_count": len(offers),
    }
    return render(request, "staff/waiting.html", values, status=status)


def _page_of(request: web.Request, lines: Sequence[EntryLine]) -> int:
    """Return which page is asked for, by ?page= or by ?entry= on it; the last one if there are not so many."""
    pages = max(1, -(-len(lines) // PAGE_LENGTH))
    asked = request.query.get("entry", "")
    for place, line in enumerate(lines):
        if str(line.entry.id) == asked:
            return place // PAGE_LENGTH + 1
    return min(max(1, number_in_query(request, "page") or 1), pages)


def _to_list(entry_id: WaitEntryId | None) -> web.Response:
    place = "/waiting" if entry_id is None else f"/waiting?entry={entry_id}#entry-{entry_id}"
    return web.Response(status=303, headers={"Location": place})
