"""Reminders from the database: each once, whoever looks; after moves, cancellations, downtime; missing records."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from consult.domain.clock import utc_now
from consult.files import folder
from consult.notices import service as notices
from consult.notices.model import Channel
from consult.scheduling import service as scheduling
from consult.settings import Settings
from consult.web.words import load_languages
from tests.conftest import Database
from tests.integration.clinic import Clinic, book_one, open_case, open_clinic

LANGUAGES = load_languages(folder("locale"), ("en", "es"))
NOW = datetime(2026, 3, 9, 8, 0, tzinfo=UTC)
START = datetime(2026, 3, 30, 9, 0, tzinfo=UTC)


async def book(database: Database, *, starts_at: datetime = START, now: datetime = NOW) -> tuple[Clinic, Any]:
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        appointment, _link = await book_one(conn, clinic, starts_at, now=now)
    return clinic, appointment


async def look(database: Database, now: datetime, **given: Any) -> int:
    async with database.pool.acquire() as conn:
        return await notices.queue_due(conn, now, **given)


async def queued(database: Database) -> list[str]:
    rows = await database.pool.fetch("select kind from mails where about_at is not null order by queued_at, kind")
    return [row["kind"] for row in rows]


async def walk(database: Database, begin: datetime, end: datetime) -> None:
    """Look every ten minutes, as a worker does every minute."""
    while begin <= end:
        await look(database, begin)
        begin += timedelta(minutes=10)


async def test_a_worker_that_looks_all_the_time_sends_each_reminder_once(database: Database) -> None:
    await book(database)
    await walk(database, START - timedelta(days=8), START - timedelta(days=6))
    await walk(database, START - timedelta(days=3, hours=2), START - timedelta(days=2))
    await walk(database, START - timedelta(hours=30), START + timedelta(hours=2))
    assert await queued(database) == ["records_missing", "records_missing", "reminder_day", "reminder_hour"]


async def test_many_workers_at_once_queue_one(database: Database) -> None:
    await book(database)
    now = START - timedelta(hours=23)
    counts = await asyncio.gather(*(look(database, now) for _ in range(8)))
    assert sum(counts) == 1
    assert await queued(database) == ["reminder_day"]
    jobs = await database.pool.fetch("select payload from pgqueuer where entrypoint = 'send_mail'")
    assert len(jobs) == 1


async def test_after_downtime_what_still_makes_sense_goes_out(database: Database) -> None:
    await book(database)
    await look(database, START - timedelta(hours=5))
    assert await queued(database) == ["reminder_day"]
    await look(database, START - timedelta(minutes=5))
    await look(database, START + timedelta(minutes=5))
    assert await queued(database) == ["reminder_day"]


async def test_a_moved_appointment_is_reminded_of_at_its_new_time(database: Database) -> None:
    _clinic, appointment = await book(database)
    now = START - timedelta(hours=23)
    await look(database, now)
    later = START + timedelta(days=2)
    async with database.pool.acquire() as conn:
        await scheduling.move(conn, appointment.id, later, sequence=0, by=None, now=now, outside_hours=True)
    await walk(database, now, START + timedelta(hours=1))
    assert await queued(database) == ["reminder_day"]
    await walk(database, later - timedelta(hours=25), later)
    assert await queued(database) == ["reminder_day", "reminder_day", "reminder_hour"]


async def test_a_reminder_that_was_queued_for_the_old_time_is_not_sent(database: Database, settings: Settings) -> None:
    now = utc_now()
    _clinic, appointment = await book(database, starts_at=now + timedelta(days=10), now=now)
    async with database.pool.acquire() as conn:
        await notices.queue_due(conn, appointment.starts_at - timedelta(hours=23))
        moved_to = appointment.starts_at + timedelta(days=1)
        await scheduling.move(conn, appointment.id, moved_to, sequence=0, by=None, now=now, outside_hours=True)
        row = await conn.fetchrow("select id from mails where kind = 'reminder_day'")
    await notices.MailSender(database.pool, settings, LANGUAGES)({"mail_id": str(row["id"])})
    row = await database.pool.fetchrow("select sent_at, dropped_at, failure from mails where kind = 'reminder_day'")
    assert (row["sent_at"], row["failure"]) == (None, "moved")
    assert row["dropped_at"] is not None
    assert not list(settings.outbox.glob("*.eml"))


async def test_a_cancelled_appointment_is_reminded_of_no_more(database: Database) -> None:
    _clinic, appointment = await book(database)
    async with database.pool.acquire() as conn:
        await scheduling.cancel(conn, appointment.id, NOW)
    await walk(database, START - timedelta(hours=25), START)
    assert await queued(database) == []


async def test_who_booked_for_tomorrow_is_not_asked_and_reminded_in_one_breath(database: Database) -> None:
    await book(database, now=START - timedelta(hours=20))
    await walk(database, START - timedelta(hours=20), START)
    assert await queued(database) == ["reminder_hour"]


async def test_records_that_are_there_are_not_asked_for_and_two_appointments_are_asked_about_once(
    database: Database,
) -> None:
    clinic, _appointment = await book(database)
    async with database.pool.acquire() as conn:
        await book_one(conn, clinic, START + timedelta(days=1), now=NOW)
    await look(database, START - timedelta(days=6))
    assert await queued(database) == ["records_missing"]
    await database.pool.execute(
        """insert into records (id, case_id, title, media_type, size_bytes, sha256, page_count, blob_key, uploaded_by,
             uploaded_at)
           values (gen_random_uuid(), $1, 'scan', 'image/png', 9, decode(repeat('00', 32), 'hex'), 1, 'r/1', 'patient',
             $2)""",
        clinic.case, NOW,
    )  # fmt: skip
    await look(database, START - timedelta(days=3))
    assert await queued(database) == ["records_missing"]


async def test_a_patient_without_an_address_is_told_by_text_message_alone(database: Database) -> None:
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn, now=NOW)
        case = await open_case(conn, clinic.scheduler, name="No Mail", email="", now=NOW)
        await book_one(conn, Clinic(clinic.scheduler, clinic.expert, clinic.other_expert, case), START, now=NOW)
    now = START - timedelta(hours=23)
    assert await look(database, now) == 0
    both = (Channel.MAIL, Channel.WEBHOOK)
    assert await look(database, now, channels=both) == 1
    assert await look(database, now, channels=both) == 0
    assert Counter(await queued(database)) == {"reminder_day": 1}


async def test_guests_with_an_address_are_reminded_too_but_not_of_what_they_were_just_invited_to(
    database: Database,
) -> None:
    _clinic, appointment = await book(database)

    async def invite(name: str, now: datetime, email: str = "") -> None:
        async with database.pool.acquire() as conn, conn.transaction():
            link = await scheduling.invite_guest(
                conn, appointment.id, name=name, role="interpreter", email=email, now=now
            )
            await notices.queue_guest(conn, appointment.id, link.invitation_id, now)

    await invite("Early", NOW, "early@example.org")
    await invite("No mail", NOW)
    await invite("Late", START - timedelta(hours=25), "late@example.org")
    await walk(database, START - timedelta(days=8), START - timedelta(days=6))
    await walk(database, START - timedelta(hours=25), START)
    rows = await database.pool.fetch("select kind, recipient from mails where about_at is not null")
    assert Counter((row["kind"], row["recipient"]) for row in rows if row["recipient"] != "ana@example.org") == {
        ("reminder_day", "early@example.org"): 1,
        ("reminder_hour", "early@example.org"): 1,
        ("reminder_hour", "late@example.org"): 1,
    }


async def test_a_guest_who_is_withdrawn_is_not_reminded(database: Database, settings: Settings) -> None:
    now = utc_now()
    _clinic, appointment = await book(database, starts_at=now + timedelta(days=10), now=now)
    async with database.pool.acquire() as conn, conn.transaction():
        await scheduling.invite_guest(
            conn, appointment.id, name="Rui", role="caregiver", email="rui@example.org", now=now
        )
        assert await notices.queue_due(conn, appointment.starts_at - timedelta(hours=23)) == 2
        (rui,) = [one for one in await scheduling.list_invited(conn, appointment.id) if one.is_guest]
        await scheduling.withdraw_guest(conn, appointment.id, rui.person_id, now=now)
    sender = notices.MailSender(database.pool, settings, LANGUAGES)
    for row in await database.pool.fetch("select id from mails where kind = 'reminder_day'"):
        await sender({"mail_id": str(row["id"])})
    rows = await database.pool.fetch("select audience, failure, sent_at from mails where kind = 'reminder_day'")
    assert {row["audience"]: row["failure"] for row in rows} == {"patient": None, "guest": "withdrawn"}
    assert {row["audience"] for row in rows if row["sent_at"]} == {"patient"}
