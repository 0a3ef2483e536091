"""SQL of calendars at secret addresses. Only hashes pass here."""

from __future__ import annotations

import uuid
from datetime import datetime

import asyncpg

from consult.domain.ids import StaffId
from consult.notices.model import Feed

INSERT_FEED = "insert into calendar_feeds (id, staff_id, secret_hash, made_at) values ($1, $2, $3, $4)"

REVOKE_FEEDS = "update calendar_feeds set revoked_at = $2 where staff_id = $1 and revoked_at is null"

FETCH_FEED = "select id, staff_id, made_at from calendar_feeds where staff_id = $1 and revoked_at is null"

FIND_FEED = """
select f.staff_id from calendar_feeds f join staff s on s.id = f.staff_id
where f.secret_hash = $1 and f.revoked_at is null and s.disabled_at is null and s.role = 'expert'
"""


async def insert_feed(
    conn: asyncpg.Connection, feed_id: uuid.UUID, staff_id: StaffId, secret_hash: bytes, now: datetime
) -> None:
    await conn.execute(INSERT_FEED, feed_id, staff_id, secret_hash, now)


async def revoke_feeds(conn: asyncpg.Connection, staff_id: StaffId, now: datetime) -> None:
    await conn.execute(REVOKE_FEEDS, staff_id, now)


async def fetch_feed(conn: asyncpg.Connection, staff_id: StaffId) -> Feed | None:
    row = await conn.fetchrow(FETCH_FEED, staff_id)
    return None if row is None else Feed(row["id"], StaffId(row["staff_id"]), row["made_at"])


async def find_feed(conn: asyncpg.Connection, secret_hash: bytes) -> StaffId | None:
    found = await conn.fetchval(FIND_FEED, secret_hash)
    return None if found is None else StaffId(found)
