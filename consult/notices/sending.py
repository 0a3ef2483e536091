"""The worker's part: writes queued mails and sends them, tells the gateway for text messages, looks for what is due."""

from __future__ import annotations

import asyncio
import contextlib
import math
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import TypeAlias

import asyncpg
import structlog

from consult import jobs
from consult.db.pool import Connection
from consult.domain.clock import utc_now
from consult.domain.ids import StaffId
from consult.files import folder
from consult.log import facts_of
from consult.notices import occasion_queries, outbox, queries, reminders
from consult.notices.bounces import bounce_address
from consult.notices.entries import entry_for
from consult.notices.letters import Head, add_entry, write_letter, write_offer
from consult.notices.model import (
    Audience,
    Channel,
    Mail,
    MailId,
    MailKind,
    Occasion,
    OfferId,
    OfferToTell,
    PersonToTell,
)
from consult.notices.queueing import (
    EVENT_PAUSES,
    MAIL_PAUSES,
    SEND_EVENT,
    SEND_MAIL,
    SEND_NEW_LINKS,
    queue_due,
    queue_offer_event,
    send_new_links,
)
from consult.notices.webhooks import EventSender
from consult.scheduling import service as scheduling
from consult.scheduling.model import IssuedLink
from consult.settings import Settings
from consult.web.words import Languages, load_languages

log = structlog.get_logger()

LOOK_EVERY_S = 60.0
UNDER_WAY = timedelta(seconds=2 * outbox.SEND_WITHIN_S)  # a mail that was begun before then was given up
LOOK_AGAIN = timedelta(seconds=1)
MAILS_AT_ONCE = 4  # half of what a worker does at once: a mail server that takes long leaves the other half to others

# What `waiting` tells of an offer when its letter is written, None if it is over. It mints the offer's secret there.
FindOffer: TypeAlias = Callable[[Connection, uuid.UUID, datetime], Awaitable[OfferToTell | None]]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A mail that is written and begun. link: the new one in it. offer: what it tells of, if it does."""

    mail: Mail
    message: EmailMessage
    link: IssuedLink | None = None
    offer: OfferToTell | None = None


class MailSender:
    """Sends queued mails. Every failure is thrown on to the queue, which tries again, but refusals for good."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        settings: Settings,
        languages: Languages,
        *,
        find_offer: FindOffer | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._languages = languages
        self._find_offer = find_offer
        self._clock = clock

    async def __call__(self, payload: jobs.Payload) -> None:
        ready = await self._prepare(MailId(uuid.UUID(payload["mail_id"])))
        if ready is None:
            return
        mail = ready.mail
        bounces_to = bounce_address(self._settings.mail_bounces, mail.id) if self._settings.mail_bounces else None
        try:
            await outbox.send(ready.message, file_name=mail.file_name, settings=self._settings, bounces_to=bounces_to)
        except outbox.MailRefused as refused:
            async with self._taken_back(ready) as conn:
                await queries.update_bounced(conn, mail.id, refused.status, self._clock(), tries=1)
            log.warning("mail.bounced", mail=str(mail.id), status=refused.status)
            return
        except (outbox.MailNotSent, OSError, TimeoutError) as error:
            failure = str(error) if isinstance(error, outbox.MailNotSent) else type(error).__name__
            async with self._taken_back(ready) as conn:
                await queries.update_failed(conn, mail.id, failure, self._clock())
            raise
        except BaseException:  # the worker stops: the next one need not wait
            async with self._taken_back(ready):
                pass
            raise
        async with self._pool.acquire() as conn, conn.transaction():
            await queries.update_handed_over(conn, mail.id, self._clock())
            if ready.offer is not None and mail.offer_id is not None and self._settings.webhook_url is not None:
                await queue_offer_event(conn, mail.offer_id, ready.offer, self._clock())
        log.info("mail.sent", mail=str(mail.id), kind=mail.kind.value)

    async def _prepare(self, mail_id: MailId) -> _Ready | None:
        """Write a mail and say that it is being handed over, None if it is not needed any more.

        That is done before the mail server is asked, in a transaction of its own: a server that takes long keeps nobody
        from moving the appointment. What else is to be sent to the same reader waits, so that mails come in order.
        """
        for _ in range(math.ceil(UNDER_WAY / LOOK_AGAIN) + 1):
            now = self._clock()
            async with self._pool.acquire() as conn, conn.transaction():
                if await queries.lock_for_person(conn, mail_id, now - UNDER_WAY):
                    return await self._write(conn, mail_id, now)
            await asyncio.sleep(LOOK_AGAIN.total_seconds())
        raise outbox.MailNotSent("UnderWay")

    async def _write(self, conn: Connection, mail_id: MailId, now: datetime) -> _Ready | None:
        mail = await queries.fetch_mail(conn, mail_id)
        if mail is None or mail.is_settled:
            return None
        if mail.offer_id is not None:
            return await self._write_offer(conn, mail, mail.offer_id, now)
        return await self._write_letter(conn, mail, now)

    @contextlib.asynccontextmanager
    async def _taken_back(self, ready: _Ready) -> AsyncIterator[Connection]:
        """A transaction in which a mail that did not go out has left no link behind."""
        async with self._pool.acquire() as conn, conn.transaction():
            await queries.update_taken_back(conn, ready.mail.id)
            if ready.link is not None:
                await scheduling.forget_link(conn, ready.link.invitation_id)
            yield conn

    async def _write_letter(self, conn: Connection, mail: Mail, now: datetime) -> _Ready | None:
        """Return the mail about an appointment, None if it is not needed any more."""
        assert mail.appointment_id is not None
        occasion = await occasion_queries.fetch_occasion(conn, mail.appointment_id)
        told = await queries.fetch_told_sequence(conn, mail)
        why_not = reminders.OVER if occasion is None else reminders.why_not(mail, occasion, told, now)
        if why_not is not None or occasion is None:
            await queries.update_dropped(conn, mail.id, why_not or "", now)
            return None
        person = await _reader(conn, occasion, mail)
        link: IssuedLink | None = None
        if mail.audience is not Audience.EXPERT and mail.kind is not MailKind.CANCELLATION:
            is_guest = mail.audience is Audience.GUEST
            guest = scheduling.Guest(person.name, person.role, uuid.UUID(mail.person)) if is_guest else None
            link = await scheduling.issue_link(conn, occasion.appointment_id, now=now, guest=guest)
        head = self._head(mail, person.language, mail.recipient, now)
        message = write_letter(head, occasion, person, link)
        sequence = None
        if mail.kind.has_entry:
            cancelled = mail.kind is MailKind.CANCELLATION
            # Whatever a program has, it takes a cancellation only from a higher number on.
            sequence = max(occasion.sequence, -1 if told is None else told + 1) if cancelled else occasion.sequence
            entry = entry_for(
                occasion,
                person,
                words=head.words,
                settings=self._settings,
                sequence=sequence,
                is_cancelled=cancelled,
                changed_at=now,
                asked_to_come=True,
            )
            add_entry(message, entry, head.words.language)
        await queries.update_begun(
            conn,
            mail.id,
            now,
            recipient=mail.recipient,
            person=mail.person or person.person,
            sequence=sequence,
            invitation_id=link.invitation_id if link else None,
        )
        return _Ready(mail, message, link)

    async def _write_offer(self, conn: Connection, mail: Mail, offer_id: OfferId, now: datetime) -> _Ready | None:
        offer = None if self._find_offer is None else await self._find_offer(conn, offer_id, now)
        if offer is None or not offer.address or now >= offer.expires_at:
            await queries.update_dropped(conn, mail.id, reminders.OFFER_OVER, now)
            return None
        await queries.update_begun(conn, mail.id, now, recipient=offer.address, person=str(offer.patient_id))
        letter = write_offer(self._head(mail, offer.language, offer.address, now), offer)
        return _Ready(mail, letter, offer=offer)

    def _head(self, mail: Mail, language: str, recipient: str, now: datetime) -> Head:
        return Head(mail.id, mail.kind, self._languages.of(language), self._settings, recipient, now)


