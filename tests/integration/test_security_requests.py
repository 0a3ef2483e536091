"""Requests as attackers send them: slow, enormous, from elsewhere, under other names (SECURITY 3, 5, 6, 7, 23)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from http.cookies import SimpleCookie
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from consult.domain.errors import TooManyTries
from consult.keys import LIMITER, POOL, SETTINGS
from consult.web import patience
from consult.web.address import client_address, one_caller, own_path
from tests.conftest import Database, Server
from tests.integration.clinic import PASSWORD
from tests.integration.personas import PATIENT, SCHEDULER, Town, proof_of, settle
from tests.integration.test_sessions import EMAIL, add_staff

WITHIN_S = 10
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
async def town(server: Server) -> Town:
    async with server.app[POOL].acquire() as conn:
        return await settle(server, conn)


async def raw(server: Server, head: str, *body: bytes, pause_s: float = 0.0) -> bytes:
    """Send bytes as they are, with pauses, and return everything that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.settings.port)
    try:
        writer.write(head.replace("\n", "\r\n").encode("latin-1"))
        async with asyncio.timeout(WITHIN_S):
            reading = asyncio.ensure_future(_read_all(reader))
            for piece in body:
                writer.write(piece)
                await asyncio.sleep(pause_s)
                if reading.done():
                    break
            return await reading
    finally:
        writer.close()


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    """What comes until the server closes; it resets the connection if what is sent meets a closed one."""
    heard = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := await reader.read(65_536):
            heard += piece
    return heard


def head(server: Server, path: str, length: int, kind: str = FORM, **more: str) -> str:
    host = server.url.removeprefix("http://")
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Type: {kind}", f"Content-Length: {length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
    return "\n".join(lines) + "\n\n"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "IDLE_S", 0.3)
    monkeypatch.setattr(patience, "GRACE_S", 0.6)


@pytest.mark.usefixtures("impatient")
async def test_a_form_that_stops_or_trickles_is_ended(server: Server) -> None:
    stopped, trickled, uploaded = await asyncio.gather(
        raw(server, head(server, "/sign-in", 100), b"csrf="),
        raw(server, head(server, "/sign-in", 5000), *[b"a"] * 100, pause_s=0.05),
        raw(server, head(server, "/visit/records", 5000, "multipart/form-data; boundary=x"), b"--x\r\nContent-Di"),
    )
    for answer in (stopped, trickled, uploaded):
        assert answer.startswith(b"HTTP/1.1 408"), answer[:100]
        assert b"body.too_slow" in answer


@pytest.mark.usefixtures("impatient")
async def test_an_upload_that_trickles_is_ended_and_leaves_nothing(
    server: Server, database: Database, town: Town
) -> None:
    before = await database.pool.fetchval("select count(*) from records")
    proof = proof_of(town.tokens[PATIENT], server.settings)
    begin = (
        f'--x\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{proof}\r\n'
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n\x89PNG'
    ).encode("latin-1")
    top = head(server, "/visit/records", 40_000_000, "multipart/form-data; boundary=x", **town.cookie_of(PATIENT))
    answer = await raw(server, top, begin, *[b"\0"] * 100, pause_s=0.05)
    assert answer.startswith(b"HTTP/1.1 408"), answer[:100]
    assert await database.pool.fetchval("select count(*) from records") == before


