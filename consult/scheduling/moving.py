"""Moving an appointment: another time or another lead, and a new link for everybody who had one."""

from __future__ import annotations

from datetime import datetime

import asyncpg

from consult.domain.errors import AppointmentStarted, InvalidInput, MovedMeanwhile, NotFound, SlotTaken
from consult.domain.ids import AppointmentId, HoldId, StaffId
from consult.domain.words import N_
from consult.scheduling import booking_queries as queries
from consult.scheduling import queries as reading
from consult.scheduling.booking_queries import Locked, NewInvitation
from consult.scheduling.claims import (
    Wish,
    claimed,
    experts_of,
    refuse_long_reason,
    refuse_wrong_time,
    slot_of,
)
from consult.scheduling.invitations import list_invited, make_link
from consult.scheduling.model import Moved


async def move(
    conn: asyncpg.Connection,
    appointment_id: AppointmentId,
    starts_at: datetime,
    *,
    sequence: int,
    by: StaffId | None,
    now: datetime,
    reason: str = "",
    expert_id: StaffId | None = None,
    outside_hours: bool = False,
    hold_id: HoldId | None = None,
) -> Moved:
    """Give an appointment another time of the same length, or another lead, and everybody invited a new link.

    sequence: that of the appointment as the person saw it. by: None if the patient moves it. expert_id: who leads from
    now on. Raises MovedMeanwhile if somebody else changed it, AppointmentStarted from its start on, and as `book`.
    """
    refuse_long_reason(reason)
    seen = await reading.fetch_appointment(conn, appointment_id)
    if seen is None or seen.appointment.is_cancelled:
        raise NotFound("appointment")
    was = seen.appointment
    slot = slot_of(starts_at, was.ends_at - was.starts_at)
    lead = was.expert_id if expert_id is None else expert_id
    wish = Wish(
        was.case_id, experts_of(lead, was.others), slot, now, outside_hours, own=appointment_id, hold_id=hold_id
    )
    if was.sequence != sequence:
        raise MovedMeanwhile(starts_at=was.starts_at, sequence=was.sequence)
    if was.starts_at <= now:
        raise AppointmentStarted
    if slot == was.slot and lead == was.expert_id:
        raise InvalidInput({"slot": N_("This is the time that it has already. Choose another one.")})
    refuse_wrong_time(wish)
    async with claimed(conn, wish, also=was.expert_ids) as (party, diary):
        before = await _lock_as_seen(conn, appointment_id, sequence)
        blocked = {one: diary.blocked(one, slot, record_count=party.record_count) for one in wish.expert_ids}
        invited = [
            NewInvitation(one.person_id, one.role, one.name, make_link(appointment_id))
            for one in await list_invited(conn, appointment_id)
        ]
        if not any(one.role == "patient" for one in invited) and party.patient_id is not None:
            invited.append(NewInvitation(party.patient_id, "patient", seen.patient_name, make_link(appointment_id)))
        await queries.delete_busy_times(conn, appointment_id)
        try:
            lost = await queries.move_appointment(
                conn, appointment_id, before, slot, blocked, invited, by=by, reason=reason.strip(), now=now
            )
        except asyncpg.ExclusionViolationError:
            raise SlotTaken(nearest=[]) from None
        after = await reading.fetch_appointment(conn, appointment_id)
    if after is None:
        raise NotFound("appointment")
    return Moved(
        appointment=after.appointment,
        was=was,
        link=next(one.link.issued(was.number) for one in invited if one.role == "patient"),
        guest_links={str(one.person_id): one.link.issued(was.number) for one in invited if one.role != "patient"},
        lost=lost,
    )


async def _lock_as_seen(conn: asyncpg.Connection, appointment_id: AppointmentId, sequence: int) -> Locked:
    """Return the appointment, which nobody changes any more. Raises as `move`."""
    locked = await queries.lock_appointment(conn, appointment_id)
    if locked is None or locked.is_cancelled:
        raise NotFound("appointment")
    if locked.sequence != sequence:
        raise MovedMeanwhile(starts_at=locked.slot.starts_at, sequence=locked.sequence)
    if locked.has_call:
        raise AppointmentStarted
    return locked
