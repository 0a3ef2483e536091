"""What a page of a visit is answered that was opened before the appointment was moved, or the link opened anew.

Another tab of the same browser carries a proof of the cookie before; another device a link that ended. Both are told
what happened and where to go on, and a stranger nothing: what is said of an appointment, its own patient's cookie gets.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from consult.domain.errors import LinkNotUsable, ProofMissing, VisitNeeded
from consult.domain.words import N_
from consult.scheduling.visit_patient import place_of_left, to
from consult.scheduling.visit_times import say_when, zone_of
from consult.web.address import wants_page
from consult.web.csrf import SAFE_METHODS
from consult.web.render import reader_words, render
from consult.web.request_keys import ERROR_CODE
from consult.web.session import VISIT_COOKIE, find_visit, read_cookie

OUTDATED = N_("This page is older than what is so now. Reload it, then try again.")


@web.middleware
async def answer_old_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer calmly what a page under /visit sent that is older than the visit."""
    try:
        return await handler(request)
    except (ProofMissing, VisitNeeded) as error:
        if isinstance(error, LinkNotUsable) or not _is_of_visit(request):
            raise
        if not wants_page(request):
            if isinstance(error, ProofMissing):
                error.message = OUTDATED
            raise
        return await _answer(request, error)


async def _answer(request: web.Request, error: ProofMissing | VisitNeeded) -> web.Response:
    visit = await find_visit(request)
    place = None if visit is not None else await place_of_left(request)
    if place is not None:
        return to(place)
    if request.method in SAFE_METHODS:
        raise error  # who looks without a link is led to the door
    request[ERROR_CODE] = error.code
    values = {} if visit is None else {"when": say_when(visit, zone_of(visit), reader_words(request))}
    return render(request, "patient/old_page.html", values, status=error.status)


def _is_of_visit(request: web.Request) -> bool:
    return read_cookie(request, VISIT_COOKIE) is not None and f"{request.path}/".startswith("/visit/")
