"""SQL of offers: what was offered to whom, their links, and how each ended."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import asyncpg

from consult.domain.ids import AppointmentId, CaseId, HoldId, PatientId, StaffId, WaitEntryId, WaitOfferId
from consult.domain.kinds import ConsultationKind
from consult.domain.slots import Slot
from consult.waiting.model import Offer, OfferDetails, Outcome, PanelExpert, WaitEntry

INSERT_OFFER = """
insert into wait_offers (id, entry_id, patient_id, expert_id, others, during, hold_id, offered_at, expires_at)
values ($1, $2, $3, $4, $5, tstzrange($6, $7, '[)'), $8, $9, $10)
"""

INSERT_LINK = "insert into wait_offer_links (secret_hash, offer_id, issued_at) values ($1, $2, $3)"

OFFER = """
select o.id, o.entry_id, o.patient_id, o.expert_id, o.others, o.hold_id,
       lower(o.during) as starts_at, upper(o.during) as ends_at,
       o.offered_at, o.expires_at, o.ended_at, o.outcome, w.case_id, w.added_by,
       h.appointment_id, h.kind, lower(a.during) as earlier_than,
       p.name as patient_name, p.email as patient_email, p.language as patient_language,
       p.time_zone as patient_time_zone, p.phone as patient_phone,
       e.name as expert_name, e.specialty as expert_specialty, e.time_zone as expert_time_zone,
       array(
         select array[s.name, s.specialty] from unnest(o.others) with ordinality as u (id, place)
         join staff s on s.id = u.id order by u.place
       ) as panel
from wait_offers o
join wait_entries w on w.id = o.entry_id
join holds h on h.id = o.hold_id
join patients p on p.id = o.patient_id
join staff e on e.id = o.expert_id
left join appointments a on a.id = h.appointment_id
"""

FETCH_OFFER = OFFER + "where o.id = $1"

LOCK_OFFER = OFFER + "where o.id = $1 for no key update of o"

FIND_BY_SECRET = OFFER + "join wait_offer_links l on l.offer_id = o.id where l.secret_hash = $1"

LOCK_BY_SECRET = FIND_BY_SECRET + " for no key update of o"

LIST_OPEN = OFFER + "where o.ended_at is null order by o.expires_at"

FIND_OPEN_OF_ENTRY = OFFER + "where o.entry_id = $1 and o.ended_at is null"

LOCK_OPEN_OF_ENTRY = OFFER + "where o.entry_id = $1 and o.ended_at is null for no key update of o"

LIST_OVERDUE = "select id from wait_offers where ended_at is null and expires_at <= $1 order by expires_at"

# What of an expert's time somebody was offered before; what the clinic withdrew counts as never offered.
# What they were offered and did not take, and what they have cancelled themselves.
LIST_ASKED = """
select o.entry_id, lower(o.during) as starts_at, upper(o.during) as ends_at
from wait_offers o
join holds h on h.id = o.hold_id
where o.entry_id = any($1::uuid[]) and (o.expert_id = $2 or h.kind = 'panel')
  and o.during && tstzrange($3, $4, '[)') and o.outcome in ('declined', 'unanswered')
union all
select w.id, lower(a.during), upper(a.during)
from wait_entries w
join appointments a on a.case_id = w.case_id
where w.id = any($1::uuid[]) and (a.expert_id = $2 or a.kind = 'panel') and a.cancelled_by = 'patient'
  and a.during && tstzrange($3, $4, '[)')
