"""The door, over HTTP: what a link opens, what it never tells, and what a wrong one gets (SECURITY 1 to 5, 7)."""

from __future__ import annotations

import re
from datetime import timedelta

import aiohttp
import pytest

from consult.domain.clock import utc_now
from consult.keys import POOL
from consult.scheduling import service as scheduling
from consult.scheduling.model import IssuedLink
from tests.conftest import Server
from tests.integration.clinic import book_one, open_clinic
from tests.integration.test_outbox import send_asked_for

JSON = {"Accept": "application/json"}


@pytest.fixture
async def link(server: Server) -> IssuedLink:
    """A patient's link to a call in ten minutes."""
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        _, issued = await book_one(conn, await open_clinic(conn, now=now), now + timedelta(minutes=10), now=now)
    return issued


async def proof(client: aiohttp.ClientSession, path: str = "/join") -> str:
    """The proof that the page at that path carries."""
    async with client.get(path) as page:
        found = re.search(r'<meta name="csrf" content="([^"]+)">', await page.text())
    assert found
    return found[1]


async def press_join(client: aiohttp.ClientSession, **body: str) -> tuple[int, dict[str, str]]:
    headers = {**JSON, "X-CSRF": await proof(client)}
    async with client.post("/join", json=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_the_door_is_one_page_that_is_kept_and_told_nowhere(client: aiohttp.ClientSession) -> None:
    async with client.get("/join") as page:
        assert page.status == 200
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert "noindex" in page.headers["X-Robots-Tag"]
        text = await page.text()
    assert 'name="number"' in text and 'name="code"' in text
    assert "style=" not in text and "<script>" not in text


async def test_a_link_opens_after_a_hundred_visits_of_mail_scanners(
    client: aiohttp.ClientSession, link: IssuedLink
) -> None:
    for count in range(50):
        async with client.get("/join") as page, client.head("/join") as head:
            assert (page.status, head.status) == (200, 200), count
    assert await press_join(client, secret=link.secret) == (200, {"next": "/visit"})
    async with client.get("/visit", allow_redirects=False) as page:
        assert (page.status, page.headers["Location"]) == (303, "/visit/when")


async def test_a_link_can_be_used_again_and_each_time_with_a_new_cookie(
    client: aiohttp.ClientSession, link: IssuedLink
) -> None:
    tokens = set()
    for _ in range(2):
        assert (await press_join(client, secret=link.secret))[0] == 200
        tokens |= {cookie.value for cookie in client.cookie_jar if cookie.key == "consult_visit"}
    assert len(tokens) == 2


async def test_unknown_malformed_and_revoked_links_get_the_same_answer(
    client: aiohttp.ClientSession, server: Server, link: IssuedLink
) -> None:
    async with server.app[POOL].acquire() as conn:
        await scheduling.revoke_links(conn, link.appointment_id, now=utc_now())
    answers = [await press_join(client, secret=secret) for secret in ("A" * 43, "' or 1=1 --", link.secret)]
    answers.append(await press_join(client, number=str(link.number), code=link.code))
    assert {status for status, _ in answers} == {410}
    told = [{name: value for name, value in body.items() if name != "reference"} for _, body in answers]
    assert all(one == told[0] for one in told)
    assert told[0]["code"] == "link.not_usable"


async def test_number_and_code_open_without_a_script(client: aiohttp.ClientSession, link: IssuedLink) -> None:
    form = {"csrf": await proof(client), "number": f" {link.number} ", "code": link.code_to_read.lower()}
    async with client.post("/join", data=form, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/visit")
    async with client.get("/visit/when") as page:
        text = await page.text()
    assert "Dr Sabine Brandt" in text and "Neuroradiology" in text


async def test_a_wrong_code_can_be_typed_again_with_the_number_kept_and_a_way_to_a_new_link(
    client: aiohttp.ClientSession, link: IssuedLink
) -> None:
    form = {"csrf": await proof(client), "number": str(link.number), "code": "22222222"}
    async with client.post("/join", data=form) as page:
        text = await page.text()
        assert page.status == 410
    assert "This number and this code open no appointment." in text and 'id="code-wrong"' in text
    assert f'value="{link.number}"' in text and "22222222" not in text
    code_view = text[text.index('data-join-view="code"') : text.index('data-join-view="closed"')]
    assert 'href="/join/new-link"' in code_view and not code_view.startswith('data-join-view="code" hidden')
    assert 'data-join-view="closed" hidden' in text


async def test_an_empty_form_says_what_to_fill_in(client: aiohttp.ClientSession) -> None:
    async with client.post("/join", data={"csrf": await proof(client), "number": "12", "code": ""}) as page:
        text = await page.text()
        assert page.status == 422
    assert 'id="code-wrong"' in text and 'value="12"' in text


async def test_five_wrong_codes_close_the_code_but_not_the_link(
    client: aiohttp.ClientSession, link: IssuedLink
) -> None:
    for _ in range(5):
        assert (await press_join(client, number=str(link.number), code="22222222"))[0] == 410
    assert (await press_join(client, number=str(link.number), code=link.code))[0] == 410
    assert (await press_join(client, secret=link.secret))[0] == 200


async def test_too_many_tries_say_when_to_try_again(client: aiohttp.ClientSession) -> None:
    for _ in range(20):
        assert (await press_join(client, secret="B" * 43))[0] == 410
    assert (await press_join(client, secret="B" * 43))[0] == 429
    form = {"csrf": await proof(client), "number": "1", "code": "22222222"}
    for _ in range(21):
        async with client.post("/join", data=form) as page:
            text, status = await page.text(), page.status
    assert status == 429 and "Please wait 10 minutes" in text


async def test_asking_for_a_new_link_gets_the_same_reply_whoever_asks(
    client: aiohttp.ClientSession, server: Server, link: IssuedLink
) -> None:
    replies = []
    for reach in ("ana@example.org", "nobody@example.org", str(link.number), "999999", "?!"):
        form = {"csrf": await proof(client, "/join/new-link"), "reach": reach}
        async with client.post("/join/new-link", data=form) as page:
            text = re.sub(r'(name="csrf" (content|value))="[^"]*"', r"\1", await page.text())
            replies.append((page.status, text))
    assert all(reply == replies[0] for reply in replies)
    assert replies[0][0] == 200 and "Look into your mail." in replies[0][1]
    async with server.app[POOL].acquire() as conn:
        assert await send_asked_for(conn) == 5
        assert await conn.fetchval("select count(*) from mails where kind = 'new_link'") == 2


async def test_joining_without_proof_is_refused(client: aiohttp.ClientSession, link: IssuedLink) -> None:
    async with client.post("/join", json={"secret": link.secret}, headers=JSON) as answer:
        assert answer.status == 403


async def test_pages_behind_the_door_lead_back_to_it(client: aiohttp.ClientSession) -> None:
    for path in ("/visit", "/visit/when", "/visit/records", "/visit/devices", "/visit/recording", "/visit/after"):
        async with client.get(path, allow_redirects=False) as answer:
            assert (answer.status, answer.headers.get("Location")) == (303, "/join"), path
