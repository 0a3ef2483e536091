"""The command line: `python -m consult COMMAND`. Owns the processes' beginnings and ends, nothing of what they do."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import uvloop

from consult import __version__
from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.errors import InvalidInput
from consult.load_test.command import add_arguments as add_load_test_arguments
from consult.load_test.command import load_test
from consult.log import set_up_log
from consult.settings import TICKET_KEY, Settings, settings_or_exit
from consult.signals import hear_orders, until_over, until_signal

COMMANDS = """
commands:
  demo            try everything on this machine: database, pages, calls and jobs in one process
  web             pages, and the rooms too unless REDIS_URL is set
  media           rooms (sound, picture, recording) for web processes, in a process per core;
                  needs REDIS_URL and MEDIA_NODE
  worker          what runs later: filing recordings, transcripts, mail
  migrate         bring the database to the newest schema
  take-bounce     mark a mail as undeliverable; the mail server's report comes from standard input
  create-staff    make an account; asks for what is not given, the password comes from standard input
  load-test       fill an installation with people who do not exist, and say what it carried
  check-settings  say whether the environment is complete and right
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the process's exit code."""
    parser = argparse.ArgumentParser(
        prog="consult",
        description="A self-hosted server for video second opinions.",
        epilog=COMMANDS + "\nSettings come from the environment; docs/deployment.md lists them.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"consult {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in ("demo", "web", "media", "worker", "migrate", "take-bounce", "check-settings"):
        commands.add_parser(name)
    add_load_test_arguments(commands.add_parser("load-test"))
    staff = commands.add_parser("create-staff")
    staff.add_argument("--email")
    staff.add_argument("--name")
    staff.add_argument("--role", choices=[str(role) for role in StaffRole])
    staff.add_argument("--time-zone", help="for example Europe/Madrid")
    staff.add_argument("--specialty", default="")
    given = parser.parse_args(arguments)
    try:
        return _run(given)
    except KeyboardInterrupt:
        return 130


def _run(given: argparse.Namespace) -> int:
    if given.command == "demo":
        from consult.demo import run_demo

        return run_demo()
    if given.command == "load-test":
        return load_test(given)
    settings = settings_or_exit()
    set_up_log(settings.log_format)
    match given.command:
        case "web":
            return _serve(serve_web(settings))
        case "media":
            return _serve_media_processes(_with_media(settings))
        case "worker":
            return _serve(work(settings))
        case "migrate":
            return _migrate(settings)
        case "take-bounce":
            return _take_bounce(settings)
        case "create-staff":
            return _create_staff(settings, given)
    print("The settings are complete.")
    return 0


def _serve(serving: Coroutine[Any, Any, None]) -> int:
    uvloop.run(serving)
    return 0


async def serve_web(settings: Settings) -> None:
    from consult.app import create_app, serve
    from consult.keys import HUB
    from consult.watchdog import watched
    from signaling.process import settle

    orders = hear_orders()
    app = await create_app(settings)
    async with serve(app, settings.host, settings.port), watched(settings.watchdog_s):
        settle()
        if HUB in app:
            await until_over(orders, app[HUB].drain, limit_s=settings.drain_s)
        else:
            await orders.drain.wait()  # rooms live elsewhere: their sockets come back through another web process


def _serve_media_processes(settings: Settings) -> int:
    """Run as many media processes as were asked for, and look after them."""
    from consult import app, rooms  # noqa: F401  loaded once, before the processes part
    from consult.cores import usable_cores
    from consult.supervisor import supervise
    from signaling import endpoint, redis_bus  # noqa: F401

    count = usable_cores() if settings.media_processes == "auto" else settings.media_processes
    first_port, last_port = settings.media_ports
    if first_port and count > last_port - first_port + 1:
        if settings.media_processes != "auto":
            print("Consult cannot start media: MEDIA_PORTS should have a port for each process.", file=sys.stderr)
            return 2
        count = last_port - first_port + 1

    def serve_one(place: int, lifeline: int) -> int:
        return _serve(serve_media(settings.of_media_process(place), lifeline=lifeline))

    return supervise(count, serve_one)


async def serve_media(settings: Settings, *, lifeline: int | None = None) -> None:
    """Hold rooms until told to go. lifeline: a pipe's end that closes when whoever looks after this process is gone."""
    from consult import rooms
    from consult.app import serve
    from consult.watchdog import watched
    from signaling.endpoint import create_media_app
    from signaling.process import settle

    orders = hear_orders(lifeline)
    async with AsyncExitStack() as stack:
        bus, directory = rooms.open_bus(settings), rooms.open_directory(settings)
        stack.push_async_callback(bus.close)
        stack.push_async_callback(directory.close)
        hub = rooms.make_hub(settings, bus, directory)
        app = create_media_app(key=settings.key_for(TICKET_KEY), directory=directory, hub=hub)
        await stack.enter_async_context(serve(app, settings.host, settings.port))
        await stack.enter_async_context(watched(settings.watchdog_s))
        settle()
        await until_over(orders, hub.drain, limit_s=settings.drain_s)


async def work(settings: Settings) -> None:
    from consult import rooms, storage
    from consult.db.pool import create_pool
    from consult.jobs import Jobs
    from consult.worker import run_worker

    stop = until_signal()
    bus = rooms.open_bus(settings) if settings.redis_url else None
    pool = await create_pool(settings.database_url, room_capacity=settings.room_capacity)
    jobs = Jobs()
    try:
        await run_worker(settings, pool, storage.open_store(settings.storage), bus, stop, jobs=jobs)
    finally:
        if bus is not None:
            await bus.close()
        await pool.close()


def _with_media(settings: Settings) -> Settings:
    missing = [name for name in ("redis_url", "media_node") if getattr(settings, name) is None]
    if missing:
        names = " and ".join(name.upper() for name in missing)
        print(f"Consult cannot start media: {names} should be set. See docs/deployment.md.", file=sys.stderr)
        raise SystemExit(2)
    return settings


def _migrate(settings: Settings) -> int:
    from consult.db.migrate import migrate

    try:
        asyncio.run(migrate(settings.database_url))
    except (OSError, asyncpg.PostgresError) as error:
        print(f"The database at {database_place(settings)} cannot be used: {type(error).__name__}.", file=sys.stderr)
        return 1
    print("The database has the newest schema.")
    return 0


def _take_bounce(settings: Settings) -> int:
    """Take a report from a mail server. Exit code 75 asks it to try again later (sysexits: EX_TEMPFAIL)."""
    from consult.notices import service as notices

    report = sys.stdin.buffer.read(notices.MAX_REPORT_BYTES)

    async def take() -> bool:
        conn = await asyncpg.connect(settings.database_url, timeout=10)
        try:
            return await notices.take_bounce(conn, report, utc_now())
        finally:
            await conn.close()

    try:
        found = asyncio.run(take())
    except (OSError, asyncpg.PostgresError) as error:
        print(f"The database at {database_place(settings)} cannot be used: {type(error).__name__}.", file=sys.stderr)
        return 75
    print("The mail is marked." if found else "The report is about no mail of ours that is not marked yet.")
    return 0


def database_place(settings: Settings) -> str:
    """Return where the database is, without its password."""
    parts = urlsplit(settings.database_url)
    return f"{parts.hostname or 'a local socket'}{parts.path}"


def _create_staff(settings: Settings, given: argparse.Namespace) -> int:
    from consult.people import service as people

    def ask(name: str, label: str) -> str:
        value = getattr(given, name)
        return str(value) if value else input(f"{label}: ").strip()

    email, name = ask("email", "E-mail address"), ask("name", "Name")
    role, zone = ask("role", "Role (scheduler, expert, administrator)"), ask("time_zone", "Time zone")
    if role not in list(StaffRole):
        print("The role should be scheduler, expert or administrator.", file=sys.stderr)
        return 2
    password = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")

    async def make() -> None:
        conn = await asyncpg.connect(settings.database_url, timeout=10)
        try:
            await people.create_staff(
                conn,
                email=email,
                name=name,
                role=StaffRole(role),
                specialty=given.specialty,
                time_zone=zone,
                password=password,
                now=utc_now(),
            )
        finally:
            await conn.close()

    try:
        asyncio.run(make())
    except InvalidInput as wrong:
        for field, sentence in wrong.fields.items():
            print(f"{field}: {sentence}", file=sys.stderr)
        return 2
    print("The account is made.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
