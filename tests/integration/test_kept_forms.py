"""A form that came too late: what was written is carried through signing in, and is sent when somebody says so."""

from __future__ import annotations

import re
from html import unescape

import aiohttp
import pytest

from consult.domain.clock import utc_now
from consult.keys import POOL
from tests.conftest import Database, Server
from tests.integration.clinic import PASSWORD, Clinic, open_clinic
from tests.integration.forms import forms_of
from tests.integration.pages import proof, read, sign_in

OURS = {"Sec-Fetch-Site": "same-origin"}
NOTE = 'Comes by bus,\n"<b>never</b>" before ten & alone'
WROTE = [
    ("kind", "first_review"), ("weekdays", "1"), ("weekdays", "3"), ("time_from", "10:00"), ("note", NOTE),
]  # fmt: skip
KEPT = "What you wrote is kept"


@pytest.fixture
async def clinic(server: Server, client: aiohttp.ClientSession) -> Clinic:
    async with server.app[POOL].acquire() as conn:
        found = await open_clinic(conn, now=utc_now())
    await sign_in(client, "noor@clinic.example")
    return found


async def post(
    client: aiohttp.ClientSession, path: str, fields: list[tuple[str, str]], headers: dict[str, str] | None = None
) -> tuple[int, str, str]:
    headers = OURS if headers is None else headers
    async with client.post(path, data=aiohttp.FormData(fields), headers=headers, allow_redirects=False) as answer:
        return answer.status, await answer.text(), answer.headers.get("Location", "")


def fields_of(page: str, action: str) -> list[tuple[str, str]]:
    """Everything that pressing the button of this page's form would send."""
    (form,) = (one for one in forms_of(page) if one.action == action)
    return form.fields


async def test_a_session_that_ended_meanwhile_costs_nothing_of_what_was_written(
    server: Server, client: aiohttp.ClientSession, database: Database, clinic: Clinic
) -> None:
    path = f"/cases/{clinic.case}/waiting"
    old = await proof(client, path)
    await database.pool.execute("update staff_sessions set seen_at = now() - interval '16 minutes'")
    status, page, _ = await post(client, path, [("csrf", old), *WROTE])
    assert status == 401 and KEPT in page and "<h1>Sign in</h1>" in page

    def typed(password: str, page: str) -> list[tuple[str, str]]:
        given = {"email": "noor@clinic.example", "password": password}
        return [(name, given.get(name, value)) for name, value in fields_of(page, "/sign-in")]

    status, page, _ = await post(client, "/sign-in", typed("wrong", page))
    assert status == 401 and KEPT in page, "a slip while signing in costs nothing either"
    status, page, _ = await post(client, "/sign-in", typed(PASSWORD, page))
    assert status == 200 and KEPT in page and PASSWORD not in page
    assert "Nobody waits for a time." in await read(client, "/waiting"), "nothing is sent that nobody pressed for"
    again = fields_of(page, path)
    assert [one for one in again if one[0] != "csrf"] == WROTE
    status, _page, where = await post(client, path, again)
    assert (status, where) == (303, f"/cases/{clinic.case}#waiting")
    kept = await database.pool.fetchrow("select note, weekdays from wait_entries")
    assert (kept["note"], kept["weekdays"]) == (NOTE, [1, 3])


async def test_a_page_from_before_signing_in_anew_is_sent_by_one_press(
    server: Server, client: aiohttp.ClientSession, database: Database, clinic: Clinic
) -> None:
    path = f"/cases/{clinic.case}/waiting"
    old = await proof(client, path)
    await sign_in(client, "noor@clinic.example")  # in another tab
    status, page, _ = await post(client, path, [("csrf", old), *WROTE])
    assert status == 403 and KEPT in page
    assert await database.pool.fetchval("select count(*) from wait_entries") == 0
    status, _page, _where = await post(client, path, fields_of(page, path))
    assert status == 303
    assert await database.pool.fetchval("select note from wait_entries") == NOTE


async def test_after_signing_out_in_another_tab_it_is_kept_too(
    server: Server, client: aiohttp.ClientSession, clinic: Clinic
) -> None:
    path = f"/cases/{clinic.case}/waiting"
    old = await proof(client, path)
    assert (await post(client, "/sign-out", [("csrf", old)]))[0] == 303
    status, page, _ = await post(client, path, [("csrf", old), *WROTE])
    assert status == 403 and KEPT in page and unescape(page).count(NOTE) == 1


@pytest.mark.parametrize(
    "headers", [{}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"}]
)
async def test_what_another_site_may_have_sent_is_put_into_no_page(
    server: Server, client: aiohttp.ClientSession, clinic: Clinic, headers: dict[str, str]
) -> None:
    status, page, _ = await post(client, f"/cases/{clinic.case}/waiting", [("csrf", "x"), ("note", "planted")], headers)
    assert status == 403 and "planted" not in page and KEPT not in page


@pytest.mark.parametrize("path", ["/sign-in", "/join", "/offer", "/visit/questions"])
async def test_no_password_and_no_links_secret_is_put_into_a_page(
    server: Server, client: aiohttp.ClientSession, clinic: Clinic, path: str
) -> None:
    status, page, _ = await post(client, path, [("csrf", "x"), ("password", "planted"), ("secret", "planted")])
    assert status in (401, 403) and "planted" not in page
    carried = [("csrf", await proof(client, "/cases")), ("email", "noor@clinic.example"), ("password", PASSWORD)]
    for place in (path, "//evil.example/", "https://evil.example/", ""):
        status, page, _ = await post(client, "/sign-in", [*carried, ("kept_for", place), ("kept-note", "planted")])
        assert status == 303 and "planted" not in page, place
        carried[0] = ("csrf", await proof(client, "/cases"))


async def test_a_program_is_told_as_before(server: Server, client: aiohttp.ClientSession, clinic: Clinic) -> None:
    headers = OURS | {"Accept": "application/json"}
    status, text, _ = await post(client, f"/cases/{clinic.case}/waiting", [("csrf", "x"), ("note", "a")], headers)
    assert status == 403 and "csrf.missing" in text
    assert re.search(r'"code": ?"csrf.missing"', text)
