"""What a match needs to know of a case: its condition, the patient's languages, where the patient lives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from consult.cases import service as cases
from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.errors import InvalidInput
from consult.domain.ids import CaseId
from consult.keys import POOL
from consult.matching import service
from consult.web.forms import Form, read_form
from consult.web.params import number_in_path
from consult.web.render import reader_words, render
from consult.web.session import require_staff

routes = web.RouteTableDef()


@routes.get("/cases/{id:[0-9]+}/profile")
async def show_case_profile(request: web.Request) -> web.Response:
    await require_staff(request, StaffRole.SCHEDULER)
    case_id = CaseId(number_in_path(request))
    async with request.app[POOL].acquire() as conn:
        profile = await service.fetch_case_profile(conn, case_id)
    condition = profile.condition.code if profile.condition else ""
    return await _page(request, case_id, condition, profile.other_languages, profile.region or "")


@routes.post("/cases/{id:[0-9]+}/profile")
async def set_case_profile(request: web.Request) -> web.Response:
    staff = await require_staff(request, StaffRole.SCHEDULER)
    case_id = CaseId(number_in_path(request))
    form = await read_form(request)
    condition, region = form.text("condition", max_chars=60), form.text("region", max_chars=10)
    languages = form.several("other_languages")
    if form.values.get("add") == "other_languages":
        return await _page(request, case_id, condition, languages, region)
    if not form.errors:
        try:
            async with request.app[POOL].acquire() as conn:
                await service.set_case_profile(
                    conn,
                    case_id,
                    condition=condition,
                    other_languages=languages,
                    region=region,
                    by=staff.id,
                    now=utc_now(),
                )
        except InvalidInput as wrong:
            form.take(wrong)
        else:
            return web.Response(status=303, headers={"Location": f"/cases/{case_id}/experts"})
    return await _page(request, case_id, condition, languages, region, form=form, status=422)


async def _page(
    request: web.Request,
    case_id: CaseId,
    condition: str,
    languages: Sequence[str],
    region: str,
    *,
    form: Form | None = None,
    status: int = 200,
) -> web.Response:
    words = reader_words(request)
    async with request.app[POOL].acquire() as conn:
        values: dict[str, Any] = {
            "case": await cases.fetch_case(conn, case_id),
            "choices": service.case_choices(
                await service.list_option_groups(conn, words),
                words,
                condition=condition,
                other_languages=languages,
                region=region,
            ),
            "errors": form.errors if form else {},
        }
    return render(request, "staff/case_profile.html", values, status=status)
