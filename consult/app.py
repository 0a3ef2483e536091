"""The composition root: puts settings, database, files, pages and rooms together into one aiohttp application."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import pkgutil
from collections.abc import AsyncIterator

import asyncpg
import structlog
from aiohttp import web

from consult import rooms, storage
from consult.boards.live import CHANNEL, LIVE, LiveBoards
from consult.db.listening import listen
from consult.db.pool import create_pool
from consult.domain.clock import utc_now
from consult.files import folder
from consult.jobs import Jobs
from consult.keys import BUS, DIRECTORY, ENDPOINT, HUB, JOBS, LIMITER, POOL, SETTINGS, SOCKETS, STORE
from consult.people import service as people
from consult.scheduling.visit_left_web import answer_old_pages
from consult.settings import Settings
from consult.web import assets, health, language
from consult.web.csrf import require_proof
from consult.web.limits import Limiter
from consult.web.middleware import add_headers, answer_errors
from consult.web.once import answer_once
from consult.web.render import PAGES, Pages
from consult.web.session_ends import close_sockets_of_ended_sessions
from consult.web.sockets import OpenSockets
from consult.web.words import LANGUAGES, load_languages
from consult.worker import CONSUMER, run_worker, write_down

log = structlog.get_logger()

MAX_BODY_BYTES = 256 * 1024  # forms and JSON; files come in as streams with limits of their own
SLOW_HEAD_S = 15  # how long a request's head may take; aiohttp's own default is an hour
KEEP_SESSIONS_EVERY_S = 60
LAST_EVENTS_S = 5  # after the rooms are closed, what they told is still written down
STOP_WORKER_S = 10
FEATURES = (
    "people",
    "cases",
    "availability",
    "scheduling",
    "boards",
    "records",
    "consultations",
    "transcripts",
    "notices",
    "matching",
    "waiting",
)


async def create_app(settings: Settings, *, with_worker: bool = False) -> web.Application:
    """Return the application, ready to be run. Whoever runs it cleans it up too.

    with_worker: do the jobs in this process as well.
    """
    app = web.Application(
        middlewares=[answer_errors, answer_old_pages, require_proof, answer_once], client_max_size=MAX_BODY_BYTES
    )
    app[SETTINGS] = settings
    app[assets.ASSETS] = assets.Assets(folder("static"))
    app[LANGUAGES] = load_languages(folder("locale"), settings.languages)
    app[PAGES] = Pages(folder("templates"), app[LANGUAGES], app[assets.ASSETS])
    app[SOCKETS] = OpenSockets()
    app.on_response_prepare.append(add_headers)
    app[LIVE] = LiveBoards()
    app.on_shutdown.extend([_close_boards, _close_rooms])
    app.cleanup_ctx.extend([_keep_pool, _keep_store, _keep_limiter, _keep_rooms, _keep_sessions, _keep_boards])
    app.cleanup_ctx.append(_do_jobs if with_worker else _write_down_events)
    for routes in (assets.routes, health.routes, language.routes, *feature_routes()):
        app.add_routes(routes)
    app.router.add_get("/socket", _open_socket)
    return app


@contextlib.asynccontextmanager
async def running(app: web.Application) -> AsyncIterator[web.AppRunner]:
    """Set an application up, without a port as yet, and clean it up at the end."""
    runner = web.AppRunner(
        app,
        access_log=None,  # it would write down addresses with what is in them
        keepalive_timeout=SLOW_HEAD_S,  # for the head of a request too
        lingering_time=2,
        shutdown_timeout=5,
        auto_decompress=False,
    )
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def serve(app: web.Application, host: str, port: int) -> AsyncIterator[None]:
    """Answer on a port while the context is open. Raises OSError if the port is taken."""
    async with running(app) as runner:
        await web.TCPSite(runner, host, port, backlog=512).start()
        yield


def feature_routes() -> list[web.RouteTableDef]:
    """Return the routes of every feature: those of its module `views` and of modules whose name ends in `_views`."""
    found: list[web.RouteTableDef] = []
    for feature in FEATURES:
        package = importlib.import_module(f"consult.{feature}")
        for module in pkgutil.iter_modules(package.__path__):
            if module.name == "views" or module.name.endswith("_views"):
                routes = importlib.import_module(f"{package.__name__}.{module.name}").routes
                if not any(routes is known for known in found):
                    found.append(routes)
    return found


async def _open_socket(request: web.Request) -> web.StreamResponse:
    return await request.app[ENDPOINT].handle(request)


async def _keep_rooms(app: web.Application) -> AsyncIterator[None]:
    """Without Redis the rooms live here; with it, sockets are passed on to where they live."""
    settings = app[SETTINGS]
    app[BUS], app[DIRECTORY] = bus, directory = rooms.open_bus(settings), rooms.open_directory(settings)
    hub = None
    if settings.redis_url is None:
        app[HUB] = hub = rooms.make_hub(settings, bus, directory)
        await hub.start()
    app[ENDPOINT] = rooms.make_endpoint(settings, directory, hub)
    try:
        yield
    finally:
        await app[ENDPOINT].close()
        await directory.close()
        await bus.close()


async def _close_rooms(app: web.Application) -> None:
    """Before sockets are cut: finish recordings and tell everybody to come back."""
    await app[ENDPOINT].close()


async def _write_down_events(app: web.Application) -> AsyncIterator[None]:
    """Without Redis no other process hears what the rooms tell, so this one writes it down."""
    if app[SETTINGS].redis_url is not None:
        yield
        return
    work = asyncio.create_task(write_down(app[SETTINGS], app[POOL], app[BUS], utc_now), name="room-events")
    try:
        yield
    finally:
        await rooms.until_told(app[BUS], CONSUMER, LAST_EVENTS_S)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def _do_jobs(app: web.Application) -> AsyncIterator[None]:
    """Everything that a worker process does, in this one."""
    settings, stop = app[SETTINGS], asyncio.Event()
    app[JOBS] = jobs = Jobs()
    work = asyncio.create_task(run_worker(settings, app[POOL], app[STORE], app[BUS], stop, jobs=jobs), name="worker")
    try:
        yield
    finally:
        await rooms.until_told(app[BUS], CONSUMER, LAST_EVENTS_S)
        stop.set()
        await asyncio.wait({work}, timeout=STOP_WORKER_S)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def _keep_pool(app: web.Application) -> AsyncIterator[None]:
    app[POOL] = pool = await create_pool(app[SETTINGS].database_url, room_capacity=app[SETTINGS].room_capacity)
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
    listening = asyncio.create_task(close_sockets_of_ended_sessions(app), name="sessions-ended")
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


async def _keep_boards(app: web.Application) -> AsyncIterator[None]:
    """Open boards hear of every change that the database tells."""
    boards = app[LIVE]
    hearing = asyncio.create_task(
        listen(app[SETTINGS].database_url, CHANNEL, lambda _payload: boards.tell(), on_connected=boards.tell),
        name="boards-listener",
    )
    try:
        yield
    finally:
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)


async def _close_boards(app: web.Application) -> None:
    """Before the server waits for what is still being answered: these would never end."""
    app[LIVE].close()
