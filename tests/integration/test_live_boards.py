"""The stream that tells open boards to ask again: through real buses, for whom, how long, and what it does not say."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import pytest

from consult.availability import service as availability
from consult.boards import live, live_views
from consult.db import listening as reconnecting
from consult.domain.clock import utc_now
from consult.keys import BUS, POOL, SOCKETS
from consult.people import service as people
from consult.scheduling import service as scheduling
from signaling.events import ChatSaid, MemberAdmitted, MemberWaiting
from tests.conftest import Database, Server
from tests.integration.clinic import Clinic, book_one, open_case, open_clinic
from tests.integration.personas import proof_of

WITHIN_S = 5
LINES_OF = {"hello": b"event: hello", "changed": b"event: changed", "signed-out": b"event: signed-out"}


class Listener:
    """An open board's stream, line by line."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self.heard: list[bytes] = []

    async def next(self, kind: str) -> None:
        """Return at the next event of that kind. Raises AssertionError if another comes or the stream ends."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                line = await self._answer.content.readline()
                assert line, f"the stream ended before {kind}"
                self.heard.append(line)
                if line.startswith(b"event:"):
                    assert line.strip() == LINES_OF[kind]
                    await self._answer.content.readline()  # its data
                    return

    async def silence(self, for_s: float) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(for_s):
                await self.next("changed")

    async def end(self) -> None:
        async with asyncio.timeout(WITHIN_S):
            self.heard += (await self._answer.content.read()).splitlines(keepends=True)


@asynccontextmanager
async def listening(server: Server, token: str) -> AsyncIterator[Listener]:
    jar = aiohttp.DummyCookieJar()
    headers = {"Cookie": f"consult_staff={token}", "Accept": "text/event-stream"}
    async with (
        aiohttp.ClientSession(server.url, cookie_jar=jar, headers=headers) as client,
        client.get("/board/events") as answer,
    ):
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        assert "no-store" in answer.headers["Cache-Control"]
        heard = Listener(answer)
        await heard.next("hello")
        with contextlib.suppress(TimeoutError):  # what was done just before is still being told
            while True:
                async with asyncio.timeout(0.4):
                    await heard.next("changed")
        yield heard


async def sign_in(server: Server, staff_id: Any, now: datetime | None = None) -> str:
    async with server.app[POOL].acquire() as conn:
        return await people.start_session(conn, staff_id, now or utc_now())


async def settle(server: Server) -> Clinic:
    async with server.app[POOL].acquire() as conn:
        return await open_clinic(conn, now=utc_now())


async def board_of(server: Server, token: str, **headers: str) -> str:
    jar = aiohttp.DummyCookieJar()
    headers = {"Cookie": f"consult_staff={token}", "Accept": "text/html", **headers}
    async with aiohttp.ClientSession(server.url, cookie_jar=jar) as client:
        async with client.get("/board", headers=headers, allow_redirects=False) as answer:
            return await answer.text() if answer.status == 200 else ""


@pytest.fixture(params=["local", "redis"])
async def working(request: pytest.FixtureRequest, make_settings: Any, start_server: Any) -> Server:
    """A server that also writes down what rooms tell, with either bus."""
    more = {"redis_url": request.getfixturevalue("redis_url")} if request.param == "redis" else {}
    started: Server = await start_server(make_settings(**more), with_worker=True)
    return started


async def test_who_enters_a_lobby_and_who_is_let_in_is_on_the_board_as_soon_as_it_is_told(working: Server) -> None:
    clinic = await settle(working)
    token = await sign_in(working, clinic.scheduler)
    async with working.app[POOL].acquire() as conn:
        booked, _link = await book_one(conn, clinic, utc_now() + timedelta(minutes=1), now=utc_now())

    def told(kind: Any, **more: str) -> Any:
        who = ("m1", "person:1", "Ana Ribeiro", "patient")
        return kind(str(uuid.uuid4()), str(booked.id), 0, utc_now().isoformat(), *who, **more)

    async with listening(working, token) as board:
        await working.app[BUS].publish(told(MemberWaiting))
        await board.next("changed")
        assert "In the lobby for" in await board_of(working, token)
        await working.app[BUS].publish(told(MemberAdmitted, by="m2"))
        await board.next("changed")
        assert "In the lobby for" not in await board_of(working, token)
        await working.app[BUS].publish(told(ChatSaid, line_id="1", text="Hello"))
        await board.silence(1)
        assert b"Ana" not in b"".join(board.heard)
        assert str(booked.id).encode() not in b"".join(board.heard)


async def test_every_change_of_the_schedule_is_told_once_it_can_be_read(server: Server) -> None:
    clinic = await settle(server)
    token = await sign_in(server, clinic.scheduler)
    pool, now = server.app[POOL], utc_now()
    async with listening(server, token) as board, pool.acquire() as conn:
        async with conn.transaction():
            booked, _link = await book_one(conn, clinic, now + timedelta(days=1), now=now)
            await board.silence(0.5)
        await board.next("changed")
        await scheduling.cancel(conn, booked.id, now)
        await board.next("changed")
        await availability.set_working_hours(conn, clinic.expert, [])
        await board.next("changed")
        await open_case(conn, clinic.scheduler, name="Omar Said", now=now)  # with a question, which boards count
        await board.next("changed")


async def test_an_open_board_keeps_nobody_signed_in(
    server: Server, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_views, "HEARTBEAT_S", 0.2)
    clinic = await settle(server)
    token = await sign_in(server, clinic.scheduler)
    hash_and_seen = "select token_hash, seen_at from staff_sessions"
    async with listening(server, token) as board:
        await database.pool.execute("update staff_sessions set seen_at = seen_at - interval '10 minutes'")
        before = await database.pool.fetchrow(hash_and_seen)
        assert "Nobody waits for you." in await board_of(server, token, **{"X-By-Itself": "1"})
        await board.silence(0.5)
        assert await database.pool.fetchrow(hash_and_seen) == before
        assert server.app[SOCKETS].sessions() == frozenset()
        await database.pool.execute("update staff_sessions set seen_at = seen_at - interval '6 minutes'")
        await board.next("signed-out")
        await board.end()
    assert await board_of(server, token, **{"X-By-Itself": "1"}) == ""


async def test_what_a_person_asks_for_counts_as_ever(server: Server, database: Database) -> None:
    clinic = await settle(server)
    token = await sign_in(server, clinic.scheduler, utc_now() - timedelta(minutes=10))
    await board_of(server, token)
    assert utc_now() - await database.pool.fetchval("select seen_at from staff_sessions") < timedelta(minutes=1)


async def test_signing_out_ends_the_stream_at_once(server: Server) -> None:
    clinic = await settle(server)
    token = await sign_in(server, clinic.scheduler)
    async with listening(server, token) as board:
        form = {"csrf": proof_of(token, server.settings)}
        headers = {"Cookie": f"consult_staff={token}"}
        async with aiohttp.ClientSession(server.url, cookie_jar=aiohttp.DummyCookieJar()) as client:
            async with client.post("/sign-out", data=form, headers=headers, allow_redirects=False) as answer:
                assert answer.status == 303
        await board.next("signed-out")
        await board.end()


async def test_of_too_many_boards_of_one_session_the_oldest_ends(server: Server) -> None:
    clinic = await settle(server)
    token = await sign_in(server, clinic.scheduler)
    async with listening(server, token) as first:
        async with AsyncExitStack() as more:
            others = [await more.enter_async_context(listening(server, token)) for _ in range(live.MOST_PER_SESSION)]
            await first.end()
            server.app[live.LIVE].tell()
            for one in others:
                await one.next("changed")


async def test_too_many_boards_are_refused_calmly(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_OPEN", 1)
    clinic = await settle(server)
    tokens = [await sign_in(server, clinic.scheduler) for _ in range(2)]
    async with listening(server, tokens[0]):
        headers = {"Cookie": f"consult_staff={tokens[1]}", "Accept": "application/json"}
        async with aiohttp.ClientSession(server.url, cookie_jar=aiohttp.DummyCookieJar()) as client:
            async with client.get("/board/events", headers=headers) as answer:
                assert answer.status == 503
                assert (await answer.json(content_type=None))["code"] == "boards.too_many"


async def test_after_a_lost_connection_to_the_database_boards_hear_again(
    server: Server, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnecting, "PAUSE_S", 0.1)
    clinic = await settle(server)
    token = await sign_in(server, clinic.scheduler)
    async with listening(server, token) as board:
        await database.pool.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
            " and query like 'LISTEN%schedule_changed%'"
        )
        await board.next("changed")  # something may have been missed
        async with server.app[POOL].acquire() as conn:
            await book_one(conn, clinic, utc_now() + timedelta(days=1), now=utc_now())
        await board.next("changed")
