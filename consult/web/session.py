"""Who is asking: staff by a signed-in session, everybody else by a visit (an opened invitation).

Owns the cookies. Tokens have 256 random bits; the database knows their SHA-256 alone. Staff and visits have cookies of
their own, so one browser can hold both.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from aiohttp import web

from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.errors import NotAllowed, SignInNeeded, VisitNeeded
from consult.keys import POOL, SETTINGS
from consult.people import service as people
from consult.people.model import Staff
from consult.settings import Settings
from consult.web.request_keys import STAFF, VISIT

if TYPE_CHECKING:
    from consult.scheduling.model import Visit

STAFF_COOKIE = "consult_staff"
VISIT_COOKIE = "consult_visit"
VISIT_COOKIE_DAYS = 60  # how long the browser keeps it; whether it is still good, the database says
BY_ITSELF = "X-By-Itself"  # a script asks without a person: that the session is idle stays true
SESSION_ENDED = "consult_session_ended"  # PostgreSQL channel: every process closes the session's sockets

NOTIFY_ENDED = "select pg_notify($1, $2)"


def cookie_name(settings: Settings, name: str) -> str:
    return f"__Host-{name}" if settings.secure else name


def read_cookie(request: web.Request, name: str) -> str | None:
    """Return the cookie's value, None if there is none or none of ours: those are plain, and any bytes may come."""
    value = request.cookies.get(cookie_name(request.app[SETTINGS], name))
    return value if value and value.isascii() and len(value) <= 200 else None


def set_cookie(
    request: web.Request, response: web.StreamResponse, name: str, value: str, *, max_age_s: int | None = None
) -> None:
    settings = request.app[SETTINGS]
    response.set_cookie(
        cookie_name(settings, name),
        value,
        path="/",
        httponly=True,
        secure=settings.secure,
        samesite="Lax",
        max_age=max_age_s,
    )


def drop_cookie(request: web.Request, response: web.StreamResponse, name: str) -> None:
    settings = request.app[SETTINGS]
    response.del_cookie(cookie_name(settings, name), path="/", secure=settings.secure, httponly=True, samesite="Lax")


def session_key(kind: str, token: str) -> str:
    """Return what a session is called in logs and in the list of open sockets; the token cannot be had from it."""
    return f"{kind}:{hashlib.sha256(token.encode()).hexdigest()}"


def session_keys(request: web.Request) -> list[str]:
    """Every session this browser came with."""
    found = {"staff": read_cookie(request, STAFF_COOKIE), "visit": read_cookie(request, VISIT_COOKIE)}
    return [session_key(kind, token) for kind, token in found.items() if token]


def staff_session(request: web.Request) -> str:
    """Return what the session of who is signed in is called. Raises SignInNeeded."""
    token = read_cookie(request, STAFF_COOKIE)
    if not token:
        raise SignInNeeded
    return session_key("staff", token)


async def find_staff(request: web.Request, *, counts: bool = True, again: bool = False) -> Staff | None:
    """Return who is signed in, None if nobody is.

    counts: False if no person asks, so that the session goes on idling; a script says so by a header. again: ask the
    database once more, for requests that last.
    """
    if again or STAFF not in request:
        token = read_cookie(request, STAFF_COOKIE)
        staff = None
        if token:
            counts = counts and BY_ITSELF not in request.headers
            async with request.app[POOL].acquire() as conn:
                staff = await people.find_session(conn, token, utc_now(), counts=counts)
        request[STAFF] = staff
    found: Staff | None = request[STAFF]
    return found


async def require_staff(request: web.Request, *roles: StaffRole, counts: bool = True, again: bool = False) -> Staff:
    """Return who is signed in. Raises SignInNeeded, or NotAllowed if roles are given and theirs is not among them.

    counts, again: see find_staff.
    """
    staff = await find_staff(request, counts=counts, again=again)
    if staff is None:
        raise SignInNeeded
    if roles and staff.role not in roles:
        raise NotAllowed(f"role {staff.role}")
    return staff


async def find_visit(request: web.Request) -> Visit | None:
    """Return the visit of this browser, None if it has none or its invitation is no longer good."""
    from consult.scheduling import service as scheduling

    if VISIT not in request:
        token = read_cookie(request, VISIT_COOKIE)
        visit = None
        if token:
            async with request.app[POOL].acquire() as conn:
                visit = await scheduling.find_visit(conn, token, utc_now())
        request[VISIT] = visit
    found: Visit | None = request[VISIT]
    return found


async def require_visit(request: web.Request) -> Visit:
    """Return the visit of this browser. Raises VisitNeeded."""
    visit = await find_visit(request)
    if visit is None:
        raise VisitNeeded
    return visit


async def start_staff_session(request: web.Request, response: web.StreamResponse, staff: Staff) -> None:
    """Sign somebody in on this browser: a new session, and the end of the one it had."""
    await end_staff_session(request, response)
    async with request.app[POOL].acquire() as conn:
        token = await people.start_session(conn, staff.id, utc_now())
    set_cookie(request, response, STAFF_COOKIE, token)
    request[STAFF] = staff


async def end_staff_session(request: web.Request, response: web.StreamResponse) -> None:
    """Sign this browser out and close its sockets, in whichever process they are."""
    token = read_cookie(request, STAFF_COOKIE)
    if token is None:
        return
    async with request.app[POOL].acquire() as conn, conn.transaction():
        await people.end_session(conn, token, utc_now())
        await conn.execute(NOTIFY_ENDED, SESSION_ENDED, session_key("staff", token))
    drop_cookie(request, response, STAFF_COOKIE)
    request[STAFF] = None


def start_visit(request: web.Request, response: web.StreamResponse, visit_token: str) -> None:
    """Give this browser the cookie of a visit."""
    set_cookie(request, response, VISIT_COOKIE, visit_token, max_age_s=VISIT_COOKIE_DAYS * 86_400)
