"""SQL about staff and their sessions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import asyncpg

from consult.db.pool import Connection
from consult.domain.access import StaffRole
from consult.domain.ids import StaffId
from consult.people.model import Staff

INSERT_STAFF = """
insert into staff (email, name, role, specialty, time_zone, language, password_hash, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (email) do nothing
returning id
"""

FETCH_FOR_SIGN_IN = """
select id, email, name, role, specialty, time_zone, language, password_hash
from staff
where email = $1 and disabled_at is null
"""

FETCH_STAFF = """
select id, email, name, role, specialty, time_zone, language
from staff
where id = $1 and disabled_at is null
"""

LIST_BY_ROLE = """
select id, email, name, role, specialty, time_zone, language
from staff
where role = $1 and disabled_at is null
order by name, id
"""

UPDATE_HASH = """
update staff set password_hash = $2 where id = $1
"""

INSERT_SESSION = """
insert into staff_sessions (token_hash, staff_id, created_at, seen_at)
values ($1, $2, $3, $3)
"""

FETCH_SESSION = """
select s.id, s.email, s.name, s.role, s.specialty, s.time_zone, s.language, n.seen_at
from staff_sessions n
join staff s on s.id = n.staff_id
where n.token_hash = $1 and n.ended_at is null and n.seen_at > $2 and n.created_at > $3 and s.disabled_at is null
"""

UPDATE_SEEN = """
update staff_sessions set seen_at = $2
where token_hash = any($1::bytea[]) and ended_at is null and seen_at < $2
"""

END_SESSION = """
update staff_sessions set ended_at = $2 where token_hash = $1 and ended_at is null
"""

# Idle ones are left out: an open call keeps its session, however long nobody could write that down.
LIST_ENDED_SESSIONS = """
select known.token_hash
from unnest($1::bytea[]) as known (token_hash)
where not exists (
  select from staff_sessions n join staff s on s.id = n.staff_id
  where n.token_hash = known.token_hash and n.ended_at is null and s.disabled_at is null
)
"""

DELETE_OLD_SESSIONS = """
delete from staff_sessions where staff_id = $1 and (ended_at < $2 or seen_at < $2)
"""


def _staff(row: asyncpg.Record) -> Staff:
    return Staff(
        id=StaffId(row["id"]),
        email=row["email"],
        name=row["name"],
        role=StaffRole(row["role"]),
        specialty=row["specialty"],
        time_zone=row["time_zone"],
        language=row["language"],
    )


async def insert_staff(
    conn: Connection,
    *,
    email: str,
    name: str,
    role: StaffRole,
    specialty: str,
    time_zone: str,
    language: str,
    password_hash: str,
    now: datetime,
) -> StaffId | None:
    """Return the new id, None if the address has an account already."""
    new_id: Any = await conn.fetchval(
        INSERT_STAFF, email, name, role, specialty, time_zone, language, password_hash, now
    )
    return None if new_id is None else StaffId(new_id)


async def fetch_for_sign_in(conn: Connection, email: str) -> tuple[Staff, str] | None:
    row = await conn.fetchrow(FETCH_FOR_SIGN_IN, email)
    return None if row is None else (_staff(row), row["password_hash"])


async def fetch_staff(conn: Connection, staff_id: StaffId) -> Staff | None:
    row = await conn.fetchrow(FETCH_STAFF, staff_id)
    return None if row is None else _staff(row)


async def list_by_role(conn: Connection, role: StaffRole) -> list[Staff]:
    return [_staff(row) for row in await conn.fetch(LIST_BY_ROLE, role)]


async def update_password(conn: Connection, staff_id: StaffId, password_hash: str) -> None:
    await conn.execute(UPDATE_HASH, staff_id, password_hash)


async def insert_session(conn: Connection, token_hash: bytes, staff_id: StaffId, now: datetime) -> None:
    await conn.execute(INSERT_SESSION, token_hash, staff_id, now)


async def fetch_session(
    conn: Connection, token_hash: bytes, *, seen_after: datetime, created_after: datetime
) -> tuple[Staff, datetime] | None:
    row = await conn.fetchrow(FETCH_SESSION, token_hash, seen_after, created_after)
    return None if row is None else (_staff(row), row["seen_at"])


async def update_seen(conn: Connection, token_hashes: list[bytes], now: datetime) -> None:
    await conn.execute(UPDATE_SEEN, token_hashes, now)


async def end_session(conn: Connection, token_hash: bytes, now: datetime) -> None:
    await conn.execute(END_SESSION, token_hash, now)


async def list_ended_sessions(conn: Connection, token_hashes: list[bytes]) -> list[bytes]:
    return [bytes(row["token_hash"]) for row in await conn.fetch(LIST_ENDED_SESSIONS, token_hashes)]


async def delete_old_sessions(conn: Connection, staff_id: StaffId, before: datetime) -> None:
    await conn.execute(DELETE_OLD_SESSIONS, staff_id, before)
