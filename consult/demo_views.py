"""One-click sign-in for the demonstration. These addresses exist in no other mode.

The secret is in the URL's fragment and in this process's memory, nowhere else; a new start makes new ones.
"""

from __future__ import annotations

import hashlib
import secrets

from aiohttp import web

from consult.domain.errors import LinkNotUsable
from consult.keys import LIMITER
from consult.people.model import Staff
from consult.web.address import client_address
from consult.web.forms import read_form
from consult.web.render import render
from consult.web.session import start_staff_session

DEMO_LINKS: web.AppKey[dict[str, Staff]] = web.AppKey("demo_links", dict)
routes = web.RouteTableDef()


def make_link(links: dict[str, Staff], staff: Staff) -> str:
    """Return the path of a link that signs somebody in. links: the application's, by the secret's hash."""
    secret = secrets.token_urlsafe(32)
    links[_hash(secret)] = staff
    return f"/demo#{staff.role}.{secret}"


@routes.get("/demo")
async def show_door(request: web.Request) -> web.Response:
    people = {str(staff.role): staff for staff in request.app[DEMO_LINKS].values()}
    return render(request, "demo.html", {"people": people})


@routes.post("/demo/enter")
async def enter(request: web.Request) -> web.Response:
    await request.app[LIMITER].hit("demo", address=client_address(request))
    form = await read_form(request)
    staff = request.app[DEMO_LINKS].get(_hash(form.text("secret", max_chars=100)))
    if staff is None:
        raise LinkNotUsable("demo")
    response = web.Response(status=303, headers={"Location": staff.home})
    await start_staff_session(request, response, staff)
    return response


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
