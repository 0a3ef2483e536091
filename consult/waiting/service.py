"""The wait list: putting cases on it, their order, and what becomes of an entry. Offers are in `freed` and `offers`.

A freed stretch of time is looked at by a job, another one ends each offer when its time is over. Both may run twice, in
two workers, or be killed. Functions take a connection; who calls owns the transaction, except where a docstring says
otherwise.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg
import structlog

from consult import jobs
from consult.cases import service as cases
from consult.domain.errors import InvalidInput, NotFound
from consult.domain.ids import AppointmentId, CaseId, StaffId, WaitEntryId, WaitOfferId
from consult.domain.kinds import ConsultationKind
from consult.domain.slots import Slot
from consult.domain.words import N_
from consult.log import facts_of
from consult.people import service as people
from consult.scheduling import service as scheduling
from consult.scheduling.model import Appointment
from consult.settings import Settings
from consult.waiting import queries
from consult.waiting.by_patients import find_wish, part_of, wait_by_wish
from consult.waiting.freed import Tell, offer_freed
from consult.waiting.later import (
    END_OFFER,
    OFFER_FREED,
    plan_end,
    queue_freed,
    queue_given_back,
    queue_new_hours,
    queue_time_of,
)
from consult.waiting.list_words import wanted, weekdays
from consult.waiting.model import Ended, EntryLine, Wishes, neighbour, wrong_wishes
from consult.waiting.offers import (
    Answer,
    Answered,
    answer_for,
    answer_link,
    end_offer_when_due,
    fetch_offer,
    find_offer,
    issue_link,
    list_open_offers,
    look_at,
    queue_overdue,
    read_secret,
    tell_of_offer,
    withdraw,
)

log = structlog.get_logger()

LOOK_EVERY_S = 30.0

__all__ = [
    "END_OFFER",
    "OFFER_FREED",
    "Answer",
    "Answered",
    "EntryLine",
    "add",
    "answer_for",
    "answer_link",
    "change",
    "end_for_booking",
    "end_offer_when_due",
    "fetch_entry",
    "fetch_offer",
    "find_entry",
    "find_offer",
    "find_wish",
    "follow_cancelled",
    "follow_moved",
    "issue_link",
    "keep_list",
    "list_entries",
    "list_open_offers",
    "look_at",
    "mark_urgent",
    "move_in_list",
    "offer_freed",
    "part_of",
    "queue_freed",
    "queue_given_back",
    "queue_new_hours",
    "queue_overdue",
    "queue_time_of",
    "read_secret",
    "register_jobs",
    "remove",
    "take_up_again",
    "tell_of_offer",
    "wait_by_wish",
    "wanted",
    "weekdays",
    "withdraw",
]


async def add(
    conn: asyncpg.Connection,
    case_id: CaseId,
    wishes: Wishes,
    *,
    appointment_id: AppointmentId | None = None,
    note: str = "",
    is_urgent: bool = False,
    added_by: StaffId,
    now: datetime,
) -> WaitEntryId:
    """Put a case on the list, behind those who wait already.

    appointment_id: the time it has and would give for an earlier one. Raises NotFound, InvalidInput.
    """
    wishes = await _checked(conn, case_id, wishes, appointment_id, note, now)
    try:
        async with conn.transaction():
            await queries.lock_list(conn)
            return await queries.insert_entry(
                conn, case_id, appointment_id, wishes, note=note, is_urgent=is_urgent, added_by=added_by, now=now
            )
    except asyncpg.UniqueViolationError:
        raise InvalidInput(
            {"": N_("This case is on the wait list already. Somebody else added it meanwhile.")}
        ) from None


async def change(
    conn: asyncpg.Connection,
    entry_id: WaitEntryId,
    wishes: Wishes,
    *,
    appointment_id: AppointmentId | None,
    note: str,
    is_urgent: bool,
    now: datetime,
) -> None:
    """Change what an entry wants. Its place stays, and so does an offer that is open. Raises NotFound, InvalidInput."""
    line = await _lock(conn, entry_id, now)
    wishes = await _checked(conn, line.entry.case_id, wishes, appointment_id, note, now)
    await queries.update_entry(conn, entry_id, appointment_id, wishes, note=note, is_urgent=is_urgent)


async def fetch_entry(conn: asyncpg.Connection, entry_id: WaitEntryId, now: datetime) -> EntryLine:
    """Raises NotFound, also if the entry has left the list."""
    line = await queries.fetch_entry(conn, entry_id, now)
    if line is None or line.entry.ended_at is not None:
        raise NotFound("wait entry")
    return line


async def find_entry(conn: asyncpg.Connection, case_id: CaseId, now: datetime) -> EntryLine | None:
    """Return the case's entry, None if it is not on the list."""
    return await queries.find_entry_of_case(conn, case_id, now)


