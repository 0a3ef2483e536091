"""From the link: companions in named roles, the link once more, the language. A guest settles none of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from html import unescape

import aiohttp
import pytest

from consult.cases import service as cases
from consult.domain.clock import utc_now
from consult.keys import BUS, POOL
from consult.notices import service as notices
from consult.scheduling import service as scheduling
from consult.scheduling.model import Appointment
from consult.scheduling.visit_own_views import hint_of
from signaling.events import RoomCommand
from tests.conftest import Server
from tests.integration.clinic import book_one, open_clinic
from tests.integration.pages import read, send, sign_in
from tests.integration.test_join import press_join

PEOPLE = "/visit/people"


@pytest.fixture
async def appointment(server: Server, client: aiohttp.ClientSession) -> Appointment:
    """A call in two days; the client has opened its link."""
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        booked, link = await book_one(conn, await open_clinic(conn, now=now), now + timedelta(days=2), now=now)
    assert (await press_join(client, secret=link.secret))[0] == 200
    return booked


@asynccontextmanager
async def another_browser(server: Server, secret: str) -> AsyncIterator[aiohttp.ClientSession]:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(server.url, cookie_jar=jar, headers={"Accept": "text/html"}) as other:
        assert (await press_join(other, secret=secret))[0] == 200
        yield other


async def bring(client: aiohttp.ClientSession, name: str = "Rui Sol", role: str = "caregiver") -> str:
    """Bring somebody along; return the page that shows their link."""
    data = {"guest_name": name, "guest_role": role}
    status, text, _ = await send(client, PEOPLE, data, page=PEOPLE, follow=True)
    assert status == 200, text
    return text


def secret_in(text: str) -> str:
    found = re.search(r"/join#([\w-]+)", unescape(text))
    assert found is not None, "no link on the page"
    return found[1]


def form_to(text: str, what: str) -> str:
    found = re.search(rf'action="({PEOPLE}/[^"]+/{what})"', text)
    assert found is not None, what
    return found[1]


@pytest.mark.parametrize(("role", "as_what"), [("caregiver", "Caregiver or family"), ("interpreter", "Interpreter")])
async def test_a_companion_gets_a_link_of_their_own_in_a_named_role(
    client: aiohttp.ClientSession, server: Server, appointment: Appointment, role: str, as_what: str
) -> None:
    text = await bring(client, role=role)
    assert f"{as_what}, has not opened the link yet" in text
    assert "/join#" not in await read(client, PEOPLE), "a link is shown once"
    async with another_browser(server, secret_in(text)) as companion:
        assert "The call is with Ana Ribeiro." in await read(companion, "/visit/when")
    assert f"{as_what}, has opened the link" in await read(client, PEOPLE)
    async with server.app[POOL].acquire() as conn:
        assert [
            (one.name, one.role) for one in await scheduling.list_invited(conn, appointment.id) if one.is_guest
        ] == [("Rui Sol", role)]


async def test_a_link_that_is_taken_back_closes_at_once_and_sends_its_owner_out_of_the_room(
    client: aiohttp.ClientSession, server: Server, appointment: Appointment
) -> None:
    orders: list[RoomCommand] = []
    order = server.app[BUS].order

    async def note(command: RoomCommand) -> None:
        orders.append(command)
        await order(command)

    server.app[BUS].order = note  # type: ignore[method-assign]
    text = await bring(client)
    async with another_browser(server, secret_in(text)) as companion:
        assert (await send(client, form_to(text, "withdraw"), {}, page=PEOPLE))[0] == 303
        await read(companion, "/visit/when", status=303)
    assert [type(one).__name__ for one in orders] == ["RemovePerson"]
    assert "Rui Sol" not in await read(client, PEOPLE)
    # Pressed twice, or in another tab: there is nobody any more, and nothing breaks.
    assert (await send(client, form_to(text, "withdraw"), {}, page=PEOPLE))[0] == 404


async def test_a_companion_who_lost_the_link_gets_a_further_one(
    client: aiohttp.ClientSession, server: Server, appointment: Appointment
) -> None:
    text = await bring(client)
    status, again, _ = await send(client, form_to(text, "link"), {}, page=PEOPLE, follow=True)
    assert status == 200 and secret_in(again) != secret_in(text)
    assert again.count("has not opened the link yet") == 1, "one person, two links"
    for secret in (secret_in(text), secret_in(again)):
        async with another_browser(server, secret) as companion:
            await read(companion, "/visit/when")


async def test_whom_the_clinic_invited_the_patient_sees_and_the_clinic_alone_withdraws(
    client: aiohttp.ClientSession, server: Server, appointment: Appointment
) -> None:
    now = utc_now()
    async with server.app[POOL].acquire() as conn, conn.transaction():
        await scheduling.invite_guest(
            conn, appointment.id, name="Eva Lang", role="interpreter", email="eva@example.org", now=now
        )
        (eva,) = [one for one in await scheduling.list_invited(conn, appointment.id) if one.is_guest]
    text = await bring(client)
    assert f"Interpreter, invited by {server.settings.clinic_name}, has not opened the link yet" in text
    assert "Caregiver or family, has not opened the link yet" in text and "eva" not in text and "e***@" not in text
    assert f"{eva.person_id}/withdraw" not in text
    assert (await send(client, f"{PEOPLE}/{eva.person_id}/withdraw", {}, page=PEOPLE))[0] == 404
    assert (await send(client, f"{PEOPLE}/{eva.person_id}/link", {}, page=PEOPLE))[0] == 303, "it gives nothing away"
    assert "Eva Lang" in await read(client, PEOPLE)
    # What the patient brought stays theirs when the appointment moves, and the clinic may withdraw everybody.
    async with server.app[POOL].acquire() as conn:
        moved_to = appointment.starts_at + timedelta(days=1)
        await scheduling.move(conn, appointment.id, moved_to, sequence=0, by=None, now=now, outside_hours=True)
        guests = [one for one in await scheduling.list_invited(conn, appointment.id) if one.is_guest]
    assert {one.name: one.by_patient for one in guests} == {"Eva Lang": False, "Rui Sol": True}
    await sign_in(client, "noor@clinic.example")
    place = f"/appointments/{appointment.id}"
    assert (await read(client, place)).count("invited by the patient") == 1
    assert (await send(client, f"{place}/guests/{eva.person_id}/withdraw", {}, page=place))[0] == 303
    assert "Eva Lang" not in await read(client, place)


@pytest.mark.parametrize(
    ("name", "role", "sentence"),
    [
        ("", "caregiver", "Please write the name of the person you invite."),
        ("x" * 121, "caregiver", "Please write a shorter name."),
        ("Rui", "physician", "Please choose one of the given answers."),
        ("Rui", "patient", "Please choose one of the given answers."),
        ("Rui", "", "Please fill this in."),
    ],
)
async def test_who_cannot_be_brought_is_refused_and_what_was_typed_stays(
    client: aiohttp.ClientSession, appointment: Appointment, name: str, role: str, sentence: str
) -> None:
    status, text, _ = await send(client, PEOPLE, {"guest_name": name, "guest_role": role}, page=PEOPLE)
    assert status == 422
    assert sentence in text and f'value="{name}"' in text


async def test_four_may_come_along_and_no_fifth(client: aiohttp.ClientSession, appointment: Appointment) -> None:
    for number in range(4):
        await bring(client, f"Guest {number}")
    status, text, _ = await send(client, PEOPLE, {"guest_name": "Fifth", "guest_role": "caregiver"}, page=PEOPLE)
    assert status == 422 and "Four more people are invited already." in text and 'value="Fifth"' in text


async def test_a_physician_is_seen_but_stays_the_clinics_guest(
    client: aiohttp.ClientSession, server: Server, appointment: Appointment
) -> None:
    async with server.app[POOL].acquire() as conn:
        await scheduling.invite_guest(conn, appointment.id, name="Dr Weil", role="physician", now=utc_now())
        [doctor] = [one for one in await scheduling.list_invited(conn, appointment.id) if one.is_guest]
    text = await read(client, PEOPLE)
    assert "Dr Weil" in text and "/withdraw" not in text
    for act in ("withdraw", "link"):
        assert (await send(client, f"{PEOPLE}/{doctor.person_id}/{act}", {}, page=PEOPLE))[0] == 404


async def test_a_companion_manages_nothing(
    client: aiohttp.ClientSession, server: Server, appointment: Appointment
) -> None:
    text = await bring(client)
    async with another_browser(server, secret_in(text)) as companion:
        for path in (PEOPLE, "/visit/link"):
            await read(companion, path, status=404)
        for path in (PEOPLE, "/visit/link", form_to(text, "withdraw"), form_to(text, "link")):
            assert (await send(companion, path, {}, page="/visit/when"))[0] == 404, path


async def test_the_link_is_sent_again_to_the_address_on_file_and_not_without_end(
    client: aiohttp.ClientSession, server: Server, appointment: Appointment
) -> None:
    text = await read(client, "/visit/link")
    assert "a***@example.org" in text and "ana@example.org" not in text
    for _ in range(3):
        status, text, _ = await send(client, "/visit/link", {}, page="/visit/link")
        assert status == 200 and "A new link is on its way to a***@example.org." in text
    status, text, _ = await send(client, "/visit/link", {}, page="/visit/link")
    assert status == 429 and "That was tried too often." in text
    async with server.app[POOL].acquire() as conn:
        mails = await notices.list_mails_of_appointment(conn, appointment.id)
    assert [(mail.kind.value, mail.recipient) for mail in mails] == [("new_link", "ana@example.org")] * 3
    await read(client, "/visit/when")  # the link that was used here stays good


async def test_without_an_address_the_page_says_to_call(
    client: aiohttp.ClientSession, server: Server, appointment: Appointment
) -> None:
    async with server.app[POOL].acquire() as conn:
        await conn.execute("update patients set email = ''")
    assert "The clinic has no e-mail address of yours." in await read(client, "/visit/link")
    status, text, _ = await send(client, "/visit/link", {}, page="/visit/link")
    assert status == 200 and "The clinic has no e-mail address of yours." in text


def test_a_hint_of_an_address_tells_its_owner_alone() -> None:
    assert hint_of("ana.ribeiro@example.org") == "a***@example.org"
    assert hint_of("") == ""


async def test_a_chosen_language_is_read_at_once_kept_for_mails_and_known_to_other_devices(
    client: aiohttp.ClientSession, server: Server, appointment: Appointment
) -> None:
    data = {"language": "es", "back": "/visit/people"}
    status, _, place = await send(client, "/visit/language", data, page="/visit/language")
    assert (status, place) == (303, "/visit/people")
    assert '<html lang="es"' in await read(client, "/visit/when")
    async with server.app[POOL].acquire() as conn:
        details = await scheduling.fetch_appointment(conn, appointment.id)
        assert details.patient_language == "es", "what mails are written in"
        link = await scheduling.issue_link(conn, appointment.id, now=utc_now())
    async with another_browser(server, link.secret) as phone:
        assert '<html lang="es"' in await read(phone, "/visit/when")


async def test_a_companions_language_is_their_own(
    client: aiohttp.ClientSession, server: Server, appointment: Appointment
) -> None:
    async with another_browser(server, secret_in(await bring(client))) as companion:
        assert (await send(companion, "/visit/language", {"language": "es"}, page="/visit/when"))[0] == 303
        assert '<html lang="es"' in await read(companion, "/visit/when")
    assert '<html lang="en"' in await read(client, "/visit/when")
    async with server.app[POOL].acquire() as conn:
        assert (await cases.fetch_case(conn, appointment.case_id)).patient.language == "en"


@pytest.mark.parametrize("language", ["", "xx", "../es", "e" * 500])
async def test_a_language_that_nobody_reads_is_refused(
    client: aiohttp.ClientSession, appointment: Appointment, language: str
) -> None:
    assert (await send(client, "/visit/language", {"language": language}, page="/visit/language"))[0] == 422
    assert '<html lang="en"' in await read(client, "/visit/when")


async def test_a_choice_of_language_leads_nowhere_else(client: aiohttp.ClientSession, appointment: Appointment) -> None:
    data = {"language": "es", "back": "https://evil.example/"}
    assert (await send(client, "/visit/language", data, page="/visit/language"))[2] == "/visit/when"