"""

END_OFFER = "update wait_offers set ended_at = $3, outcome = $2 where id = $1 and ended_at is null"


async def insert_offer(
    conn: asyncpg.Connection,
    entry: WaitEntry,
    expert_ids: Sequence[StaffId],
    slot: Slot,
    hold_id: HoldId,
    *,
    now: datetime,
    expires_at: datetime,
) -> WaitOfferId:
    """expert_ids: who leads first. Raises asyncpg.UniqueViolationError if this person has an offer already."""
    offer_id = WaitOfferId(uuid.uuid4())
    await conn.execute(
        INSERT_OFFER,
        offer_id,
        entry.id,
        entry.patient_id,
        expert_ids[0],
        list(expert_ids[1:]),
        slot.starts_at,
        slot.ends_at,
        hold_id,
        now,
        expires_at,
    )
    return offer_id


async def insert_link(conn: asyncpg.Connection, offer_id: WaitOfferId, secret_hash: bytes, now: datetime) -> None:
    await conn.execute(INSERT_LINK, secret_hash, offer_id, now)


async def fetch_offer(conn: asyncpg.Connection, offer_id: WaitOfferId) -> OfferDetails | None:
    return await _first(conn, FETCH_OFFER, offer_id)


async def lock_offer(conn: asyncpg.Connection, offer_id: WaitOfferId) -> OfferDetails | None:
    return await _first(conn, LOCK_OFFER, offer_id)


async def find_by_secret(conn: asyncpg.Connection, secret_hash: bytes) -> OfferDetails | None:
    return await _first(conn, FIND_BY_SECRET, secret_hash)


async def lock_by_secret(conn: asyncpg.Connection, secret_hash: bytes) -> OfferDetails | None:
    return await _first(conn, LOCK_BY_SECRET, secret_hash)


async def find_open_of_entry(conn: asyncpg.Connection, entry_id: WaitEntryId) -> OfferDetails | None:
    return await _first(conn, FIND_OPEN_OF_ENTRY, entry_id)


async def lock_open_of_entry(conn: asyncpg.Connection, entry_id: WaitEntryId) -> OfferDetails | None:
    return await _first(conn, LOCK_OPEN_OF_ENTRY, entry_id)


async def list_open(conn: asyncpg.Connection) -> list[OfferDetails]:
    return [_details(row) for row in await conn.fetch(LIST_OPEN)]


async def list_overdue(conn: asyncpg.Connection, now: datetime) -> list[WaitOfferId]:
    return [WaitOfferId(row["id"]) for row in await conn.fetch(LIST_OVERDUE, now)]


async def list_asked(
    conn: asyncpg.Connection, entry_ids: Collection[WaitEntryId], expert_id: StaffId, between: Slot
) -> dict[WaitEntryId, list[Slot]]:
    """Return what of this expert's time these entries were offered before and did not take."""
    asked: dict[WaitEntryId, list[Slot]] = {}
    for row in await conn.fetch(LIST_ASKED, list(entry_ids), expert_id, between.starts_at, between.ends_at):
        asked.setdefault(WaitEntryId(row["entry_id"]), []).append(Slot(row["starts_at"], row["ends_at"]))
    return asked


async def end_offer(conn: asyncpg.Connection, offer_id: WaitOfferId, outcome: Outcome, now: datetime) -> None:
    await conn.execute(END_OFFER, offer_id, outcome, now)


async def _first(conn: asyncpg.Connection, statement: str, key: object) -> OfferDetails | None:
    row = await conn.fetchrow(statement, key)
    return None if row is None else _details(row)


def _details(row: Any) -> OfferDetails:
    offer = Offer(
        id=WaitOfferId(row["id"]),
        entry_id=WaitEntryId(row["entry_id"]),
        case_id=CaseId(row["case_id"]),
        patient_id=PatientId(row["patient_id"]),
        appointment_id=None if row["appointment_id"] is None else AppointmentId(row["appointment_id"]),
        kind=ConsultationKind(row["kind"]),
        expert_id=StaffId(row["expert_id"]),
        others=tuple(StaffId(one) for one in row["others"]),
        hold_id=HoldId(row["hold_id"]),
        added_by=StaffId(row["added_by"]),
        during=Slot(row["starts_at"], row["ends_at"]),
        offered_at=row["offered_at"],
        expires_at=row["expires_at"],
        ended_at=row["ended_at"],
        outcome=None if row["outcome"] is None else Outcome(row["outcome"]),
    )
    return OfferDetails(
        offer=offer,
        patient_name=row["patient_name"],
        patient_email=row["patient_email"],
        patient_phone=row["patient_phone"],
        patient_language=row["patient_language"],
        patient_time_zone=row["patient_time_zone"],
        expert_name=row["expert_name"],
        expert_specialty=row["expert_specialty"],
        expert_time_zone=row["expert_time_zone"],
        earlier_than=row["earlier_than"],
        panel=tuple(PanelExpert(name, specialty) for name, specialty in row["panel"]),
    )
