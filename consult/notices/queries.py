"""SQL of mails: who was written to and when, never what."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import asyncpg

from consult.domain.ids import AppointmentId
from consult.notices.model import Mail, MailId, MailKind

INSERT_MAIL = """
insert into mails (id, appointment_id, kind, recipient, queued_at) values ($1, $2, $3, $4, $5)
"""

MAIL = """
select id, appointment_id, kind, recipient, queued_at, sent_at, failed_at, failure from mails
"""

FETCH_MAIL = MAIL + "where id = $1"

# A second worker that was handed the same job waits here, and then sees that the mail went out.
LOCK_MAIL = MAIL + "where id = $1 for update"

LIST_MAILS = MAIL + "order by queued_at desc, id limit $1"

LIST_MAILS_OF_APPOINTMENT = MAIL + "where appointment_id = $1 order by queued_at desc, id"

UPDATE_SENT = "update mails set sent_at = $2 where id = $1"

UPDATE_FAILED = "update mails set failed_at = $2, failure = $3 where id = $1 and sent_at is null"


async def insert_mail(
    conn: asyncpg.Connection, appointment_id: AppointmentId, kind: MailKind, recipient: str, now: datetime
) -> MailId:
    mail_id = MailId(uuid.uuid4())
    await conn.execute(INSERT_MAIL, mail_id, appointment_id, kind, recipient, now)
    return mail_id


async def fetch_mail(conn: asyncpg.Connection, mail_id: MailId) -> Mail | None:
    row = await conn.fetchrow(FETCH_MAIL, mail_id)
    return None if row is None else _mail(row)


async def lock_mail(conn: asyncpg.Connection, mail_id: MailId) -> Mail | None:
    row = await conn.fetchrow(LOCK_MAIL, mail_id)
    return None if row is None else _mail(row)


async def list_mails(conn: asyncpg.Connection, limit: int) -> list[Mail]:
    return [_mail(row) for row in await conn.fetch(LIST_MAILS, limit)]


async def list_mails_of_appointment(conn: asyncpg.Connection, appointment_id: AppointmentId) -> list[Mail]:
    return [_mail(row) for row in await conn.fetch(LIST_MAILS_OF_APPOINTMENT, appointment_id)]


async def update_sent(conn: asyncpg.Connection, mail_id: MailId, now: datetime) -> None:
    await conn.execute(UPDATE_SENT, mail_id, now)


async def update_failed(conn: asyncpg.Connection, mail_id: MailId, failure: str, now: datetime) -> None:
    await conn.execute(UPDATE_FAILED, mail_id, now, failure)


def _mail(row: Any) -> Mail:
    return Mail(
        id=MailId(row["id"]),
        appointment_id=AppointmentId(row["appointment_id"]),
        kind=MailKind(row["kind"]),
        recipient=row["recipient"],
        queued_at=row["queued_at"],
        sent_at=row["sent_at"],
        failed_at=row["failed_at"],
        failure=row["failure"],
    )
