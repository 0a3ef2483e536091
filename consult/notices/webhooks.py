"""Events for a gateway that sends text messages, signed as Standard Webhooks: whom to tell what kind of thing.

The gateway writes the words. It gets no name, no link and nothing clinical. Its address is the operator's choice;
unless they say so, no connection is opened to an address of their own network, whatever a name resolves to and however
an address is written: it is looked at where the socket is made.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import socket
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import aiohttp
import asyncpg
import structlog
from aiohttp.resolver import ThreadedResolver

from consult import jobs
from consult.domain.clock import utc_now
from consult.domain.ids import AppointmentId
from consult.notices import occasion_queries, queries, reminders
from consult.notices.model import Audience, Channel, Mail, MailId, MailKind, PersonToTell
from consult.settings import Settings

log = structlog.get_logger()

EVENT = "message.due"
ANSWER_WITHIN_S = 10.0
GONE_STATUS = 410  # the receiver wants no more of these (Standard Webhooks)
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: how a host without IPv4 reaches one


class EventNotTaken(Exception):
    """The gateway did not take an event. Its text is the status or the kind of the cause alone."""


class EventRefused(EventNotTaken):
    """The gateway wants this event never again."""


def sign(secret: str, event_id: str, at: datetime, body: bytes) -> str:
    """Return the value of `webhook-signature`. secret: `whsec_` and the key in base64."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{event_id}.{int(at.timestamp())}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


async def deliver(settings: Settings, event_id: str, body: bytes, now: datetime) -> None:
    """Hand an event over. Raises EventRefused, EventNotTaken."""
    assert settings.webhook_url is not None
    assert settings.webhook_secret is not None
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Consult",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": sign(settings.webhook_secret, event_id, now, body),
    }
    socket_factory = None if settings.webhook_private else _public_socket
    try:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=ThreadedResolver(), limit=4, socket_factory=socket_factory),
                timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            ) as client,
            client.post(settings.webhook_url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            status = answer.status  # what it says besides is not read
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise EventNotTaken(type(error).__name__) from None
    if status == GONE_STATUS:
        raise EventRefused(str(status))
    if not 200 <= status < 300:
        raise EventNotTaken(str(status))


class EventSender:
    """Tells the gateway. A failure is thrown on to the queue, which tries again with the same id."""

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], settings: Settings, *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._clock = clock

    async def __call__(self, payload: jobs.Payload) -> None:
        if self._settings.webhook_url is None:
            return
        mail_id = MailId(uuid.UUID(payload["mail_id"]))
        if "appointment_id" in payload:
            async with self._pool.acquire() as conn:
                await self._enter(conn, mail_id, payload)
        try:
            async with self._pool.acquire() as conn, conn.transaction():
                await self._send(conn, mail_id, self._clock())
        except EventRefused as refused:
            async with self._pool.acquire() as conn:
                await queries.update_bounced(conn, mail_id, str(refused), self._clock(), tries=1)
        except EventNotTaken as error:
            async with self._pool.acquire() as conn:
                await queries.update_failed(conn, mail_id, str(error), self._clock())
            raise

    async def _enter(self, conn: Any, mail_id: MailId, payload: jobs.Payload) -> None:
        """Write down that it is to be told, the first time."""
        appointment_id = AppointmentId(uuid.UUID(payload["appointment_id"]))
        occasion = await occasion_queries.fetch_occasion(conn, appointment_id)
        if occasion is not None:
            await queries.insert_mail(
                conn,
                mail_id=mail_id,
                appointment_id=appointment_id,
                kind=MailKind(payload["kind"]),
                channel=Channel.WEBHOOK,
                audience=Audience.PATIENT,
                person=occasion.patient.person,
                recipient=occasion.patient_phone,
                now=self._clock(),
            )

    async def _send(self, conn: Any, mail_id: MailId, now: datetime) -> None:
        mail = await queries.lock_mail(conn, mail_id)
        if mail is None or mail.is_settled:
            return
        body = await self._write(conn, mail, now)
        if body is None:
            return
        await queries.update_sent(conn, mail.id, now, recipient=mail.recipient, person=mail.person)
        await deliver(self._settings, f"msg_{mail.id.hex}", body, now)
        log.info("event.sent", mail=str(mail_id), kind=mail.kind.value)

    async def _write(self, conn: Any, mail: Mail, now: datetime) -> bytes | None:
        """Return the event, None if it is not needed any more. Every try has the same bytes if nothing changed."""
        if mail.appointment_id is None:
            return await self._write_offer(conn, mail, now)
        occasion = await occasion_queries.fetch_occasion(conn, mail.appointment_id)
        why_not = reminders.OVER if occasion is None else reminders.why_not(mail, occasion, None, now)
        if occasion is None or why_not is not None:
            await queries.update_dropped(conn, mail.id, why_not or "", now)
            return None
        return _body(mail, occasion.patient, occasion.number, occasion.starts_at)

    async def _write_offer(self, conn: Any, mail: Mail, now: datetime) -> bytes | None:
        patient = None if mail.offer_id is None else await occasion_queries.fetch_offered(conn, mail.offer_id, now)
        if patient is None or mail.about_at is None:
            await queries.update_dropped(conn, mail.id, reminders.OFFER_OVER, now)
            return None
        return _body(mail, patient, None, mail.about_at)


def _body(mail: Mail, person: PersonToTell, number: int | None, starts_at: datetime) -> bytes:
    data: dict[str, Any] = {
        "kind": mail.kind.value,
        "language": person.language,
        "appointment": number,
        "starts_at": _written(starts_at),
        "time_zone": person.time_zone,
        "phone": mail.recipient or None,
    }
    event = {"type": EVENT, "timestamp": _written(mail.queued_at), "data": data}
    return json.dumps(event, separators=(",", ":")).encode()


def _written(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def is_public(address: str) -> bool:
    """Whether an address is one of the Internet. Of IPv6 what is handed out there, and NAT64 of such an IPv4."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # 127.1 is no address to us, but is one to the system
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast
    if ip in _NAT64:
        return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
    return ip in _GLOBAL_UNICAST and ip.is_global and ip.sixtofour is None  # 6to4 is out of use: RFC 7526


def _public_socket(info: aiohttp.AddrInfoType) -> socket.socket:
    """Return a socket for an address that is about to be connected to. Raises OSError if it is not a public one."""
    family, kind, protocol, _name, place = info
    if not is_public(place[0]):
        raise OSError("not a public address")
    return socket.socket(family, kind, protocol)
