"""Events for a gateway: signed as an independent implementation verifies, tried again, sent once, nowhere private."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from consult.domain.clock import utc_now
from consult.files import folder
from consult.notices import service as notices
from consult.notices.queueing import EVENT_PAUSES
from consult.notices.webhooks import EventNotTaken, EventSender, sign
from consult.scheduling import service as scheduling
from consult.settings import Settings, SettingsWrong
from consult.waiting import service as waiting
from consult.waiting.model import Offer as WaitOffer
from consult.web.words import load_languages
from tests.conftest import Database, Server, free_port
from tests.integration.clinic import book_one, open_clinic
from tests.integration.pages import proof, read, send, sign_in
from tests.integration.waiters import Told, free_slots, offer, put_on_list

LANGUAGES = load_languages(folder("locale"), ("en", "es"))
KEY = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@dataclass(slots=True)
class Gateway:
    """A real HTTP server. statuses: what the next requests are answered with, then 204."""

    url: str
    statuses: list[int] = field(default_factory=list)
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.taken.append((dict(request.headers), await request.read()))
        status = self.statuses.pop(0) if self.statuses else 204
        headers = {"Location": "/elsewhere"} if status == 302 else {}
        return web.Response(status=status, headers=headers)

    def events(self) -> list[Any]:
        """What came, as the independent implementation verifies it."""
        return [Webhook(KEY).verify(body, {name.lower(): value for name, value in headers.items()})
                for headers, body in self.taken]  # fmt: skip


@contextlib.asynccontextmanager
async def gateway() -> AsyncIterator[Gateway]:
    port = free_port()
    found = Gateway(f"http://127.0.0.1:{port}/hooks")
    app = web.Application()
    app.router.add_post("/hooks", found.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield found
    finally:
        await runner.cleanup()


async def book(database: Database, *, hours: float = 200, phone: str = "+351912345678") -> Any:
    now = utc_now()
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        await conn.execute("update patients set phone = $1, language = 'es', time_zone = 'Europe/Lisbon'", phone)
        appointment, _link = await book_one(conn, clinic, now + timedelta(hours=hours), now=now)
        await notices.queue_invitation(conn, appointment.id, now)
    return appointment


async def payloads(database: Database) -> list[dict[str, str]]:
    rows = await database.pool.fetch("select payload from pgqueuer where entrypoint = 'send_event' order by id")
    return [json.loads(row["payload"]) for row in rows]


async def test_an_event_says_what_a_gateway_needs_and_its_signature_is_right(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    appointment = await book(database)
    async with gateway() as there:
        settings = make_settings(webhook_url=there.url, webhook_secret=KEY, webhook_private=True)
        send = EventSender(database.pool, settings)
        for payload in await payloads(database):
            await send(payload)
            await send(payload)  # a job may run twice
        (event,) = there.events()
        (headers, body) = there.taken[0]
    assert event["type"] == "message.due"
    assert event["data"] == {
        "kind": "invitation",
        "language": "es",
        "appointment": appointment.number,
        "starts_at": appointment.starts_at.isoformat().replace("+00:00", "Z"),
        "time_zone": "Europe/Lisbon",
        "phone": "+351912345678",
    }
    for hidden in (b"Ana", b"Ribeiro", b"Lung", b"Brandt", b"ana@example.org", b"join#"):
        assert hidden not in body
    forged = {name.lower(): value for name, value in headers.items()}
    with pytest.raises(WebhookVerificationError):
        Webhook(KEY).verify(body + b" ", forged)
    with pytest.raises(WebhookVerificationError):
        Webhook(KEY).verify(body, forged | {"webhook-id": "msg_other"})


def test_our_signature_is_that_of_the_independent_implementation() -> None:
    now, body = utc_now(), '{"type":"message.due","ü":"ñ"}'
    assert sign(KEY, "msg_1", now, body.encode()) == Webhook(KEY).sign("msg_1", now, body)


@pytest.mark.parametrize("status", [500, 429, 404, 302])
async def test_a_refused_event_is_tried_again_with_the_same_id_and_body(
    database: Database, make_settings: Callable[..., Settings], status: int
) -> None:
    await book(database)
    async with gateway() as there:
        settings = make_settings(webhook_url=there.url, webhook_secret=KEY, webhook_private=True)
        send, (payload,) = EventSender(database.pool, settings), await payloads(database)
        there.statuses = [status]
        with pytest.raises(EventNotTaken, match=str(status)):
            await send(payload)
        row = await database.pool.fetchrow("select * from mails where channel = 'webhook'")
        assert (row["sent_at"], row["failure"], row["tries"]) == (None, str(status), 1)
        await send(payload)
        assert len(there.events()) == 2
        (first, second) = there.taken
    assert first[0]["webhook-id"] == second[0]["webhook-id"] == f"msg_{row['id'].hex}"
    assert first[1] == second[1]
    assert await database.pool.fetchval("select sent_at is not null from mails where channel = 'webhook'")


async def test_gone_ends_the_event_and_an_unreachable_gateway_does_not(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    await book(database)
    (payload,) = await payloads(database)
    nowhere = make_settings(webhook_url=f"http://127.0.0.1:{free_port()}/", webhook_secret=KEY, webhook_private=True)
    with pytest.raises(EventNotTaken):
        await EventSender(database.pool, nowhere)(payload)
    async with gateway() as there:
        there.statuses = [410]
        settings = make_settings(webhook_url=there.url, webhook_secret=KEY, webhook_private=True)
        for _ in range(2):
            await EventSender(database.pool, settings)(payload)
        assert len(there.taken) == 1
    assert await database.pool.fetchval("select bounced_at is not null from mails where channel = 'webhook'")


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:{port}/",
        "https://localhost:{port}/",
        "https://[::1]:{port}/",
        "https://10.0.0.1/",
        "https://[::ffff:127.0.0.1]:{port}/",
        "https://\uff11\uff12\uff17.0.0.1:{port}/",  # digits as wide as letters, which address libraries make plain
        "https://0x7f.1:{port}/",
        "https://127.1:{port}/",
    ],
)
async def test_no_connection_is_opened_to_a_private_address_unless_the_operator_says_so(
    database: Database, make_settings: Callable[..., Settings], url: str
) -> None:
    await book(database)
    (payload,) = await payloads(database)
    opened: list[bool] = []

    def note(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(True)
        writer.close()

    async with await asyncio.start_server(note, "127.0.0.1", 0) as there:
        port = there.sockets[0].getsockname()[1]
        settings = make_settings(webhook_url=url.format(port=port), webhook_secret=KEY)
        with pytest.raises(EventNotTaken):
            await EventSender(database.pool, settings)(payload)
        assert opened == []
        settings = make_settings(webhook_url=f"https://127.0.0.1:{port}/", webhook_secret=KEY, webhook_private=True)
        with pytest.raises(EventNotTaken):
            await EventSender(database.pool, settings)(payload)
        assert opened, "there is somebody to connect to"


async def test_an_event_that_was_given_up_is_sent_again_by_a_button(
    server: Server, client: aiohttp.ClientSession, database: Database, make_settings: Callable[..., Settings]
) -> None:
    appointment = await book(database)
    await database.pool.execute("update patients set phone = '+351900000000'")  # corrected meanwhile
    async with gateway() as there:
        settings = make_settings(webhook_url=there.url, webhook_secret=KEY, webhook_private=True)
        send_event = EventSender(database.pool, settings)
        (first,) = await payloads(database)
        there.statuses[:] = [500] * (len(EVENT_PAUSES) + 1)
        for _ in there.statuses[:]:
            with pytest.raises(EventNotTaken):
                await send_event(first)
        await sign_in(client, "noor@clinic.example")
        page = await read(client, "/messages?show=failed")
        assert "It was tried many times and given up." in page
        again = f"/messages/{first['mail_id']}/again"
        assert f'action="{again}"' in page
        async with client.post(again, data={}, allow_redirects=False) as answer:
            assert answer.status == 403, "without proof"
        assert (await send(client, again, {}, page="/messages"))[0] == 303
        _, second = await payloads(database)
        await send_event(second)
        assert there.events()[-1]["data"]["phone"] == "+351900000000"
        page = await read(client, "/messages?show=sent")
        assert "Sent again by Noor Aziz" in page
        assert f'action="/messages/{second["mail_id"]}/again"' not in page, "a text message is not sent twice"
        assert (await send(client, f"/messages/{second['mail_id']}/again", {}, page="/messages"))[0] == 422
        assert len(await payloads(database)) == 2
    async with database.pool.acquire() as conn:
        await scheduling.cancel(conn, appointment.id, utc_now())
    status, page, _ = await send(client, again, {}, page="/messages")
    assert status == 422 and "what it was about is over" in page
    await client.post("/sign-out", data={"csrf": await proof(client, "/messages")}, allow_redirects=False)
    await sign_in(client, "brandt@clinic.example")
    assert (await send(client, again, {}, page="/today"))[0] == 403


async def test_without_a_gateway_nothing_is_written_down(database: Database, settings: Settings) -> None:
    await book(database)
    (payload,) = await payloads(database)
    await EventSender(database.pool, settings)(payload)
    assert await database.pool.fetchval("select count(*) from mails where channel = 'webhook'") == 0


async def test_an_event_about_an_appointment_that_was_cancelled_meanwhile_is_dropped(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    appointment = await book(database, phone="")
    async with database.pool.acquire() as conn:
        await scheduling.cancel(conn, appointment.id, utc_now())
        await notices.queue_cancellation(conn, appointment.id, utc_now())
    async with gateway() as there:
        settings = make_settings(webhook_url=there.url, webhook_secret=KEY, webhook_private=True)
        for payload in await payloads(database):
            await EventSender(database.pool, settings)(payload)
        (event,) = there.events()
    assert (event["data"]["kind"], event["data"]["phone"]) == ("cancellation", None)


async def make_offer(database: Database, settings: Settings) -> WaitOffer:
    """Somebody is offered a time by mail; the event about it waits."""
    now = utc_now()
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        await put_on_list(conn, clinic, "Ana", now=now)
        await conn.execute("update patients set phone = '+351912345678', language = 'es', time_zone = 'Europe/Lisbon'")
        slot = (await free_slots(conn, clinic.expert, now, days=9))[-1]
        (made,) = await offer(conn, clinic, slot, Told(), now=now)
        await notices.queue_offer(conn, made.offer.id, now)
    mail_id = await database.pool.fetchval("select id from mails where kind = 'offer'")
    send = notices.MailSender(database.pool, settings, LANGUAGES, find_offer=waiting.tell_of_offer)
    for _ in range(2):
        await send({"mail_id": str(mail_id)})
    return made.offer


async def test_an_offer_goes_out_by_mail_with_its_link_and_is_told_to_the_gateway_without(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    async with gateway() as there:
        settings = make_settings(webhook_url=there.url, webhook_secret=KEY, webhook_private=True)
        made = await make_offer(database, settings)
        (letter,) = [one.read_bytes() for one in settings.outbox.glob("*.eml")]
        secret = re.search(rb"/offer#([\w-]{43})", letter.replace(b"=\r\n", b""))
        assert secret is not None
        assert await database.pool.fetchval("select count(*) from wait_offer_links") == 1
        await EventSender(database.pool, settings)((await payloads(database))[-1])
        (event,) = there.events()
        assert secret[1] not in there.taken[0][1] and b"offer#" not in there.taken[0][1]
    assert event["data"] == {
        "kind": "offer",
        "language": "es",
        "appointment": None,
        "starts_at": made.during.starts_at.isoformat().replace("+00:00", "Z"),
        "time_zone": "Europe/Lisbon",
        "phone": "+351912345678",
    }


async def test_an_offer_to_somebody_whose_zone_is_not_known_is_told_in_that_of_the_expert_as_its_mail_does(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    async with gateway() as there:
        settings = make_settings(webhook_url=there.url, webhook_secret=KEY, webhook_private=True)
        await make_offer(database, settings)
        await database.pool.execute("update patients set time_zone = null")
        await EventSender(database.pool, settings)((await payloads(database))[-1])
        (event,) = there.events()
    expert_zone = await database.pool.fetchval("select time_zone from staff s join wait_offers o on o.expert_id = s.id")
    assert event["data"]["time_zone"] == expert_zone
    assert expert_zone != "UTC"


async def test_the_event_of_an_offer_is_sent_again_by_a_button_while_the_offer_is_open(
    server: Server, client: aiohttp.ClientSession, database: Database, make_settings: Callable[..., Settings]
) -> None:
    async with gateway() as there:
        settings = make_settings(webhook_url=there.url, webhook_secret=KEY, webhook_private=True)
        made = await make_offer(database, settings)
        send_event = EventSender(database.pool, settings)
        there.statuses[:] = [410]
        (first,) = await payloads(database)
        await send_event(first)
        await database.pool.execute("update patients set phone = '+351900000000'")  # corrected meanwhile
        await sign_in(client, "noor@clinic.example")
        again = f"/messages/{first['mail_id']}/again"
        page = await read(client, "/messages?show=bounced")
        assert f'action="{again}"' in page
        assert "It goes to the gateway for text messages" in await read(client, again)
        assert (await send(client, again, {}, page="/messages"))[0] == 303
        await send_event((await payloads(database))[-1])
        assert there.events()[-1]["data"]["phone"] == "+351900000000"
        assert "Sent again by Noor Aziz" in await read(client, "/messages?show=sent")

        assert (await send(client, again, {}, page="/messages"))[0] == 303
        await database.pool.execute("update wait_offers set ended_at = $1, outcome = 'declined'", utc_now())
        late = (await payloads(database))[-1]
        await send_event(late)
        assert len(there.taken) == 2, "an offer that is over is not told of"
        row = await database.pool.fetchrow("select * from mails where id = $1", uuid.UUID(late["mail_id"]))
        assert (row["failure"], row["offer_id"], row["sent_at"]) == ("offer_over", made.id, None)
        status, page, _ = await send(client, again, {}, page="/messages")
        assert status == 422 and "what it was about is over" in page
        mail = await database.pool.fetchval("select id from mails where channel = 'mail' and kind = 'offer'")
        assert (await send(client, f"/messages/{mail}/again", {}, page="/messages"))[0] in (404, 422)


@pytest.mark.parametrize(
    "given",
    [
        {"webhook_url": "https://gateway.example.org/"},
        {"webhook_url": "https://gateway.example.org/", "webhook_secret": "whsec_short"},
        {"webhook_url": "https://gateway.example.org/", "webhook_secret": KEY.removeprefix("whsec_")},
        {"webhook_url": "http://gateway.example.org/", "webhook_secret": KEY},
        {"webhook_url": "gateway", "webhook_secret": KEY},
        {"webhook_url": "ftp://gateway.example.org/", "webhook_secret": KEY},
        {"mail_bounces": "bounces+x@clinic.example"},
        {"mail_bounces": "bounces"},
    ],
)
def test_settings_that_cannot_work_are_refused(make_settings: Callable[..., Settings], given: dict[str, str]) -> None:
    with pytest.raises(SettingsWrong):
        make_settings(**given)
