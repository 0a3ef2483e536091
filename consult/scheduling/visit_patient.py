"""Whose a page under /visit is. Those of the patient alone do not exist for guests (SECURITY 9)."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable

from aiohttp import web

from consult.domain.errors import NotFound
from consult.scheduling.model import Visit
from consult.web.address import own_path
from consult.web.forms import Form, read_form
from consult.web.render import reader_words
from consult.web.session import require_visit

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
        return await handler(request, await require_patient(request))

    return answer


async def read_own_form(request: web.Request) -> Form:
    """Return the form, with its errors in the language of the visit, which is known by now."""
    form = await read_form(request)
    return Form(reader_words(request), form.values, form.lists)


def to(place: str) -> web.Response:
    return web.Response(status=303, headers={"Location": place})


def back_to(form: Form, otherwise: str) -> web.Response:
    """Lead back to the page that a form came from, if it is one of ours."""
    return to(own_path(form.values.get("back"), otherwise))
