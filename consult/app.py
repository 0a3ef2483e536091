"""The composition root: puts settings, database, files, pages and rooms together into one aiohttp application."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import structlog
from aiohttp import web

from consult import storage
from consult.db.pool import create_pool
from consult.domain.clock import utc_now
from consult.files import folder
from consult.keys import LIMITER, POOL, SETTINGS, SOCKETS, STORE
from consult.people import service as people
from consult.people import views as people_views
from consult.settings import Settings
from consult.web import assets, health, language
from consult.web.csrf import require_proof
from consult.web.limits import Limiter
from consult.web.middleware import add_headers, answer_errors
from consult.web.render import PAGES, Pages
from consult.web.session import SESSION_ENDED
from consult.web.sockets import OpenSockets
from consult.web.words import LANGUAGES, load_languages

log = structlog.get_logger()

MAX_BODY_BYTES = 256 * 1024  # forms and JSON; files come in as streams with limits of their own
SLOW_HEAD_S = 15  # how long a request's head may take; aiohttp's own default is an hour
KEEP_SESSIONS_EVERY_S = 60


async def create_app(settings: Settings) -> web.Application:
    """Return the application, ready to be run. Whoever runs it cleans it up too."""
    app = web.Application(middlewares=[answer_errors, require_proof], client_max_size=MAX_BODY_BYTES)
    app[SETTINGS] = settings
    app[assets.ASSETS] = assets.Assets(folder("static"))
    app[LANGUAGES] = load_languages(folder("locale"), settings.languages)
    app[PAGES] = Pages(folder("templates"), app[LANGUAGES], app[assets.ASSETS])
    app[SOCKETS] = OpenSockets()
    app.on_response_prepare.append(add_headers)
    app.cleanup_ctx.extend([_keep_pool, _keep_store, _keep_limiter, _keep_sessions])
    for routes in (assets.routes, health.routes, language.routes, people_views.routes):
        app.add_routes(routes)
    _add_features(app)
    return app


def _add_features(app: web.Application) -> None:
    """Add the routes of every feature."""
    import importlib
    import importlib.util

    for name in ("scheduling", "cases", "records", "consultations", "transcripts", "notices"):
        if importlib.util.find_spec(f"consult.{name}.views") is not None:
            app.add_routes(importlib.import_module(f"consult.{name}.views").routes)


async def _keep_pool(app: web.Application) -> AsyncIterator[None]:
    app[POOL] = pool = await create_pool(app[SETTINGS].database_url)
    try:
        yield
    finally:
        try:
            async with asyncio.timeout(5):
                await pool.close()
        except TimeoutError:
            pool.terminate()


async def _keep_store(app: web.Application) -> AsyncIterator[None]:
    app[STORE] = storage.open_store(app[SETTINGS].storage)
    yield


async def _keep_limiter(app: web.Application) -> AsyncIterator[None]:
    app[LIMITER] = limiter = Limiter(app[SETTINGS].redis_url)
    try:
        yield
    finally:
        await limiter.close()


async def _keep_sessions(app: web.Application) -> AsyncIterator[None]:
    """While a call is open its session is not idle; when a session ends, anywhere, its sockets here are closed."""
    listening = asyncio.create_task(_close_sockets_of_ended_sessions(app), name="sessions-ended")
    keeping = asyncio.create_task(_keep_open_sessions(app), name="sessions-kept")
    try:
        yield
    finally:
        for task in (listening, keeping):
            task.cancel()
        await asyncio.gather(listening, keeping, return_exceptions=True)


async def _keep_open_sessions(app: web.Application) -> None:
    while True:
        await asyncio.sleep(KEEP_SESSIONS_EVERY_S)
        hashes = [bytes.fromhex(key[6:]) for key in app[SOCKETS].sessions() if key.startswith("staff:")]
        if hashes:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                async with app[POOL].acquire() as conn:
                    await people.keep_sessions(conn, hashes, utc_now())


async def _close_sockets_of_ended_sessions(app: web.Application) -> None:
    ended: asyncio.Queue[str] = asyncio.Queue(maxsize=1000)

    def remember(_connection: Any, _pid: int, _channel: str, session: object) -> None:
        if not ended.full():
            ended.put_nowait(str(session))

    while True:
        try:
            conn = await asyncpg.connect(app[SETTINGS].database_url, timeout=10)
        except (OSError, TimeoutError, asyncpg.PostgresError):
            await asyncio.sleep(2)
            continue
        try:
            await conn.add_listener(SESSION_ENDED, remember)
            conn.add_termination_listener(lambda _connection: ended.put_nowait("") if not ended.full() else None)
            while session := await ended.get():
                with contextlib.suppress(TimeoutError):
                    await app[SOCKETS].close(session)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            log.warning("sessions.listener_lost")
        finally:
            conn.terminate()