async def follow_cancelled(conn: asyncpg.Connection, before: Appointment, now: datetime) -> None:
    """Offer the time of a cancelled appointment on; an earlier time is kept for it no longer. before: as it was."""
    await queue_time_of(conn, before, now)
    await _withdraw_for(conn, before, None, now)


async def follow_moved(conn: asyncpg.Connection, before: Appointment, after: Appointment, now: datetime) -> None:
    """Offer on the time that an appointment was moved away from; what is kept for it is, if it is earlier still."""
    await queue_time_of(conn, before, now)
    await _withdraw_for(conn, before, after.starts_at, now)


async def list_entries(conn: asyncpg.Connection, now: datetime) -> list[EntryLine]:
    """Return everybody on the list in the order in which they are asked; those set aside too."""
    return await queries.list_entries(conn, now)


async def move_in_list(conn: asyncpg.Connection, entry_id: WaitEntryId, *, up: bool, now: datetime) -> None:
    """Let an entry change places with the one before or behind it. At the end of its group nothing changes."""
    async with conn.transaction():
        await queries.lock_list(conn)
        await _lock(conn, entry_id, now)
        entries = [line.entry for line in await queries.list_entries(conn, now)]
        beside = neighbour(entries, entry_id, up=up)
        if beside is not None:
            await queries.swap_positions(conn, entry_id, beside.id)


async def mark_urgent(conn: asyncpg.Connection, entry_id: WaitEntryId, is_urgent: bool, now: datetime) -> None:
    """Raises NotFound."""
    async with conn.transaction():
        await queries.lock_list(conn)
        await _lock(conn, entry_id, now)
        await queries.update_urgent(conn, entry_id, is_urgent)


async def take_up_again(conn: asyncpg.Connection, entry_id: WaitEntryId, now: datetime) -> None:
    """Let an entry that was set aside be asked again. Raises NotFound."""
    await _lock(conn, entry_id, now)
    await queries.update_taken_up_again(conn, entry_id)


async def remove(conn: asyncpg.Connection, entry_id: WaitEntryId, now: datetime) -> None:
    """Take an entry off the list; what was offered to it goes to the next one. Removing twice changes nothing."""
    async with conn.transaction():
        await withdraw(conn, entry_id, now)
        await queries.end_entry(conn, entry_id, Ended.REMOVED, now)


async def end_for_booking(conn: asyncpg.Connection, case_id: CaseId, now: datetime) -> None:
    """Say that a case got a time in another way than by an offer: who waited for a first one does not any more."""
    line = await queries.find_entry_of_case(conn, case_id, now)
    if line is None or line.entry.appointment_id is not None:
        return
    async with conn.transaction():
        await withdraw(conn, line.entry.id, now)
        await queries.end_entry(conn, line.entry.id, Ended.FULFILLED, now)


def register_jobs(
    worker: jobs.Jobs,
    pool: asyncpg.Pool[asyncpg.Record],
    settings: Settings,
    clock: Callable[[], datetime],
    *,
    tell: Tell,
) -> None:
    """Give the worker what this feature does later. tell: how a person hears of an offer."""
    usual = timedelta(hours=settings.offer_h)

    async def do_offer_freed(payload: jobs.Payload) -> None:
        starts_at, ends_at = (datetime.fromisoformat(payload[name]) for name in ("starts_at", "ends_at"))
        async with pool.acquire() as conn:
            freed = Slot(starts_at.astimezone(UTC), ends_at.astimezone(UTC))
            for expert_id in await _whose(conn, StaffId(payload["expert_id"]), settings):
                await offer_freed(conn, expert_id, freed, usual=usual, now=clock(), tell=tell)

    async def do_end_offer(payload: jobs.Payload) -> None:
        offer_id = WaitOfferId(uuid.UUID(payload["offer_id"]))
        async with pool.acquire() as conn:
            still = await end_offer_when_due(conn, offer_id, clock())
            if still is not None:  # the queue's clock is ahead of ours
                await plan_end(conn, offer_id, still)

    worker.handle(OFFER_FREED, do_offer_freed)
    worker.handle(END_OFFER, do_end_offer)


