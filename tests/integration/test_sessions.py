"""Signing in, staying signed in, and signing out."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from argon2 import PasswordHasher

from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.errors import InvalidInput
from consult.people import passwords
from consult.people import service as people
from tests.conftest import Database, Server

EMAIL, PASSWORD = "helen@clinic.example", "correct horse battery"


async def add_staff(database: Database, email: str = EMAIL, role: StaffRole = StaffRole.EXPERT) -> Any:
    async with database.pool.acquire() as conn:
        return await people.create_staff(
            conn, email=email, name="Helen", role=role, time_zone="UTC", password=PASSWORD, now=utc_now()
        )


async def proof(client: aiohttp.ClientSession, path: str = "/sign-in") -> str:
    async with client.get(path) as page:
        found = re.search('name="csrf" (?:value|content)="([^"]+)"', await page.text())
    assert found is not None
    return found[1]


async def sign_in(client: aiohttp.ClientSession, password: str = PASSWORD, **more: str) -> aiohttp.ClientResponse:
    form = {"csrf": await proof(client), "email": EMAIL, "password": password, **more}
    return await client.post("/sign-in", data=form, allow_redirects=False)


def staff_cookie(client: aiohttp.ClientSession) -> str | None:
    return next((cookie.value for cookie in client.cookie_jar if cookie.key == "consult_staff"), None)


async def test_the_right_password_opens_a_session_under_a_new_id(
    database: Database, server: Server, client: aiohttp.ClientSession
) -> None:
    await add_staff(database)
    answer = await sign_in(client)
    assert answer.status == 303
    assert answer.headers["Location"] == "/today"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    first = staff_cookie(client)
    kept = await database.pool.fetch("select token_hash from staff_sessions")
    assert len(kept) == 1
    assert first is not None
    assert first.encode() not in kept[0]["token_hash"]
    client.cookie_jar.clear(lambda cookie: False)
    async with client.get("/", allow_redirects=False) as home:
        assert home.headers["Location"] == "/today"


async def test_behind_tls_the_cookie_is_bound_to_the_host(
    database: Database, make_settings: Any, start_server: Any
) -> None:
    await add_staff(database)
    settings = make_settings(public_url="https://consult.example.org")
    await start_server(settings)
    headers = {"Host": "consult.example.org", "Accept": "text/html"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{settings.port}", headers=headers) as client:
        page = await client.get("/sign-in")
        assert page.headers["Strict-Transport-Security"]
        cookie = page.headers["Set-Cookie"]
    assert cookie.startswith("__Host-consult_form=")
    assert "Secure" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie


async def test_a_password_is_kept_as_argon2id_of_64_mib_and_a_weaker_one_is_renewed_at_the_next_sign_in(
    database: Database, real_hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    staff_id = await add_staff(database)
    monkeypatch.setattr(passwords, "_HASHER", real_hasher)
    kept = "select password_hash from staff where id = $1"
    assert (await database.pool.fetchval(kept, staff_id)).startswith("$argon2id$v=19$m=1024,t=1,p=1$")
    async with database.pool.acquire() as conn:
        await people.authenticate(conn, EMAIL, PASSWORD, utc_now())
    assert (await database.pool.fetchval(kept, staff_id)).startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    async with database.pool.acquire() as conn:
        await people.authenticate(conn, EMAIL, PASSWORD, utc_now())


async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer_after_the_same_work(
    database: Database,
    server: Server,
    client: aiohttp.ClientSession,
    real_hasher: PasswordHasher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passwords, "_HASHER", real_hasher)
    monkeypatch.setattr(passwords, "_decoy", [])
    await add_staff(database)
    answers, took_s = [], []
    for email, password in ((EMAIL, "wrong wrong wrong"), ("nobody@clinic.example", "wrong wrong wrong")):
        form = {"csrf": await proof(client), "email": email, "password": password}
        started = time.perf_counter()
        async with client.post("/sign-in", data=form) as answer:
            text = await answer.text()
            took_s.append(time.perf_counter() - started)
        assert answer.status == 401
        assert f'value="{email}"' in text, "what was typed stays"
        assert password not in text
        answers.append(re.sub(r'value="[^"]*"|content="[^"]*"', "", text))
    assert answers[0] == answers[1]
    assert min(took_s) > 0.01, "both were hashed"


async def test_guessing_is_stopped_before_the_right_password_counts(
    database: Database, server: Server, client: aiohttp.ClientSession
) -> None:
    await add_staff(database)
    statuses = [(await sign_in(client, "wrong wrong wrong")).status for _ in range(8)]
    assert statuses == [401] * 8
    answer = await sign_in(client)
    assert answer.status == 429
    assert "wait a few minutes" in await answer.text()


async def test_a_session_ends_after_fifteen_idle_minutes_but_not_while_it_is_used(database: Database) -> None:
    staff_id = await add_staff(database)
    now = utc_now()
    async with database.pool.acquire() as conn:
        token = await people.start_session(conn, staff_id, now)
        for minutes in (14, 28, 42):
            assert await people.find_session(conn, token, now + timedelta(minutes=minutes)) is not None
        assert await people.find_session(conn, token, now + timedelta(minutes=42 + 16)) is None
        assert await people.find_session(conn, token + "x", now) is None


async def test_a_session_ends_after_twelve_hours_however_much_it_is_used(database: Database) -> None:
    staff_id = await add_staff(database)
    now = utc_now()
    async with database.pool.acquire() as conn:
        token = await people.start_session(conn, staff_id, now)
        for step in range(1, 72):
            assert await people.find_session(conn, token, now + timedelta(minutes=10 * step)) is not None
        assert await people.find_session(conn, token, now + timedelta(hours=12, minutes=1)) is None


async def test_signing_out_ends_the_session_and_closes_its_sockets(
    database: Database, server: Server, client: aiohttp.ClientSession
) -> None:
    import asyncio

    from consult.keys import SOCKETS
    from consult.web.session import session_key

    await add_staff(database)
    await sign_in(client)
    token = staff_cookie(client)
    assert token is not None
    closed = asyncio.Event()

    async def close() -> None:
        closed.set()

    with server.app[SOCKETS].kept(session_key("staff", token), close):
        form = {"csrf": await proof(client, "/nothing-here")}
        async with client.post("/sign-out", data=form, allow_redirects=False) as answer:
            assert answer.status == 303
        async with asyncio.timeout(5):
            await closed.wait()
    assert staff_cookie(client) is None
    client.cookie_jar.update_cookies({"consult_staff": token})
    async with client.get("/", allow_redirects=False) as home:
        assert home.headers["Location"] == "/sign-in"


@pytest.mark.parametrize(
    ("place", "goes_to"),
    [("/cases/7", "/cases/7"), ("//evil.example", "/today"), ("https://evil.example", "/today"), ("/\\evil", "/today")],
)
async def test_after_signing_in_people_go_on_where_they_wanted_but_never_elsewhere(
    database: Database, server: Server, client: aiohttp.ClientSession, place: str, goes_to: str
) -> None:
    await add_staff(database)
    answer = await sign_in(client, next=place)
    assert answer.headers["Location"] == goes_to


async def test_a_page_for_staff_asks_to_sign_in_first_and_scripts_get_json(
    server: Server, client: aiohttp.ClientSession
) -> None:
    async with client.get("/cases?search=x", allow_redirects=False) as answer:
        assert answer.status == 303
        assert answer.headers["Location"].startswith("/sign-in?next=/cases")
    async with client.get("/cases", headers={"Accept": "application/json"}) as answer:
        assert answer.status == 401
        assert answer.content_type == "application/problem+json"
        body = await answer.json(content_type=None)
    assert body["code"] == "sign_in.needed"
    assert set(body) == {"type", "title", "status", "code", "detail", "reference"}


async def test_an_account_needs_an_address_a_zone_and_a_long_password(database: Database) -> None:
    async with database.pool.acquire() as conn:
        with pytest.raises(InvalidInput) as caught:
            await people.create_staff(
                conn, email="x", name=" ", role=StaffRole.EXPERT, time_zone="Mars", password="short", now=utc_now()
            )
    assert set(caught.value.fields) == {"email", "name", "time_zone", "password"}
    await add_staff(database)
    with pytest.raises(InvalidInput) as caught:
        await add_staff(database, EMAIL.upper())
    assert set(caught.value.fields) == {"email"}
