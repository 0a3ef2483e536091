"""What all tests share: a PostgreSQL of their own, a Redis, the running application, and a watch over leaked tasks."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from aiohttp import web
from argon2 import PasswordHasher
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from consult.app import create_app, serve
from consult.db import embedded
from consult.db.migrate import migrate
from consult.db.pool import create_pool
from consult.people import passwords
from consult.settings import Settings, read_settings
from consult.web import words
from consult.web.assets import Assets
from tests.databases import Databases

# How long an example or its making takes says something about the machine alone.
hypothesis_settings.register_profile("consult", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("consult")

SECRET = "a secret for tests, long enough for anything"
# Browser tests that hold no call, and so may run beside others.
PAGE_TESTS = {
    "test_boards.py",
    "test_case_video.py",
    "test_expert_time_pages.py",
    "test_long_names.py",
    "test_matching_pages.py",
    "test_message_pages.py",
    "test_moving_pages.py",
    "test_patient_changes.py",
    "test_patient_pages.py",
    "test_pressing_twice.py",
    "test_slow_upload.py",
    "test_spanish.py",
    "test_staff_pages.py",
    "test_viewer.py",
    "test_waiting_pages.py",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what wants few beside it, see `make test`: packets in real time, and calls between browsers.

    A call in whose test nothing is measured says so itself (`in_pairs`); all others run alone. Both are looked for in
    tests/browser only.
    """
    for item in items:
        if item.path.parent.name != "browser" and item.get_closest_marker("in_pairs"):
            raise pytest.UsageError(f"{item.nodeid}: in_pairs is for calls between browsers, in tests/browser")
        if item.path.parent.name == "browser" and item.path.name not in PAGE_TESTS:
            if item.get_closest_marker("in_pairs") is None:
                item.add_marker(pytest.mark.alone)
        elif item.path.parent.name == "attacks" or "loopback" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real_time)


@dataclass(frozen=True, slots=True)
class Database:
    """A migrated database of this test's own. url: for asyncpg; pool: open until the test ends."""

    url: str
    pool: asyncpg.Pool


@pytest.fixture(autouse=True)
def watch_over_tasks(request: pytest.FixtureRequest) -> None:
    """An asyncio task that outlives its test fails it. Set up first, so torn down after everything else."""
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("no_task_is_left")


@pytest.fixture
async def no_task_is_left() -> AsyncIterator[None]:
    earlier = asyncio.all_tasks()
    yield
    deadline = time.monotonic() + 10
    while (left := {task for task in asyncio.all_tasks() - earlier if task is not asyncio.current_task()}) and (
        time.monotonic() < deadline
    ):
        await asyncio.sleep(0.01)  # what was cancelled may still be tidying up
    assert not left, f"tasks were left behind: {sorted(task.get_name() for task in left)}"


@pytest.fixture(scope="session", autouse=True)
def real_hasher() -> Iterator[PasswordHasher]:
    """argon2id as ever, but in 1 MiB instead of 64 and one pass: a test takes no second for its staff's passwords.

    Gives the hasher that people's passwords have outside of tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        real = passwords._HASHER
        patch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1))
        yield real


@pytest.fixture(scope="session", autouse=True)
def files_are_read_once() -> Iterator[None]:
    """Every application reads its translations and hashes its static files when it starts: the same ones each time."""
    take, taken = Assets._take_fingerprint, dict[Path, str]()

    def take_once(assets: Assets) -> str:
        if assets._root not in taken:
            taken[assets._root] = take(assets)
        return taken[assets._root]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "_load", functools.cache(words._load))
        patch.setattr(Assets, "_take_fingerprint", take_once)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[embedded.EmbeddedPostgres]:
    """One cluster for all tests, in a folder with a short name that its user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="consult-tests-"))
    folder.chmod(0o755)
    server = embedded.start(folder / "postgres", log=folder / "postgres.log", fast=True)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template_database(postgres: embedded.EmbeddedPostgres) -> str:
    """The name of a migrated database that others are copied from."""

    async def make() -> None:
        conn = await asyncpg.connect(postgres.url())
        await conn.execute("create database template_consult")
        await conn.close()
        await migrate(postgres.url("template_consult"))

    asyncio.run(make())
    return "template_consult"


@pytest.fixture(scope="session")
def databases(postgres: embedded.EmbeddedPostgres, template_database: str) -> Iterator[Databases]:
    made = Databases(postgres.url(), template_database)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def database_url(postgres: embedded.EmbeddedPostgres, databases: Databases) -> Iterator[str]:
    name = databases.take()
    try:
        yield postgres.url(name)
    finally:
        databases.drop(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    pool = await create_pool(database_url)
    try:
        yield Database(database_url, pool)
    finally:
        await asyncio.wait_for(pool.close(), 10)


@pytest.fixture
async def conn(database: Database) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
    async with database.pool.acquire() as connection:
        yield connection


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A real redis-server on a free port."""
    port = free_port()
    program = shutil.which("redis-server") or "redis-server"
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen([*command, "--dir", str(tmp_path)], stdout=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def make_settings(database_url: str, tmp_path: Path) -> Callable[..., Settings]:
    """Settings for a test; name what should differ. The port is free unless one is given."""

    def make(**given: Any) -> Settings:
        port = given.pop("port", None) or free_port()
        known = {
            "database_url": database_url,
            "secret_key": SECRET,
            "public_url": f"http://127.0.0.1:{port}",
            "consult_home": tmp_path / "home",
            "port": port,
        }
        return read_settings(**(known | given))

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@dataclass(frozen=True, slots=True)
class Server:
    """The running application. url: without a slash at its end."""

    url: str
    app: web.Application
    settings: Settings


@pytest.fixture
async def start_server(database_url: str) -> AsyncIterator[Callable[..., Any]]:
    """Starts the real application with given settings: `server = await start_server(settings)`."""
    async with contextlib.AsyncExitStack() as running:

        async def start(settings: Settings, *, with_worker: bool = False) -> Server:
            app = await create_app(settings, with_worker=with_worker)
            await running.enter_async_context(serve(app, "127.0.0.1", settings.port))
            return Server(settings.public_url, app, settings)

        yield start


@pytest.fixture
async def server(start_server: Callable[..., Any], settings: Settings) -> Server:
    started: Server = await start_server(settings)
    return started


@pytest.fixture
async def client(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    """A browser without scripts: keeps cookies, follows no redirects unless told to."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(server.url, cookie_jar=jar, headers={"Accept": "text/html"}) as session:
        yield session


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
