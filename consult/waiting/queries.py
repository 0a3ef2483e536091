"""SQL of the wait list. `offer_queries` holds that of offers."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

from consult.domain.ids import AppointmentId, CaseId, PatientId, StaffId, WaitEntryId
from consult.domain.kinds import ConsultationKind
from consult.waiting.model import Ended, EntryLine, WaitEntry, Wishes

LIST_LOCK = 0x0A17  # the advisory lock that orders what changes the list or asks somebody on it

LOCK_LIST = "select pg_advisory_xact_lock($1::bigint)"

INSERT_ENTRY = """
insert into wait_entries (id, case_id, patient_id, appointment_id, kind, day_from, day_to, weekdays, time_from, time_to,
                          note, is_urgent, added_by, asked_by_patient, added_at)
select $1, c.id, c.patient_id, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14 from cases c where c.id = $2
returning id
"""

UPDATE_ENTRY = """
update wait_entries
set appointment_id = $2, kind = $3, day_from = $4, day_to = $5, weekdays = $6, time_from = $7, time_to = $8, note = $9,
    is_urgent = $10
where id = $1 and ended_at is null
"""

DELETE_EXPERTS = "delete from wait_entry_experts where entry_id = $1"

INSERT_EXPERT = "insert into wait_entry_experts (entry_id, expert_id, place) values ($1, $2, $3)"

ENTRY = """
select w.id, w.case_id, w.patient_id, w.appointment_id, w.kind, w.day_from, w.day_to, w.weekdays, w.time_from,
       w.time_to, w.note, w.is_urgent, w.position, w.added_by, w.asked_by_patient, w.added_at,
       w.unanswered, w.set_aside_at, w.ended_at,
       lower(a.during) as earlier_than, upper(a.during) - lower(a.during) as length, p.time_zone,
       p.name as patient_name, p.email as patient_email,
       b.name as added_by_name,
       array(
         select e.name from staff e left join panel_experts x on x.expert_id = e.id and x.appointment_id = a.id
         where e.id = a.expert_id or x.appointment_id = a.id order by e.id <> a.expert_id, e.name, e.id
       ) as appointment_expert_names,
       coalesce(a.cancelled_at is not null or lower(a.during) <= $1, false) as is_stale,
       (select count(*) from records r where r.case_id = w.case_id and r.removed_at is null) as record_count,
       array(select x.expert_id from wait_entry_experts x where x.entry_id = w.id order by x.place) as expert_ids
from wait_entries w
join patients p on p.id = w.patient_id
join staff b on b.id = w.added_by
left join appointments a on a.id = w.appointment_id
"""

FETCH_ENTRY = ENTRY + "where w.id = $2"

LOCK_ENTRY = ENTRY + "where w.id = $2 for no key update of w"

FIND_ENTRY_OF_CASE = ENTRY + "where w.case_id = $2 and w.ended_at is null"

LIST_ENTRIES = ENTRY + "where w.ended_at is null order by w.is_urgent desc, w.position"

# Who may be asked: nobody who has an offer already, and no closed case.
LIST_TO_ASK = (
    ENTRY
    + """
join cases c on c.id = w.case_id
where w.ended_at is null and w.set_aside_at is null and c.closed_at is null
  and not exists (select from wait_offers o where o.patient_id = w.patient_id and o.ended_at is null)
