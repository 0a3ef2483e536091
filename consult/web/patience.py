"""How long a request's body may take to arrive. A slow telephone has the time it needs, a trickle ends.

Without this a body that stops in the middle would hold its connection, its task and its temporary file for ever.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from consult.domain.errors import BodyTooSlow
from consult.web.request_keys import BODY_SINCE_S

IDLE_S = 30.0  # without a single byte
GRACE_S = 60.0  # for a form, and for the beginning of an upload
LEAST_BYTES_PER_S = 4096  # what an upload has to keep up after that


@asynccontextmanager
async def patience(request: web.Request) -> AsyncIterator[None]:
    """Wait for one piece of the body inside of this. Raises BodyTooSlow."""
    now_s = time.monotonic()
    if BODY_SINCE_S not in request:
        request[BODY_SINCE_S] = now_s
    since_s = request[BODY_SINCE_S]
    left_s = GRACE_S + request.content.total_bytes / LEAST_BYTES_PER_S - (now_s - since_s)
    try:
        async with asyncio.timeout(max(0.0, min(IDLE_S, left_s))):
            yield
    except TimeoutError:
        raise BodyTooSlow("body") from None


@asynccontextmanager
async def patience_for_a_form() -> AsyncIterator[None]:
    """Wait for a whole form inside of this. Raises BodyTooSlow."""
    try:
        async with asyncio.timeout(GRACE_S):
            yield
    except TimeoutError:
        raise BodyTooSlow("form") from None
