"""Booking: free slots and appointments. Links and visits are in `invitations`, offered from here too.

Functions take a connection; who calls owns the transaction, except where a docstring says otherwise. The database never
lets an expert's appointments overlap; the lock taken here only makes many people wait in line instead of in a deadlock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg

from consult.availability import service as availability
from consult.availability.model import free_slots as slots_of
from consult.cases import service as cases
from consult.domain.errors import InvalidInput, NotFound, SlotInPast, SlotOutsideHours, SlotTaken
from consult.domain.ids import AppointmentId, CaseId, StaffId
from consult.domain.kinds import LONGEST, SHORTEST
from consult.domain.slots import Slot, nearest
from consult.domain.words import N_
from consult.people.model import Staff
from consult.scheduling import queries
from consult.scheduling.invitations import (
    GUEST_ROLES,
    Guest,
    end_visit,
    find_visit,
    invite_guest,
    issue_link,
    list_invited,
    open_invitation,
    revoke_links,
)
from consult.scheduling.links import read_number
from consult.scheduling.model import (
    DEFAULT_LENGTH,
    JOIN_AFTER,
    Appointment,
    AppointmentDetails,
    IssuedLink,
)

__all__ = [
    "GUEST_ROLES",
    "Guest",
    "book",
    "cancel",
    "end_visit",
    "fetch_appointment",
    "find_for_new_link",
    "find_visit",
    "free_slots",
    "invite_guest",
    "issue_link",
    "list_appointments",
    "list_expert_ids",
    "list_free_slots",
    "list_invited",
    "open_invitation",
    "read_number",
    "revoke_links",
]

NEAR_DAYS = 14
ONE_DAY = timedelta(days=1)
MAX_DAYS_AHEAD = 366


async def free_slots(
    conn: asyncpg.Connection,
    expert_id: StaffId,
    day_from: date,
    day_to: date,
    length: timedelta = DEFAULT_LENGTH,
    *,
    now: datetime,
) -> list[Slot]:
    """Return an expert's free slots from day_from to day_to, both included. Days are the expert's. Raises NotFound."""
    expert = await availability.fetch_expert(conn, expert_id)
    return (await list_free_slots(conn, [expert], day_from, day_to, length, now=now))[expert_id]


async def list_free_slots(
    conn: asyncpg.Connection,
    experts: Sequence[Staff],
    day_from: date,
    day_to: date,
    length: timedelta = DEFAULT_LENGTH,
    *,
    now: datetime,
) -> dict[StaffId, list[Slot]]:
    """Return the free slots of several experts. Days are each expert's own."""
    day_to = min(day_to, day_from + timedelta(days=MAX_DAYS_AHEAD))
    times = await availability.fetch_times(conn, experts)
    # A day somewhere on earth begins up to 14 hours before and ends up to 12 hours after that of UTC.
    widest = Slot(_utc(day_from) - timedelta(days=1), _utc(day_to) + timedelta(days=2))
    taken = await queries.list_taken(conn, list(times), widest)
    return {
        expert_id: [
            slot.during for slot in slots_of(time, taken[expert_id], day_from, day_to, length, record_count=0, now=now)
        ]
        for expert_id, time in times.items()
    }


