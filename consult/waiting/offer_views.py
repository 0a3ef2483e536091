"""The page of an offer: /offer, what stands behind its link, and a person's answer.

GET changes nothing and is the same page for everybody; the link's secret stays behind the # until the person presses.
Looking consumes nothing. Whatever is wrong with a link, the answer is the same (SECURITY 2 to 4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from consult.cases import service as cases
from consult.domain.clock import is_time_zone, utc_now
from consult.domain.errors import OfferNotOpen, TooManyTries
from consult.keys import LIMITER, POOL, SETTINGS
from consult.waiting import service
from consult.waiting.model import OfferDetails
from consult.waiting.web_taking import send_out, tell_taken
from consult.web.address import client_address, wants_page
from consult.web.forms import Form, read_form
from consult.web.render import render

HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}

routes = web.RouteTableDef()


@routes.get("/offer")
async def show_door(request: web.Request) -> web.Response:
    return _page(request, "door", {})


@routes.post("/offer")
async def look(request: web.Request) -> web.Response:
    """Show the time that is kept. It stays as open as before."""
    form = await read_form(request)
    secret = form.text("secret", required=True, max_chars=500)
    if form.errors:
        return _page(request, "door", {"errors": form.errors}, status=422)
    try:
        await _count(request, secret)
        async with request.app[POOL].acquire() as conn:
            details = await service.look_at(conn, secret, utc_now())
    except (OfferNotOpen, TooManyTries) as error:
        return _refused(request, error)
    during = details.offer.during
    values = {
        "details": details,
        "secret": service.read_secret(secret),
        "zone": _zone(form, details),
        "minutes": round((during.ends_at - during.starts_at).total_seconds() / 60),
    }
    return _page(request, "open", values)


@routes.post("/offer/answer")
async def answer(request: web.Request) -> web.Response:
    """Take the time, say no to it, or leave the list. Pressing twice is as good as once."""
    form = await read_form(request)
    secret = form.text("secret", required=True, max_chars=500)
    said = form.choice("answer", [one.value for one in service.Answer])
    if form.errors:
        return _page(request, "door", {"errors": form.errors}, status=422)
    now = utc_now()
    try:
        await _count(request, secret)
        async with request.app[POOL].acquire() as conn, conn.transaction():
            answered = await service.answer_link(conn, secret, service.Answer(said), now)
            if answered.appointment is not None:
                await tell_taken(conn, answered, now)
            if answered.details.patient_time_zone is None and _named_zone(form):
                await cases.learn_time_zone(conn, answered.details.offer.patient_id, _named_zone(form))
    except (OfferNotOpen, TooManyTries) as error:
        return _refused(request, error)
    if answered.is_lost:
        return _refused(request, OfferNotOpen("lost"))
    await send_out(request, answered)
    values = {
        "details": answered.details,
        "said": said,
        "is_move": answered.is_move,
        "has_guests": answered.has_guests,
        "link_url": answered.link.url(request.app[SETTINGS].public_url) if answered.link else "",
        "zone": _zone(form, answered.details),
    }
    return _page(request, "answered", values)


async def _count(request: web.Request, secret: str) -> None:
    account = hashlib.sha256(secret.encode()).hexdigest()[:32]
    await request.app[LIMITER].hit("offer", address=client_address(request), account=account)


def _refused(request: web.Request, error: OfferNotOpen | TooManyTries) -> web.Response:
    if not wants_page(request):
        raise error
    too_many = isinstance(error, TooManyTries)
    return _page(request, "door" if too_many else "closed", {"too_many": too_many}, status=error.status)


def _named_zone(form: Form) -> str:
    """The zone that the browser named, "" if it named none that there is."""
    name = form.values.get("time_zone", "")
    return name if len(name) <= 80 and is_time_zone(name) else ""


def _zone(form: Form, details: OfferDetails) -> str:
    """The zone that times are shown in: the browser's own, else the patient's, else the expert's."""
    return _named_zone(form) or details.patient_time_zone or details.expert_time_zone


def _page(request: web.Request, view: str, values: Mapping[str, Any], *, status: int = 200) -> web.Response:
    return render(request, f"patient/offer_{view}.html", {"too_many": False, **values}, status=status, headers=HEADERS)
