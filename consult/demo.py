"""`python -m consult demo`: everything in one process on this machine, to try it.

Owns the order of beginning and ending: embedded PostgreSQL, migrations, seed, pages with rooms and jobs, the links.
Binds loopback alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO

import uvloop
from aiohttp import web

from consult.app import create_app, running
from consult.db import embedded
from consult.db.pool import create_pool
from consult.db.schema import is_current
from consult.demo_seed import Demonstration, seed
from consult.demo_views import DEMO_LINKS, make_link
from consult.demo_views import routes as demo_routes
from consult.domain.clock import utc_now
from consult.log import set_up_log
from consult.settings import Settings, settings_or_exit
from consult.signals import until_signal
from consult.storage import open_store
from signaling.process import settle


def run_demo() -> int:
    """Run until SIGINT or SIGTERM and return 0; 2 if it cannot start."""
    signal.signal(signal.SIGTERM, _leave)  # until the event loop hears signals itself
    settings = _settings("postgresql://not-yet/known")
    try:
        sockets = _listen(settings.port)
    except OSError:
        print(f"Port {settings.port} is taken. Set another one: PORT={settings.port + 1} make demo", file=sys.stderr)
        return 2
    with contextlib.ExitStack() as open_things:
        for each in sockets:
            open_things.callback(each.close)
        log = open_things.enter_context(_open_log(settings.home))
        set_up_log("json", log)
        try:
            server = embedded.start(settings.home / "postgres", log=settings.home / "log" / "postgresql.log", say=_say)
        except embedded.EmbeddedFailed as failed:
            print(failed, file=sys.stderr)
            return 2
        open_things.callback(server.stop)
        uvloop.run(_serve(_settings(server.url()), sockets))
    return 0


def _leave(_number: int, _frame: object) -> None:
    raise SystemExit(0)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _settings(database_url: str) -> Settings:
    """Return the demonstration's settings; CONSULT_HOME, PORT and the like are honoured."""
    asked = settings_or_exit(
        database_url=database_url,
        secret_key="x" * 32,
        public_url="http://localhost:8080",
        redis_url=None,
        media_node=None,
    )
    home = asked.home
    if not home.exists():
        # Everything in it is for us alone, but PostgreSQL's user has to walk through when we are root.
        home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True)
    return settings_or_exit(
        database_url=database_url,
        secret_key=_secret_key(home),
        public_url=f"http://localhost:{asked.port}",
        consult_home=home,
        redis_url=None,
        media_node=None,
        host="127.0.0.1",
        trusted_proxies=0,
        demo=True,
    )


def _secret_key(home: Path) -> str:
    """Return the key that is kept in CONSULT_HOME, so that cookies outlive a restart."""
    path = home / "secret_key"
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
    key = path.read_text().strip()
    if len(key) < 32:
        path.write_text(secrets.token_urlsafe(48))
        key = path.read_text().strip()
    return key


@contextlib.contextmanager
def _open_log(home: Path) -> Iterator[IO[str]]:
    folder = home / "log"
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "consult.log").open("a", encoding="utf-8", buffering=1) as file:
        yield file


def _listen(port: int) -> list[socket.socket]:
    """Return sockets on 127.0.0.1 and, where there is IPv6, on ::1: browsers try either for `localhost`."""
    sockets: list[socket.socket] = []
    try:
        sockets.append(_bound(socket.AF_INET, "127.0.0.1", port))
        if socket.has_ipv6:
            try:
                sockets.append(_bound(socket.AF_INET6, "::1", sockets[0].getsockname()[1]))
            except OSError as error:
                if error.errno == 98:  # somebody else has it: their page would open, not ours
                    raise
    except OSError:
        for each in sockets:
            each.close()
        raise
    return sockets


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    made = socket.socket(family)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(128)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made


async def _serve(settings: Settings, sockets: list[socket.socket]) -> None:
    stop = until_signal()
    starting = asyncio.ensure_future(_prepare(settings))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return
    people = await starting
    app = await create_app(settings, with_worker=True)
    app.add_routes(demo_routes)
    app[DEMO_LINKS] = {}
    async with _answering(app, sockets):
        settle()
        _print_links(settings, app, people)
        await stopping


async def _prepare(settings: Settings) -> Demonstration:
    pool = await create_pool(settings.database_url, room_capacity=settings.room_capacity)
    try:
        async with pool.acquire() as conn:
            current = await is_current(conn)
        if not current:
            from consult.db.migrate import migrate  # it brings alembic and SQLAlchemy: a second that a warm start saves

            await migrate(settings.database_url)
        return await seed(pool, open_store(settings.storage), utc_now())
    finally:
        await pool.close()


@contextlib.asynccontextmanager
async def _answering(app: web.Application, sockets: list[socket.socket]) -> AsyncIterator[None]:
    async with running(app) as runner:
        for each in sockets:
            await web.SockSite(runner, each).start()
        yield


def _print_links(settings: Settings, app: web.Application, people: Demonstration) -> None:
    """Each name of the loopback has cookies of its own, so scheduler and expert can be in one browser."""
    scheduler, expert = (make_link(app[DEMO_LINKS], staff) for staff in (people.scheduler, people.expert))
    print(f"Scheduler: http://127.0.0.1:{settings.port}{scheduler}")
    print(f"Expert: http://localhost:{settings.port}{expert}")
    print(f"Patient: http://localhost:{settings.port}/join#{people.secret}")
    print("Ready", flush=True)
