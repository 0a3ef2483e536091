"""Staff accounts and sessions.

A session is an opaque token in a cookie; the database holds its SHA-256. It ends by signing out, after 15 idle minutes
and after 12 hours. Functions take a connection; who calls owns the transaction.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from consult.db.pool import Connection
from consult.domain.access import StaffRole
from consult.domain.addresses import looks_like_email
from consult.domain.clock import is_time_zone
from consult.domain.errors import InvalidInput, NotFound, SignInFailed
from consult.domain.ids import StaffId
from consult.domain.words import N_
from consult.people import queries
from consult.people.model import Staff
from consult.people.passwords import hash_password, needs_rehash, verify_password

IDLE_AFTER = timedelta(minutes=15)
LONGEST_SESSION = timedelta(hours=12)
SEEN_EVERY = timedelta(seconds=30)  # how finely the last request is remembered
FORGET_SESSIONS_AFTER = timedelta(days=30)
SHORTEST_PASSWORD = 12

EMAIL_WRONG = N_("Please enter an e-mail address, for example name@clinic.example.")
EMAIL_TAKEN = N_("There is an account with this e-mail address already.")
NAME_MISSING = N_("Please enter the name.")
ZONE_UNKNOWN = N_("Please choose a time zone, for example Europe/Madrid.")
PASSWORD_SHORT = N_("Please choose a password of at least 12 characters.")


async def create_staff(
    conn: Connection,
    *,
    email: str,
    name: str,
    role: StaffRole,
    time_zone: str,
    password: str,
    specialty: str = "",
    language: str = "en",
    now: datetime,
) -> StaffId:
    """Return the id of a new account. Raises InvalidInput."""
    email, name = email.strip().lower(), name.strip()
    wrong: dict[str, str] = {}
    if not looks_like_email(email):
        wrong["email"] = EMAIL_WRONG
    if not name or len(name) > 200:
        wrong["name"] = NAME_MISSING
    if not is_time_zone(time_zone):
        wrong["time_zone"] = ZONE_UNKNOWN
    if len(password) < SHORTEST_PASSWORD:
        wrong["password"] = PASSWORD_SHORT
    if wrong:
        raise InvalidInput(wrong)
    new_id = await queries.insert_staff(
        conn,
        email=email,
        name=name,
        role=role,
        specialty=specialty.strip(),
        time_zone=time_zone,
        language=language,
        password_hash=await hash_password(password),
        now=now,
    )
    if new_id is None:
        raise InvalidInput({"email": EMAIL_TAKEN})
    return new_id


async def authenticate(conn: Connection, email: str, password: str, now: datetime) -> Staff:
    """Return whose e-mail address and password these are.

    Raises SignInFailed, after the same time and in the same words for an unknown address and a wrong password.
    """
    found = await queries.fetch_for_sign_in(conn, email.strip().lower())
    staff, password_hash = found if found is not None else (None, None)
    if not await verify_password(password_hash, password) or staff is None or password_hash is None:
        raise SignInFailed
    if needs_rehash(password_hash):
        await queries.update_password(conn, staff.id, await hash_password(password))
    return staff


async def start_session(conn: Connection, staff_id: StaffId, now: datetime) -> str:
    """Return the token of a new session."""
    token = secrets.token_urlsafe(32)
    await queries.delete_old_sessions(conn, staff_id, now - FORGET_SESSIONS_AFTER)
    await queries.insert_session(conn, _hash(token), staff_id, now)
    return token


async def find_session(conn: Connection, token: str, now: datetime, *, counts: bool = True) -> Staff | None:
    """Return whose session this is, None if it ended.

    counts: the session is used now, by a person; False if a page asks by itself, which keeps nobody signed in.
    """
    found = await queries.fetch_session(
        conn, _hash(token), seen_after=now - IDLE_AFTER, created_after=now - LONGEST_SESSION
    )
    if found is None:
        return None
    staff, seen_at = found
    if counts and now - seen_at > SEEN_EVERY:
        await queries.update_seen(conn, [_hash(token)], now)
    return staff


async def keep_sessions(conn: Connection, token_hashes: Iterable[bytes], now: datetime) -> None:
    """Count sessions as used now: those of open calls."""
    await queries.update_seen(conn, list(token_hashes), now)


async def end_session(conn: Connection, token: str, now: datetime) -> None:
    await queries.end_session(conn, _hash(token), now)


async def list_ended_sessions(conn: Connection, token_hashes: Iterable[bytes]) -> list[bytes]:
    """Return which of these sessions were ended, or are of somebody whose account was."""
    return await queries.list_ended_sessions(conn, list(token_hashes))


async def list_experts(conn: Connection) -> list[Staff]:
    """Return the experts by name."""
    return await queries.list_by_role(conn, StaffRole.EXPERT)


async def list_staff(conn: Connection, role: StaffRole) -> list[Staff]:
    return await queries.list_by_role(conn, role)


async def fetch_staff(conn: Connection, staff_id: StaffId) -> Staff:
    """Return a member of staff. Raises NotFound."""
    staff = await queries.fetch_staff(conn, staff_id)
    if staff is None:
        raise NotFound("staff")
    return staff


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
