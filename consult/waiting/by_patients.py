"""Waiting by a patient's own wish: what they ask for from the link of a cancelled appointment, put on the list.

What staff entered stands: a wish changes no entry but one that came of a wish. Functions take a connection; who calls
owns the transaction.
"""

from __future__ import annotations

from datetime import datetime, time

import asyncpg

from consult.domain.ids import AppointmentId
from consult.people import service as people
from consult.scheduling import service as scheduling
from consult.waiting import queries
from consult.waiting.model import EVERY_WEEKDAY, MAX_NOTE_CHARS, EntryLine, PartOfDay, Wishes

_BETWEEN: dict[PartOfDay, tuple[time | None, time | None]] = {
    PartOfDay.ANY: (None, None),
    PartOfDay.MORNING: (None, time(13)),
    PartOfDay.AFTERNOON: (time(12), None),
}


async def wait_by_wish(
    conn: asyncpg.Connection,
    appointment_id: AppointmentId,
    weekdays: frozenset[int],
    part: PartOfDay,
    note: str,
    now: datetime,
) -> bool:
    """Put the case of a cancelled appointment on the list, for a time like that one on days that suit the patient.

    weekdays: none: every day. Wished again, the new wishes stand and the place stays. False if nothing was changed:
    staff has the case on the list already, it has another appointment, or an expert of the panel is gone.
    """
    await queries.lock_list(conn)
    before = (await scheduling.fetch_appointment(conn, appointment_id)).appointment
    others = await scheduling.list_appointments(conn, before.case_id)
    if any(not one.appointment.is_cancelled and one.appointment.starts_at > now for one in others):
        return False
    known = {one.id for one in await people.list_experts(conn)}
    experts = tuple(one for one in before.expert_ids if one in known)
    time_from, time_to = _BETWEEN[part]
    wishes = Wishes(
        kind=before.kind, expert_ids=experts, weekdays=weekdays or EVERY_WEEKDAY, time_from=time_from, time_to=time_to
    )
    if wishes.is_panel and len(experts) < len(before.expert_ids):
        return False
    line = await queries.find_entry_of_case(conn, before.case_id, now)
    note = note.strip()[:MAX_NOTE_CHARS]
    if line is None:
        await queries.insert_entry(
            conn, before.case_id, None, wishes, note=note, is_urgent=False, added_by=before.booked_by,
            by_patient=True, now=now,
        )  # fmt: skip
    elif line.entry.asked_by_patient:
        await queries.update_entry(conn, line.entry.id, None, wishes, note=note, is_urgent=line.entry.is_urgent)
    return line is None or line.entry.asked_by_patient


async def find_wish(conn: asyncpg.Connection, appointment_id: AppointmentId, now: datetime) -> EntryLine | None:
    """Return the entry that came of the patient's own wish, None if there is none on the list."""
    before = (await scheduling.fetch_appointment(conn, appointment_id)).appointment
    line = await queries.find_entry_of_case(conn, before.case_id, now)
    return line if line is not None and line.entry.asked_by_patient else None


def part_of(wishes: Wishes) -> PartOfDay:
    """Return which part of the day is wished for; ANY for times that staff has entered since."""
    between = (wishes.time_from, wishes.time_to)
    return next((part for part, times in _BETWEEN.items() if times == between), PartOfDay.ANY)
