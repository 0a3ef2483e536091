"""The rules of an expert's time, and the kinds of consultation that they give."""

from __future__ import annotations

from datetime import timedelta

from aiohttp import web

from consult.availability import changes, service
from consult.availability.model import ExpertRules
from consult.availability.part_web import changing_time, expert_of, render_part, saved
from consult.domain.errors import InvalidInput
from consult.domain.kinds import LONGEST, SHORTEST, USUAL_LENGTHS, ConsultationKind
from consult.keys import POOL
from consult.people.model import Staff
from consult.web.forms import Form, read_form

routes = web.RouteTableDef()

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EXAMPLE_RECORDS = 12
# Field, unit, least, most: as in the table expert_rules.
LIMITS = {
    "buffer_before": (MINUTE, 0, 120),
    "buffer_after": (MINUTE, 0, 120),
    "preparation": (MINUTE, 0, 240),
    "preparation_per_record": (MINUTE, 0, 60),
    "preparation_most": (MINUTE, 0, 480),
    "notice": (HOUR, 0, 720),
    "horizon": (DAY, 1, 366),
    "changes_until": (HOUR, 0, 720),
}
MOST_CALLS_A_DAY = 50


@routes.get("/experts/{id:[0-9]+}/rules")
async def show_rules(request: web.Request) -> web.Response:
    return await _show_rules(request, await expert_of(request))


@routes.post("/experts/{id:[0-9]+}/rules")
async def set_rules(request: web.Request) -> web.Response:
    expert = await expert_of(request)
    form = await read_form(request)
    numbers = {name: form.whole_number(name, least=least, most=most) for name, (_unit, least, most) in LIMITS.items()}
    limit = form.whole_number("daily_limit", required=False, least=1, most=MOST_CALLS_A_DAY)
    if not form.errors:
        lengths = {name: (numbers[name] or 0) * unit for name, (unit, _least, _most) in LIMITS.items()}
        try:
            async with changing_time(request, expert) as conn:
                await changes.set_rules(conn, expert.id, ExpertRules(**lengths, daily_limit=limit))
        except InvalidInput as wrong:
            form.take(wrong)
        else:
            return saved(expert, "rules")
    return await _show_rules(request, expert, form)


async def _show_rules(request: web.Request, expert: Staff, form: Form | None = None) -> web.Response:
    async with request.app[POOL].acquire() as conn:
        rules = (await service.fetch_times(conn, [expert]))[expert.id].rules
    stored = {name: str(getattr(rules, name) // unit) for name, (unit, _least, _most) in LIMITS.items()}
    stored["daily_limit"] = "" if rules.daily_limit is None else str(rules.daily_limit)
    values = {
        "numbers": stored | (form.values if form else {}),
        "limits": {name: {"min": least, "max": most} for name, (_unit, least, most) in LIMITS.items()},
        "most_calls": MOST_CALLS_A_DAY,
        "example_records": EXAMPLE_RECORDS,
        "example_min": rules.preparation_for(EXAMPLE_RECORDS) // MINUTE,
    }
    return await render_part(request, "rules", expert, values, form)


@routes.get("/experts/{id:[0-9]+}/kinds")
async def show_kinds(request: web.Request) -> web.Response:
    return await _show_kinds(request, await expert_of(request))


@routes.post("/experts/{id:[0-9]+}/kinds")
async def set_kinds(request: web.Request) -> web.Response:
    expert = await expert_of(request)
    form = await read_form(request)
    lengths = {}
    for kind in ConsultationKind:
        if form.checked(kind):
            minutes = form.whole_number(f"length-{kind}", least=SHORTEST // MINUTE, most=LONGEST // MINUTE)
            lengths[kind] = (minutes or 0) * MINUTE
    if not form.errors:
        try:
            async with changing_time(request, expert) as conn:
                await changes.set_lengths(conn, expert.id, lengths)
        except InvalidInput as wrong:
            form.take(wrong)
        else:
            return saved(expert, "kinds")
    return await _show_kinds(request, expert, form)


async def _show_kinds(request: web.Request, expert: Staff, form: Form | None = None) -> web.Response:
    async with request.app[POOL].acquire() as conn:
        lengths = (await service.fetch_times(conn, [expert]))[expert.id].lengths
    rows = [
        (
            str(kind),
            form.checked(kind) if form else kind in lengths,
            form.values.get(f"length-{kind}", "") if form else str(lengths.get(kind, USUAL_LENGTHS[kind]) // MINUTE),
        )
        for kind in ConsultationKind
    ]
    limits = {"min": SHORTEST // MINUTE, "max": LONGEST // MINUTE}
    return await render_part(request, "kinds", expert, {"rows": rows, "limits": limits}, form)
