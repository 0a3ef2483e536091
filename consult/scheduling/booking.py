"""Booking a time, cancelling it, and what the patient needs in the call.

If the caller has no transaction open, functions that take or free time make their own.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg

from consult.domain.errors import AppointmentStarted, InvalidInput, NotFound, SlotTaken
from consult.domain.ids import AppointmentId, CaseId, HoldId, StaffId
from consult.domain.kinds import ConsultationKind
from consult.domain.words import N_
from consult.scheduling import booking_queries as queries
from consult.scheduling.claims import (
    MAX_REASON_CHARS,
    Wish,
    claimed,
    experts_of,
    one_transaction,
    refuse_long_reason,
    refuse_wrong_time,
    slot_of,
)
from consult.scheduling.invitations import make_link
from consult.scheduling.model import DEFAULT_LENGTH, Appointment, CancelledBy, IssuedLink, PatientNeed


async def book(
    conn: asyncpg.Connection,
    case_id: CaseId,
    expert_id: StaffId,
    starts_at: datetime,
    length: timedelta = DEFAULT_LENGTH,
    *,
    kind: ConsultationKind = ConsultationKind.FIRST_REVIEW,
    others: Sequence[StaffId] = (),
    booked_by: StaffId,
    now: datetime,
    outside_hours: bool = False,
    hold_id: HoldId | None = None,
) -> tuple[Appointment, IssuedLink]:
    """Return the new appointment and the patient's link. Of many who want one time, exactly one gets it.

    others: the further experts of a panel; all are booked or none. outside_hours: the scheduler arranged a time that is
    not among the free ones, but in no absence; it may have begun a moment ago. hold_id: the hold that is taken by this.
    Raises SlotInPast, SlotOutsideHours, SlotTaken and RoomsFull (values["nearest"]: list[Slot], the closest free ones),
    HoldExpired, InvalidInput, NotFound.
    """
    slot = slot_of(starts_at, length)
    expert_ids = experts_of(expert_id, others)
    wish = Wish(case_id, expert_ids, slot, now, outside_hours, hold_id=hold_id)
    refuse_wrong_time(wish)
    async with claimed(conn, wish) as (party, diary):
        blocked = {one: diary.blocked(one, slot, record_count=party.record_count) for one in expert_ids}
        appointment_id = AppointmentId(uuid.uuid4())
        link = make_link(appointment_id)
        try:
            number = await queries.insert_booking(
                conn, appointment_id, case_id, slot, blocked, link, kind=kind, booked_by=booked_by, now=now
            )
        except asyncpg.ExclusionViolationError:
            raise SlotTaken(nearest=[]) from None
    appointment = Appointment(
        id=appointment_id,
        number=number,
        case_id=case_id,
        expert_id=expert_id,
        starts_at=slot.starts_at,
        ends_at=slot.ends_at,
        booked_by=booked_by,
        booked_at=now,
        cancelled_at=None,
        kind=kind,
        others=tuple(others),
    )
    return appointment, link.issued(number)


async def cancel(
    conn: asyncpg.Connection,
    appointment_id: AppointmentId,
    now: datetime,
    *,
    by: StaffId | None = None,
    reason: str = "",
) -> list[str]:
    """Cancel an appointment and end its links at once. Cancelling twice changes nothing.

    by: None if the patient does it, who cannot once it has begun: AppointmentStarted.
    Returns the person_ids whose links ended. The caller orders the room closed (CloseRoom). Raises NotFound.
    """
    refuse_long_reason(reason)
    async with one_transaction(conn):
        locked = await queries.lock_appointment(conn, appointment_id)
        if locked is None:
            raise NotFound("appointment")
        if locked.is_cancelled:
            return []
        if by is None and (locked.has_call or locked.slot.starts_at <= now):
            raise AppointmentStarted
        cancelled_by = CancelledBy.PATIENT if by is None else CancelledBy.STAFF
        lost = await queries.cancel_appointment(
            conn, appointment_id, now, by=by, cancelled_by=cancelled_by, reason=reason.strip()
        )
    return lost or []


async def set_needs(
    conn: asyncpg.Connection,
    appointment_id: AppointmentId,
    needs: Sequence[PatientNeed],
    note: str,
    *,
    by: StaffId | None,
    now: datetime,
) -> None:
    """Write down what the patient needs in the call. by: None if they said so themselves. Raises InvalidInput."""
    if len(note.strip()) > MAX_REASON_CHARS:
        raise InvalidInput({"needs_note": N_("Please write a shorter text.")})
    ordered = [need for need in PatientNeed if need in needs]
    await queries.update_needs(conn, appointment_id, ordered, note.strip(), by=by, now=now)
