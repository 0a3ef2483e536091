"""What a person may settle from their link: what they need, the language, having the link sent again."""

from __future__ import annotations

import uuid
from typing import Any

from aiohttp import web

from consult.cases import service as cases
from consult.domain.clock import utc_now
from consult.domain.errors import TooManyTries
from consult.domain.words import N_
from consult.keys import LIMITER, POOL
from consult.notices import service as notices
from consult.scheduling import service as scheduling
from consult.scheduling.model import PatientNeed, Visit
from consult.scheduling.visit_patient import back_to, for_patients, read_own_form, to
from consult.web.address import client_address
from consult.web.forms import NOT_A_CHOICE, Form
from consult.web.language import keep_language
from consult.web.render import render
from consult.web.session import require_visit
from consult.web.words import LANGUAGES

routes = web.RouteTableDef()

MAX_NOTE_CHARS = 500


@routes.get("/visit/language")
async def show_languages(request: web.Request) -> web.Response:
    await require_visit(request)
    return render(request, "patient/language.html")


@routes.post("/visit/language")
async def choose_language(request: web.Request) -> web.Response:
    """Read on in this language, and have one's mails written in it too."""
    visit = await require_visit(request)
    form = await read_own_form(request)
    language = form.choice("language", request.app[LANGUAGES].codes)
    form.raise_if_wrong()
    async with request.app[POOL].acquire() as conn:
        if visit.is_guest:
            person_id = uuid.UUID(visit.person_id)
            await scheduling.choose_guest_language(conn, visit.appointment_id, person_id, language)
        else:
            await cases.choose_language(conn, visit.patient_id, language)
    response = back_to(form, "/visit/when")
    keep_language(request, response, language)
    return response


@routes.get("/visit/link")
@for_patients
async def show_link_page(request: web.Request, visit: Visit) -> web.Response:
    return await _show_link_page(request, visit)


@routes.post("/visit/link")
@for_patients
async def send_link_again(request: web.Request, visit: Visit) -> web.Response:
    """Send a further link to the address on file. Those from before stay good."""
    try:
        await request.app[LIMITER].hit("new_link", address=client_address(request), account=str(visit.patient_id))
    except TooManyTries as error:
        return await _show_link_page(request, visit, {"too_many": True}, status=error.status)
    async with request.app[POOL].acquire() as conn, conn.transaction():
        was_queued = await notices.queue_new_link(conn, visit.appointment_id, utc_now())
    return await _show_link_page(request, visit, {"asked": was_queued})


@routes.get("/visit/needs")
@for_patients
async def show_needs(request: web.Request, visit: Visit) -> web.Response:
    return await _show_needs(request, visit)


@routes.post("/visit/needs")
@for_patients
async def say_needs(request: web.Request, visit: Visit) -> web.Response:
    """Write down what the patient needs in the call. What was ticked and typed stays if something is missing."""
    form, now = await read_own_form(request), utc_now()
    note = form.text("needs_note", max_chars=MAX_NOTE_CHARS)
    ticked = form.lists.get("needs", [])
    needs = [need for need in PatientNeed if need.value in ticked]
    if len(needs) < len(set(ticked)):
        form.wrong("needs", NOT_A_CHOICE)
    if PatientNeed.INTERPRETER in needs and not note:
        form.wrong("needs_note", N_("Please write which language you speak."))
    if now >= visit.starts_at:
        form.wrong("needs", N_("The call has begun, so this stays as it is. Please say it in the call."))
    try:
        await request.app[LIMITER].hit("needs", address=client_address(request), account=str(visit.appointment_id))
    except TooManyTries as many:
        form.wrong("needs", many.message)
    if form.errors:
        return await _show_needs(request, visit, form=form, status=422)
    async with request.app[POOL].acquire() as conn, conn.transaction():
        await scheduling.set_needs(conn, visit.appointment_id, needs, note, by=None, now=now)
    return to("/visit/needs?saved=1")


async def _show_needs(
    request: web.Request, visit: Visit, *, form: Form | None = None, status: int = 200
) -> web.Response:
    async with request.app[POOL].acquire() as conn:
        appointment = (await scheduling.fetch_appointment(conn, visit.appointment_id)).appointment
    values = {
        "chosen": form.lists.get("needs", []) if form else [need.value for need in appointment.needs],
        "note": form.values.get("needs_note", "") if form else appointment.needs_note,
        "errors": form.errors if form else {},
        "saved": form is None and "saved" in request.query,
    }
    return render(request, "patient/needs.html", values, status=status)


async def _show_link_page(
    request: web.Request, visit: Visit, more: dict[str, Any] | None = None, *, status: int = 200
) -> web.Response:
    async with request.app[POOL].acquire() as conn:
        details = await scheduling.fetch_appointment(conn, visit.appointment_id)
    values = {"address": hint_of(details.patient_email), "asked": False, "too_many": False}
    return render(request, "patient/link.html", values | (more or {}), status=status)


def hint_of(email: str) -> str:
    """Return an address so that its owner knows it and nobody else learns it: a***@example.org; "" if there is none."""
    name, at, place = email.rpartition("@")
    return f"{name[:1]}***@{place}" if at else ""
