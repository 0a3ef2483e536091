"""The experts, and the week they work: a row per block, added and taken away without a script too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time
from itertools import zip_longest

from aiohttp import web
from babel.dates import get_day_names

from consult.availability import service
from consult.availability.part_web import ACROSS_MIDNIGHT, changing_time, end_to_time, expert_of, render_part, saved
from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.errors import InvalidInput
from consult.domain.words import N_
from consult.domain.working_days import WorkingBlock
from consult.keys import POOL
from consult.people import service as people
from consult.web.forms import NOT_A_TIME, Form, read_form, time_of_day
from consult.web.render import reader_words, render
from consult.web.session import require_staff

routes = web.RouteTableDef()

WEEKDAYS = frozenset("0123456")
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
    weeks_said = {expert_id: same_days(week) for expert_id, week in weeks.items()}
    values = {
        "experts": experts,
        "weeks": weeks_said,
        "days": get_day_names("wide", locale=reader_words(request).language),
        "now": utc_now(),
        "may_set": staff.role is StaffRole.SCHEDULER,
    }
    return render(request, "staff/experts.html", values)


def same_days(week: Sequence[WorkingBlock]) -> list[tuple[int, int, list[WorkingBlock]]]:
    """Return runs of days with the same hours: the first day, the last, and the blocks of each of them."""
    runs: list[tuple[int, int, list[WorkingBlock]]] = []
    for weekday in range(7):
        blocks = sorted((one for one in week if one.weekday == weekday), key=lambda one: one.starts)
        before = runs[-1] if runs and runs[-1][1] == weekday - 1 else None
        if before and [(one.starts, one.ends) for one in before[2]] == [(one.starts, one.ends) for one in blocks]:
            runs[-1] = (before[0], weekday, before[2])
        elif blocks:
            runs.append((weekday, weekday, blocks))
    return runs


@routes.get("/experts/{id:[0-9]+}/hours")
async def show_hours(request: web.Request) -> web.Response:
    expert = await expert_of(request)
    async with request.app[POOL].acquire() as conn:
        blocks = await service.fetch_working_hours(conn, expert.id)
    rows = [
        Row(place, str(block.weekday), block.starts.isoformat("minutes"), block.ends.isoformat("minutes"))
        for place, block in enumerate(blocks)
    ]
    return await render_part(request, "hours", expert, {"rows": rows or [Row(0, "0", "", "")]})


@routes.post("/experts/{id:[0-9]+}/hours")
async def set_hours(request: web.Request) -> web.Response:
    """Save the week; or, by one of the form's other buttons, add or take away a row and show the form again."""
    expert = await expert_of(request)
    form = await read_form(request)
    rows = _rows(form)
    if form.checked("add"):
        last = rows[-1] if rows else Row(0, "0", "", "")
        weekday = str((int(last.weekday) + 1) % 7) if last.weekday in WEEKDAYS else "0"
        rows = _numbered([*rows, Row(0, weekday, last.starts, last.ends)])
        return await render_part(request, "hours", expert, {"rows": rows})
    if "remove" in form.values:
        gone = form.values["remove"]
        rows = _numbered([row for row in rows if str(row.place) != gone])
        return await render_part(request, "hours", expert, {"rows": rows})
    blocks = _blocks(form, rows)
    if not form.errors:
        try:
            async with changing_time(request, expert) as conn:
                await service.set_working_hours(conn, expert.id, [block for _place, block in blocks])
        except InvalidInput as wrong:
            for name, sentence in wrong.fields.items():
                nth = name.removeprefix("block-")
                form.wrong(f"row-{blocks[int(nth)][0]}" if nth.isdigit() else name, sentence)
        else:
            return saved(expert, "hours")
    return await render_part(request, "hours", expert, {"rows": rows}, form)


def _rows(form: Form) -> list[Row]:
    """Return what was typed. A column that did not arrive leaves its fields empty: they are asked for, not dropped."""
    columns = [form.lists.get(name, []) for name in ("weekday", "starts", "ends")]
    return [
        Row(place, weekday.strip(), starts.strip(), ends.strip())
        for place, (weekday, starts, ends) in enumerate(zip_longest(*columns, fillvalue=""))
    ]


def _numbered(rows: list[Row]) -> list[Row]:
    return [Row(place, row.weekday, row.starts, row.ends) for place, row in enumerate(rows)]


def _blocks(form: Form, rows: list[Row]) -> list[tuple[int, WorkingBlock]]:
    """Return the rows that say something, with their places; rows left empty are dropped, wrong ones are marked."""
    blocks: list[tuple[int, WorkingBlock]] = []
    for row in rows:
        if not row.starts and not row.ends:
            continue
        if not row.starts or not row.ends or row.weekday not in WEEKDAYS:
            form.wrong(f"row-{row.place}", BOTH_TIMES)
            continue
        try:
            block = WorkingBlock(int(row.weekday), time_of_day(row.starts), end_to_time(row.ends))
        except ValueError:
            form.wrong(f"row-{row.place}", NOT_A_TIME)
            continue
        if block.ends < block.starts and block.ends != time():
            form.wrong(f"row-{row.place}", ACROSS_MIDNIGHT)
            continue
        blocks.append((row.place, block))
    return blocks
