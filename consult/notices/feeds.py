"""An expert's appointments at a secret address that calendar programs ask by themselves; and one appointment as a file.

The address opens the times of one expert and nothing else. Its secret has 256 random bits, is shown once, and is in the
database as SHA-256 alone; making another address or withdrawing it ends the old one at once.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from datetime import datetime, timedelta

import asyncpg

from consult.domain.ids import AppointmentId, StaffId
from consult.domain.words import N_
from consult.notices import feed_queries as queries
from consult.notices import occasion_queries
from consult.notices.calendar import Method, write_calendar
from consult.notices.entries import entry_for
from consult.notices.model import Feed
from consult.settings import Settings
from consult.web.words import Languages

SECRET_BYTES = 32
SECRET_CHARS = 43
BACK, AHEAD = timedelta(days=60), timedelta(days=400)
MAX_ENTRIES = 5000
NAME = N_("Consultations, {clinic}")


async def make_feed(conn: asyncpg.Connection, staff_id: StaffId, now: datetime) -> str:
    """Return the secret of a new address. The one before, if there is one, opens no more."""
    secret = secrets.token_urlsafe(SECRET_BYTES)
    async with conn.transaction():
        await queries.revoke_feeds(conn, staff_id, now)
        await queries.insert_feed(conn, uuid.uuid4(), staff_id, _hash(secret), now)
    return secret


async def revoke_feed(conn: asyncpg.Connection, staff_id: StaffId, now: datetime) -> None:
    await queries.revoke_feeds(conn, staff_id, now)


async def fetch_feed(conn: asyncpg.Connection, staff_id: StaffId) -> Feed | None:
    """Return an expert's address as far as it is known: that there is one, and since when."""
    return await queries.fetch_feed(conn, staff_id)


async def read_feed(
    conn: asyncpg.Connection, secret: str, *, settings: Settings, languages: Languages, now: datetime
) -> bytes | None:
    """Return the calendar at a secret address, None if the secret is unknown, replaced or withdrawn.

    The bytes are the same as long as no appointment is made, moved or cancelled.
    """
    if len(secret) != SECRET_CHARS:
        return None
    staff_id = await queries.find_feed(conn, _hash(secret))
    expert = None if staff_id is None else await occasion_queries.fetch_staff(conn, staff_id)
    if staff_id is None or expert is None:
        return None
    words = languages.of(expert.language)
    occasions = await occasion_queries.list_of_expert(conn, staff_id, now - BACK, now + AHEAD, MAX_ENTRIES)
    entries = [
        entry_for(
            occasion,
            expert,
            words=words,
            settings=settings,
            sequence=occasion.sequence,
            is_cancelled=occasion.is_cancelled,
            changed_at=occasion.changed_at,
            asked_to_come=False,
        )
        for occasion in occasions
    ]
    name = words.say(NAME, clinic=settings.clinic_name)
    return write_calendar(entries, method=Method.PUBLISH, language=words.language, name=name)


async def write_visit_calendar(
    conn: asyncpg.Connection,
    appointment_id: AppointmentId,
    *,
    person_id: str,
    time_zone: str,
    language: str,
    settings: Settings,
    languages: Languages,
) -> bytes | None:
    """Return one appointment as a file for the calendar of a patient or guest, None if there is none."""
    occasion = await occasion_queries.fetch_occasion(conn, appointment_id)
    if occasion is None:
        return None
    words = languages.of(language)
    person = occasion.patient.at_home(person_id, time_zone)
    entry = entry_for(
        occasion,
        person,
        words=words,
        settings=settings,
        sequence=occasion.sequence,
        is_cancelled=occasion.is_cancelled,
        changed_at=occasion.changed_at,
        asked_to_come=False,
    )
    return write_calendar([entry], method=Method.PUBLISH, language=words.language)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
