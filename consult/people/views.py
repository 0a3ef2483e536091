"""Pages for signing in and out, and the front door."""

from __future__ import annotations

import hashlib

from aiohttp import web

from consult.domain.clock import utc_now
from consult.domain.errors import SignInFailed, TooManyTries
from consult.keys import LIMITER, POOL
from consult.people import service
from consult.web import csrf
from consult.web.address import client_address, own_path
from consult.web.forms import Form, read_form
from consult.web.kept import Kept, kept_in, show_kept
from consult.web.render import render
from consult.web.session import end_staff_session, find_staff, find_visit, start_staff_session

routes = web.RouteTableDef()


@routes.get("/")
async def show_front_door(request: web.Request) -> web.Response:
    """Send everybody to where their work is."""
    staff = await find_staff(request)
    if staff is not None:
        return _see(staff.home)
    return _see("/visit" if await find_visit(request) is not None else "/sign-in")


@routes.get("/sign-in")
async def show_sign_in(request: web.Request) -> web.Response:
    staff = await find_staff(request)
    place = own_path(request.query.get("next"), "")
    if staff is not None:
        return _see(place or staff.home)
    return render(request, "staff/sign_in.html", {"next": place})


@routes.post("/sign-in")
async def sign_in(request: web.Request) -> web.Response:
    form = await read_form(request)
    email, password = form.text("email", required=True, max_chars=254), form.password("password")
    place = own_path(form.text("next", max_chars=500), "")
    kept = kept_in(form)
    if form.errors:
        return _again(request, form, place, kept, 422)
    account = hashlib.sha256(email.lower().encode()).hexdigest()
    try:
        await request.app[LIMITER].hit("sign_in", address=client_address(request), account=account)
        async with request.app[POOL].acquire() as conn:
            staff = await service.authenticate(conn, email, password, utc_now())
    except (SignInFailed, TooManyTries) as refused:
        form.wrong("form", refused.message)
        return _again(request, form, place, kept, refused.status)
    if kept is None:
        response = _see(place or staff.home)
    else:
        csrf.renew(request)
        response = show_kept(request, kept, staff=staff)
    await start_staff_session(request, response, staff)
    return response


@routes.post("/sign-out")
async def sign_out(request: web.Request) -> web.Response:
    response = _see("/sign-in")
    await end_staff_session(request, response)
    return response


def _again(request: web.Request, form: Form, place: str, kept: Kept | None, status: int) -> web.Response:
    """Show the form with what was typed, but for the password."""
    values = {"email": form.values.get("email", "")}
    known = {"next": place, "kept": kept, "values": values, "errors": form.errors}
    return render(request, "staff/sign_in.html", known, status=status)


def _see(place: str) -> web.Response:
    return web.Response(status=303, headers={"Location": place})
