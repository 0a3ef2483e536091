"""A form that is pressed twice, on a slow server or after going back: done once, and the second press leads on."""

from __future__ import annotations

import asyncio
import re

import aiohttp
import pytest

from consult.domain.clock import utc_now
from consult.keys import POOL
from consult.web import once
from tests.conftest import Database, Server
from tests.integration.clinic import Clinic, open_clinic
from tests.integration.forms import PageForm, forms_of
from tests.integration.pages import read, sign_in

WROTE = {"name": "Rui Costa", "diagnosis": "Meningioma", "language": "en"}


@pytest.fixture
async def clinic(server: Server, client: aiohttp.ClientSession) -> Clinic:
    async with server.app[POOL].acquire() as conn:
        found = await open_clinic(conn, now=utc_now())
    await sign_in(client, "noor@clinic.example")
    return found


async def form_on(client: aiohttp.ClientSession, page: str, action: str) -> PageForm:
    (form, *_others) = (one for one in forms_of(await read(client, page)) if one.action == action)
    return form


async def press(
    client: aiohttp.ClientSession, form: PageForm, values: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """Return status, page and where it leads to."""
    given = dict(values or {})
    fields = [(name, given.pop(name, value)) for name, value in form.fields] + list(given.items())
    async with client.post(form.action, data=aiohttp.FormData(fields), allow_redirects=False) as answer:
        return answer.status, await answer.text(), answer.headers.get("Location", "")


async def free_time(client: aiohttp.ClientSession, clinic: Clinic) -> tuple[PageForm, str]:
    """Return the form to book by, and the first time that it offers."""
    page = await read(client, f"/cases/{clinic.case}/book?expert={clinic.expert}")
    (form, *_outside) = (one for one in forms_of(page) if one.action == f"/cases/{clinic.case}/book")
    offered = re.search(r'<input [^>]*name="slot"[^>]* value="([^"]+)"', page)
    assert offered is not None
    return form, offered[1]


async def count(database: Database, table: str) -> int:
    found: int = await database.pool.fetchval(f"select count(*) from {table}")
    return found


async def test_pressed_twice_at_once_a_case_is_opened_once_and_both_presses_lead_to_it(
    client: aiohttp.ClientSession, database: Database, clinic: Clinic
) -> None:
    before = await count(database, "cases")
    form = await form_on(client, "/cases/new", "/cases/new")
    answers = await asyncio.gather(*(press(client, form, WROTE) for _ in range(5)))
    answers.append(await press(client, form, WROTE))
    assert {status for status, _page, _where in answers} == {303}
    (where,) = {where for _status, _page, where in answers}
    assert await count(database, "cases") == before + 1
    assert "Rui Costa" in await read(client, where)


async def test_another_name_after_going_back_is_another_case_and_so_is_a_page_made_anew(
    client: aiohttp.ClientSession, database: Database, clinic: Clinic
) -> None:
    before = await count(database, "cases")
    form = await form_on(client, "/cases/new", "/cases/new")
    made = [await press(client, form, WROTE), await press(client, form, WROTE | {"name": "Rita Costa"})]
    made.append(await press(client, await form_on(client, "/cases/new", "/cases/new"), WROTE))
    assert len({where for _status, _page, where in made}) == 3
    assert await count(database, "cases") == before + 3


async def test_what_was_refused_may_be_sent_again_as_it_is(
    client: aiohttp.ClientSession, database: Database, clinic: Clinic
) -> None:
    form = await form_on(client, "/cases/new", "/cases/new")
    for _ in range(2):
        status, page, _where = await press(client, form, WROTE | {"diagnosis": ""})
        assert status == 422 and "Write what the diagnosis is" in page and "Rui Costa" in page
    assert await count(database, "sent_forms") == 0
    assert (await press(client, form, WROTE))[0] == 303


async def test_while_the_first_press_takes_long_the_second_says_so_and_does_nothing(
    client: aiohttp.ClientSession, database: Database, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "WAIT_S", 0.5)
    before = await count(database, "cases")
    form = await form_on(client, "/cases/new", "/cases/new")
    async with database.pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute("lock table cases in exclusive mode")  # a slow server
        first = asyncio.create_task(press(client, form, WROTE))
        while not await conn.fetchval("select count(*) from sent_forms"):
            await asyncio.sleep(0.02)
        status, page, _where = await press(client, form, WROTE)
        assert status == 409 and "still being worked on" in page
        await transaction.rollback()
    status, _page, where = await first
    assert status == 303
    assert (await press(client, form, WROTE))[2] == where
    assert await count(database, "cases") == before + 1


async def test_what_was_being_worked_on_by_a_killed_server_is_done_by_the_next_press(
    client: aiohttp.ClientSession, database: Database, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "WAIT_S", 0.5)
    form = await form_on(client, "/cases/new", "/cases/new")
    status, _page, where = await press(client, form, WROTE)
    await database.pool.execute("update sent_forms set leads_to = null")  # as if its end had never come
    assert (await press(client, form, WROTE))[0] == 409
    await database.pool.execute("update sent_forms set sent_at = now() - interval '3 minutes'")
    status, _page, again = await press(client, form, WROTE)
    assert status == 303 and again != where


async def test_what_was_sent_is_forgotten_after_a_day(
    client: aiohttp.ClientSession, database: Database, clinic: Clinic
) -> None:
    form = await form_on(client, "/cases/new", "/cases/new")
    _status, _page, where = await press(client, form, WROTE)
    await database.pool.execute("update sent_forms set sent_at = now() - interval '25 hours'")
    assert (await press(client, form, WROTE))[2] != where
    await database.pool.execute("update sent_forms set sent_at = now() - interval '25 hours'")
    await press(client, await form_on(client, "/cases/new", "/cases/new"), WROTE)
    assert await count(database, "sent_forms") == 1


async def test_a_time_is_booked_once_and_the_second_press_does_not_say_that_it_was_taken(
    client: aiohttp.ClientSession, database: Database, clinic: Clinic
) -> None:
    form, slot = await free_time(client, clinic)
    answers = await asyncio.gather(*(press(client, form, {"slot": slot}) for _ in range(3)))
    assert {status for status, _page, _where in answers} == {303}, answers[0][1][:2000]
    assert len({where for _status, _page, where in answers}) == 1
    assert await count(database, "appointments") == 1
    mails = await database.pool.fetch("select audience, count(*) from mails group by audience")
    assert all(row["count"] == 1 for row in mails)


async def test_a_guest_is_invited_once(client: aiohttp.ClientSession, database: Database, clinic: Clinic) -> None:
    form, slot = await free_time(client, clinic)
    _status, _page, where = await press(client, form, {"slot": slot})
    invite = await form_on(client, where, f"{where}/guests")
    guest = {"guest_name": "Inês Prado", "guest_role": "interpreter", "guest_email": "ines@example.org"}
    answers = [await press(client, invite, guest) for _ in range(2)]
    assert [status for status, _page, _where in answers] == [303, 303]
    assert (await read(client, where)).count("<b>Inês Prado</b>") == 1


async def test_nobody_comes_to_where_the_press_of_somebody_else_led(
    server: Server, client: aiohttp.ClientSession, database: Database, clinic: Clinic
) -> None:
    form = await form_on(client, "/cases/new", "/cases/new")
    assert (await press(client, form, WROTE))[0] == 303
    async with aiohttp.ClientSession(base_url=server.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as other:
        await sign_in(other, "brandt@clinic.example")
        own = await form_on(other, "/calendar", "/calendar")
        stolen = PageForm("/cases/new", [one for one in form.fields if one[0] != "csrf"])
        stolen.fields.insert(0, next(one for one in own.fields if one[0] == "csrf"))
        status, page, where = await press(other, stolen, WROTE)
    assert status == 403 and not where and "cannot open this" in page


def forms_with_a_mark(page: str) -> list[PageForm]:
    return [form for form in forms_of(page) if any(name == "once" for name, _value in form.fields)]


@pytest.mark.parametrize("door", ["/sign-in", "/join", "/offer"])
async def test_opening_a_door_is_never_answered_from_memory(client: aiohttp.ClientSession, door: str) -> None:
    assert forms_of(await read(client, door)) and not forms_with_a_mark(await read(client, door))
