"""What happens around every request: its id, its log line, safe headers, errors as a page or problem+json."""

from __future__ import annotations

import asyncio
import secrets
import time
from urllib.parse import quote

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from consult.domain.errors import (
    BodyRefused,
    BodyTooLarge,
    ConsultError,
    InvalidInput,
    NotAllowed,
    NotFound,
    SignInNeeded,
    VisitNeeded,
)
from consult.domain.words import N_
from consult.keys import SETTINGS
from consult.log import facts_of
from consult.web.address import wants_page
from consult.web.kept import answer_too_late
from consult.web.render import reader_words, render
from consult.web.request_keys import ERROR_CODE, REFERENCE, WORDS

log = structlog.get_logger()

CSP = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(self), microphone=(self), fullscreen=(self), geolocation=(), display-capture=(self)",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
HSTS = "max-age=31536000; includeSubDomains"
WITHOUT_HOST = frozenset({"/healthz", "/readyz"})  # asked by machines that know the address alone
_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # no 0, 1, O, I: people read references out on the telephone


class WrongMethod(ConsultError):
    code = "method.refused"
    status = 405
    message = N_("This address does not take that kind of request.")


class WrongHost(ConsultError):
    code = "host.unknown"
    status = 421
    message = N_("This server does not answer to that name. Open the address that the clinic gave you.")


def new_reference() -> str:
    """Return what a person and the log call one failure by, like 7F3K-20."""
    return "".join(secrets.choice(_LETTERS) for _ in range(4)) + f"-{secrets.randbelow(90) + 10}"


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.app[SETTINGS].secure:
        response.headers.setdefault("Strict-Transport-Security", HSTS)
    if REFERENCE in request:
        response.headers.setdefault("X-Request-Id", request[REFERENCE])
    response.headers.popall("Server", None)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Outermost: gives the request its id, and answers every exception."""
    request[REFERENCE] = new_reference()
    started = time.perf_counter()
    request[WORDS] = reader_words(request)
    try:
        _check_host(request)
        response = await handler(request)
    except web.HTTPException as answer:
        if answer.status < 400:
            raise
        response = _answer(request, _from_http(answer))
        if "Allow" in answer.headers:
            response.headers["Allow"] = answer.headers["Allow"]
    except ConsultError as error:
        response = await _answer_kindly(request, error)
    except (asyncio.CancelledError, ConnectionResetError):
        raise
    except Exception as error:
        log.error("request.failed", reference=request[REFERENCE], route=_route(request), **facts_of(error))
        response = _answer(request, ConsultError())
    _log_line(request, response.status, started)
    return response


def _check_host(request: web.Request) -> None:
    if request.path in WITHOUT_HOST:
        return
    if request.host.lower() not in request.app[SETTINGS].allowed_hosts:
        raise WrongHost("host")


def _route(request: web.Request) -> str:
    """The pattern of the address, never the address itself: /cases/{id}."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"


def _log_line(request: web.Request, status: int, started: float) -> None:
    if request.path in WITHOUT_HOST or (status < 400 and _route(request).startswith("/static")):
        return
    log.info(
        "request",
        reference=request[REFERENCE],
        method=request.method if request.method.isalpha() else "?",
        route=_route(request),
        status=status,
        ms=round((time.perf_counter() - started) * 1000, 1),
        code=request.get(ERROR_CODE),
    )


def _from_http(answer: web.HTTPException) -> ConsultError:
    if answer.status == 404:
        return NotFound("route")
    if answer.status == 413:
        return BodyTooLarge("size")
    if answer.status == 405:
        return WrongMethod("method")
    if answer.status == 403:
        return NotAllowed("http")
    refused = BodyRefused("http") if answer.status < 500 else ConsultError("http")
    refused.status = answer.status
    return refused


async def _answer_kindly(request: web.Request, error: ConsultError) -> web.Response:
    """Lead on with what was written where a form came too late; else say what is wrong."""
    try:
        kept = await answer_too_late(request, error)
    except Exception as second:  # a database out of reach must not hide the first error
        log.error("kept_page.failed", reference=request[REFERENCE], **facts_of(second))
        kept = None
    if kept is None:
        return _answer(request, error)
    request[ERROR_CODE] = error.code
    return kept


def _answer(request: web.Request, error: ConsultError) -> web.Response:
    request[ERROR_CODE] = error.code
    if not wants_page(request):
        return problem(request, error)
    if request.method in ("GET", "HEAD") and type(error) is SignInNeeded:
        return _redirect(
            f"/sign-in?next={quote(request.rel_url.path_qs if request.method == 'GET' else '/', safe='/')}"
        )
    if request.method in ("GET", "HEAD") and type(error) is VisitNeeded:
        return _redirect("/join")
    return _error_page(request, error)


def _redirect(place: str) -> web.Response:
    return web.Response(status=303, headers={"Location": place})


def _error_page(request: web.Request, error: ConsultError) -> web.Response:
    words = reader_words(request)
    values = {
        "status": error.status,
        "code": error.code,
        "sentence": words.say(error.message, **error.values),
        "fields": _fields(request, error),
        "reference": request[REFERENCE],
    }
    try:
        return render(request, "error.html", values, status=error.status)
    except Exception as second:  # a broken template must not hide the first error
        log.error("error_page.failed", reference=request[REFERENCE], **facts_of(second))
        return web.Response(text=f"{values['sentence']} ({request[REFERENCE]})", status=error.status)


def _fields(request: web.Request, error: ConsultError) -> dict[str, str]:
    if not isinstance(error, InvalidInput):
        return {}
    words = reader_words(request)
    return {name: words.say(sentence, **error.values) for name, sentence in error.fields.items()}


def problem(request: web.Request, error: ConsultError) -> web.Response:
    """Return the error as problem+json (RFC 9457)."""
    words = reader_words(request)
    sentence = words.say(error.message, **error.values)
    body: dict[str, object] = {
        "type": f"urn:consult:{error.code}",
        "title": sentence,
        "status": error.status,
        "code": error.code,
        "detail": sentence,
        "reference": request[REFERENCE],
    }
    if isinstance(error, InvalidInput):
        body["fields"] = _fields(request, error)
    return web.json_response(body, status=error.status, content_type="application/problem+json")
