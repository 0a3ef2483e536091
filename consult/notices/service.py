"""Mails to patients: queued with the change they tell of, written and sent by a job.

The job makes the mail's link itself when it runs, so that no secret waits in the queue or the database.
"""

from __future__ import annotations

import asyncio
import uuid
from datetime import datetime

import asyncpg
import structlog

from consult import jobs
from consult.domain.clock import utc_now
from consult.domain.ids import AppointmentId
from consult.files import folder
from consult.notices import outbox, queries
from consult.notices.letters import write_letter
from consult.notices.model import Mail, MailId, MailKind, mail_id_from
from consult.notices.outbox import Letter
from consult.scheduling import service as scheduling
from consult.settings import Settings
from consult.web.words import Languages, load_languages

log = structlog.get_logger()

SEND_MAIL = "send_mail"
MAX_LISTED = 100
GONE = "appointment_over"  # the failure of a mail about an appointment that was cancelled before it went out


async def queue_invitation(conn: asyncpg.Connection, appointment_id: AppointmentId, now: datetime) -> bool:
    """Have the patient sent an invitation with a link of its own. False if there is no address to send it to."""
    return await _queue(conn, appointment_id, MailKind.INVITATION, now)


async def queue_new_link(conn: asyncpg.Connection, appointment_id: AppointmentId, now: datetime) -> bool:
    """Have the patient sent a further link. False if there is no address to send it to."""
    return await _queue(conn, appointment_id, MailKind.NEW_LINK, now)


async def queue_cancellation(conn: asyncpg.Connection, appointment_id: AppointmentId, now: datetime) -> bool:
    """Have the patient told that the appointment does not take place. False if there is no address."""
    return await _queue(conn, appointment_id, MailKind.CANCELLATION, now)


async def request_new_link(conn: asyncpg.Connection, number_or_email: str, now: datetime) -> None:
    """Have new links sent to the address on file, if the number or the address is somebody's.

    Returns nothing, whether or not there is anybody: the page says the same to all (SECURITY 4). Callers limit
    how often.
    """
    typed = number_or_email.strip()[:254]
    number, address = (None, typed) if "@" in typed else (scheduling.read_number(typed), "")
    if number is None and not address:
        return
    for appointment_id in await scheduling.find_for_new_link(conn, number=number, email=address, now=now):
        await _queue(conn, appointment_id, MailKind.NEW_LINK, now)


async def list_mails(conn: asyncpg.Connection) -> list[Mail]:
    """Return the latest mails, newest first."""
    return await queries.list_mails(conn, MAX_LISTED)


async def list_mails_of_appointment(conn: asyncpg.Connection, appointment_id: AppointmentId) -> list[Mail]:
    return await queries.list_mails_of_appointment(conn, appointment_id)


async def read_mail(conn: asyncpg.Connection, file_name: str, settings: Settings) -> tuple[Mail, Letter] | None:
    """Return a mail of the outbox folder, None if there is none of that name."""
    mail_id = mail_id_from(file_name)
    mail = None if mail_id is None else await queries.fetch_mail(conn, mail_id)
    if mail is None:
        return None
    letter = await asyncio.to_thread(outbox.read_from_outbox, settings.outbox, mail.file_name)
    return None if letter is None else (mail, letter)


class MailSender:
    """Sends queued mails. The worker registers it: `jobs.handle(SEND_MAIL, MailSender(pool, settings, languages))`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], settings: Settings, languages: Languages) -> None:
        self._pool = pool
        self._settings = settings
        self._languages = languages

    async def __call__(self, payload: jobs.Payload) -> None:
        mail_id = MailId(uuid.UUID(payload["mail_id"]))
        try:
            async with self._pool.acquire() as conn, conn.transaction():
                await self._send(conn, mail_id, utc_now())
        except (outbox.MailNotSent, OSError, TimeoutError) as error:
            failure = str(error) if isinstance(error, outbox.MailNotSent) else type(error).__name__
            async with self._pool.acquire() as conn:
                await queries.update_failed(conn, mail_id, failure, utc_now())
            raise

    async def _send(self, conn: asyncpg.Connection, mail_id: MailId, now: datetime) -> None:
        """Send one mail and say so, in one transaction: a mail that did not go out leaves no link behind."""
        mail = await queries.lock_mail(conn, mail_id)
        if mail is None or mail.sent_at is not None:
            return
        details = await scheduling.fetch_appointment(conn, mail.appointment_id)
        link = None
        if mail.kind is not MailKind.CANCELLATION:
            if details.appointment.is_cancelled:
                await queries.update_failed(conn, mail_id, GONE, now)
                return
            link = await scheduling.issue_link(conn, mail.appointment_id, now=now)
        language = details.patient_language
        known = language in self._languages
        words = self._languages[language] if known else self._languages.default
        message = write_letter(
            mail.kind,
            mail_id,
            details,
            link,
            words=words,
            settings=self._settings,
            recipient=mail.recipient,
            now=now,
        )
        await queries.update_sent(conn, mail_id, now)
        await outbox.send(message, file_name=mail.file_name, settings=self._settings)
        log.info("mail.sent", mail=str(mail_id), kind=mail.kind.value)


def register_jobs(worker: jobs.Jobs, *, pool: asyncpg.Pool[asyncpg.Record], settings: Settings) -> None:
    """Give the worker what this feature does later."""
    languages = load_languages(folder("locale"), settings.languages)
    worker.handle(SEND_MAIL, MailSender(pool, settings, languages))


async def _queue(conn: asyncpg.Connection, appointment_id: AppointmentId, kind: MailKind, now: datetime) -> bool:
    details = await scheduling.fetch_appointment(conn, appointment_id)
    if not details.patient_email:
        return False
    async with conn.transaction():
        mail_id = await queries.insert_mail(conn, appointment_id, kind, details.patient_email, now)
        await jobs.enqueue(conn, SEND_MAIL, {"mail_id": str(mail_id)}, key=f"mail:{mail_id}")
    return True
