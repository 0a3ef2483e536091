"""SQL of what messages are about: appointments with whom they concern, and which reminders are due."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

from consult.domain.ids import AppointmentId, CaseId, PatientId, StaffId
from consult.notices.model import Audience, MailKind, Occasion, OfferId, PersonToTell, Upcoming

OCCASION = """
select a.id, a.number, a.case_id, a.sequence, lower(a.during) as starts_at, upper(a.during) as ends_at, a.booked_at,
       a.cancelled_at,
       coalesce(a.cancelled_at, (
         select max(h.changed_at) from appointment_changes h
         where h.appointment_id = a.id and h.change in ('booked', 'moved')
       ), a.booked_at) as changed_at,
       (select count(*) from records r where r.case_id = a.case_id and r.removed_at is null) as record_count,
       p.id as patient_id, p.email, p.phone, p.language, coalesce(p.time_zone, e.time_zone) as time_zone
from appointments a
join staff e on e.id = a.expert_id
join cases c on c.id = a.case_id
join patients p on p.id = c.patient_id
"""

FETCH_OCCASION = OCCASION + "where a.id = $1"

LIST_OF_EXPERT = (
    OCCASION
    + """
where (a.expert_id = $1 or exists (
         select from panel_experts x where x.appointment_id = a.id and x.expert_id = $1
       ))
  and upper(a.during) > $2 and lower(a.during) < $3
order by lower(a.during), a.number limit $4
"""
)

LIST_EXPERTS = """
select s.id, s.email, s.language, s.time_zone
from appointments a
join staff s on s.id = a.expert_id or exists (
  select from panel_experts x where x.appointment_id = a.id and x.expert_id = s.id
)
where a.id = $1
order by s.id <> a.expert_id, s.id
"""

# Guests whose links ended with the appointment are told of that too; who was withdrawn has no address any more.
LIST_GUESTS = """
select distinct on (g.person_id) g.person_id, g.email, g.language, i.name, i.role,
       min(i.issued_at) over (partition by g.person_id) as known_since
from guest_addresses g
join invitations i on i.appointment_id = g.appointment_id and i.person_id = g.person_id
where g.appointment_id = $1
order by g.person_id, i.issued_at desc
"""

FETCH_STAFF = "select id, email, language, time_zone from staff where id = $1"

# Who is offered a time, for a text message about it while the offer is open. As long as a patient's zone is not known,
# times are told in that of the expert.
FETCH_OFFERED = """
select p.id, p.email, p.phone, p.language, coalesce(p.time_zone, e.time_zone) as time_zone
from wait_offers o join patients p on p.id = o.patient_id join staff e on e.id = o.expert_id
where o.id = $1 and o.ended_at is null and o.expires_at > $2
"""

# What may be due: appointments that begin before long, with when people came to know of their time.
LIST_UPCOMING = """
select a.id, lower(a.during) as starts_at,
       coalesce((
         select max(h.changed_at) from appointment_changes h
         where h.appointment_id = a.id and h.change in ('booked', 'moved')
       ), a.booked_at) as known_since,
       not exists (select from records r where r.case_id = a.case_id and r.removed_at is null)
       and not exists (
         select from appointments o where o.case_id = a.case_id and o.cancelled_at is null
           and lower(o.during) > $1 and lower(o.during) < lower(a.during)
       ) as wants_records,
       t.kinds as told_kinds, t.instants as told_for
from appointments a
cross join lateral (
  select coalesce(array_agg(m.kind), '{}') as kinds, coalesce(array_agg(m.about_at), '{}') as instants
  from mails m where m.appointment_id = a.id and m.about_at is not null
) t
where a.cancelled_at is null and a.during && tstzrange($1, $2) and lower(a.during) > $1
order by lower(a.during)
"""


async def fetch_occasion(conn: asyncpg.Connection, appointment_id: AppointmentId) -> Occasion | None:
    row = await conn.fetchrow(FETCH_OCCASION, appointment_id)
    if row is None:
        return None
    experts = [_expert(one) for one in await conn.fetch(LIST_EXPERTS, appointment_id)]
    guests = await conn.fetch(LIST_GUESTS, appointment_id)
    return _occasion(row, tuple(experts), [(str(one["person_id"]), one) for one in guests])


async def list_of_expert(
    conn: asyncpg.Connection, staff_id: StaffId, ends_after: datetime, starts_before: datetime, limit: int
) -> list[Occasion]:
    """An expert's appointments, cancelled ones too, in the order of time; without the experts of each."""
    rows = await conn.fetch(LIST_OF_EXPERT, staff_id, ends_after, starts_before, limit)
    return [_occasion(row, (), ()) for row in rows]


async def fetch_staff(conn: asyncpg.Connection, staff_id: StaffId) -> PersonToTell | None:
    row = await conn.fetchrow(FETCH_STAFF, staff_id)
    return None if row is None else _expert(row)


async def fetch_offered(conn: asyncpg.Connection, offer_id: OfferId, now: datetime) -> PersonToTell | None:
    """Return who may still take an offer, None if it is over."""
    row = await conn.fetchrow(FETCH_OFFERED, offer_id, now)
    if row is None:
        return None
    return PersonToTell(Audience.PATIENT, str(row["id"]), row["email"], row["language"], row["time_zone"])


async def fetch_phone_for_offer(conn: asyncpg.Connection, offer_id: OfferId, now: datetime) -> str | None:
    """The number of somebody who may still take an offer, "" if they have none; None if the offer is over."""
    row = await conn.fetchrow(FETCH_OFFERED, offer_id, now)
    return None if row is None else row["phone"]


async def list_upcoming(conn: asyncpg.Connection, now: datetime, until: datetime) -> list[Upcoming]:
    return [
        Upcoming(
            appointment_id=AppointmentId(row["id"]),
            starts_at=row["starts_at"],
            known_since=row["known_since"],
            wants_records=row["wants_records"],
            told=frozenset(zip(map(MailKind, row["told_kinds"]), row["told_for"], strict=True)),
        )
        for row in await conn.fetch(LIST_UPCOMING, now, until)
    ]


def _occasion(row: Any, experts: tuple[PersonToTell, ...], guests: Sequence[tuple[str, Any]]) -> Occasion:
    """guests: their ids, with the rest. They read what the patient reads until they choose a language of their own."""
    patient = PersonToTell(Audience.PATIENT, str(row["patient_id"]), row["email"], row["language"], row["time_zone"])
    return Occasion(
        appointment_id=AppointmentId(row["id"]),
        number=row["number"],
        case_id=CaseId(row["case_id"]),
        patient_id=PatientId(row["patient_id"]),
        sequence=row["sequence"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        booked_at=row["booked_at"],
        changed_at=row["changed_at"],
        cancelled_at=row["cancelled_at"],
        record_count=row["record_count"],
        patient=patient,
        patient_phone=row["phone"],
        experts=experts,
        guests=tuple(
            PersonToTell(
                Audience.GUEST,
                person,
                one["email"],
                one["language"] or patient.language,
                patient.time_zone,
                one["name"],
                one["role"],
                one["known_since"],
            )
            for person, one in guests
        ),
    )


def _expert(row: Any) -> PersonToTell:
    return PersonToTell(Audience.EXPERT, str(row["id"]), row["email"], row["language"], row["time_zone"])
