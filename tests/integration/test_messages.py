"""The page of what was sent, sending again, and calendars at secret addresses."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from consult.domain.clock import utc_now
from consult.files import folder
from consult.notices import service as notices
from consult.scheduling import service as scheduling
from consult.web.words import load_languages
from tests.conftest import Database, Server
from tests.integration.clinic import Clinic, book_one, open_clinic
from tests.integration.pages import read, send, sign_in

LANGUAGES = load_languages(folder("locale"), ("en", "es"))


@pytest.fixture
async def booked(database: Database) -> tuple[Clinic, Any]:
    now = utc_now()
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        appointment, _link = await book_one(conn, clinic, now + timedelta(days=9), now=now)
        await notices.queue_invitation(conn, appointment.id, now)
    return clinic, appointment


async def send_all(database: Database, server: Server) -> None:
    sender = notices.MailSender(database.pool, server.settings, LANGUAGES)
    for row in await database.pool.fetch("select id from mails where channel = 'mail' order by queued_at, id"):
        await sender({"mail_id": str(row["id"])})


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


async def patients_mail(database: Database) -> Any:
    return await database.pool.fetchval("select id from mails where audience = 'patient' order by queued_at limit 1")


async def test_the_page_tells_what_waits_was_sent_was_opened_and_came_back(
    server: Server, client: aiohttp.ClientSession, database: Database, booked: tuple[Clinic, Any]
) -> None:
    _clinic, appointment = booked
    await sign_in(client, "noor@clinic.example")
    assert text_of(await read(client, "/messages")).count("On its way") == 2
    await send_all(database, server)
    page = text_of(await read(client, "/messages"))
    assert page.count("Link not opened yet") == 1
    assert "brandt@clinic.example , expert" in page
    (letter,) = [one for one in server.settings.outbox.glob("*.eml") if b"To: ana@example.org" in one.read_bytes()]
    secret = re.search(rb"/join#([\w-]{43})", letter.read_bytes().replace(b"=\r\n", b""))
    assert secret is not None
    async with database.pool.acquire() as conn:
        await scheduling.open_invitation(conn, secret=secret[1].decode(), now=utc_now())
    assert "Link opened" in text_of(await read(client, "/messages?show=opened"))
    assert "No message fits." in await read(client, "/messages?show=not_opened")
    await database.pool.execute("update mails set bounced_at = now(), bounce_status = '5.1.1' where audience='patient'")
    page = text_of(await read(client, f"/messages?show=bounced&number={appointment.number}"))
    assert "ana@example.org" in page
    assert "The address does not exist." in page
    assert "brandt@clinic.example" not in page
    assert "/join#" not in page


async def test_the_board_names_a_patient_whose_mail_came_back_until_another_goes_out_or_they_come(
    client: aiohttp.ClientSession, database: Database, booked: tuple[Clinic, Any]
) -> None:
    _clinic, appointment = booked
    await sign_in(client, "noor@clinic.example")

    async def is_named() -> bool:
        page = await read(client, "/board")
        return "Mail came back" in page and f'data-key="unreached-{appointment.id}"' in page

    assert not await is_named()
    bounced = "update mails set bounced_at = queued_at, bounce_status = '5.1.1' where audience = $1"
    await database.pool.execute(bounced, "expert")
    assert not await is_named()
    await database.pool.execute(bounced, "patient")
    assert await is_named()
    async with database.pool.acquire() as conn:
        await notices.queue_new_link(conn, appointment.id, utc_now())
    assert not await is_named()
    await database.pool.execute(bounced, "patient")
    assert await is_named()
    async with database.pool.acquire() as conn:
        link = await scheduling.issue_link(conn, appointment.id, now=utc_now())
        await scheduling.open_invitation(conn, now=utc_now(), secret=link.secret)
    assert not await is_named()


@pytest.mark.parametrize(
    "query",
    ["show=nonsense", "number=999999999999999999", "number=x", "number=-1", "page=-3", "page=9999", "page=x",
     "show=sent&number=%00", "number=٣", "page=99999999999999999999"],
)  # fmt: skip
async def test_nonsense_in_the_address_shows_a_page(
    server: Server, client: aiohttp.ClientSession, booked: tuple[Clinic, Any], query: str
) -> None:
    await sign_in(client, "noor@clinic.example")
    page = await read(client, f"/messages?{query}")
    assert "<h1>Messages</h1>" in page
    if query in ("number=x", "number=-1"):
        assert "An appointment&#39;s number has digits alone." in page


async def test_a_message_is_sent_again_to_a_corrected_address_which_is_kept(
    server: Server, client: aiohttp.ClientSession, database: Database, booked: tuple[Clinic, Any]
) -> None:
    await send_all(database, server)
    await sign_in(client, "noor@clinic.example")
    place = f"/messages/{await patients_mail(database)}/again"
    assert 'value="ana@example.org"' in await read(client, place)
    for typed, sentence in (
        ("", "Please enter the address"),
        ("ana@@example.org", "This does not look like an e-mail address"),
        ("rui@x", "a place with a dot"),
        ("ana@example.org\r\nBcc: all@example.org", "This does not look like an e-mail address"),
        ("x" * 300 + "@example.org", "Please shorten this"),
    ):
        status, page, _place = await send(client, place, {"email": typed}, page=place)
        assert status == 422
        assert sentence in page
        assert f'value="{typed[:254].splitlines()[0] if typed else ""}' in page, "what was typed stays"
    status, _page, leads_to = await send(client, place, {"email": " ana.r@example.org "}, page=place)
    assert (status, leads_to) == (303, "/messages")
    await send_all(database, server)
    assert await database.pool.fetchval("select email from patients") == "ana.r@example.org"
    sent = await database.pool.fetch("select recipient from mails where audience = 'patient' and sent_at is not null")
    assert sorted(row["recipient"] for row in sent) == ["ana.r@example.org", "ana@example.org"]


async def test_an_experts_message_goes_again_to_the_address_of_their_account_alone(
    server: Server, client: aiohttp.ClientSession, database: Database, booked: tuple[Clinic, Any]
) -> None:
    await send_all(database, server)
    await sign_in(client, "noor@clinic.example")
    mail_id = await database.pool.fetchval("select id from mails where audience = 'expert'")
    place = f"/messages/{mail_id}/again"
    assert 'name="email"' not in await read(client, place)
    status, _page, _place = await send(client, place, {"email": "somebody@else.example"}, page=place)
    assert status == 303
    rows = await database.pool.fetch("select recipient from mails where audience = 'expert'")
    assert {row["recipient"] for row in rows} == {"brandt@clinic.example"}


async def test_what_is_over_is_not_sent_again(
    server: Server, client: aiohttp.ClientSession, database: Database, booked: tuple[Clinic, Any]
) -> None:
    _clinic, appointment = booked
    async with database.pool.acquire() as conn:
        await scheduling.cancel(conn, appointment.id, utc_now())
    await sign_in(client, "noor@clinic.example")
    place = f"/messages/{await patients_mail(database)}/again"
    status, page, _place = await send(client, place, {"email": "ana@example.org"}, page=place)
    assert status == 422
    assert "what it was about is over" in page


async def test_a_phone_number_is_kept_with_its_country_or_refused_with_what_was_typed(
    server: Server, client: aiohttp.ClientSession, database: Database, booked: tuple[Clinic, Any]
) -> None:
    await sign_in(client, "noor@clinic.example")
    form = {"name": "Rui Faro", "diagnosis": "Glaucoma", "language": "en", "phone": "912 345 678"}
    status, page, _place = await send(client, "/cases/new", form, page="/cases/new")
    assert status == 422
    assert 'value="912 345 678"' in page
    assert "with its country" in page
    status, _page, _place = await send(client, "/cases/new", form | {"phone": "00351 912 345 678"}, page="/cases/new")
    assert status == 303
    assert await database.pool.fetchval("select phone from patients where name = 'Rui Faro'") == "+351912345678"


async def address_of(client: aiohttp.ClientSession) -> str:
    status, page, _place = await send(client, "/calendar", {}, page="/calendar")
    assert status == 200
    found = re.search(r'value="[^"]*(/calendar/[\w-]{43}\.ics)"', page)
    assert found is not None
    return found[1]


async def test_an_expert_makes_replaces_and_withdraws_the_address_of_a_calendar(
    server: Server, client: aiohttp.ClientSession, database: Database, booked: tuple[Clinic, Any]
) -> None:
    _clinic, appointment = booked
    await sign_in(client, "brandt@clinic.example")
    assert "Make an address" in await read(client, "/calendar")
    first = await address_of(client)
    assert first not in await read(client, "/calendar")  # shown once
    secret = first.split("/")[2].removesuffix(".ics")
    rows = await database.pool.fetch("select secret_hash from calendar_feeds")
    assert secret.encode() not in rows[0]["secret_hash"]
    async with aiohttp.ClientSession(server.url, cookie_jar=aiohttp.DummyCookieJar()) as program:
        async with program.get(first) as answer:
            calendar = await answer.text()
            assert answer.headers["Content-Type"] == "text/calendar; charset=utf-8"
            assert "no-store" in answer.headers["Cache-Control"]
            tag = answer.headers["ETag"]
        assert f"Consultation {appointment.number}" in calendar
        assert "DTSTART;TZID=Europe/Berlin:" in calendar
        for hidden in ("Ana", "Ribeiro", "Lung", "Brandt", "join", "ATTENDEE", secret):
            assert hidden not in calendar
        async with program.get(first, headers={"If-None-Match": f'"other", {tag}'}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")
        for asked in (f"W/{tag}", "*"):  # as a proxy that packs has made it; as from whoever has any
            async with program.get(first, headers={"If-None-Match": asked}) as answer:
                assert answer.status == 304
        async with database.pool.acquire() as conn:
            await scheduling.cancel(conn, appointment.id, utc_now())
        async with program.get(first, headers={"If-None-Match": tag}) as answer:
            assert answer.status == 200
            assert "STATUS:CANCELLED" in await answer.text()
        second = await address_of(client)
        answers = {}
        for name, path in (("old", first), ("unknown", f"/calendar/{'x' * 43}.ics"), ("odd", "/calendar/x.ics")):
            async with program.get(path) as answer:
                answers[name] = (answer.status, re.sub(r'"reference": "[^"]*"', "", await answer.text()))
        assert set(answers.values()) == {answers["unknown"]}
        assert answers["unknown"][0] == 404
        async with program.get(second) as answer:
            assert answer.status == 200
        status, _page, _place = await send(client, "/calendar/withdraw", {}, page="/calendar")
        assert status == 303
        async with program.get(second) as answer:
            assert answer.status == 404


async def test_who_guesses_addresses_is_slowed_down_and_who_has_one_is_not(
    server: Server, client: aiohttp.ClientSession, booked: tuple[Clinic, Any]
) -> None:
    await sign_in(client, "brandt@clinic.example")
    own = await address_of(client)
    statuses = []
    for number in range(62):
        async with client.get(f"/calendar/{number:043d}.ics") as answer:
            statuses.append(answer.status)
    assert statuses[:60] == [404] * 60
    assert statuses[60:] == [429] * 2
    await read(client, own)


async def test_a_disabled_expert_s_calendar_ends(
    server: Server, client: aiohttp.ClientSession, database: Database, booked: tuple[Clinic, Any]
) -> None:
    await sign_in(client, "brandt@clinic.example")
    own = await address_of(client)
    await database.pool.execute("update staff set disabled_at = now() where email = 'brandt@clinic.example'")
    await read(client, own, 404)


async def test_a_patient_saves_the_appointment_from_their_page(
    server: Server, client: aiohttp.ClientSession, database: Database, booked: tuple[Clinic, Any]
) -> None:
    _clinic, appointment = booked
    async with database.pool.acquire() as conn:
        link = await scheduling.issue_link(conn, appointment.id, now=utc_now())
    page = await read(client, "/join")
    proof = re.search(r'name="csrf" content="([^"]*)"', page)
    assert proof is not None
    async with client.post("/join", data={"csrf": proof[1], "secret": link.secret}, allow_redirects=False) as answer:
        assert answer.status in (200, 303)
    assert 'href="/visit/calendar.ics"' in await read(client, "/visit/when")
    calendar = await read(client, "/visit/calendar.ics")
    assert f"Video appointment {appointment.number}" in calendar
    assert link.secret not in calendar
    assert "Ribeiro" not in calendar
