"""Whose a page under /visit is. Those of the patient alone do not exist for guests (SECURITY 9).

A patient's device whose link ended because the appointment was moved or cancelled is led to a page that says so.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable

from aiohttp import web

from consult.domain.clock import utc_now
from consult.domain.errors import NotFound
from consult.keys import POOL
from consult.scheduling import visit_changes as changes
from consult.scheduling.model import LeftVisit, Visit
from consult.web.address import own_path
from consult.web.forms import Form, read_form
from consult.web.render import reader_words
from consult.web.request_keys import LANGUAGE_ON_FILE
from consult.web.session import VISIT_COOKIE, find_visit, read_cookie, require_visit

PatientHandler = Callable[[web.Request, Visit], Awaitable[web.Response]]


async def require_patient(request: web.Request) -> Visit:
    """Return the patient's visit. Raises VisitNeeded; for a guest, what is the patient's is not there: NotFound."""
    visit = await require_visit(request)
    if visit.is_guest:
        raise NotFound("of the patient")
    return visit


def for_patients(handler: PatientHandler) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Give a handler the patient's visit; nobody else gets to it."""

    @functools.wraps(handler)
    async def answer(request: web.Request) -> web.Response:
        if await find_visit(request) is None:
            return await lead_on(request)
        return await handler(request, await require_patient(request))

    return answer


async def find_left_visit(request: web.Request) -> LeftVisit | None:
    """Return what this device may know of an appointment whose link ended by a move or a cancellation."""
    token = read_cookie(request, VISIT_COOKIE)
    if token is None:
        return None
    async with request.app[POOL].acquire() as conn:
        left = await changes.find_left_visit(conn, token, utc_now())
    if left is not None:
        request[LANGUAGE_ON_FILE] = left.language
    return left


async def lead_on(request: web.Request) -> web.Response:
    """Lead a device whose link ended to the page that says why; one whose link is good to where it stands.

    Raises VisitNeeded if it may know nothing.
    """
    place = await place_of_left(request)
    if place is None:
        await require_visit(request)
    return to(place or "/visit")


async def place_of_left(request: web.Request) -> str | None:
    """Return the page that tells a device what became of its appointment; None if it may know nothing."""
    left = await find_left_visit(request)
    if left is None:
        return None
    return "/visit/cancelled" if left.cancelled_at else "/visit/moved"


async def read_own_form(request: web.Request) -> Form:
    """Return the form, with its errors in the language of the visit, which is known by now."""
    form = await read_form(request)
    return Form(reader_words(request), form.values, form.lists)


def to(place: str) -> web.Response:
    return web.Response(status=303, headers={"Location": place})


def back_to(form: Form, otherwise: str) -> web.Response:
    """Lead back to the page that a form came from, if it is one of ours."""
    return to(own_path(form.values.get("back"), otherwise))
