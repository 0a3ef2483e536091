"""What staff wrote into a form that came too late: the session had ended, or another one had begun in another tab.

It stands, unseen, in the page that asks to sign in, and after that in one that asks whether to send it. The server
keeps nothing of it, and nothing is sent that nobody pressed for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from consult.domain.errors import ConsultError, ProofOld, SignInNeeded
from consult.web.address import own_path, wants_page
from consult.web.forms import MAX_FIELDS, Form
from consult.web.render import render
from consult.web.session import find_staff

PREFIX = "kept-"
PLACE = "kept_for"
MOST_KEPT = MAX_FIELDS - 10  # beside them there are the fields for signing in
# Passwords and links' secrets are put into no page, and patients' pages have answers of their own.
NEVER_KEPT = ("/sign-", "/join", "/offer", "/visit", "/language", "/demo")


@dataclass(frozen=True, slots=True)
class Kept:
    """place: where the form was to go."""

    place: str
    fields: Sequence[tuple[str, str]]


async def answer_too_late(request: web.Request, error: ConsultError) -> web.Response | None:
    """Return a page that leads on with what was written; None if the error is another one, or nothing was."""
    if not wants_page(request) or type(error) not in (SignInNeeded, ProofOld):
        return None
    kept = await _kept_of(request)
    if kept is None:
        return None
    staff = await find_staff(request)
    if staff is not None:
        return show_kept(request, kept, status=error.status, signed_in=False)
    return render(request, "staff/sign_in.html", {"next": "", "kept": kept}, status=error.status)


def kept_in(form: Form) -> Kept | None:
    """Return what the form for signing in carries along."""
    place = own_path(form.values.get(PLACE), "")
    if not place or place.startswith(NEVER_KEPT):
        return None
    names = [name for name in form.lists if name.startswith(PREFIX)]
    return Kept(place, [(name.removeprefix(PREFIX), value) for name in names for value in form.lists[name]])


def show_kept(
    request: web.Request, kept: Kept, *, status: int = 200, signed_in: bool = True, **more: object
) -> web.Response:
    """Ask whether to send it. signed_in: they were signed out meanwhile, and are in again."""
    return render(request, "staff/kept.html", {"kept": kept, "signed_in": signed_in} | more, status=status)


async def _kept_of(request: web.Request) -> Kept | None:
    """Return what one of our own pages sent, as the browser says; of a browser that does not say so nothing is kept."""
    place = own_path(request.rel_url.path_qs, "")
    is_ours = request.headers.get("Sec-Fetch-Site") == "same-origin" and not place.startswith(NEVER_KEPT)
    if request.method != "POST" or request.content_type != "application/x-www-form-urlencoded" or not is_ours:
        return None
    posted = await request.post()  # read before, for the proof
    fields = [(name, value) for name, value in posted.items() if isinstance(value, str) and name != "csrf"]
    return Kept(place, fields) if place and 0 < len(fields) <= MOST_KEPT else None
