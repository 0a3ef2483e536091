"""Guests with an address: invited, told of a new time and of the end by mail, in their role, and nothing clinical."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import aiohttp
import icalendar
import pytest

from consult.domain.clock import utc_now
from consult.notices import service as notices
from consult.scheduling import service as scheduling
from consult.settings import Settings
from tests.conftest import Database, Server
from tests.integration.clinic import Clinic, book_one, open_clinic
from tests.integration.pages import read, send, sign_in
from tests.integration.test_join import press_join
from tests.integration.test_messages import LANGUAGES, text_of
from tests.integration.test_visit_changes import keep, say_yes

RUI = {"guest_name": "Rui Costa", "guest_role": "interpreter", "guest_email": "rui@example.org"}
PEOPLE = "/visit/people"


class Booked:
    def __init__(self, database: Database, settings: Settings, clinic: Clinic, appointment: Any) -> None:
        self.database, self.settings, self.clinic, self.appointment = database, settings, clinic, appointment

    async def mails(self, address: str = "rui@example.org") -> list[EmailMessage]:
        """Send what waits, and return everything that an address ever got, oldest first."""
        sender = notices.MailSender(self.database.pool, self.settings, LANGUAGES)
        rows = await self.database.pool.fetch("select id from mails where channel = 'mail' order by queued_at, id")
        found = []
        for row in rows:
            await sender({"mail_id": str(row["id"])})
            path = self.settings.outbox / f"{row['id'].hex}.eml"
            if path.exists():
                found.append(email.message_from_bytes(path.read_bytes(), policy=email.policy.default))
        return [one for one in found if str(one["To"]) == address]  # type: ignore[misc]


@pytest.fixture
async def booked(server: Server, client: aiohttp.ClientSession, database: Database) -> Booked:
    """An appointment of which everybody was told; the client is its patient."""
    now = utc_now()
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        start = (now + timedelta(days=8)).replace(hour=9, minute=0, second=0, microsecond=0)
        appointment, link = await book_one(conn, clinic, start, now=now)
        await conn.execute("update patients set time_zone = 'Europe/Lisbon'")
        # What was moved to tomorrow can still be cancelled.
        await conn.execute("insert into expert_rules values ($1, 0, 0, 0, 0, 0, 12, 90, null, 0)", clinic.expert)
    assert (await press_join(client, secret=link.secret))[0] == 200
    return Booked(database, server.settings, clinic, appointment)


def text(mail: EmailMessage) -> str:
    body = mail.get_body(preferencelist=("plain",))
    assert body is not None
    return str(body.get_content())


def entry(mail: EmailMessage) -> tuple[str, Any]:
    """The calendar entry in a mail: its method and the event."""
    (part,) = [one for one in mail.walk() if one.get_content_type() == "text/calendar"]
    calendar = icalendar.Calendar.from_ical(part.get_payload(decode=True))
    (event,) = calendar.walk("VEVENT")
    return str(calendar["METHOD"]), event


def secret_in(mail: EmailMessage) -> str:
    found = re.search(r"/join#([\w-]{43})", text(mail))
    assert found is not None
    return found[1]


async def opens(server: Server, secret: str) -> bool:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(server.url, cookie_jar=jar, headers={"Accept": "text/html"}) as theirs:
        return (await press_join(theirs, secret=secret))[0] == 200


async def test_a_companion_with_an_address_is_invited_moved_and_cancelled_by_mail(
    server: Server, client: aiohttp.ClientSession, booked: Booked
) -> None:
    status, _page, _place = await send(client, PEOPLE, RUI, page=PEOPLE)
    assert status == 303
    page = text_of(await read(client, PEOPLE))
    assert "A mail with it is on its way to Rui Costa." in page or "Gets mails at r***@example.org" in page
    (invitation,) = await booked.mails()
    assert "You are invited to a video appointment" in str(invitation["Subject"])
    assert "You come as the interpreter." in text(invitation)
    assert await opens(server, secret_in(invitation))
    method, event = entry(invitation)
    assert (method, int(event["SEQUENCE"])) == ("REQUEST", 0)
    uid = str(event["UID"])

    _, place = await keep(client)
    assert (await say_yes(client, place))[0] == 303
    page = text_of(await read(client, "/visit/moved"))
    assert "Rui Costa gets a mail with a new link." in page and "needs a new link" not in page
    _, moved = await booked.mails()
    assert "has moved to" in str(moved["Subject"])
    method, event = entry(moved)
    assert (method, int(event["SEQUENCE"]), str(event["UID"])) == ("REQUEST", 1, uid)
    assert not await opens(server, secret_in(invitation)) and await opens(server, secret_in(moved))

    assert (await send(client, "/visit/cancel", {}, page="/visit/cancel"))[0] == 303
    *_, cancelled = await booked.mails()
    assert "does not take place" in text(cancelled) and "/join#" not in text(cancelled)
    method, event = entry(cancelled)
    assert (method, str(event["UID"])) == ("CANCEL", uid) and int(event["SEQUENCE"]) > 1
    for mail in (invitation, moved, cancelled):
        whole = mail.as_string() + text(mail) + str(entry(mail)[1].to_ical())
        assert not re.search("Ana|Ribeiro|Brandt|Lung|Neuro|Chemo", whole), "a mail is a postcard"


async def test_a_withdrawn_guest_is_told_and_the_address_is_forgotten(
    client: aiohttp.ClientSession, booked: Booked
) -> None:
    await send(client, PEOPLE, RUI, page=PEOPLE)
    await booked.mails()
    person = await booked.database.pool.fetchval("select person_id from guest_addresses")
    assert (await send(client, f"{PEOPLE}/{person}/withdraw", {}, page=PEOPLE))[0] == 303
    *_, told = await booked.mails()
    assert "You are no longer expected" in str(told["Subject"]) and "/join#" not in text(told)
    assert entry(told)[0] == "CANCEL"
    assert await booked.database.pool.fetchval("select count(*) from guest_addresses") == 0
    _, place = await keep(client)
    await say_yes(client, place)
    assert len(await booked.mails()) == 2


async def test_who_is_withdrawn_before_the_first_mail_gets_none(client: aiohttp.ClientSession, booked: Booked) -> None:
    await send(client, PEOPLE, RUI, page=PEOPLE)
    person = await booked.database.pool.fetchval("select person_id from guest_addresses")
    await send(client, f"{PEOPLE}/{person}/withdraw", {}, page=PEOPLE)
    assert await booked.mails() == []


async def test_staff_invites_by_mail_sends_further_links_and_corrects_the_address(
    client: aiohttp.ClientSession, booked: Booked
) -> None:
    await sign_in(client, "noor@clinic.example")
    page, place = f"/appointments/{booked.appointment.id}", f"/appointments/{booked.appointment.id}/guests"
    physician = {"guest_name": "Dr Lopes", "guest_role": "physician", "guest_email": "lopes@example.org"}
    assert (await send(client, place, physician, page=page))[0] == 303
    assert "Gets mails at lopes@example.org" in text_of(await read(client, page))
    (invitation,) = await booked.mails("lopes@example.org")
    assert "You come as the referring physician." in text(invitation)
    person = await booked.database.pool.fetchval("select person_id from guest_addresses")
    assert (await send(client, f"{place}/{person}/link", {}, page=page))[0] == 303
    _, further = await booked.mails("lopes@example.org")
    assert "new link" in str(further["Subject"]).lower() and secret_in(further) != secret_in(invitation)
    mail_id = await booked.database.pool.fetchval("select id from mails where audience = 'guest' order by queued_at")
    again = f"/messages/{mail_id}/again"
    assert (await send(client, again, {"email": "dr.lopes@example.org"}, page=again))[0] == 303
    assert len(await booked.mails("dr.lopes@example.org")) == 1
    assert await booked.database.pool.fetchval("select email from guest_addresses") == "dr.lopes@example.org"
    assert "Sent again by Noor Aziz" in text_of(await read(client, "/messages"))


@pytest.mark.parametrize("wrong", ["rui", "rui@@example.org", "a b@example.org", "rui@example.org\r\nBcc: x@y.z"])
async def test_an_address_that_cannot_be_is_refused_and_what_was_typed_stays(
    client: aiohttp.ClientSession, booked: Booked, wrong: str
) -> None:
    status, page, _ = await send(client, PEOPLE, RUI | {"guest_email": wrong}, page=PEOPLE)
    assert status == 422 and 'id="guest_email-wrong"' in page and "Rui Costa" in page
    await sign_in(client, "noor@clinic.example")
    place = f"/appointments/{booked.appointment.id}"
    status, page, _ = await send(client, f"{place}/guests", RUI | {"guest_email": wrong}, page=place)
    assert status == 422 and 'id="guest_email-wrong"' in page
    assert await booked.mails() == []


async def test_without_an_address_everything_is_as_it_was(client: aiohttp.ClientSession, booked: Booked) -> None:
    await send(client, PEOPLE, RUI | {"guest_email": ""}, page=PEOPLE)
    _, place = await keep(client)
    await say_yes(client, place)
    assert "needs a new link too" in text_of(await read(client, "/visit/moved"))
    assert await booked.database.pool.fetchval("select count(*) from mails where audience = 'guest'") == 0


async def test_a_guests_mail_is_in_the_patients_language(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    now, settings = utc_now(), make_settings()
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        await conn.execute("update patients set language = 'es'")
        appointment, _link = await book_one(conn, clinic, now + timedelta(days=9), now=now)
        link = await scheduling.invite_guest(
            conn, appointment.id, name="Rui", role="caregiver", email="rui@example.org", now=now
        )
        await notices.queue_guest(conn, appointment.id, link.invitation_id, now)
    (mail,) = await Booked(database, settings, clinic, appointment).mails()
    assert "le invita a una videocita" in text(mail)


async def test_a_guest_is_reminded_in_their_role_and_in_the_language_they_chose(
    server: Server, client: aiohttp.ClientSession, booked: Booked
) -> None:
    await send(client, PEOPLE, RUI, page=PEOPLE)
    (invitation,) = await booked.mails()
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(server.url, cookie_jar=jar, headers={"Accept": "text/html"}) as theirs:
        assert (await press_join(theirs, secret=secret_in(invitation)))[0] == 200
        assert (await send(theirs, "/visit/language", {"language": "es"}, page="/visit/language"))[0] == 303
    start = booked.appointment.starts_at
    async with booked.database.pool.acquire() as conn:
        for before in (timedelta(hours=23), timedelta(minutes=50)):
            await notices.queue_due(conn, start - before)
    day, hour = [one for one in await booked.mails() if "cita" in str(one["Subject"])]
    if "Recordatorio" not in str(day["Subject"]):
        day, hour = hour, day
    assert "Recordatorio: la videocita a la que viene" in str(day["Subject"]) and "intérprete" in text(day)
    assert "empieza dentro de una hora" in text(hour)
    for mail in (day, hour):
        assert await opens(server, secret_in(mail))
        whole = mail.as_string() + text(mail)
        assert not re.search("Ana|Ribeiro|Brandt|Lung|Neuro|Chemo", whole), "a mail is a postcard"
    own = await booked.mails("ana@example.org")
    assert any("Reminder: your video appointment" in str(one["Subject"]) for one in own), "the patient reads English"
