"""A page of a visit that was opened before a move: told calmly what is so, and strangers nothing (SECURITY 3, 4)."""

from __future__ import annotations

import aiohttp
import pytest

from consult.domain.clock import utc_now
from consult.keys import POOL
from consult.scheduling import service as scheduling
from tests.conftest import Server
from tests.integration import pages
from tests.integration.clinic import book_one, open_clinic
from tests.integration.pages import read
from tests.integration.test_join import press_join
from tests.integration.test_visit_changes import (
    CANCEL,
    CHANGE,
    Booked,
    a_working_day_ahead,
    browser,
    keep,
    now_booked,
    patients_mails,
    say_yes,
)

Answer = tuple[int, str, str]


@pytest.fixture
async def booked(server: Server, client: aiohttp.ClientSession) -> Booked:
    """The client has opened the link of an appointment that can be moved."""
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        appointment, link = await book_one(conn, clinic, a_working_day_ahead(4), now=now)
    assert (await press_join(client, secret=link.secret))[0] == 200
    return Booked(clinic, appointment, link)


async def press_in_old_tab(
    client: aiohttp.ClientSession, proof: str, path: str = CANCEL, *, accept: str = "text/html"
) -> Answer:
    """Send a form of a page that has been open since before."""
    data = {"csrf": proof, "reason": "A cold"}
    async with client.post(path, data=data, headers={"Accept": accept}, allow_redirects=False) as answer:
        return answer.status, await answer.text(), answer.headers.get("Location", "")


async def move_in_another_tab(client: aiohttp.ClientSession) -> None:
    _, place = await keep(client)
    assert (await say_yes(client, place))[0] == 303


async def test_another_tab_of_the_device_that_moved_is_told_the_new_time_and_changes_nothing(
    client: aiohttp.ClientSession,
    server: Server,
    booked: Booked,
) -> None:
    proof = await pages.proof(client, CHANGE)
    await move_in_another_tab(client)
    status, text, _ = await press_in_old_tab(client, proof)
    assert status == 403
    assert "What you pressed last was not done." in text and 'href="/visit"' in text
    after = await now_booked(server, booked)
    assert not after.is_cancelled and f"{after.starts_at.day} " in text
    assert "A cold" not in text
    await read(client, "/visit/when")  # where the button leads


async def test_opening_the_link_again_makes_an_old_tab_no_riddle_either(
    client: aiohttp.ClientSession,
    server: Server,
    booked: Booked,
) -> None:
    proof = await pages.proof(client, CHANGE)
    assert (await press_join(client, secret=booked.link.secret))[0] == 200
    status, text, _ = await press_in_old_tab(client, proof)
    assert status == 403 and "your link was opened again" in text


@pytest.mark.parametrize("path", [CANCEL, "/visit/steps/when", "/visit/questions", "/visit/move"])
async def test_a_press_on_another_device_leads_to_what_happened(
    client: aiohttp.ClientSession,
    server: Server,
    booked: Booked,
    path: str,
) -> None:
    async with browser(server, booked.link.secret) as other:
        proof = await pages.proof(other, CHANGE)
        await move_in_another_tab(client)
        status, _, place = await press_in_old_tab(other, proof, path)
        assert (status, place) == (303, "/visit/moved")
        assert "look into your mail" in (await read(other, place))
        for looked_at in ("/visit/when", "/visit/records", "/visit/call"):
            async with other.get(looked_at, allow_redirects=False) as answer:
                assert answer.headers["Location"] == "/visit/moved", looked_at
    assert await patients_mails(server, booked) == ["change"]


async def test_after_a_cancellation_every_page_leads_to_it(
    client: aiohttp.ClientSession,
    server: Server,
    booked: Booked,
) -> None:
    proof = await pages.proof(client, CHANGE)
    async with server.app[POOL].acquire() as conn:
        await scheduling.cancel(conn, booked.appointment.id, utc_now(), by=booked.clinic.scheduler)
    assert (await press_in_old_tab(client, proof, "/visit/needs"))[2] == "/visit/cancelled"
    async with client.get("/visit/when", allow_redirects=False) as answer:
        assert answer.headers["Location"] == "/visit/cancelled"


async def test_a_withdrawn_link_and_a_guests_are_told_where_a_link_comes_from_and_no_more(
    client: aiohttp.ClientSession,
    server: Server,
    booked: Booked,
) -> None:
    async with server.app[POOL].acquire() as conn:
        guest = await scheduling.invite_guest(
            conn, booked.appointment.id, name="Rui", role="interpreter", now=utc_now()
        )
    async with browser(server, guest.secret) as theirs:
        proof = await pages.proof(theirs, "/visit/when")
        await move_in_another_tab(client)
        told_guest = await press_in_old_tab(theirs, proof, "/visit/steps/when")
    proof = await pages.proof(client, CHANGE)
    async with server.app[POOL].acquire() as conn:
        await scheduling.revoke_links(conn, booked.appointment.id, now=utc_now())
    told_patient = await press_in_old_tab(client, proof)
    for status, text, _ in (told_guest, told_patient):
        assert status == 401
        assert "Please open the newest link" in text and 'href="/join/new-link"' in text
        assert "Amara" not in text and "Okafor" not in text and "moved" not in text
        assert text.count("button-main") == 1


async def test_a_stranger_gets_the_plain_answer(server: Server, booked: Booked) -> None:
    async with browser(server) as stranger:
        status, text, _ = await press_in_old_tab(stranger, "none")
        assert status == 403 and "This page was open for too long. Go back" in text
        async with stranger.get("/visit/when", allow_redirects=False) as answer:
            assert answer.headers["Location"] == "/join"
    headers = {"Accept": "text/html", "Cookie": f"consult_visit={'x' * 43}"}
    async with aiohttp.ClientSession(server.url, cookie_jar=aiohttp.DummyCookieJar(), headers=headers) as guesser:
        status, text, _ = await press_in_old_tab(guesser, "none")
        assert status == 403 and "Please open the newest link" in text


async def test_a_script_of_an_old_tab_is_told_to_reload(
    client: aiohttp.ClientSession,
    server: Server,
    booked: Booked,
) -> None:
    proof = await pages.proof(client, CHANGE)
    await move_in_another_tab(client)
    status, text, _ = await press_in_old_tab(client, proof, "/visit/questions", accept="application/json")
    assert status == 403 and "csrf.missing" in text and "Reload it, then try again." in text