async def keep_list(pool: asyncpg.Pool[asyncpg.Record], clock: Callable[[], datetime]) -> None:
    """Free what nobody keeps any longer and offer it on, for as long as the worker lives.

    Offers whose job was given up are ended too.
    """
    while True:
        try:
            async with pool.acquire() as conn, conn.transaction():
                now = clock()
                await scheduling.tidy_holds(conn, now)
                await queue_given_back(conn, now)
                overdue = await queue_overdue(conn, now)
            if overdue:
                log.warning("offers.overdue", count=overdue)
        except Exception as error:
            log.error("waiting.list_failed", **facts_of(error))
        await asyncio.sleep(LOOK_EVERY_S)


async def _whose(conn: asyncpg.Connection, expert_id: StaffId, settings: Settings) -> list[StaffId]:
    """Return whose time may have become free with an expert's: with a room that was the last one, everybody's."""
    if settings.room_capacity is None:
        return [expert_id]
    others = [one.id for one in await people.list_experts(conn) if one.id != expert_id]
    return [expert_id, *others]


async def _withdraw_for(
    conn: asyncpg.Connection, appointment: Appointment, starts_at: datetime | None, now: datetime
) -> None:
    """Withdraw an earlier time that is kept for an appointment, if it is not earlier than starts_at."""
    line = await queries.find_entry_of_case(conn, appointment.case_id, now)
    if line is None or line.entry.appointment_id != appointment.id:
        return
    details = await find_offer(conn, line.entry.id)
    if details is not None and (starts_at is None or details.offer.during.starts_at >= starts_at):
        await withdraw(conn, line.entry.id, now)


async def _lock(conn: asyncpg.Connection, entry_id: WaitEntryId, now: datetime) -> EntryLine:
    line = await queries.lock_entry(conn, entry_id, now)
    if line is None or line.entry.ended_at is not None:
        raise NotFound("wait entry")
    return line


async def _checked(
    conn: asyncpg.Connection,
    case_id: CaseId,
    wishes: Wishes,
    appointment_id: AppointmentId | None,
    note: str,
    now: datetime,
) -> Wishes:
    """Return the wishes if they can stand. An earlier time is of the same kind, and for a panel of the same experts."""
    case = await cases.fetch_case(conn, case_id)
    wrong: dict[str, str] = {}
    if appointment_id is not None:
        known = {one.appointment.id: one.appointment for one in await scheduling.list_appointments(conn, case_id)}
        appointment = known.get(appointment_id)
        if appointment is None or appointment.is_cancelled or appointment.starts_at <= now:
            wrong["appointment"] = N_("This appointment cannot be moved any more. Choose another one.")
        else:
            experts = appointment.expert_ids if appointment.kind is ConsultationKind.PANEL else wishes.expert_ids
            wishes = Wishes(
                kind=appointment.kind,
                expert_ids=experts,
                day_from=wishes.day_from,
                day_to=wishes.day_to,
                weekdays=wishes.weekdays,
                time_from=wishes.time_from,
                time_to=wishes.time_to,
            )
    wrong |= wrong_wishes(wishes, note, _today(case.patient.time_zone, now))
    if set(wishes.expert_ids) - {expert.id for expert in await people.list_experts(conn)}:
        wrong["experts"] = N_("Choose experts from the list.")
    if wrong:
        raise InvalidInput(wrong)
    return wishes


def _today(time_zone: str | None, now: datetime) -> date:
    return now.astimezone(ZoneInfo(time_zone or "UTC")).date()
