"""No request changes anything unless one of our own pages sent it, and none that only asks changes anything."""

from __future__ import annotations

import re
import uuid
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from consult.domain.access import StaffRole
from tests.conftest import Database, Server
from tests.integration.test_sessions import add_staff, proof, sign_in

UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}
BOOKKEEPING = {"staff_sessions"}  # when a session was last used


def addresses(app: web.Application, *, unsafe: bool) -> list[tuple[str, str]]:
    """Every route with something in place of its parameters."""
    found = []
    for route in app.router.routes():
        if (route.method in UNSAFE) is not unsafe or route.resource is None or route.method == "HEAD":
            continue
        found.append((route.method, filled(route.resource.canonical)))
    return found


def filled(canonical: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda part: filler(part[1], canonical), canonical)


def filler(name: str, canonical: str) -> str:
    if name == "language":
        return "en"
    if canonical.startswith(("/cases", "/experts")):
        return "1"
    return str(uuid.uuid4())


async def row_counts(database: Database) -> dict[str, int]:
    names = await database.pool.fetch("select table_name from information_schema.tables where table_schema = 'public'")
    tables = sorted(row["table_name"] for row in names)
    return {name: await database.pool.fetchval(f"select count(*) from {name}") for name in tables}


async def test_every_unsafe_route_refuses_a_request_without_proof(
    database: Database, server: Server, client: aiohttp.ClientSession
) -> None:
    await add_staff(database, role=StaffRole.SCHEDULER)
    await sign_in(client)
    before = await row_counts(database)
    walked = addresses(server.app, unsafe=True)
    assert len(walked) >= 3
    for method, path in walked:
        for sent in ({}, {"data": {"csrf": "wrong"}}, {"json": {"csrf": "wrong"}}, {"headers": {"X-CSRF": "wrong"}}):
            given: dict[str, Any] = dict(sent)
            async with client.request(method, path, allow_redirects=False, **given) as answer:
                assert answer.status == 403, (method, path, sent)
    assert await row_counts(database) == before


async def test_no_get_changes_anything(database: Database, server: Server, client: aiohttp.ClientSession) -> None:
    await add_staff(database, role=StaffRole.SCHEDULER)
    await sign_in(client)
    before = await row_counts(database)
    for method, path in addresses(server.app, unsafe=False):
        async with client.request(method, path, allow_redirects=False) as answer:
            if answer.content_type != "text/event-stream":  # which never ends
                await answer.read()
            assert answer.status < 500, path
    assert await row_counts(database) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_right_proof_does_not_help_another_site(
    database: Database, server: Server, client: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    form = {"csrf": await proof(client), "language": "es"}
    async with client.post("/language", data=form, headers=headers, allow_redirects=False) as answer:
        assert answer.status == 403
    headers = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}  # what browsers say for pages without a referrer
    async with client.post("/language", data=form, headers=headers, allow_redirects=False) as answer:
        assert answer.status == 303


async def test_a_proof_of_one_browser_is_worth_nothing_in_another(
    server: Server, client: aiohttp.ClientSession
) -> None:
    form = {"csrf": await proof(client), "language": "es"}
    async with (
        aiohttp.ClientSession(server.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as other,
        other.post("/language", data=form, allow_redirects=False) as answer,
    ):
        assert answer.status == 403


@pytest.mark.parametrize(
    "path", ["/%ff", "/%00", "/cases/%2e%2e", "/static/..%2f..%2fpyproject.toml", "/words/xx.json"]
)
async def test_odd_addresses_are_not_found(server: Server, client: aiohttp.ClientSession, path: str) -> None:
    from yarl import URL

    async with client.get(URL(server.url + path, encoded=True), allow_redirects=False) as answer:
        assert answer.status in (303, 400, 404), path
        assert "version" not in (await answer.text()).lower()[:20]


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"a=" + b"x" * 400_000, 413),
        ({"Content-Type": "application/x-www-form-urlencoded; charset=nonsense"}, b"csrf=a", 400),
        ({"Content-Type": "multipart/form-data"}, b"csrf=a", 400),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x\r\nbroken", 400),
        ({"Content-Type": "image/png"}, b"csrf=a", 403),
    ],
)
async def test_a_body_that_cannot_be_read_gets_a_calm_answer(
    server: Server, client: aiohttp.ClientSession, headers: dict[str, str], body: bytes, status: int
) -> None:
    async with client.post("/sign-in", data=body, headers=headers) as answer:
        assert answer.status in (status, 403), await answer.text()


async def test_the_server_answers_to_its_own_name_alone(server: Server, client: aiohttp.ClientSession) -> None:
    async with client.get("/sign-in", headers={"Host": "evil.example"}) as answer:
        assert answer.status == 421
    async with client.get("/healthz", headers={"Host": "10.0.0.7"}) as answer:
        assert answer.status == 200