order by w.is_urgent desc, w.position
"""
)

SWAP_POSITIONS = """
update wait_entries w set position = other.position
from wait_entries other
where (w.id = $1 and other.id = $2) or (w.id = $2 and other.id = $1)
"""

UPDATE_URGENT = "update wait_entries set is_urgent = $2 where id = $1 and ended_at is null"

COUNT_UNANSWERED = """
update wait_entries
set unanswered = unanswered + 1, set_aside_at = case when unanswered + 1 >= $2 then $3 else set_aside_at end
where id = $1 and ended_at is null
"""

UPDATE_ANSWERED = "update wait_entries set unanswered = 0 where id = $1 and ended_at is null"

UPDATE_TAKEN_UP_AGAIN = """
update wait_entries set set_aside_at = null, unanswered = 0 where id = $1 and ended_at is null
"""

END_ENTRY = "update wait_entries set ended_at = $3, ended = $2 where id = $1 and ended_at is null returning id"


async def lock_list(conn: asyncpg.Connection) -> None:
    """Let whoever else changes the list or asks somebody wait until this transaction ends."""
    await conn.execute(LOCK_LIST, LIST_LOCK)


async def insert_entry(
    conn: asyncpg.Connection,
    case_id: CaseId,
    appointment_id: AppointmentId | None,
    wishes: Wishes,
    *,
    note: str,
    is_urgent: bool,
    added_by: StaffId,
    by_patient: bool = False,
    now: datetime,
) -> WaitEntryId:
    """Raises asyncpg.UniqueViolationError if the case is on the list already."""
    entry_id = WaitEntryId(uuid.uuid4())
    await conn.fetchval(
        INSERT_ENTRY, entry_id, case_id, appointment_id, *_columns(wishes), note, is_urgent, added_by, by_patient, now
    )
    await _insert_experts(conn, entry_id, wishes.expert_ids)
    return entry_id


async def update_entry(
    conn: asyncpg.Connection,
    entry_id: WaitEntryId,
    appointment_id: AppointmentId | None,
    wishes: Wishes,
    *,
    note: str,
    is_urgent: bool,
) -> None:
    await conn.execute(UPDATE_ENTRY, entry_id, appointment_id, *_columns(wishes), note, is_urgent)
    await conn.execute(DELETE_EXPERTS, entry_id)
    await _insert_experts(conn, entry_id, wishes.expert_ids)


async def fetch_entry(conn: asyncpg.Connection, entry_id: WaitEntryId, now: datetime) -> EntryLine | None:
    return _line(await conn.fetchrow(FETCH_ENTRY, now, entry_id))


async def lock_entry(conn: asyncpg.Connection, entry_id: WaitEntryId, now: datetime) -> EntryLine | None:
    return _line(await conn.fetchrow(LOCK_ENTRY, now, entry_id))


async def find_entry_of_case(conn: asyncpg.Connection, case_id: CaseId, now: datetime) -> EntryLine | None:
    return _line(await conn.fetchrow(FIND_ENTRY_OF_CASE, now, case_id))


async def list_entries(conn: asyncpg.Connection, now: datetime) -> list[EntryLine]:
    """Return everybody on the list, in order; those set aside too."""
    return _lines(await conn.fetch(LIST_ENTRIES, now))


async def list_to_ask(conn: asyncpg.Connection, now: datetime) -> list[WaitEntry]:
    return [line.entry for line in _lines(await conn.fetch(LIST_TO_ASK, now))]


async def swap_positions(conn: asyncpg.Connection, one: WaitEntryId, other: WaitEntryId) -> None:
    await conn.execute(SWAP_POSITIONS, one, other)


async def update_urgent(conn: asyncpg.Connection, entry_id: WaitEntryId, is_urgent: bool) -> None:
    await conn.execute(UPDATE_URGENT, entry_id, is_urgent)


async def count_unanswered(conn: asyncpg.Connection, entry_id: WaitEntryId, most: int, now: datetime) -> None:
    """Count an offer without an answer; with the last of them the entry is set aside."""
    await conn.execute(COUNT_UNANSWERED, entry_id, most, now)


async def update_answered(conn: asyncpg.Connection, entry_id: WaitEntryId) -> None:
    await conn.execute(UPDATE_ANSWERED, entry_id)


async def update_taken_up_again(conn: asyncpg.Connection, entry_id: WaitEntryId) -> None:
    await conn.execute(UPDATE_TAKEN_UP_AGAIN, entry_id)


async def end_entry(conn: asyncpg.Connection, entry_id: WaitEntryId, ended: Ended, now: datetime) -> bool:
    """False if it had ended before."""
    return await conn.fetchval(END_ENTRY, entry_id, ended, now) is not None


async def _insert_experts(conn: asyncpg.Connection, entry_id: WaitEntryId, expert_ids: Sequence[StaffId]) -> None:
    await conn.executemany(INSERT_EXPERT, [(entry_id, expert_id, place) for place, expert_id in enumerate(expert_ids)])


def _columns(wishes: Wishes) -> tuple[Any, ...]:
    return (
        wishes.kind,
        wishes.day_from,
        wishes.day_to,
        sorted(wishes.weekdays),
        wishes.time_from,
        wishes.time_to,
    )


def _lines(rows: Sequence[Any]) -> list[EntryLine]:
    return [line for line in map(_line, rows) if line is not None]


def _line(row: Any) -> EntryLine | None:
    if row is None:
        return None
    wishes = Wishes(
        kind=ConsultationKind(row["kind"]),
        expert_ids=tuple(StaffId(one) for one in row["expert_ids"]),
        day_from=row["day_from"],
        day_to=row["day_to"],
        weekdays=frozenset(row["weekdays"]),
        time_from=row["time_from"],
        time_to=row["time_to"],
    )
    entry = WaitEntry(
        id=WaitEntryId(row["id"]),
        case_id=CaseId(row["case_id"]),
        patient_id=PatientId(row["patient_id"]),
        appointment_id=None if row["appointment_id"] is None else AppointmentId(row["appointment_id"]),
        wishes=wishes,
        note=row["note"],
        is_urgent=row["is_urgent"],
        position=row["position"],
        added_by=StaffId(row["added_by"]),
        added_at=row["added_at"],
        unanswered=row["unanswered"],
        set_aside_at=row["set_aside_at"],
        ended_at=row["ended_at"],
        earlier_than=row["earlier_than"],
        length=row["length"],
        is_stale=row["is_stale"],
        time_zone=row["time_zone"],
        record_count=row["record_count"],
        asked_by_patient=row["asked_by_patient"],
    )
    return EntryLine(
        entry=entry,
        patient_name=row["patient_name"],
        patient_email=row["patient_email"],
        added_by_name=row["added_by_name"],
        appointment_expert_names=row["appointment_expert_names"],
    )
