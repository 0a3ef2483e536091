"""An expert's profile: what they review and speak, where they may give opinions, how much they want."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from aiohttp import web

from consult.domain.access import StaffRole, may_set_profile
from consult.domain.clock import utc_now
from consult.domain.errors import InvalidInput, NotFound
from consult.domain.ids import StaffId
from consult.keys import POOL
from consult.matching import service
from consult.matching.model import MAX_NEW_CASES_A_WEEK
from consult.people import service as people
from consult.people.model import Staff
from consult.web.forms import Form, read_form
from consult.web.params import number_in_path
from consult.web.render import reader_words, render
from consult.web.session import require_staff

routes = web.RouteTableDef()

SAVED = "saved"


@dataclass(frozen=True, slots=True)
class Entered:
    """A profile as its form has it. new_cases_a_week: as it was typed."""

    conditions: Collection[str]
    specialties: Collection[str]
    languages: Sequence[str]
    licences: Sequence[str]
    new_cases_a_week: str
    leads_panels: bool


@routes.get("/experts/{id:[0-9]+}/profile")
async def show_profile(request: web.Request) -> web.Response:
    _staff, expert = await _expert(request)
    async with request.app[POOL].acquire() as conn:
        profile = await service.fetch_profile(conn, expert.id)
    entered = Entered(
        conditions=profile.conditions,
        specialties=profile.specialties,
        languages=profile.languages,
        licences=profile.licences,
        new_cases_a_week="" if profile.new_cases_a_week is None else str(profile.new_cases_a_week),
        leads_panels=profile.leads_panels,
    )
    return await _page(request, expert, entered, saved=request.query.get(SAVED) == "1")


@routes.post("/experts/{id:[0-9]+}/profile")
async def set_profile(request: web.Request) -> web.Response:
    """Save the profile; or, by an *Add* of the form, show it again with one more language or country."""
    staff, expert = await _expert(request)
    form = await read_form(request)
    entered = Entered(
        conditions=form.several("conditions"),
        specialties=form.several("specialties"),
        languages=form.several("languages"),
        licences=form.several("licences"),
        new_cases_a_week=form.values.get("new_cases_a_week", ""),
        leads_panels=form.checked("leads_panels"),
    )
    if form.values.get("add") in ("languages", "licences"):
        return await _page(request, expert, entered)
    most = form.whole_number("new_cases_a_week", required=False, least=0, most=MAX_NEW_CASES_A_WEEK)
    if not form.errors:
        try:
            async with request.app[POOL].acquire() as conn:
                await service.set_profile(
                    conn,
                    expert.id,
                    conditions=entered.conditions,
                    specialties=entered.specialties,
                    languages=entered.languages,
                    licences=entered.licences,
                    new_cases_a_week=most,
                    leads_panels=entered.leads_panels,
                    by=staff.id,
                    now=utc_now(),
                )
        except InvalidInput as wrong:
            form.take(wrong)
        else:
            return web.Response(status=303, headers={"Location": f"/experts/{expert.id}/profile?{SAVED}=1"})
    return await _page(request, expert, entered, form=form, status=422)


async def _expert(request: web.Request) -> tuple[Staff, Staff]:
    """Return who is signed in, and the expert, if they may change this profile. Raises NotFound."""
    staff = await require_staff(request, StaffRole.SCHEDULER, StaffRole.EXPERT)
    expert_id = StaffId(number_in_path(request))
    if not may_set_profile(staff.role, staff.id, expert_id):
        raise NotFound("profile")
    async with request.app[POOL].acquire() as conn:
        expert = await people.fetch_staff(conn, expert_id)
    if expert.role is not StaffRole.EXPERT:
        raise NotFound("expert")
    return staff, expert


async def _page(
    request: web.Request,
    expert: Staff,
    entered: Entered,
    *,
    form: Form | None = None,
    saved: bool = False,
    status: int = 200,
) -> web.Response:
    words = reader_words(request)
    async with request.app[POOL].acquire() as conn:
        groups = await service.list_option_groups(conn, words)
    languages, regions = service.language_choices(words), service.region_choices(words)
    values = {
        "expert": expert,
        "entered": entered,
        "groups": groups,
        "languages": languages,
        "chosen_languages": service.with_names(entered.languages, languages),
        "regions": regions,
        "chosen_licences": service.with_names(entered.licences, regions),
        "errors": form.errors if form else {},
        "saved": saved,
    }
    return render(request, "staff/expert_profile.html", values, status=status)
