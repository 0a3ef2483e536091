"""Every request that may change something proves that one of our own pages sent it.

The proof is an HMAC of a token that only this browser's cookies hold: of its session, its visit or, before either, of a
cookie made for that. It comes in the form field `csrf` (the first field of an upload) or in the header `X-CSRF`.
Beside it the browser's own word counts: Origin and Sec-Fetch-Site must not name another site.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from urllib.parse import urlsplit

from aiohttp import BodyPartReader, web
from aiohttp.typedefs import Handler

from consult.domain.errors import BodyRefused, ProofMissing, ProofOld
from consult.keys import SETTINGS
from consult.web.forms import BROKEN_PARTS
from consult.web.patience import patience, patience_for_a_form
from consult.web.request_keys import FORM_TOKEN, PARTS
from consult.web.session import STAFF_COOKIE, VISIT_COOKIE, read_cookie, set_cookie

BEFORE_COOKIE = "consult_form"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FIELD = "csrf"
HEADER = "X-CSRF"
MAX_PROOF_CHARS = 100


def proof(request: web.Request) -> str:
    """Return what this browser's next form has to carry. Before a session exists it needs `keep_before_cookie`."""
    tokens = _tokens(request)
    if not tokens:
        request[FORM_TOKEN] = secrets.token_urlsafe(32)
        tokens = [request[FORM_TOKEN]]
    return _proof_of(request, tokens[0])


def renew(request: web.Request) -> None:
    """Let this page's proof be one that stays good when its answer begins another session."""
    request[FORM_TOKEN] = secrets.token_urlsafe(32)


def keep_before_cookie(request: web.Request, response: web.StreamResponse) -> None:
    """Set the cookie that a proof before any session is made of, if `proof` made one for this page."""
    if FORM_TOKEN in request:
        set_cookie(request, response, BEFORE_COOKIE, request[FORM_TOKEN])


def _tokens(request: web.Request) -> list[str]:
    names = (STAFF_COOKIE, VISIT_COOKIE, BEFORE_COOKIE)
    found = [request.get(FORM_TOKEN)] + [read_cookie(request, name) for name in names]
    return [token for token in found if token]


def _proof_of(request: web.Request, token: str) -> str:
    mac = hmac.new(request.app[SETTINGS].key_for("csrf"), token.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


@web.middleware
async def require_proof(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.method not in SAFE_METHODS and request.match_info.http_exception is None:
        _check_origin(request)
        given = (await _given_proof(request)).encode(errors="replace")[:MAX_PROOF_CHARS]
        expected = [_proof_of(request, token).encode() for token in _tokens(request)]
        if not any(hmac.compare_digest(given, each) for each in expected):
            raise ProofOld("proof")
    return await handler(request)


def _check_origin(request: web.Request) -> None:
    """Refuse what another site sent. Forms of our pages say `Origin: null`, since they are sent without a referrer."""
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    if site not in ("same-origin", "none"):
        raise ProofMissing("site")
    origin = request.headers.get("Origin")
    if origin is None or origin == "null":
        return
    try:
        parts = urlsplit(origin)
    except ValueError:  # brackets that hold no address
        raise ProofMissing("origin") from None
    if parts.netloc.lower() != request.host.lower():
        raise ProofMissing("origin")
    if request.app[SETTINGS].secure and parts.scheme != "https":
        raise ProofMissing("origin without TLS")  # whoever sits on the line can write such a page


async def _given_proof(request: web.Request) -> str:
    in_header = request.headers.get(HEADER)
    if in_header is not None:
        return in_header
    if request.content_type == "application/x-www-form-urlencoded":
        try:
            async with patience_for_a_form():
                value = (await request.post()).get(FIELD)
        except (ValueError, LookupError):  # bytes that are none of the charset, an unknown charset
            raise BodyRefused("form") from None
        return value if isinstance(value, str) else ""
    if request.content_type == "multipart/form-data":
        return await _proof_in_upload(request)
    return ""


async def _proof_in_upload(request: web.Request) -> str:
    """Read the first part alone; forms.read_upload goes on from there."""
    try:
        request[PARTS] = parts = await request.multipart()
        async with patience(request):
            first = await parts.next()
        if not isinstance(first, BodyPartReader) or first.name != FIELD:
            return ""
        async with patience(request):
            return (await first.read_chunk(MAX_PROOF_CHARS)).decode("ascii", "replace").strip()
    except BROKEN_PARTS:
        raise BodyRefused("multipart") from None
