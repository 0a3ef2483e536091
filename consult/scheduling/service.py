"""Scheduling: appointments and who comes to them. Offered from here: booking, holds, moving, links and visits.

Functions take a connection; who calls owns the transaction, except where a docstring says otherwise. The database never
lets an expert's appointments overlap; the locks only make many people wait in line instead of in a deadlock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import asyncpg

from consult.availability import service as availability
from consult.domain.errors import NotFound
from consult.domain.ids import AppointmentId, CaseId, StaffId
from consult.domain.slots import Slot
from consult.people.model import Staff
from consult.scheduling import queries
from consult.scheduling.booking import book, cancel, set_needs
from consult.scheduling.diary import MAX_DAYS_AHEAD, list_free, read_diary
from consult.scheduling.holds import fetch_hold, hold, release, take_freed, tidy_holds
from consult.scheduling.invitations import (
    GUEST_ROLES,
    Guest,
    choose_guest_language,
    correct_guest_email,
    end_visit,
    find_visit,
    forget_link,
    invite_guest,
    issue_link,
    list_invited,
    open_invitation,
    revoke_links,
    withdraw_guest,
)
from consult.scheduling.links import read_number
from consult.scheduling.model import DEFAULT_LENGTH, JOIN_AFTER, AppointmentChange, AppointmentDetails
from consult.scheduling.moving import move
from consult.scheduling.wishes import list_wishes

__all__ = [
    "GUEST_ROLES",
    "Guest",
    "book",
    "cancel",
    "choose_guest_language",
    "correct_guest_email",
    "end_visit",
    "fetch_appointment",
    "fetch_hold",
    "find_for_new_link",
    "find_visit",
    "forget_link",
    "free_slots",
    "hold",
    "invite_guest",
    "issue_link",
    "list_appointments",
    "list_changes",
    "list_expert_ids",
    "list_free_slots",
    "list_invited",
    "list_panel_slots",
    "list_wishes",
    "move",
    "open_invitation",
    "read_diary",
    "read_number",
    "release",
    "revoke_links",
    "set_needs",
    "take_freed",
    "tidy_holds",
    "withdraw_guest",
]


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
    record_count: int = 0,
) -> dict[StaffId, list[Slot]]:
    """Return the free slots of several experts, each on their own. Days are each expert's own.

    record_count: of the case, on which the experts' preparation depends.
    """
    day_to = min(day_to, day_from + timedelta(days=MAX_DAYS_AHEAD))
    return await list_free(conn, experts, day_from, day_to, length, record_count=record_count, now=now)


async def list_panel_slots(
    conn: asyncpg.Connection,
    experts: Sequence[Staff],
    day_from: date,
    day_to: date,
    length: timedelta = DEFAULT_LENGTH,
    *,
    now: datetime,
    record_count: int = 0,
) -> list[Slot]:
    """Return the times when all of the experts are free. Days are those of the first."""
    if not experts:
        return []
    day_to = min(day_to, day_from + timedelta(days=MAX_DAYS_AHEAD))
    diary = await read_diary(conn, availability.homes_of(experts), day_from, day_to, now=now)
    return diary.slots(day_from, day_to, length, record_count=record_count, now=now)


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


async def list_changes(conn: asyncpg.Connection, appointment_id: AppointmentId) -> list[AppointmentChange]:
    """Return what became of an appointment, from its booking on."""
    return await queries.list_changes(conn, appointment_id)


async def find_for_new_link(
    conn: asyncpg.Connection, *, number: int | None, email: str, now: datetime
) -> list[AppointmentId]:
    """Return the appointments whose patient may be sent a new link; none if nobody fits."""
    return await queries.find_for_new_link(conn, number, email.strip(), now - JOIN_AFTER)