async def _reader(conn: Connection, occasion: Occasion, mail: Mail) -> PersonToTell:
    """Return whom a mail is for, at the address that it was queued for."""
    person = occasion.patient
    if mail.audience is Audience.EXPERT:
        found = next((one for one in occasion.experts if one.person == mail.person), None)
        person = found or await occasion_queries.fetch_staff(conn, StaffId(int(mail.person))) or person
    elif mail.audience is Audience.GUEST:
        gone = replace(person, audience=Audience.GUEST, person=mail.person)
        person = next((one for one in occasion.guests if one.person == mail.person), gone)
    return replace(person, address=mail.recipient)


def register_jobs(
    worker: jobs.Jobs,
    *,
    pool: asyncpg.Pool[asyncpg.Record],
    settings: Settings,
    find_offer: FindOffer | None = None,
) -> None:
    """Give the worker what this feature does later."""

    async def do_send_new_links(payload: jobs.Payload) -> None:
        async with pool.acquire() as conn, conn.transaction():
            await send_new_links(conn, payload, utc_now())

    languages = load_languages(folder("locale"), settings.languages)
    send = MailSender(pool, settings, languages, find_offer=find_offer)
    worker.handle(SEND_MAIL, send, most_at_once=MAILS_AT_ONCE, pauses=MAIL_PAUSES)
    worker.handle(SEND_NEW_LINKS, do_send_new_links)
    worker.handle(SEND_EVENT, EventSender(pool, settings), pauses=EVENT_PAUSES)


async def keep_reminding(
    pool: asyncpg.Pool[asyncpg.Record], settings: Settings, *, clock: Callable[[], datetime] = utc_now
) -> None:
    """Queue what is due, for as long as the worker lives."""
    channels = [Channel.MAIL, *([Channel.WEBHOOK] if settings.webhook_url else [])]
    while True:
        try:
            async with pool.acquire() as conn:
                queued = await queue_due(conn, clock(), channels=channels)
            if queued:
                log.info("reminders.queued", count=queued)
        except Exception as error:
            log.error("reminders.failed", **facts_of(error))
        await asyncio.sleep(LOOK_EVERY_S)
