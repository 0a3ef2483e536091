"""The clinic's list of conditions, which the scheduler can add to."""

from __future__ import annotations

from aiohttp import web

from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.errors import InvalidInput
from consult.keys import POOL
from consult.matching import service
from consult.matching.model import MAX_CONDITION_CHARS
from consult.web.forms import Form, read_form
from consult.web.render import reader_words, render
from consult.web.session import require_staff

routes = web.RouteTableDef()

ADDED = "added"


@routes.get("/conditions")
async def show_conditions(request: web.Request) -> web.Response:
    await require_staff(request, StaffRole.SCHEDULER)
    return await _page(request)


@routes.post("/conditions")
async def add_condition(request: web.Request) -> web.Response:
    staff = await require_staff(request, StaffRole.SCHEDULER)
    form = await read_form(request)
    entered = {
        "name": form.text("name", max_chars=MAX_CONDITION_CHARS),
        "specialty": form.text("specialty", max_chars=60),
        "new_specialty": form.text("new_specialty", max_chars=MAX_CONDITION_CHARS),
        "icd10": form.text("icd10", max_chars=20),
    }
    if not form.errors:
        try:
            async with request.app[POOL].acquire() as conn:
                await service.add_condition(conn, **entered, by=staff.id, now=utc_now())
        except InvalidInput as wrong:
            form.take(wrong)
        else:
            return web.Response(status=303, headers={"Location": f"/conditions?{ADDED}=1"})
    return await _page(request, form=form, status=422)


async def _page(request: web.Request, *, form: Form | None = None, status: int = 200) -> web.Response:
    async with request.app[POOL].acquire() as conn:
        groups = await service.list_option_groups(conn, reader_words(request))
    values = {
        "groups": groups,
        "added": form is None and request.query.get(ADDED) == "1",
        "values": form.values if form else {},
        "errors": form.errors if form else {},
    }
    return render(request, "staff/conditions.html", values, status=status)
