"""What differs from an expert's week: days with other hours, absences, travel."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from datetime import date, time
from itertools import zip_longest
from zoneinfo import ZoneInfo

from aiohttp import web

from consult.availability import changes, service
from consult.availability.changes import HOURS_OR_NONE, NO_SUCH_ZONE, NOT_BOTH, AbsenceWish
from consult.availability.part_web import ACROSS_MIDNIGHT, changing_time, end_to_time, expert_of, render_part, saved
from consult.availability.zone_names import find_zone, list_zones
from consult.domain.clock import utc_now
from consult.domain.errors import InvalidInput
from consult.domain.words import N_
from consult.domain.working_days import Travel, WorkingBlock
from consult.keys import POOL
from consult.people.model import Staff
from consult.web.forms import NOT_A_TIME, Form, read_form, time_of_day

routes = web.RouteTableDef()

BLOCKS_A_DAY = 4
BOTH_TIMES = N_("Enter a start and an end, or neither.")


@dataclass(frozen=True, slots=True)
class Stretch:
    """One stretch of a day as it was typed."""

    starts: str
    ends: str


@routes.get("/experts/{id:[0-9]+}/days")
async def show_days(request: web.Request) -> web.Response:
    """Days with other hours; `?day=` opens one of them in the form."""
    return await _show_days(request, await expert_of(request))


@routes.post("/experts/{id:[0-9]+}/days")
async def set_day(request: web.Request) -> web.Response:
    expert = await expert_of(request)
    form = await read_form(request)
    if (gone := _day(form.values.get("remove", ""))) is not None:
        async with changing_time(request, expert) as conn:
            await changes.forget_day(conn, expert.id, gone)
        return saved(expert, "days")
    day = form.date("day")
    blocks = _blocks(form, day or _today(expert))
    if form.checked("none") and blocks:
        form.wrong("none", NOT_BOTH)
    elif not form.checked("none") and not blocks and not form.errors:
        form.wrong("block-0", HOURS_OR_NONE)
    if day is not None and not form.errors:
        try:
            async with changing_time(request, expert) as conn:
                await changes.set_day(conn, expert.id, day, list(blocks.values()), today=_today(expert))
        except InvalidInput as wrong:
            for name, sentence in wrong.fields.items():
                nth = name.removeprefix("block-")
                form.wrong(f"block-{list(blocks)[int(nth)]}" if nth.isdigit() else name, sentence)
        else:
            return saved(expert, "days")
    return await _show_days(request, expert, form)


async def _show_days(request: web.Request, expert: Staff, form: Form | None = None) -> web.Response:
    today = _today(expert)
    async with request.app[POOL].acquire() as conn:
        expert_time = (await service.fetch_times(conn, [expert]))[expert.id]
    to_come = {day: hours for day, hours in sorted(expert_time.day_hours.items()) if day >= today}
    chosen = _day(request.query.get("day", ""))
    if form is not None:
        day, none, stretches = form.values.get("day", ""), form.checked("none"), _typed(form)
    elif chosen in to_come:
        day, none = chosen.isoformat(), not to_come[chosen]
        stretches = [Stretch(f"{one.starts:%H:%M}", f"{one.ends:%H:%M}") for one in to_come[chosen]]
    else:
        day, none, stretches = "", False, []
    stretches += [Stretch("", "")] * (BLOCKS_A_DAY - len(stretches))
    values = {"days": to_come, "day": day, "none": none, "stretches": stretches, "today": today}
    return await render_part(request, "days", expert, values, form)


@routes.get("/experts/{id:[0-9]+}/absences")
async def show_absences(request: web.Request) -> web.Response:
    return await _show_absences(request, await expert_of(request))


@routes.post("/experts/{id:[0-9]+}/absences")
async def add_absence(request: web.Request) -> web.Response:
    expert = await expert_of(request)
    form = await read_form(request)
    if "remove" in form.values:
        if (gone := _uuid(form.values["remove"])) is not None:
            async with changing_time(request, expert) as conn:
                await changes.remove_absence(conn, expert.id, gone)
        return saved(expert, "absences")
    day_from, time_from = form.date("day_from"), form.clock_time("time_from", required=False)
    day_to, time_to = form.date("day_to"), _end(form, "time_to")
    note = form.text("note", max_chars=200)
    if day_from is not None and day_to is not None and not form.errors:
        wish = AbsenceWish(day_from, time_from, day_to, time_to, note)
        try:
            async with request.app[POOL].acquire() as conn:
                expert_time = (await service.fetch_times(conn, [expert]))[expert.id]
                await changes.add_absence(conn, expert_time, wish, now=utc_now())
        except InvalidInput as wrong:
            form.take(wrong)
        else:
            return saved(expert, "absences")
    return await _show_absences(request, expert, form)


async def _show_absences(request: web.Request, expert: Staff, form: Form | None = None) -> web.Response:
    async with request.app[POOL].acquire() as conn:
        absences = await service.list_absences(conn, expert.id, now=utc_now())
        expert_time = (await service.fetch_times(conn, [expert]))[expert.id]
    rows = [
        (
            one,
            expert_time.whole_days(one.during),
            expert_time.zone_at(one.during.starts_at),
            expert_time.zone_at(one.during.ends_at),
        )
        for one in absences
    ]
    return await render_part(request, "absences", expert, {"absences": rows}, form)


@routes.get("/experts/{id:[0-9]+}/travel")
async def show_travel(request: web.Request) -> web.Response:
    return await _show_travel(request, await expert_of(request))


@routes.post("/experts/{id:[0-9]+}/travel")
async def add_travel(request: web.Request) -> web.Response:
    expert = await expert_of(request)
    form = await read_form(request)
    if (gone := _day(form.values.get("remove", ""))) is not None:
        async with changing_time(request, expert) as conn:
            await changes.remove_travel(conn, expert.id, gone)
        return saved(expert, "travel")
    day_from, day_to = form.date("day_from"), form.date("day_to")
    typed = form.text("zone", required=True)
    zone = await asyncio.to_thread(find_zone, typed)
    if zone is None:
        form.wrong("zone", NO_SUCH_ZONE)
    if day_from is not None and day_to is not None and zone is not None and not form.errors:
        try:
            async with changing_time(request, expert) as conn:
                await changes.add_travel(conn, expert.id, Travel(day_from, day_to, zone), today=_today(expert))
        except InvalidInput as wrong:
            form.take(wrong)
        else:
            return saved(expert, "travel")
    return await _show_travel(request, expert, form)


async def _show_travel(request: web.Request, expert: Staff, form: Form | None = None) -> web.Response:
    async with request.app[POOL].acquire() as conn:
        expert_time = (await service.fetch_times(conn, [expert]))[expert.id]
    today = _today(expert)
    travels = [travel for travel in expert_time.travels if travel.day_to >= today]
    return await render_part(request, "travel", expert, {"travels": travels, "zones": list_zones()}, form)


def _typed(form: Form) -> list[Stretch]:
    columns = [form.lists.get(name, []) for name in ("starts", "ends")]
    return [Stretch(starts.strip(), ends.strip()) for starts, ends in zip_longest(*columns, fillvalue="")]


def _blocks(form: Form, day: date) -> dict[int, WorkingBlock]:
    """Return the stretches of a day that were typed, by their place; wrong ones are marked."""
    blocks: dict[int, WorkingBlock] = {}
    for place, typed in enumerate(_typed(form)):
        if not typed.starts and not typed.ends:
            continue
        name = f"block-{place}"
        if not typed.starts or not typed.ends:
            form.wrong(name, BOTH_TIMES)
            continue
        try:
            block = WorkingBlock(day.weekday(), time_of_day(typed.starts), end_to_time(typed.ends))
        except ValueError:
            form.wrong(name, NOT_A_TIME)
            continue
        if block.ends < block.starts and block.ends != time():
            form.wrong(name, ACROSS_MIDNIGHT)
        blocks[place] = block
    return blocks


def _end(form: Form, name: str) -> time | None:
    """Return an absence's end on its last day; 24:00, like nothing, is that day's end."""
    return None if form.values.get(name, "").strip() == "24:00" else form.clock_time(name, required=False)


def _today(expert: Staff) -> date:
    return utc_now().astimezone(ZoneInfo(expert.time_zone)).date()


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