async def book(
    conn: asyncpg.Connection,
    case_id: CaseId,
    expert_id: StaffId,
    starts_at: datetime,
    length: timedelta = DEFAULT_LENGTH,
    *,
    booked_by: StaffId,
    now: datetime,
    outside_hours: bool = False,
) -> tuple[Appointment, IssuedLink]:
    """Return the new appointment and the patient's link. Of many who want one time, exactly one gets it.

    outside_hours: the scheduler arranged a time that is not among the free slots; it may have begun a moment ago.
    Raises SlotInPast, SlotOutsideHours, SlotTaken (values["nearest"]: list[Slot], the closest free ones), NotFound.
    """
    if not SHORTEST <= length <= LONGEST:
        raise InvalidInput({"length": N_("A call lasts between 10 minutes and 3 hours.")})
    slot = Slot(starts_at.astimezone(UTC), starts_at.astimezone(UTC) + length)
    grace = timedelta(minutes=5) if outside_hours else timedelta()
    if slot.starts_at <= now - grace:
        raise SlotInPast
    if slot.starts_at > now + timedelta(days=MAX_DAYS_AHEAD):
        raise SlotOutsideHours
    expert = await availability.fetch_expert(conn, expert_id)
    await cases.fetch_case(conn, case_id)
    try:
        async with conn.transaction():
            await availability.lock_expert(conn, expert_id)
            if not outside_hours:
                await _raise_unless_free(conn, expert, slot, length, now)
            appointment = await queries.insert_appointment(conn, case_id, expert_id, slot, booked_by, now)
            link = await issue_link(conn, appointment.id, now=now)
    except (asyncpg.ExclusionViolationError, SlotTaken):
        raise SlotTaken(nearest=await _nearest_free(conn, expert, slot, length, now)) from None
    return appointment, link


async def cancel(conn: asyncpg.Connection, appointment_id: AppointmentId, now: datetime) -> list[str]:
    """Cancel an appointment and end its links at once. Cancelling twice changes nothing.

    Returns the person_ids whose links ended. The caller orders the room closed (CloseRoom). Raises NotFound.
    """
    await fetch_appointment(conn, appointment_id)
    async with conn.transaction():
        if not await queries.cancel_appointment(conn, appointment_id, now):
            return []
        return await revoke_links(conn, appointment_id, now=now)


async def fetch_appointment(conn: asyncpg.Connection, appointment_id: AppointmentId) -> AppointmentDetails:
    """Return an appointment, cancelled ones too. Raises NotFound."""
    details = await queries.fetch_appointment(conn, appointment_id)
    if details is None:
        raise NotFound
    return details


async def list_appointments(conn: asyncpg.Connection, case_id: CaseId) -> list[AppointmentDetails]:
    """Return a case's appointments in the order of time, cancelled ones too."""
    return await queries.list_appointments(conn, case_id)


async def list_expert_ids(conn: asyncpg.Connection, case_id: CaseId) -> set[StaffId]:
    """Return who has an appointment in a case, cancelled ones left out: the experts who may read it."""
    return await queries.list_expert_ids(conn, case_id)


async def find_for_new_link(
    conn: asyncpg.Connection, *, number: int | None, email: str, now: datetime
) -> list[AppointmentId]:
    """Return the appointments whose patient may be sent a new link; none if nobody fits."""
    return await queries.find_for_new_link(conn, number, email.strip(), now - JOIN_AFTER)


async def _raise_unless_free(
    conn: asyncpg.Connection, expert: Staff, slot: Slot, length: timedelta, now: datetime
) -> None:
    """Raises SlotTaken or SlotOutsideHours. Only with the expert's lock is the answer still true afterwards."""
    day = slot.starts_at.astimezone(ZoneInfo(expert.time_zone)).date()
    free = await list_free_slots(conn, [expert], day - ONE_DAY, day + ONE_DAY, length, now=now)
    if slot in free[expert.id]:
        return
    taken = await queries.list_taken(conn, [expert.id], slot)
    raise SlotTaken if taken[expert.id] else SlotOutsideHours


async def _nearest_free(
    conn: asyncpg.Connection, expert: Staff, slot: Slot, length: timedelta, now: datetime
) -> list[Slot]:
    day = slot.starts_at.astimezone(ZoneInfo(expert.time_zone)).date()
    day_from = max(day - timedelta(days=NEAR_DAYS), now.astimezone(ZoneInfo(expert.time_zone)).date())
    free = await list_free_slots(conn, [expert], day_from, day + timedelta(days=NEAR_DAYS), length, now=now)
    return nearest(free[expert.id], slot.starts_at)


def _utc(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
