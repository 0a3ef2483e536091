"""The stream by which an open board learns that it should ask again (server-sent events).

It says nothing else: no ids, no names. It is no sign of a person: a session with nothing but an open board ends after
its idle minutes, and the stream with it.
"""

from __future__ import annotations

import asyncio
import contextlib

import asyncpg
from aiohttp import web

from consult.boards.live import LIVE, OpenBoard
from consult.domain.access import StaffRole
from consult.keys import SOCKETS
from consult.web.session import find_staff, require_staff, staff_session

routes = web.RouteTableDef()

HEARTBEAT_S = 15.0  # proxies cut what is silent for a minute; an ended session is noticed within this
LEAST_APART_S = 0.3  # changes within this are told as one
TAKEN_WITHIN_S = 10.0  # a browser that takes no line for so long is let go

OPENED = b"event: hello\ndata: {}\n\n"
CHANGED = b"event: changed\ndata: {}\n\n"
SIGNED_OUT = b"event: signed-out\ndata: {}\n\n"
STILL_HERE = b": still here\n\n"


@routes.get("/board/events", allow_head=False)
async def tell_changes(request: web.Request) -> web.StreamResponse:
    await require_staff(request, StaffRole.SCHEDULER, StaffRole.EXPERT, counts=False)
    session = staff_session(request)
    with request.app[LIVE].opened(session) as board:

        async def close() -> None:
            board.end()

        with request.app[SOCKETS].kept(session, close, is_activity=False):
            # Asked again now that an end would be noticed.
            await require_staff(request, StaffRole.SCHEDULER, StaffRole.EXPERT, counts=False, again=True)
            response = web.StreamResponse(
                headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
            )
            # The board is gone or does not listen, or the database does not answer: it opens another stream.
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await response.prepare(request)
                await _tell(request, response, board)
            return response


async def _tell(request: web.Request, response: web.StreamResponse, board: OpenBoard) -> None:
    line = OPENED
    while True:
        async with asyncio.timeout(TAKEN_WITHIN_S):
            await response.write(line)
        if line == SIGNED_OUT or board.is_closed:
            return
        if line == CHANGED:
            await asyncio.sleep(LEAST_APART_S)
        line = CHANGED if await board.wait(HEARTBEAT_S) else STILL_HERE
        if await find_staff(request, counts=False, again=True) is None:
            line = SIGNED_OUT
