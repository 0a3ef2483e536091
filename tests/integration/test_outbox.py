"""Mails to patients: what they say and do not say, where they go, and that each is sent once."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from consult.domain.clock import utc_now
from consult.files import folder
from consult.jobs import Jobs
from consult.notices import service as notices
from consult.notices.outbox import MailNotSent
from consult.scheduling import service as scheduling
from consult.settings import Settings
from consult.web.words import load_languages
from tests.conftest import Database, Server, free_port
from tests.integration.clinic import Clinic, book_one, open_case, open_clinic
from tests.integration.pages import read, sign_in

LANGUAGES = load_languages(folder("locale"), ("en", "es"))


async def booked(database: Database) -> tuple[Clinic, Any]:
    now = utc_now()
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        appointment, _link = await book_one(conn, clinic, now + timedelta(days=2), now=now)
    return clinic, appointment


async def send_all(database: Database, settings: Settings) -> None:
    sender = notices.MailSender(database.pool, settings, LANGUAGES)
    for row in await database.pool.fetch("select id from mails order by queued_at"):
        await sender({"mail_id": str(row["id"])})


async def send_asked_for(conn: Any) -> int:
    """Do the jobs that strangers' requests for a new link have left, though they were done before; return how many."""
    rows = await conn.fetch("select payload from pgqueuer where entrypoint = $1", notices.SEND_NEW_LINKS)
    for row in rows:
        await notices.send_new_links(conn, json.loads(row["payload"]), utc_now())
    return len(rows)


def letters(settings: Settings, to: str = "ana@example.org") -> list[Any]:
    """The mails to one person, the patient if nobody is named."""
    found = [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        for path in sorted(settings.outbox.glob("*.eml"))
    ]
    return [letter for letter in found if letter["To"] == to]


def text_of(letter: Any) -> str:
    return str(letter.get_body(("plain",)).get_content())


async def test_an_invitation_holds_a_working_link_and_nothing_clinical(database: Database, settings: Settings) -> None:
    _clinic, appointment = await booked(database)
    async with database.pool.acquire() as conn:
        assert await notices.queue_invitation(conn, appointment.id, utc_now())
    await send_all(database, settings)
    (letter,) = letters(settings)
    assert letter["To"] == "ana@example.org"
    whole = letter.as_string()
    for hidden in ("Lung", "cancer", "Brandt", "Ana", "Neuroradiology", "surgery"):
        assert hidden not in whole.replace("ana@example.org", "")
    text = text_of(letter)
    assert "Berlin time." in text, "zones are called as on the pages"
    secret = re.search(r"/join#([\w-]{43})", text)
    number, code = re.search(r"number (\d+) and the code (\w{4}-\w{4})", text).groups()  # type: ignore[union-attr]
    assert secret is not None
    async with database.pool.acquire() as conn:
        assert await scheduling.open_invitation(conn, secret=secret.group(1), now=utc_now())
        assert await scheduling.open_invitation(conn, number=number, code=code, now=utc_now())
    html = str(letter.get_body(("html",)).get_content())
    assert f'href="{settings.public_url}/join#{secret.group(1)}"' in html


async def test_the_outbox_is_for_this_servers_user_alone(database: Database, settings: Settings) -> None:
    _clinic, appointment = await booked(database)
    async with database.pool.acquire() as conn:
        await notices.queue_invitation(conn, appointment.id, utc_now())
    await send_all(database, settings)
    assert settings.outbox.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in settings.outbox.iterdir()} == {0o600}


async def test_a_job_that_runs_twice_sends_once(database: Database, settings: Settings) -> None:
    _clinic, appointment = await booked(database)
    async with database.pool.acquire() as conn:
        await notices.queue_new_link(conn, appointment.id, utc_now())
    for _ in range(2):
        await send_all(database, settings)
    assert len(letters(settings)) == 1
    assert await database.pool.fetchval("select count(*) from invitations") == 2


