"""When a session ends, in whichever process: its open sockets in this one are closed (SECURITY 6).

The end is told through PostgreSQL. What was told while nobody listened here the database still knows, so each time that
listening begins, the sessions of all open sockets are looked up.
"""

from __future__ import annotations

import asyncio
import contextlib

import asyncpg
import structlog
from aiohttp import web

from consult.db.listening import listen
from consult.keys import POOL, SETTINGS, SOCKETS
from consult.log import facts_of
from consult.people import service as people
from consult.web.session import SESSION_ENDED

log = structlog.get_logger()

MOST_WAITING = 1000
PAUSE_S = 2.0
_ALL = ""  # stands for every session that is open here
_STAFF = "staff:"


async def close_sockets_of_ended_sessions(app: web.Application) -> None:
    """Close the sockets of sessions that end, until cancelled."""
    ended: asyncio.Queue[str] = asyncio.Queue(maxsize=MOST_WAITING)

    def look_at_all() -> None:
        while not ended.empty():  # the database knows of these too
            ended.get_nowait()
        ended.put_nowait(_ALL)

    def remember(session: str) -> None:
        if ended.full():
            look_at_all()
        else:
            ended.put_nowait(session)

    async with asyncio.TaskGroup() as group:
        group.create_task(
            listen(app[SETTINGS].database_url, SESSION_ENDED, remember, on_connected=look_at_all),
            name="sessions-listener",
        )
        while True:
            session = await ended.get()
            for one in [session] if session != _ALL else await _ended_meanwhile(app):
                with contextlib.suppress(TimeoutError):
                    await app[SOCKETS].close(one)


async def _ended_meanwhile(app: web.Application) -> list[str]:
    """Return which sessions with an open socket here have ended; asks until the database answers."""
    while True:
        opened = [key for key in app[SOCKETS].all_sessions() if key.startswith(_STAFF)]
        if not opened:
            return []
        try:
            async with app[POOL].acquire(timeout=PAUSE_S) as conn:
                hashes = [bytes.fromhex(key.removeprefix(_STAFF)) for key in opened]
                ended = await people.list_ended_sessions(conn, hashes)
            return [f"{_STAFF}{one.hex()}" for one in ended]
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("sessions.not_looked_up", **facts_of(error))
            await asyncio.sleep(PAUSE_S)
