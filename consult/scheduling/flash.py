"""Carries a new link over one redirect, from the answer to the form to the page that shows it once.

The link lies in a cookie of two minutes, signed, for that one page alone, and is dropped when it was shown: it is never
in an address, a log or the database.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid

from aiohttp import web

from consult.domain.ids import AppointmentId, InvitationId
from consult.keys import SETTINGS
from consult.scheduling.links import read_code, read_secret
from consult.scheduling.model import IssuedLink

COOKIE = "consult_link"
LIVES_S = 120


def keep_link(request: web.Request, response: web.Response, link: IssuedLink, *, page: str | None = None) -> None:
    """Put a link into the browser's pocket for the next page: the appointment's, or the one that is named."""
    body = f"{link.invitation_id.hex}.{link.number}.{link.secret}.{link.code}"
    response.set_cookie(
        _name(request),
        f"{body}.{_mac(request, link.appointment_id, body)}",
        path=page or _path(link.appointment_id),
        max_age=LIVES_S,
        httponly=True,
        secure=request.app[SETTINGS].secure,
        samesite="Strict",
    )


def take_link(request: web.Request, appointment_id: AppointmentId) -> IssuedLink | None:
    """Return the link that the browser brought for this appointment, None if it brought none of ours."""
    brought = request.cookies.get(_name(request), "")
    body, _dot, mac = brought.rpartition(".")
    if (
        not body
        or not brought.isascii()
        or not hmac.compare_digest(mac.encode(), _mac(request, appointment_id, body).encode())
    ):
        return None
    invitation, number, secret, code = body.split(".")
    if read_secret(secret) is None or read_code(code) is None:
        return None
    return IssuedLink(InvitationId(uuid.UUID(hex=invitation)), appointment_id, int(number), secret, code)


def drop_link(
    request: web.Request, response: web.Response, appointment_id: AppointmentId, *, page: str | None = None
) -> None:
    secure = request.app[SETTINGS].secure
    path = page or _path(appointment_id)
    response.del_cookie(_name(request), path=path, secure=secure, httponly=True, samesite="Strict")


def _name(request: web.Request) -> str:
    """With `__Secure-` over TLS; `__Host-` would send it to every page."""
    return f"__Secure-{COOKIE}" if request.app[SETTINGS].secure else COOKIE


def _path(appointment_id: AppointmentId) -> str:
    return f"/appointments/{appointment_id}"


def _mac(request: web.Request, appointment_id: AppointmentId, body: str) -> str:
    key = request.app[SETTINGS].key_for("link-once")
    return hmac.new(key, f"{appointment_id}:{body}".encode(), hashlib.sha256).hexdigest()