async def test_a_mail_server_that_refuses_leaves_no_link_and_is_tried_again(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    _clinic, appointment = await booked(database)
    async with database.pool.acquire() as conn:
        await notices.queue_invitation(conn, appointment.id, utc_now())
    with pytest.raises(MailNotSent):
        await send_all(database, make_settings(mail_url=f"smtp://127.0.0.1:{free_port()}"))
    row = await database.pool.fetchrow("select sent_at, failed_at, failure from mails where failed_at is not null")
    assert row["sent_at"] is None
    assert row["failed_at"] is not None
    assert row["failure"] == "SMTPConnectError"
    assert await database.pool.fetchval("select count(*) from invitations") == 1
    settings = make_settings()
    await send_all(database, settings)
    assert len(letters(settings)) == 1


async def test_nothing_is_sent_about_an_appointment_that_was_cancelled_meanwhile(
    database: Database, settings: Settings
) -> None:
    _clinic, appointment = await booked(database)
    async with database.pool.acquire() as conn:
        await notices.queue_invitation(conn, appointment.id, utc_now())
        await scheduling.cancel(conn, appointment.id, utc_now())
        await notices.queue_cancellation(conn, appointment.id, utc_now())
    await send_all(database, settings)
    (letter,) = letters(settings)
    assert "cancelled" in letter["Subject"]
    assert "/join#" not in text_of(letter)


async def test_a_new_link_goes_to_the_address_on_file_and_nobody_learns_whether_there_is_one(
    database: Database, settings: Settings
) -> None:
    clinic, appointment = await booked(database)
    async with database.pool.acquire() as conn:
        nameless = await open_case(conn, clinic.scheduler, name="No Mail", email="", now=utc_now())
        for asked in ("999999", "nobody@example.org", "", "x" * 5000, "@", "drop table", str(2**70)):
            assert await notices.request_new_link(conn, asked, utc_now()) is None  # type: ignore[func-returns-value]
        assert await send_asked_for(conn) == 7, "what is written is the same for nobody"
        assert await conn.fetchval("select count(*) from mails") == 0
        for asked in (f" {appointment.number} ", "ANA@example.org"):
            await notices.request_new_link(conn, asked, utc_now())
            assert await conn.fetchval("select count(*) from mails") == 0, "mails are a job's: they would take time"
        for _twice in range(2):
            assert await send_asked_for(conn) == 9
        assert {row["recipient"] for row in await conn.fetch("select recipient from mails")} == {"ana@example.org"}
        assert await conn.fetchval("select count(*) from mails") == 2
        other, _link = await book_one(
            conn, Clinic(clinic.scheduler, clinic.expert, clinic.other_expert, nameless),
            utc_now() + timedelta(days=4), now=utc_now(),
        )  # fmt: skip
        assert not await notices.queue_invitation(conn, other.id, utc_now())


async def test_no_secret_waits_in_the_queue(database: Database) -> None:
    _clinic, appointment = await booked(database)
    async with database.pool.acquire() as conn:
        await notices.queue_invitation(conn, appointment.id, utc_now())
        payloads = [json.loads(row["payload"]) for row in await conn.fetch("select payload from pgqueuer")]
    for payload in payloads:
        assert uuid.UUID(payload.pop("mail_id"))
        assert payload in ({}, {"kind": "invitation", "appointment_id": str(appointment.id)})
    assert len(payloads) == 3


async def test_the_outbox_page_shows_the_mail_with_its_link_to_the_scheduler(
    server: Server, client: aiohttp.ClientSession, database: Database
) -> None:
    _clinic, appointment = await booked(database)
    async with database.pool.acquire() as conn:
        await notices.queue_invitation(conn, appointment.id, utc_now())
    await sign_in(client, "noor@clinic.example")
    await read(client, "/outbox", 303)
    assert "On its way" in await read(client, "/messages")
    await send_all(database, server.settings)
    page = await read(client, "/messages")
    places = re.findall(r'href="(/outbox/[0-9a-f]{32}\.eml)"', page)
    assert len(places) == 2
    assert "/join#" not in page
    shown = [await read(client, place) for place in places]
    assert sum(bool(re.search(r'href="[^"]+/join#[\w-]{43}"', letter)) for letter in shown) == 1
    for nonsense in ("/outbox/..%2f..%2fetc%2fpasswd", "/outbox/x.eml", "/outbox/" + "0" * 32 + ".eml", "/outbox/.eml"):
        await read(client, nonsense, 404)


async def test_with_a_mail_server_no_mail_can_be_read_here(
    make_settings: Callable[..., Settings], start_server: Any, database: Database, tmp_path: Path
) -> None:
    _clinic, appointment = await booked(database)
    async with database.pool.acquire() as conn:
        await notices.queue_invitation(conn, appointment.id, utc_now())
    server = await start_server(make_settings(mail_url="smtp://127.0.0.1:1"))
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(server.url, cookie_jar=jar, headers={"Accept": "text/html"}) as client:
        await sign_in(client, "noor@clinic.example")
        assert "No mail server is set" not in await read(client, "/messages")
        name = await database.pool.fetchval("select replace(id::text, '-', '') || '.eml' from mails limit 1")
        await read(client, f"/outbox/{name}", 404)


async def test_the_worker_sends_what_was_queued(database: Database, settings: Settings) -> None:
    _clinic, appointment = await booked(database)
    worker, stop = Jobs(), asyncio.Event()
    notices.register_jobs(worker, pool=database.pool, settings=settings)
    running = asyncio.create_task(worker.run(database.pool, stop))
    try:
        async with database.pool.acquire() as conn:
            await notices.queue_invitation(conn, appointment.id, utc_now())
        async with asyncio.timeout(30):
            while len(letters(settings)) + len(letters(settings, "brandt@clinic.example")) < 2:
                await asyncio.sleep(0.1)
    finally:
        stop.set()
        await asyncio.wait_for(running, 30)
