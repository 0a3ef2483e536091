"""The door: /join, and asking for a new link.

GET changes nothing and is the same page for everybody; the link's secret stays behind the # until the person presses
Join. Whatever is wrong with a link, the answer is the same (SECURITY 2 to 4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from consult.domain.clock import utc_now
from consult.domain.errors import LinkNotUsable, TooManyTries
from consult.domain.words import N_
from consult.keys import LIMITER, POOL
from consult.notices import service as notices
from consult.scheduling import service as scheduling
from consult.web.address import client_address, wants_page
from consult.web.forms import Form, read_form
from consult.web.render import render
from consult.web.session import VISIT_COOKIE, read_cookie, start_visit

DOOR_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}
NEXT = "/visit"
# Whatever is wrong with them, so that nobody learns which numbers there are.
MISTYPED = N_(
    "This number and this code open no appointment."
    " Look at both once more in our newest mail, or ask for a new link below."
)

routes = web.RouteTableDef()


@routes.get("/join")
async def show_door(request: web.Request) -> web.Response:
    return _door(request)


@routes.post("/join")
async def join(request: web.Request) -> web.Response:
    form = await read_form(request)
    secret = form.text("secret", max_chars=500)
    number, code = form.text("number", max_chars=40), form.text("code", max_chars=40)
    if not secret:
        form.text("number", required=True, max_chars=40)
        form.text("code", required=True, max_chars=40)
    if form.errors and wants_page(request):
        return _door(request, form, status=422)
    form.raise_if_wrong()
    try:
        await request.app[LIMITER].hit(
            "join", address=client_address(request), account=_account(secret) if secret else _reach_account(number)
        )
        async with request.app[POOL].acquire() as conn:
            opened = await scheduling.open_invitation(
                conn,
                now=utc_now(),
                secret=secret or None,
                number=number or None,
                code=code or None,
                earlier_token=read_cookie(request, VISIT_COOKIE),
            )
    except TooManyTries as error:
        if not wants_page(request):
            raise
        return _door(request, form, {"too_many": True}, status=error.status)
    except LinkNotUsable as error:
        if not wants_page(request):
            raise
        if secret:
            return _door(request, form, {"closed": True, "values": {}}, status=error.status)
        form.wrong("code", MISTYPED)
        return _door(request, form, status=error.status)
    answer: web.Response
    if wants_page(request):
        answer = web.Response(status=303, headers={"Location": NEXT})
    else:
        answer = web.json_response({"next": NEXT})
    start_visit(request, answer, opened.token)
    return answer


@routes.get("/join/new-link")
async def show_new_link(request: web.Request) -> web.Response:
    return render(request, "patient/join_closed.html", headers=DOOR_HEADERS)


@routes.post("/join/new-link")
async def ask_for_new_link(request: web.Request) -> web.Response:
    """Send a new link to the address on file. The reply is the same whether or not there is one (SECURITY 4)."""
    form = await read_form(request)
    reach = form.text("reach", required=True, max_chars=254)
    if form.errors:
        return _new_link(request, {"errors": form.errors, "values": form.values}, status=422)
    try:
        await request.app[LIMITER].hit("new_link", address=client_address(request), account=_reach_account(reach))
    except TooManyTries as error:
        return _new_link(request, {"too_many": True, "values": form.values}, status=error.status)
    async with request.app[POOL].acquire() as conn, conn.transaction():
        await notices.request_new_link(conn, reach, utc_now())
    return _new_link(request, {"asked": True})


def _door(
    request: web.Request, form: Form | None = None, more: Mapping[str, Any] | None = None, *, status: int = 200
) -> web.Response:
    values: dict[str, Any] = {"closed": False, "too_many": False}
    if form is not None:
        # The code is typed again: what was wrong once is not kept on a page.
        values |= {"errors": form.errors, "values": {"number": form.values.get("number", "")}}
    return render(request, "patient/join.html", values | dict(more or {}), status=status, headers=DOOR_HEADERS)


def _new_link(request: web.Request, values: Mapping[str, Any], *, status: int = 200) -> web.Response:
    return render(request, "patient/join_closed.html", values, status=status, headers=DOOR_HEADERS)


def _reach_account(typed: str) -> str:
    """A number counts as one however it is written: #7, 7 and 007 reach the same person."""
    number = None if "@" in typed else scheduling.read_number(typed)
    return _account(typed if number is None else str(number))


def _account(typed: str) -> str:
    """What tries are counted for: whatever was typed, so that counting says nothing about what exists."""
    return hashlib.sha256(typed.strip().lower().encode()).hexdigest()[:32]
