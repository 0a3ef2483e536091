"""What patients may change by themselves, until when, and what becomes of their devices when they do.

Every link ends with a move or a cancellation (SECURITY 3). The device on which the patient moved goes on under the new
invitation, with another cookie (SECURITY 5); a device that was left behind is told what happened, and no more.
Functions take a connection; who calls owns the transaction.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta

import asyncpg

from consult.availability import service as availability
from consult.cases import service as cases
from consult.domain.clock import earliest_day
from consult.domain.errors import ChangesClosed, NotFound
from consult.domain.ids import AppointmentId, HoldId
from consult.domain.kinds import ConsultationKind
from consult.domain.slots import Slot
from consult.people import service as people
from consult.people.model import Staff
from consult.scheduling import service as scheduling
from consult.scheduling import visit_queries as queries
from consult.scheduling.links import encode_secret, hash_secret
from consult.scheduling.model import Appointment, Hold, LeftVisit, Moved

HOLD_LASTS = timedelta(minutes=10)
PRESSED_TWICE = timedelta(minutes=2)
LEFT_IS_TOLD = timedelta(days=7)
DAYS_AHEAD = 366


async def changes_until(conn: asyncpg.Connection, appointment: Appointment) -> datetime:
    """Return the last moment at which the patient may move or cancel: the strictest rule of its experts."""
    times = await availability.fetch_times(conn, await _experts(conn, appointment))
    return appointment.starts_at - max(time.rules.changes_until for time in times.values())


async def list_times(conn: asyncpg.Connection, appointment: Appointment, now: datetime) -> list[Slot]:
    """Return the times to which an appointment could be moved, in order."""
    experts = await _experts(conn, appointment)
    day = earliest_day(now)
    length = appointment.ends_at - appointment.starts_at
    record_count = (await cases.fetch_facts(conn, appointment.case_id, now)).record_count
    last = day + timedelta(days=DAYS_AHEAD)
    if appointment.kind is ConsultationKind.PANEL or len(experts) > 1:
        return await scheduling.list_panel_slots(conn, experts, day, last, length, now=now, record_count=record_count)
    free = await scheduling.list_free_slots(conn, experts, day, last, length, now=now, record_count=record_count)
    return free[appointment.expert_id]


async def hold_time(conn: asyncpg.Connection, appointment: Appointment, starts_at: datetime, *, now: datetime) -> Hold:
    """Keep a time for the patient while they decide, in place of any that was kept before: one link keeps one time.

    Raises ChangesClosed, SlotTaken, SlotInPast, SlotOutsideHours, RoomsFull.
    """
    await _refuse_when_closed(conn, appointment, now)
    async with conn.transaction():
        await queries.lock_holds(conn, appointment.id)
        await give_back(conn, appointment.id, now)
        return await scheduling.hold(
            conn,
            appointment.case_id,
            appointment.expert_ids,
            starts_at,
            appointment.ends_at - appointment.starts_at,
            kind=appointment.kind,
            expires_at=now + HOLD_LASTS,
            now=now,
            moving=appointment.id,
        )


async def fetch_own_hold(
    conn: asyncpg.Connection, appointment_id: AppointmentId, hold_id: HoldId, now: datetime
) -> Hold:
    """Return a time that is kept for this appointment. Raises NotFound for another's, HoldExpired."""
    hold = await scheduling.fetch_hold(conn, hold_id, now)
    if hold.moving != appointment_id:
        raise NotFound("hold")
    return hold


async def give_back(conn: asyncpg.Connection, appointment_id: AppointmentId, now: datetime) -> None:
    """End whatever is kept for moving an appointment. Nothing kept: nothing happens."""
    for hold_id in await queries.list_open_holds(conn, appointment_id):
        await scheduling.release(conn, hold_id, now)


async def move(
    conn: asyncpg.Connection,
    appointment: Appointment,
    hold: Hold,
    *,
    sequence: int,
    token: str,
    key: bytes,
    now: datetime,
) -> Moved:
    """Move an appointment to the time that is kept, and let the patient's device go on.

    token: the cookie of that device, which is worth nothing afterwards; `next_token` of it is the new one.
    Raises ChangesClosed, AppointmentStarted, MovedMeanwhile, HoldExpired.
    """
    async with conn.transaction():
        await _refuse_when_closed(conn, appointment, now)
        moved = await scheduling.move(
            conn, appointment.id, hold.slot.starts_at, sequence=sequence, by=None, now=now, hold_id=hold.id
        )
        new_token = next_token(token, hold.id, key)
        await queries.carry_on_visit(conn, hash_secret(token), moved.link.invitation_id, hash_secret(new_token))
    return moved


async def cancel(conn: asyncpg.Connection, appointment: Appointment, *, reason: str, now: datetime) -> list[str]:
    """Cancel an appointment for its patient. Returns whose links ended. Raises ChangesClosed, AppointmentStarted."""
    async with conn.transaction():
        await _refuse_when_closed(conn, appointment, now)
        await give_back(conn, appointment.id, now)
        return await scheduling.cancel(conn, appointment.id, now, by=None, reason=reason)


def next_token(token: str, hold_id: HoldId, key: bytes) -> str:
    """Return a device's cookie after a move: the same however often the button was pressed. key: the server's own."""
    return encode_secret(hmac.new(key, f"{hold_id}:{token}".encode(), hashlib.sha256).digest())


async def has_moved_already(conn: asyncpg.Connection, new_token: str, now: datetime) -> bool:
    """Whether this device moved the appointment a moment ago: somebody pressed the button twice."""
    return await queries.has_carried_on(conn, hash_secret(new_token), now - PRESSED_TWICE)


async def was_moved_by_patient(conn: asyncpg.Connection, appointment_id: AppointmentId) -> bool:
    """Whether it was the patient who gave the appointment the time that it has now."""
    return await queries.was_moved_by_patient(conn, appointment_id)


async def find_left_visit(conn: asyncpg.Connection, token: str, now: datetime) -> LeftVisit | None:
    """Return what the device of a patient may know whose link ended by a move or cancellation of these days."""
    return await queries.find_left_visit(conn, hash_secret(token), now - LEFT_IS_TOLD)


async def _refuse_when_closed(conn: asyncpg.Connection, appointment: Appointment, now: datetime) -> None:
    if now > await changes_until(conn, appointment):
        raise ChangesClosed


async def _experts(conn: asyncpg.Connection, appointment: Appointment) -> list[Staff]:
    return [await people.fetch_staff(conn, expert_id) for expert_id in appointment.expert_ids]
