"""A form that was sent twice is done once: whoever presses again comes to where the first press led.

Only forms that carry the field `once` (the macro `csrf_field(once=true)`), which is new each time that a page is made.
The same is what has the same content and comes from the same page of the same browser: after going back, a form with
another name in it is another form, and the same sentence from a page made anew is meant again. Not for forms that begin
a session: the answer to the second press would not have its cookie.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from datetime import timedelta

import asyncpg
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from consult.domain.clock import utc_now
from consult.domain.errors import StillWorking
from consult.keys import POOL
from consult.log import facts_of
from consult.web.csrf import FIELD as PROOF
from consult.web.session import session_keys

log = structlog.get_logger()

FIELD = "once"
FORGET_AFTER = timedelta(days=1)
GIVEN_UP_AFTER = timedelta(minutes=2)  # whoever worked on it since then was killed
WAIT_S = 20.0
LOOK_EVERY_S = 0.1

# A row if it is ours to work on. Of others what is older than $3 is forgotten.
CLAIM = """
with forgotten as (delete from sent_forms where sent_at < $3 and digest <> $1)
insert into sent_forms as known (digest, sent_at) values ($1, $2)
on conflict (digest) do update set sent_at = excluded.sent_at, leads_to = null
where known.sent_at < $3 or (known.leads_to is null and known.sent_at < $4)
returning digest
"""
SELECT_ANSWER = "select leads_to from sent_forms where digest = $1"
KEEP_ANSWER = "update sent_forms set leads_to = $2 where digest = $1"
FREE = "delete from sent_forms where digest = $1"


def new_mark() -> str:
    """Return what tells one making of a page from the next."""
    return secrets.token_urlsafe(12)


@web.middleware
async def answer_once(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Inside of `require_proof`, which has read the form."""
    digest = await _digest_of(request)
    if digest is None:
        return await handler(request)
    leads_to = await _claim(request, digest)
    if leads_to is not None:
        return web.Response(status=303, headers={"Location": leads_to})
    try:
        response = await handler(request)
        if response.status == 303:
            leads_to = response.headers["Location"]
        return response
    finally:
        await _settle(request, digest, leads_to)


async def _digest_of(request: web.Request) -> bytes | None:
    if request.method != "POST" or request.content_type != "application/x-www-form-urlencoded":
        return None
    posted = await request.post()
    if not posted.get(FIELD):
        return None
    fields = [(name, value) for name, value in posted.items() if isinstance(value, str) and name != PROOF]
    said = json.dumps([request.path, session_keys(request), fields])
    return hashlib.sha256(said.encode()).digest()


async def _claim(request: web.Request, digest: bytes) -> str | None:
    """Return where the first press led, None if this is the first. Raises StillWorking if the first takes too long."""
    for _ in range(int(WAIT_S / LOOK_EVERY_S)):
        now = utc_now()
        async with request.app[POOL].acquire() as conn:
            if await conn.fetchval(CLAIM, digest, now, now - FORGET_AFTER, now - GIVEN_UP_AFTER) is not None:
                return None
            leads_to: str | None = await conn.fetchval(SELECT_ANSWER, digest)
        if leads_to is not None:
            return leads_to
        await asyncio.sleep(LOOK_EVERY_S)
    raise StillWorking("form")


async def _settle(request: web.Request, digest: bytes, leads_to: str | None) -> None:
    """Keep the answer, or let the form be sent again. What was done stays done if that cannot be written down."""
    try:
        async with request.app[POOL].acquire() as conn:
            await conn.execute(KEEP_ANSWER if leads_to else FREE, digest, *([leads_to] if leads_to else []))
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        log.error("form.not_settled", **facts_of(error))