async def test_fields_of_a_multipart_form_have_a_limit_together(server: Server, town: Town) -> None:
    form = aiohttp.FormData()
    form.add_field("csrf", proof_of(town.tokens[SCHEDULER], server.settings), content_type="text/plain")
    for number in range(20):
        form.add_field(f"field{number}", "x" * 60_000, content_type="text/plain")
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client,
        client.post(server.url + "/cases/new", data=form, headers=town.cookie_of(SCHEDULER)) as answer,
    ):
        assert answer.status == 413


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 20_000,
        b'{"secret": ' + b"9" * 10_000 + b"}",
        b'{"secret": "\\u0000\\ud800"}',
        b'{"number": {"a": 1}, "code": [1]}',
        b"\xff\xfe\x00",
        b'{"secret": NaN}',
        b"null",
        b"",
    ],
)
async def test_json_of_any_shape_gets_a_calm_answer(server: Server, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "Cookie": "consult_form=a", "X-CSRF": proof_of("a", server.settings)}
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client,
        client.post(server.url + "/join", data=body, headers=headers) as answer,
    ):
        assert 400 <= answer.status < 500, await answer.text()
        assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize(
    "smuggled",
    [
        "Content-Length: 5\nTransfer-Encoding: chunked\n",
        "Content-Length: 5\nContent-Length: 6\n",
        "Transfer-Encoding: xchunked\n",
        "Content-Length: +5\n",
        "Content-Length: 5\nHost: evil.example\n",
        f"Content-Length: 5\nX-Long: {'a' * 20_000}\n",
        "Content-Length: 5\n" + "X-Many: a\n" * 2000,
    ],
)
async def test_a_request_with_two_meanings_has_none(server: Server, smuggled: str) -> None:
    host = server.url.removeprefix("http://")
    text = f"POST /sign-in HTTP/1.1\nHost: {host}\n{smuggled}\n0\n\nGET /healthz HTTP/1.1\nHost: {host}\n\n"
    answer = await raw(server, text)
    assert answer.count(b"HTTP/1.") == 1, "one answer, and the line is closed"
    assert b" 400 " in answer[:20]


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "{own}.evil.example", "http://127.0.0.1:1", "http://[", "file://", "http://user@evil.example"],
)  # fmt: skip
async def test_a_form_from_another_origin_is_refused_with_a_right_proof(
    server: Server, town: Town, origin: str
) -> None:
    headers = town.headers_of(SCHEDULER, server.settings) | {"Origin": origin.format(own=server.url)}
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client,
        client.post(server.url + "/sign-out", headers=headers, allow_redirects=False) as answer,
    ):
        assert answer.status == 403


@pytest.mark.parametrize(
    "place",
    [
        "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "javascript:alert(1)",
        "/\t/evil.example", "/\n/evil.example", " /evil", "///evil.example", "evil", "/" + "a" * 600, "",
    ],
)  # fmt: skip
def test_a_way_back_stays_on_this_server(place: str) -> None:
    assert own_path(place, "/home") == "/home"


async def test_after_signing_in_nobody_is_led_elsewhere(database: Database, server: Server) -> None:
    await add_staff(database)
    for place in ("//evil.example", "/\\evil.example", "/%09/evil.example"):
        form = {"csrf": proof_of("a", server.settings), "email": EMAIL, "password": "correct horse battery"}
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client,
            client.post(
                server.url + "/sign-in",
                data=form | {"next": place},
                headers={"Cookie": "consult_form=a"},
                allow_redirects=False,
            ) as answer,
        ):
            assert answer.status == 303
            leads_to = answer.headers["Location"]
            assert leads_to.startswith("/")
            assert not leads_to.startswith(("//", "/\\"))


async def test_every_cookie_behind_tls_is_bound_and_unreadable(make_settings: Any, start_server: Any) -> None:
    settings = make_settings(public_url="https://consult.example.org")
    server = await start_server(settings)
    async with server.app[POOL].acquire() as conn:
        town = await settle(server, conn)
    url, seen = f"http://127.0.0.1:{settings.port}", {}
    headers = {"Host": "consult.example.org", "Accept": "text/html", "Cookie": "__Host-consult_form=a"}
    proof = {"csrf": proof_of("a", settings)}
    staff = headers | {"Cookie": f"__Host-consult_staff={town.tokens[SCHEDULER]}"}
    visit = headers | {"Cookie": f"__Host-consult_visit={town.tokens[PATIENT]}"}
    own, visits = ({"csrf": proof_of(town.tokens[who], settings)} for who in (SCHEDULER, PATIENT))
    email = {"email": "noor@clinic.example", "password": PASSWORD}
    async with aiohttp.ClientSession(url, cookie_jar=aiohttp.DummyCookieJar()) as client:
        for path, sent, data in (
            ("/language", headers, proof | {"language": "es"}),
            ("/join", headers, proof | {"secret": town.link.secret}),
            ("/sign-in", headers, proof | email),
            ("/visit/steps/when", visit, visits),
            (f"/appointments/{town.appointment_id}/link", staff, own),
            ("/sign-out", staff, own),
        ):
            async with client.post(path, data=data, headers=sent, allow_redirects=False) as answer:
                assert answer.status == 303, (path, await answer.text())
                for line in answer.headers.getall("Set-Cookie", []):
                    seen |= {morsel.key: morsel for morsel in SimpleCookie(line).values()}
    assert {"language", "__Host-consult_visit", "__Host-consult_staff", "__Secure-consult_link"} <= set(seen)
    for name, morsel in seen.items():
        assert morsel["secure"], name
        assert morsel["httponly"], name
        assert morsel["samesite"] in ("Lax", "Strict"), name
        assert not morsel["domain"], name
        assert name == "language" or name.startswith(("__Host-", "__Secure-")), name
        assert morsel["path"] == "/" or name == "__Secure-consult_link"


