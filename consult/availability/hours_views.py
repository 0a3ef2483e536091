"""The experts and their working hours: a row per block, added and taken away without a script too."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time

from aiohttp import web

from consult.availability import service
from consult.availability.model import MAX_BLOCKS_A_WEEK, WorkingBlock
from consult.domain.access import StaffRole, may_set_hours
from consult.domain.clock import utc_now
from consult.domain.errors import InvalidInput, NotFound
from consult.domain.ids import StaffId
from consult.domain.words import N_
from consult.keys import POOL
from consult.people import service as people
from consult.people.model import Staff
from consult.waiting import service as waiting
from consult.web.forms import NOT_A_TIME, Form, read_form
from consult.web.params import number_in_path
from consult.web.render import render
from consult.web.session import require_staff

routes = web.RouteTableDef()

SAVED = "saved"
BOTH_TIMES = N_("Enter a start and an end, for example 09:00 and 12:30. To drop this row, remove it.")


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it was typed. place: its number among the rows, which its error is found by."""

    place: int
    weekday: str
    starts: str
    ends: str


@routes.get("/experts")
async def show_experts(request: web.Request) -> web.Response:
    staff = await require_staff(request, StaffRole.SCHEDULER, StaffRole.ADMINISTRATOR)
    async with request.app[POOL].acquire() as conn:
        experts = await people.list_experts(conn)
        weeks = await service.list_working_hours(conn, [expert.id for expert in experts])
    values = {"experts": experts, "weeks": weeks, "now": utc_now(), "may_set": staff.role is StaffRole.SCHEDULER}
    return render(request, "staff/experts.html", values)


@routes.get("/experts/{id:[0-9]+}/hours")
async def show_hours(request: web.Request) -> web.Response:
    expert = await _expert(request)
    async with request.app[POOL].acquire() as conn:
        blocks = await service.fetch_working_hours(conn, expert.id)
    rows = [
        Row(place, str(block.weekday), block.starts.isoformat("minutes"), block.ends.isoformat("minutes"))
        for place, block in enumerate(blocks)
    ]
    saved = request.query.get(SAVED) == "1"
    return _page(request, expert, rows or [Row(0, "0", "", "")], saved=saved)


@routes.post("/experts/{id:[0-9]+}/hours")
async def set_hours(request: web.Request) -> web.Response:
    """Save the week; or, by one of the form's other buttons, add or take away a row and show the form again."""
    expert = await _expert(request)
    form = await read_form(request)
    rows = _rows(form)
    if form.checked("add"):
        last = rows[-1] if rows else Row(0, "0", "", "")
        weekday = str((int(last.weekday) + 1) % 7) if last.weekday in "0123456" and last.weekday else "0"
        return _page(request, expert, _numbered([*rows, Row(0, weekday, last.starts, last.ends)]))
    if "remove" in form.values:
        gone = form.values["remove"]
        return _page(request, expert, _numbered([row for row in rows if str(row.place) != gone]))
    blocks = _blocks(form, rows)
    if not form.errors:
        try:
            async with request.app[POOL].acquire() as conn, conn.transaction():
                await service.set_working_hours(conn, expert.id, [block for _place, block in blocks])
                await waiting.queue_new_hours(conn, expert.id, utc_now())
        except InvalidInput as wrong:
            for name, sentence in wrong.fields.items():
                nth = name.removeprefix("block-")
                form.wrong(f"row-{blocks[int(nth)][0]}" if nth.isdigit() else name, sentence)
        else:
            return web.Response(status=303, headers={"Location": f"/experts/{expert.id}/hours?{SAVED}=1"})
    return _page(request, expert, rows, form=form, status=422)


async def _expert(request: web.Request) -> Staff:
    """Return the expert, if who is signed in may enter their hours. Raises NotFound."""
    staff = await require_staff(request, StaffRole.SCHEDULER, StaffRole.EXPERT)
    expert_id = StaffId(number_in_path(request))
    if not may_set_hours(staff.role, staff.id, expert_id):
        raise NotFound("hours")
    async with request.app[POOL].acquire() as conn:
        expert = await people.fetch_staff(conn, expert_id)
    if expert.role is not StaffRole.EXPERT:
        raise NotFound("expert")
    return expert


def _rows(form: Form) -> list[Row]:
    columns = [form.lists.get(name, [])[:MAX_BLOCKS_A_WEEK] for name in ("weekday", "starts", "ends")]
    return [
        Row(place, weekday.strip()[:1], starts.strip()[:20], ends.strip()[:20])
        for place, (weekday, starts, ends) in enumerate(zip(*columns, strict=False))
    ]


def _numbered(rows: list[Row]) -> list[Row]:
    return [Row(place, row.weekday, row.starts, row.ends) for place, row in enumerate(rows)]


def _blocks(form: Form, rows: list[Row]) -> list[tuple[int, WorkingBlock]]:
    """Return the rows that say something, with their places; rows left empty are dropped, wrong ones are marked."""
    blocks: list[tuple[int, WorkingBlock]] = []
    for row in rows:
        if not row.starts and not row.ends:
            continue
        if not row.starts or not row.ends or row.weekday not in set("0123456"):
            form.wrong(f"row-{row.place}", BOTH_TIMES)
            continue
        try:
            starts, ends = time.fromisoformat(row.starts), time.fromisoformat(row.ends)
        except ValueError:
            form.wrong(f"row-{row.place}", NOT_A_TIME)
            continue
        plain = [one.replace(second=0, microsecond=0, tzinfo=None) for one in (starts, ends)]
        blocks.append((row.place, WorkingBlock(int(row.weekday), plain[0], plain[1])))
    return blocks


def _page(
    request: web.Request,
    expert: Staff,
    rows: list[Row],
    *,
    form: Form | None = None,
    saved: bool = False,
    status: int = 200,
) -> web.Response:
    values = {
        "expert": expert,
        "rows": rows,
        "errors": form.errors if form else {},
        "saved": saved,
        "now": utc_now(),
    }
    return render(request, "staff/hours.html", values, status=status)
