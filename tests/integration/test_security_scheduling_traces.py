"""What is done about times leaves no secret in any row, and nobody's name in the log, mails and entries (20)."""

from __future__ import annotations

import base64
import contextlib
import email
import email.policy
import io
import json
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from consult import log
from consult.domain.clock import utc_now
from consult.files import folder
from consult.keys import POOL
from consult.notices import service as notices
from consult.notices.webhooks import EventNotTaken, EventSender
from consult.waiting import service as waiting
from consult.web.words import load_languages
from tests.conftest import Database, Server
from tests.integration.pages import read, send, sign_in
from tests.integration.test_messages import address_of
from tests.integration.test_security_traces import every_row
from tests.integration.test_visit_changes import CANCEL, Booked, booked, browser, keep, say_yes
from tests.integration.test_visit_people import PEOPLE, bring, secret_in
from tests.integration.waiters import USUAL, Told, free_slots

__all__ = ["booked"]

LANGUAGES = load_languages(folder("locale"), ("en", "es"))
KEY = "whsec_" + base64.b64encode(bytes(range(32))).decode()
NAMES = (
    "Ana",
    "Ribeiro",
    "Rui",
    "Ines",
    "Brandt",
    "Sabine",
    "Okafor",
    "Noor",
    "example.org",
    "clinic.example",
    "Lisbon",
)
CLINICAL = ("Lung", "cancer", "surgery", "biopsy", "Headache", "Neuroradiology", "Glioma", "Portuguese")


@dataclass(slots=True)
class Journey:
    """secrets: everything that opens something, as it passed."""

    server: Server
    booked: Booked
    secrets: list[str] = field(default_factory=list)

    async def as_patient(self, client: aiohttp.ClientSession) -> None:
        """Another time, needs, a companion, the link again; then off, and a wish."""
        _page, place = await keep(client)
        assert (await say_yes(client, place))[0] == 303
        needs = {"needs": "interpreter", "needs_note": "Portuguese, the Headache is bad"}
        assert (await send(client, "/visit/needs", needs, page="/visit/needs"))[0] == 303
        self.secrets.append(secret_in(await bring(client, "Rui Ribeiro")))
        guest = {"guest_name": "Ines Ribeiro", "guest_role": "interpreter", "guest_email": "ines@example.org"}
        assert (await send(client, PEOPLE, guest, page=PEOPLE))[0] == 303
        assert (await send(client, "/visit/link", {}, page="/visit/link"))[0] == 200
        for path in ("/visit/calendar.ics", "/visit/moved", "/visit/move/nothing", "/visit/move?day=Headache"):
            async with client.get(path) as answer:
                await answer.read()
        self.secrets += [cookie.value for cookie in client.cookie_jar if cookie.key == "consult_visit"]
        await self.deliver()
        assert (await send(client, CANCEL, {"reason": "A biopsy, says Ana"}, page=CANCEL))[0] == 303
        wish = {"wish": "After surgery. Ana Ribeiro"}
        assert (await send(client, "/visit/cancelled", wish, page="/visit/cancelled"))[0] == 303

    async def as_scheduler(self, client: aiohttp.ClientSession) -> None:
        case = self.booked.clinic.case
        await sign_in(client, "noor@clinic.example")
        condition = {"name": "Glioma of Ana", "specialty": "", "new_specialty": "Neuroradiology", "icd10": "C71"}
        await send(client, "/conditions", condition, page="/conditions")
        wanted = {"kind": "first_review", "weekdays": "0", "note": "Ana Ribeiro, Lung cancer"}
        wanted_days = [("weekdays", str(day)) for day in range(7)]
        fields = [(name, value) for name, value in wanted.items() if name != "weekdays"] + wanted_days
        assert (await send(client, f"/cases/{case}/waiting", fields))[0] == 303
        for path in ("/board", f"/cases/{case}/experts?only=Ribeiro", "/waiting", "/messages?number=Ana"):
            await read(client, path)

    async def as_expert(self, client: aiohttp.ClientSession) -> None:
        """A calendar, read as programs do, and guessed at."""
        await sign_in(client, "brandt@clinic.example")
        address = await address_of(client)
        self.secrets.append(address.split("/")[2].removesuffix(".ics"))
        assert "Consultation" in await read(client, address)
        await read(client, f"/calendar/{'Ribeiro' * 6}x.ics", status=404)

    async def take_offer(self, client: aiohttp.ClientSession) -> None:
        now, told, clinic = utc_now(), Told(), self.booked.clinic
        async with self.server.app[POOL].acquire() as conn:
            slot = (await free_slots(conn, clinic.expert, now, days=9))[-1]
            (made,) = await waiting.offer_freed(conn, clinic.expert, slot, usual=USUAL, now=now, tell=told)
            secret = await told.secret_of(conn, made, now)
            await notices.queue_offer(conn, made, now)
        self.secrets.append(secret)
        await self.deliver()
        assert (await send(client, "/offer", {"secret": secret[:-1] + "-"}, page="/offer"))[0] == 410
        assert (await send(client, "/offer", {"secret": secret}, page="/offer"))[0] == 200
        answer = {"secret": secret, "answer": "take"}
        assert (await send(client, "/offer/answer", answer, page="/offer"))[0] == 200

    async def deliver(self) -> None:
        """Do what the worker does with everything that was queued: mails go out, events fail."""
        pool, settings = self.server.app[POOL], self.server.settings
        sender = notices.MailSender(pool, settings, LANGUAGES, find_offer=waiting.tell_of_offer)
        for row in await pool.fetch("select id from mails where channel = 'mail' order by queued_at"):
            await sender({"mail_id": str(row["id"])})
        gateway = settings.model_copy(update={"webhook_url": "https://127.0.0.1:9/", "webhook_secret": KEY})
        for row in await pool.fetch("select payload from pgqueuer where entrypoint = 'send_event' order by id"):
            with contextlib.suppress(EventNotTaken):
                await EventSender(pool, gateway)(json.loads(row["payload"]))

    def sent(self) -> list[Any]:
        found = sorted(self.server.settings.outbox.glob("*.eml"))
        return [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in found]