@pytest.mark.parametrize(
    ("proxies", "lines", "counted"),
    [
        (0, ["6.6.6.6"], "192.0.2.1"),
        (1, ["6.6.6.6, 198.51.100.7"], "198.51.100.7"),
        (1, ["6.6.6.6", "198.51.100.7"], "198.51.100.7"),
        (2, ["6.6.6.6, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        (2, ["198.51.100.7"], "192.0.2.1"),
        (1, [], "192.0.2.1"),
    ],
)
def test_a_caller_cannot_choose_the_address_that_is_counted(
    make_settings: Any, proxies: int, lines: list[str], counted: str
) -> None:
    from multidict import CIMultiDict

    app = web.Application()
    app[SETTINGS] = make_settings(trusted_proxies=proxies)
    headers = CIMultiDict([("X-Forwarded-For", line) for line in lines])
    request = make_mocked_request("GET", "/", headers=headers, app=app).clone(remote="192.0.2.1")
    assert client_address(request) == counted


def test_addresses_of_one_network_are_one_caller() -> None:
    assert one_caller("2001:db8:1:2::1") == one_caller("2001:db8:1:2:ffff::9") != one_caller("2001:db8:1:3::1")
    assert one_caller("::ffff:192.0.2.1") == one_caller("192.0.2.1") != one_caller("192.0.2.2")


async def test_a_number_is_one_account_however_it_is_written(server: Server, town: Town) -> None:
    headers = {"Cookie": "consult_form=a", "Accept": "text/html"}
    statuses = []
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
        for reach in ("7", "#7", "007", " 7 ", "0 0 7"):
            form = {"csrf": proof_of("a", server.settings), "reach": reach}
            async with client.post(server.url + "/join/new-link", data=form, headers=headers) as answer:
                statuses.append(answer.status)
    assert statuses == [200, 200, 200, 429, 429]


async def test_tries_are_counted_per_address_too(server: Server) -> None:
    limiter = server.app[LIMITER]
    for number in range(40):
        await limiter.hit("sign_in", address="192.0.2.9", account=f"account {number}")
    with pytest.raises(TooManyTries):
        await limiter.hit("sign_in", address="192.0.2.9", account="one more")
    await limiter.hit("sign_in", address="192.0.2.10", account="one more")


async def test_guesses_of_a_code_from_many_addresses_have_five_tries(
    server: Server, database: Database, town: Town
) -> None:
    """Each over HTTP and all at once, with proofs of their own; then the right code is worth nothing, the link is."""
    wrong = "2" * 8 if town.link.code != "2" * 8 else "3" * 8
    headers = {"Content-Type": "application/json", "Cookie": "consult_form=a", "X-CSRF": proof_of("a", server.settings)}

    async def join(client: aiohttp.ClientSession, **typed: str) -> int:
        async with client.post(server.url + "/join", data=json.dumps(typed), headers=headers) as answer:
            return answer.status

    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
        number = str(town.link.number)
        statuses = await asyncio.gather(*(join(client, number=number, code=wrong) for _ in range(12)))
        assert set(statuses) <= {410, 429}
        assert await join(client, number=number, code=town.link.code) in (410, 429)
        assert await join(client, secret=town.link.secret) == 200
    tries = await database.pool.fetch(
        "select code_tries from invitations where appointment_id = $1", town.appointment_id
    )
    assert max(row["code_tries"] for row in tries) == 5


async def test_signing_in_gives_up_the_session_that_somebody_planted(
    database: Database, server: Server, town: Town
) -> None:
    planted = town.tokens[SCHEDULER]
    await add_staff(database)
    form = {"csrf": proof_of(planted, server.settings), "email": EMAIL, "password": "correct horse battery"}
    async with aiohttp.ClientSession(server.url, cookie_jar=aiohttp.DummyCookieJar()) as client:
        headers = {"Cookie": f"consult_staff={planted}", "Accept": "application/json"}
        async with client.post("/sign-in", data=form, headers=headers, allow_redirects=False) as answer:
            assert answer.status == 303
            assert planted not in answer.headers["Set-Cookie"]
        async with client.get("/cases", headers=headers) as answer:
            assert answer.status == 401
        visit = town.tokens[PATIENT]
        headers = {"Cookie": f"consult_visit={visit}", "Accept": "application/json"}
        form = {"csrf": proof_of(visit, server.settings), "secret": town.link.secret}
        async with client.post("/join", data=form, headers=headers, allow_redirects=False) as answer:
            assert answer.status == 200
            assert visit not in answer.headers["Set-Cookie"]
        async with client.get("/visit/when", headers=headers) as answer:
            assert answer.status == 401
