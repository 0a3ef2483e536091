"""Messages to patients, experts and guests: queued with the change they tell of, written and sent by a job.

The job makes a mail's link itself when it runs, so that no secret waits in the queue or the database. Functions take a
connection; who calls owns the transaction. The work is in `queueing`, `sending`, `feeds` and `bounces`, offered here.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

import asyncpg

from consult.domain.ids import AppointmentId
from consult.notices import outbox, queries
from consult.notices.bounces import MAX_REPORT_BYTES, take_bounce
from consult.notices.feeds import fetch_feed, make_feed, read_feed, revoke_feed, write_visit_calendar
from consult.notices.model import Mail, MailState, MessageLine, Unreached, mail_id_from
from consult.notices.outbox import Letter
from consult.notices.queueing import (
    SEND_EVENT,
    SEND_MAIL,
    SEND_NEW_LINKS,
    fetch_message,
    queue_cancellation,
    queue_change,
    queue_due,
    queue_guest,
    queue_guest_withdrawn,
    queue_invitation,
    queue_new_link,
    queue_new_links,
    queue_offer,
    send_again,
    send_new_links,
)
from consult.notices.sending import FindOffer, MailSender, keep_reminding, register_jobs
from consult.scheduling import service as scheduling
from consult.settings import Settings

__all__ = [
    "MAX_REPORT_BYTES",
    "SEND_EVENT",
    "SEND_MAIL",
    "SEND_NEW_LINKS",
    "FindOffer",
    "MailSender",
    "fetch_feed",
    "fetch_message",
    "keep_reminding",
    "list_mails_of_appointment",
    "list_messages",
    "list_unreached",
    "make_feed",
    "queue_cancellation",
    "queue_change",
    "queue_due",
    "queue_guest",
    "queue_guest_withdrawn",
    "queue_invitation",
    "queue_new_link",
    "queue_offer",
    "read_feed",
    "read_mail",
    "register_jobs",
    "request_new_link",
    "revoke_feed",
    "send_again",
    "send_new_links",
    "take_bounce",
    "write_visit_calendar",
]

PAGE_LENGTH = 50
MOST_UNREACHED = 5


async def request_new_link(conn: asyncpg.Connection, number_or_email: str, now: datetime) -> None:
    """Have new links sent to the address on file, if the number or the address is somebody's.

    Returns nothing, whether or not there is anybody: the page says the same to all, and takes the same time
    (SECURITY 4); the mails are a job's. Callers limit how often.
    """
    typed = number_or_email.strip()[:254]
    number, address = (None, typed) if "@" in typed else (scheduling.read_number(typed), "")
    await queue_new_links(conn, await scheduling.find_for_new_link(conn, number=number, email=address, now=now))


async def list_messages(
    conn: asyncpg.Connection,
    *,
    state: MailState | None = None,
    number: int | None = None,
    link_opened: bool | None = None,
    page: int = 1,
) -> tuple[list[MessageLine], bool]:
    """Return a page of messages, newest first, and whether there are older ones."""
    found = await queries.list_messages(
        conn,
        state=state,
        number=number,
        link_opened=link_opened,
        limit=PAGE_LENGTH + 1,
        offset=(page - 1) * PAGE_LENGTH,
    )
    return found[:PAGE_LENGTH], len(found) > PAGE_LENGTH


async def list_unreached(conn: asyncpg.Connection, now: datetime) -> list[Unreached]:
    """Return patients who may not know of an appointment to come: the mail about it came back. The next first."""
    return await queries.list_unreached(conn, now, MOST_UNREACHED)


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