async def test_what_is_done_about_times_leaves_no_secret_and_nobodys_name(
    server: Server, database: Database, client: aiohttp.ClientSession, booked: Booked
) -> None:
    journey = Journey(server, booked, [booked.link.secret, booked.link.code])
    written = io.StringIO()
    log.set_up_log("json", written)
    try:
        await journey.as_patient(client)
        for walk in (journey.as_scheduler, journey.as_expert, journey.take_offer):
            async with browser(server) as other:
                await walk(other)
        await journey.deliver()
    finally:
        log.set_up_log()
    lines = written.getvalue()
    assert lines.count('"event": "request"') > 30 and '"event": "mail.sent"' in lines, "the journey was logged"
    rows = await every_row(database)
    for secret in journey.secrets:
        assert secret not in lines, "a secret is in the log"
        assert secret not in rows, "only hashes are kept"
    for word in (*NAMES, *CLINICAL):
        assert word not in lines, word
    mails = journey.sent()
    assert len(mails) >= 7 and any(mail["To"] == "ines@example.org" for mail in mails)
    for mail in mails:
        parts = [str(part.get_content()) for part in mail.walk() if part.get_content_maintype() == "text"]
        files = [part.get_content().decode() for part in mail.walk() if part.get_content_subtype() == "ics"]
        told = "\n".join([str(mail["Subject"]), *parts, *files])
        for word in (*NAMES[:8], *CLINICAL):
            assert word not in told, (word, mail["Subject"])
        for entry in [*files, *(part for part in parts if part.startswith("BEGIN:VCALENDAR"))]:
            assert not any(secret in entry.replace("\r\n ", "") for secret in journey.secrets)
            assert "/join#" not in entry.replace("\r\n ", "")
