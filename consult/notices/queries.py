"""SQL of messages: who was written to and when, never what. `occasion_queries` reads what they are about."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import asyncpg

from consult.domain.ids import AppointmentId, InvitationId, StaffId
from consult.notices.model import (
    Audience,
    Channel,
    Mail,
    MailId,
    MailKind,
    MailState,
    MessageLine,
    OfferId,
    Unreached,
)

# A reminder that was queued already is left as it is: there is no row then.
INSERT_MAIL = """
insert into mails (id, appointment_id, offer_id, kind, channel, audience, person, recipient, about_at, again_of,
  again_by, queued_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
on conflict do nothing
returning id
"""

MAIL = """
select id, appointment_id, offer_id, kind, channel, audience, person, recipient, about_at, sequence, again_of, tries,
       queued_at, sent_at, failed_at, failure, bounced_at, bounce_status, dropped_at
from mails
"""

FETCH_MAIL = MAIL + "where id = $1"

LOCK_MAIL = MAIL + "where id = $1 for update"

# A mail and all that is still to be sent to the same person about the same appointment, locked: which of them is being
# handed over. What began before $2 was given up by a worker that died.
LOCK_FOR_PERSON = """
select m.begun_at > $2 as is_under_way
from mails m, (select appointment_id, audience, person from mails where id = $1) mine
where m.id = $1 or m.channel = 'mail' and m.appointment_id = mine.appointment_id and m.audience = mine.audience
  and m.person = mine.person and m.sent_at is null and m.bounced_at is null and m.dropped_at is null
order by m.id
for update of m
"""

LIST_MAILS_OF_APPOINTMENT = MAIL + "where appointment_id = $1 order by queued_at desc, id"

# The highest calendar entry that somebody has of an appointment by mails other than $4, or may have by now.
FETCH_TOLD_SEQUENCE = """
select max(sequence) from mails
where appointment_id = $1 and audience = $2 and person = $3 and id <> $4
  and (sent_at is not null or begun_at is not null) and bounced_at is null
"""

# The experts who were told that they are booked, and not since that they are not.
LIST_TOLD_EXPERTS = """
select distinct on (person) person, recipient, kind from mails
where appointment_id = $1 and audience = 'expert' and channel = 'mail' and dropped_at is null
order by person, queued_at desc, kind
"""

# Whether a guest was written to at all, or is going to be.
IS_TOLD = """
select exists (
  select from mails
  where appointment_id = $1 and audience = 'guest' and person = $2 and dropped_at is null and bounced_at is null
)
"""

UPDATE_SENT = """
update mails set sent_at = $2, tries = tries + 1, recipient = $3, person = $4, sequence = $5, invitation_id = $6
where id = $1
"""

UPDATE_BEGUN = """
update mails set begun_at = $2, recipient = $3, person = $4, sequence = $5, invitation_id = $6 where id = $1
"""

UPDATE_HANDED_OVER = "update mails set sent_at = $2, tries = tries + 1, begun_at = null where id = $1"

UPDATE_TAKEN_BACK = "update mails set begun_at = null, sequence = null, invitation_id = null where id = $1"

UPDATE_FAILED = "update mails set failed_at = $2, failure = $3, tries = tries + 1 where id = $1 and sent_at is null"

UPDATE_DROPPED = "update mails set dropped_at = $2, failure = $3 where id = $1 and sent_at is null"

# Refused when it was handed over, or reported later; the first report counts.
UPDATE_BOUNCED = """
update mails set bounced_at = $2, bounce_status = $3, tries = tries + $4
where id = $1 and bounced_at is null and dropped_at is null
returning id
"""

# What was sent, newest first: how a statement that lists it begins, what it may be narrowed to, and how it ends. What
# is beside a message is looked up for one page alone. $1 and $2: how many, after how many. The link in a mail counts
# as opened from the first visit by it on.
MESSAGES = """
select m.id, m.appointment_id, m.offer_id, m.kind, m.channel, m.audience, m.person, m.recipient, m.about_at, m.sequence,
       m.again_of, m.tries, m.queued_at, m.sent_at, m.failed_at, m.failure, m.bounced_at, m.bounce_status, m.dropped_at,
       a.number, s.name as again_by_name, m.invitation_id is not null as has_link,
       (select min(v.opened_at) from visits v where v.invitation_id = m.invitation_id) as link_opened_at
from (
  select * from mails
"""
OF_STATE = """case when bounced_at is not null then 'bounced' when sent_at is not null then 'sent'
  when dropped_at is not null then 'dropped' when failed_at is not null then 'failed' else 'waiting' end"""
OF_NUMBER = "appointment_id = (select id from appointments where number = $3)"
LINK_OPENED = "exists (select from visits v where v.invitation_id = mails.invitation_id)"
ONE_PAGE = """
  order by queued_at desc, id limit $1 offset $2
) m
left join appointments a on a.id = m.appointment_id
left join staff s on s.id = m.again_by
order by m.queued_at desc, m.id
"""

LIST_MESSAGES = MESSAGES + ONE_PAGE

# Patients who were told of an appointment to come in vain: the mail came back, none was queued since that did not, and
# nobody came by a link since. $2: how many at most.
UNREACHED = """
select a.id, lower(a.during) as starts_at, p.name
from (
  select appointment_id, max(queued_at) as queued_at from mails
  where kind in ('invitation', 'change', 'new_link') and channel = 'mail' and audience = 'patient' and """
UNREACHED_TO_COME = """
  group by appointment_id
) m
join appointments a on a.id = m.appointment_id and a.cancelled_at is null and lower(a.during) > $1
join cases c on c.id = a.case_id
join patients p on p.id = c.patient_id
where not exists (
  select from mails later
  where later.appointment_id = a.id and later.channel = 'mail' and later.audience = 'patient'
    and later.queued_at > m.queued_at and later.bounced_at is null and later.dropped_at is null
) and not exists (
  select from visits v join invitations i on i.id = v.invitation_id
  where i.appointment_id = a.id and i.role = 'patient' and v.opened_at > m.queued_at
)
order by lower(a.during), a.id
limit $2
"""
OF_BOUNCED = OF_STATE + " = 'bounced'"
LIST_UNREACHED = UNREACHED + OF_BOUNCED + UNREACHED_TO_COME

LIST_MESSAGES_OF_STATE = MESSAGES + "where " + OF_STATE + " = $3" + ONE_PAGE

LIST_MESSAGES_OPENED = MESSAGES + "where invitation_id is not null and " + LINK_OPENED + ONE_PAGE

LIST_MESSAGES_NOT_OPENED = MESSAGES + "where invitation_id is not null and not " + LINK_OPENED + ONE_PAGE

LIST_MESSAGES_OF_NUMBER = (
    MESSAGES
    + "where "
    + OF_NUMBER
    + " and ($4::text is null or $4 = "
    + OF_STATE
    + ") and ($5::boolean is null or invitation_id is not null and $5 = "
    + LINK_OPENED
    + ")"
    + ONE_PAGE
)


async def insert_mail(
    conn: asyncpg.Connection,
    *,
    mail_id: MailId | None = None,
    appointment_id: AppointmentId | None,
    offer_id: OfferId | None = None,
    kind: MailKind,
    channel: Channel = Channel.MAIL,
    audience: Audience,
    person: str,
    recipient: str,
    about_at: datetime | None = None,
    again_of: MailId | None = None,
    again_by: StaffId | None = None,
    now: datetime,
) -> MailId | None:
    """Return the id of a new message, None if it was queued already."""
    new_id = mail_id or MailId(uuid.uuid4())
    found = await conn.fetchval(
        INSERT_MAIL,
        new_id,
        appointment_id,
        offer_id,
        kind,
        channel,
        audience,
        person,
        recipient,
        about_at,
        again_of,
        again_by,
        now,
    )
    return None if found is None else MailId(found)


async def fetch_mail(conn: asyncpg.Connection, mail_id: MailId) -> Mail | None:
    row = await conn.fetchrow(FETCH_MAIL, mail_id)
    return None if row is None else _mail(row)


async def lock_mail(conn: asyncpg.Connection, mail_id: MailId) -> Mail | None:
    row = await conn.fetchrow(LOCK_MAIL, mail_id)
    return None if row is None else _mail(row)


async def lock_for_person(conn: asyncpg.Connection, mail_id: MailId, given_up: datetime) -> bool:
    """Lock a mail and what else is to be sent to its reader about the same. False if one of them is being handed over.

    given_up: what began before then is not under way any more.
    """
    rows = await conn.fetch(LOCK_FOR_PERSON, mail_id, given_up)
    return not any(row["is_under_way"] for row in rows)


async def list_mails_of_appointment(conn: asyncpg.Connection, appointment_id: AppointmentId) -> list[Mail]:
    return [_mail(row) for row in await conn.fetch(LIST_MAILS_OF_APPOINTMENT, appointment_id)]


async def list_messages(
    conn: asyncpg.Connection,
    *,
    state: MailState | None,
    number: int | None,
    link_opened: bool | None,
    limit: int,
    offset: int,
) -> list[MessageLine]:
    """Return messages, newest first. link_opened: only those with a link, opened or not; None: all."""
    if number is not None:
        rows = await conn.fetch(LIST_MESSAGES_OF_NUMBER, limit, offset, number, state, link_opened)
    elif state is not None:
        rows = await conn.fetch(LIST_MESSAGES_OF_STATE, limit, offset, state)
    elif link_opened is not None:
        rows = await conn.fetch(LIST_MESSAGES_OPENED if link_opened else LIST_MESSAGES_NOT_OPENED, limit, offset)
    else:
        rows = await conn.fetch(LIST_MESSAGES, limit, offset)
    return [
        MessageLine(_mail(row), row["number"], row["has_link"], row["link_opened_at"], row["again_by_name"])
        for row in rows
    ]


async def list_unreached(conn: asyncpg.Connection, now: datetime, limit: int) -> list[Unreached]:
    rows = await conn.fetch(LIST_UNREACHED, now, limit)
    return [Unreached(AppointmentId(row["id"]), row["starts_at"], row["name"]) for row in rows]


async def fetch_told_sequence(conn: asyncpg.Connection, mail: Mail) -> int | None:
    found: int | None = await conn.fetchval(
        FETCH_TOLD_SEQUENCE, mail.appointment_id, mail.audience, mail.person, mail.id
    )
    return found


async def is_told(conn: asyncpg.Connection, appointment_id: AppointmentId, guest: str) -> bool:
    return bool(await conn.fetchval(IS_TOLD, appointment_id, guest))


async def list_told_experts(conn: asyncpg.Connection, appointment_id: AppointmentId) -> dict[str, str]:
    """The id and the address of each expert who was told of an appointment and not that it is theirs no more."""
    rows = await conn.fetch(LIST_TOLD_EXPERTS, appointment_id)
    return {row["person"]: row["recipient"] for row in rows if row["kind"] != MailKind.CANCELLATION}


async def update_sent(
    conn: asyncpg.Connection,
    mail_id: MailId,
    now: datetime,
    *,
    recipient: str,
    person: str,
    sequence: int | None = None,
    invitation_id: InvitationId | None = None,
) -> None:
    await conn.execute(UPDATE_SENT, mail_id, now, recipient, person, sequence, invitation_id)


async def update_begun(
    conn: asyncpg.Connection,
    mail_id: MailId,
    now: datetime,
    *,
    recipient: str,
    person: str,
    sequence: int | None = None,
    invitation_id: InvitationId | None = None,
) -> None:
    """Say that a mail is being handed over, with these things in it."""
    await conn.execute(UPDATE_BEGUN, mail_id, now, recipient, person, sequence, invitation_id)


async def update_handed_over(conn: asyncpg.Connection, mail_id: MailId, now: datetime) -> None:
    await conn.execute(UPDATE_HANDED_OVER, mail_id, now)


async def update_taken_back(conn: asyncpg.Connection, mail_id: MailId) -> None:
    """Say that what was begun did not go out."""
    await conn.execute(UPDATE_TAKEN_BACK, mail_id)


async def update_failed(conn: asyncpg.Connection, mail_id: MailId, failure: str, now: datetime) -> None:
    await conn.execute(UPDATE_FAILED, mail_id, now, failure)


async def update_dropped(conn: asyncpg.Connection, mail_id: MailId, reason: str, now: datetime) -> None:
    await conn.execute(UPDATE_DROPPED, mail_id, now, reason)


async def update_bounced(conn: asyncpg.Connection, mail_id: MailId, status: str, now: datetime, *, tries: int) -> bool:
    """tries: 1 if it was refused while it was handed over, 0 if a report came. False if nothing was changed."""
    return await conn.fetchval(UPDATE_BOUNCED, mail_id, now, status, tries) is not None


def _mail(row: Any) -> Mail:
    return Mail(
        id=MailId(row["id"]),
        appointment_id=None if row["appointment_id"] is None else AppointmentId(row["appointment_id"]),
        offer_id=None if row["offer_id"] is None else OfferId(row["offer_id"]),
        kind=MailKind(row["kind"]),
        channel=Channel(row["channel"]),
        audience=Audience(row["audience"]),
        person=row["person"],
        recipient=row["recipient"],
        about_at=row["about_at"],
        sequence=row["sequence"],
        again_of=None if row["again_of"] is None else MailId(row["again_of"]),
        tries=row["tries"],
        queued_at=row["queued_at"],
        sent_at=row["sent_at"],
        failed_at=row["failed_at"],
        failure=row["failure"],
        bounced_at=row["bounced_at"],
        bounce_status=row["bounce_status"],
        dropped_at=row["dropped_at"],
    )
