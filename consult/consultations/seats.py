"""Who deserves a Seat, and with which grants. Signing it is `signaling.ticket`'s work; asking for it is a view's.

A seat's member_id names one device and stays the same after a reload; its person_id is the same on every device.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from uuid import UUID

from consult.consultations import queries
from consult.consultations.errors import (
    AppointmentCancelled,
    CallClosed,
    ConsultationOver,
)
from consult.consultations.model import Booking, Door
from consult.db.pool import Connection
from consult.domain.errors import ConsultError, NotAllowed, NotFound, TooEarly
from consult.people.model import Staff
from consult.scheduling.model import JOIN_AFTER, JOIN_BEFORE, Visit
from signaling.ticket import LIFETIME_S, Grant, MemberId, PersonId, Role, RoomId, Seat

_REFUSALS: dict[Door, type[ConsultError]] = {
    Door.TOO_EARLY: TooEarly,
    Door.CLOSED: CallClosed,
    Door.CANCELLED: AppointmentCancelled,
    Door.OVER: ConsultationOver,
}
_HOST = (Grant.HOST, Grant.PUBLISH, Grant.SHOW)
_GRANTS = {Role.PATIENT: (Grant.PUBLISH, Grant.SHOW)}


def device_of(session_token: str) -> str:
    """Return a short name for the device behind a session: the same for one session, useless for guessing it."""
    return hashlib.sha256(b"consult-device:" + session_token.encode()).hexdigest()[:16]


async def issue_seat_for_staff(
    conn: Connection,
    staff: Staff,
    appointment_id: UUID,
    now: datetime,
    *,
    device: str,
) -> Seat:
    """Return the seat of the appointment's expert, or of one of the panel's: all of them host.

    device: from `device_of` the session.

    Raises NotFound, NotAllowed (anybody else of the staff), AppointmentCancelled, TooEarly, CallClosed or
    ConsultationOver.
    """
    booking = await _fetch_booking(conn, appointment_id)
    if not booking.is_hosted_by(staff.id):
        raise NotAllowed()
    _refuse_unless_open(booking.door_for_expert(now, before=JOIN_BEFORE, after=JOIN_AFTER))
    return await _seat(
        conn, booking, now, member_id=f"s{staff.id}-{device}", person_id=f"staff:{staff.id}", name=staff.name,
        role=Role.EXPERT, grants=_HOST,
    )  # fmt: skip


async def issue_seat_for_visit(conn: Connection, visit: Visit, now: datetime) -> Seat:
    """Return the seat of somebody who came by a link. Raises as `issue_seat_for_staff`."""
    booking = await _fetch_booking(conn, visit.appointment_id)
    _refuse_unless_open(booking.door_for_guests(now, before=JOIN_BEFORE, after=JOIN_AFTER))
    role = Role(visit.role)
    return await _seat(
        conn, booking, now, member_id=str(visit.id), person_id=f"person:{visit.person_id}", name=visit.name, role=role,
        grants=_GRANTS.get(role, (Grant.PUBLISH,)),
    )  # fmt: skip


async def _seat(
    conn: Connection,
    booking: Booking,
    now: datetime,
    *,
    member_id: str,
    person_id: str,
    name: str,
    role: Role,
    grants: tuple[Grant, ...],
) -> Seat:
    standing = await queries.fetch_standing(conn, booking.appointment_id, member_id=member_id, person_id=person_id)
    started_at = booking.started_at
    return Seat(
        room_id=RoomId(str(booking.appointment_id)),
        member_id=MemberId(member_id),
        person_id=PersonId(person_id),
        name=name,
        role=role,
        grants=grants,
        admitted=standing.admitted or Grant.HOST in grants,
        consented=standing.consented,
        started_at_ms=None if started_at is None else round(started_at.timestamp() * 1000),
        expires_at=int(now.timestamp()) + LIFETIME_S,
        paused=standing.paused,
    )


async def _fetch_booking(conn: Connection, appointment_id: UUID) -> Booking:
    booking = await queries.fetch_booking(conn, appointment_id)
    if booking is None:
        raise NotFound()
    return booking


def _refuse_unless_open(door: Door) -> None:
    if door is not Door.OPEN:
        raise _REFUSALS[door]()
