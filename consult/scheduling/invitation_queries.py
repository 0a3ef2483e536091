"""SQL of links and visits. Only hashes pass here: no secret, code or cookie is ever a parameter."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from consult.domain.ids import AppointmentId, CaseId, InvitationId, PatientId, StaffId, VisitId
from consult.domain.kinds import ConsultationKind
from consult.scheduling.links import FreshLink
from consult.scheduling.model import Invited, PatientNeed, Visit
from consult.scheduling.queries import panel_of

INSERT_INVITATION = """
insert into invitations (id, appointment_id, person_id, role, name, secret_hash, code_hash, issued_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
"""

FETCH_INVITEE = """
select p.id as patient_id, p.name, a.number, a.cancelled_at
from appointments a join cases c on c.id = a.case_id join patients p on p.id = c.patient_id
where a.id = $1
"""

LOCK_APPOINTMENT = "select from appointments where id = $1 for no key update"

REVOKE_INVITATIONS = """
update invitations set revoked_at = $2
where appointment_id = $1 and revoked_at is null and ($3::uuid is null or person_id = $3)
returning person_id
"""

DELETE_UNOPENED = """
delete from invitations i where i.id = $1 and not exists (select from visits v where v.invitation_id = i.id)
"""

LIST_INVITED = """
select i.person_id, min(i.name) as name, min(i.role) as role, array_agg(i.id order by i.issued_at) as invitation_ids,
       exists (
         select from visits v join invitations o on o.id = v.invitation_id
         where o.appointment_id = $1 and o.person_id = i.person_id and o.revoked_at is null
       ) as has_opened,
       coalesce(min(g.email), '') as email,
       exists (
         select from companions b where b.appointment_id = $1 and b.person_id = i.person_id
       ) as by_patient
from invitations i
left join guest_addresses g on g.appointment_id = i.appointment_id and g.person_id = i.person_id
where i.appointment_id = $1 and i.revoked_at is null
group by i.person_id
order by min(i.issued_at)
"""

SAVE_GUEST_ADDRESS = """
insert into guest_addresses (appointment_id, person_id, email) values ($1, $2, $3)
on conflict (appointment_id, person_id) do update set email = excluded.email
"""

SET_GUEST_LANGUAGE = "update guest_addresses set language = $3 where appointment_id = $1 and person_id = $2"

INSERT_COMPANION = "insert into companions (appointment_id, person_id) values ($1, $2)"

DELETE_GUEST_ADDRESS = "delete from guest_addresses where appointment_id = $1 and person_id = $2"

# What makes a link good, besides its hash. The last parameter is the instant before which a call may not have ended.
FIND_BY_HASH = """
select i.id, i.appointment_id, i.person_id
from invitations i join appointments a on a.id = i.appointment_id
where i.secret_hash = $1 and i.revoked_at is null and a.cancelled_at is null and upper(a.during) > $2
"""

FETCH_APPOINTMENT_BY_NUMBER = """
select id from appointments where number = $1 and cancelled_at is null and upper(during) > $2
"""

LOCK_CODES = """
select id, person_id, code_hash, code_tries from invitations
where appointment_id = $1 and revoked_at is null
order by id
for update
"""

COUNT_CODE_TRY = "update invitations set code_tries = code_tries + 1 where id = any($1::uuid[])"

# The device's own visit goes on if it is the same person's for the same appointment, with a new token.
CONTINUE_VISIT = """
update visits v set invitation_id = $2, token_hash = $3
from invitations i
where v.token_hash = $1 and v.ended_at is null and i.id = v.invitation_id
  and i.appointment_id = $4 and i.person_id = $5
returning v.id
"""

INSERT_VISIT = "insert into visits (id, invitation_id, token_hash, opened_at) values ($1, $2, $3, $4)"

END_VISIT = "update visits set ended_at = $2 where token_hash = $1 and ended_at is null"

FIND_VISIT = """
select v.id, i.id as invitation_id, i.appointment_id, a.number, a.case_id, p.id as patient_id, p.name as patient_name,
       i.person_id, i.role, i.name, coalesce(g.language, p.language) as language, p.time_zone,
       lower(a.during) as starts_at, upper(a.during) as ends_at,
       a.expert_id, e.name as expert_name, e.specialty as expert_specialty, e.time_zone as expert_time_zone,
       a.kind, a.sequence, a.needs, a.needs_note,
       array(
         select array[o.id::text, o.name, o.specialty] from panel_experts x join staff o on o.id = x.expert_id
         where x.appointment_id = a.id order by o.name, o.id
       ) as panel
from visits v
join invitations i on i.id = v.invitation_id
join appointments a on a.id = i.appointment_id
join staff e on e.id = a.expert_id
join cases c on c.id = a.case_id
join patients p on p.id = c.patient_id
left join guest_addresses g on g.appointment_id = a.id and g.person_id = i.person_id
where v.token_hash = $1 and v.ended_at is null and i.revoked_at is null and a.cancelled_at is null
  and upper(a.during) > $2
"""


async def fetch_invitee(conn: asyncpg.Connection, appointment_id: AppointmentId) -> Any:
    """The appointment's patient and number: patient_id, name, number, cancelled_at; None if there is no appointment."""
    return await conn.fetchrow(FETCH_INVITEE, appointment_id)


async def lock_appointment(conn: asyncpg.Connection, appointment_id: AppointmentId) -> None:
    """Have others who invite to it, or change it, wait until this transaction ends."""
    await conn.execute(LOCK_APPOINTMENT, appointment_id)


async def insert_invitation(
    conn: asyncpg.Connection, link: FreshLink, *, person_id: uuid.UUID, role: str, name: str, now: datetime
) -> None:
    await conn.execute(
        INSERT_INVITATION, link.invitation_id, link.appointment_id, person_id, role, name, link.secret_hash,
        link.code_hash, now,
    )  # fmt: skip


async def delete_unopened(conn: asyncpg.Connection, invitation_id: InvitationId) -> None:
    await conn.execute(DELETE_UNOPENED, invitation_id)


async def revoke_invitations(
    conn: asyncpg.Connection, appointment_id: AppointmentId, person_id: uuid.UUID | None, now: datetime
) -> set[uuid.UUID]:
    rows = await conn.fetch(REVOKE_INVITATIONS, appointment_id, now, person_id)
    return {row["person_id"] for row in rows}


async def list_invited(conn: asyncpg.Connection, appointment_id: AppointmentId) -> list[Invited]:
    return [
        Invited(
            person_id=row["person_id"],
            name=row["name"],
            role=row["role"],
            invitation_ids=tuple(InvitationId(one) for one in row["invitation_ids"]),
            has_opened=row["has_opened"],
            email=row["email"],
            by_patient=row["by_patient"],
        )
        for row in await conn.fetch(LIST_INVITED, appointment_id)
    ]


async def save_guest_address(
    conn: asyncpg.Connection, appointment_id: AppointmentId, person_id: uuid.UUID, email: str
) -> None:
    await conn.execute(SAVE_GUEST_ADDRESS, appointment_id, person_id, email)


async def set_guest_language(
    conn: asyncpg.Connection, appointment_id: AppointmentId, person_id: uuid.UUID, language: str
) -> None:
    await conn.execute(SET_GUEST_LANGUAGE, appointment_id, person_id, language)


async def insert_companion(conn: asyncpg.Connection, appointment_id: AppointmentId, person_id: uuid.UUID) -> None:
    await conn.execute(INSERT_COMPANION, appointment_id, person_id)


async def delete_guest_address(conn: asyncpg.Connection, appointment_id: AppointmentId, person_id: uuid.UUID) -> None:
    await conn.execute(DELETE_GUEST_ADDRESS, appointment_id, person_id)


async def find_by_secret(conn: asyncpg.Connection, secret_hash: bytes, ended_after: datetime) -> Any:
    """id, appointment_id, person_id of the good link with this hash, or None."""
    return await conn.fetchrow(FIND_BY_HASH, secret_hash, ended_after)


async def fetch_appointment_by_number(
    conn: asyncpg.Connection, number: int, ended_after: datetime
) -> AppointmentId | None:
    found = await conn.fetchval(FETCH_APPOINTMENT_BY_NUMBER, number, ended_after)
    return None if found is None else AppointmentId(found)


async def lock_codes(conn: asyncpg.Connection, appointment_id: AppointmentId) -> list[Any]:
    """id, person_id, code_hash, code_tries of the appointment's links; other tries wait until this transaction ends."""
    rows: list[Any] = await conn.fetch(LOCK_CODES, appointment_id)
    return rows


async def count_code_try(conn: asyncpg.Connection, invitation_ids: list[uuid.UUID]) -> None:
    await conn.execute(COUNT_CODE_TRY, invitation_ids)


async def continue_visit(
    conn: asyncpg.Connection,
    old_hash: bytes,
    invitation_id: InvitationId,
    new_hash: bytes,
    appointment_id: AppointmentId,
    person_id: uuid.UUID,
) -> VisitId | None:
    found = await conn.fetchval(CONTINUE_VISIT, old_hash, invitation_id, new_hash, appointment_id, person_id)
    return None if found is None else VisitId(found)


async def insert_visit(
    conn: asyncpg.Connection, invitation_id: InvitationId, token_hash: bytes, now: datetime
) -> VisitId:
    visit_id = VisitId(uuid.uuid4())
    await conn.execute(INSERT_VISIT, visit_id, invitation_id, token_hash, now)
    return visit_id


async def end_visit(conn: asyncpg.Connection, token_hash: bytes, now: datetime) -> None:
    await conn.execute(END_VISIT, token_hash, now)


async def find_visit(conn: asyncpg.Connection, token_hash: bytes, now: datetime, open_after: timedelta) -> Visit | None:
    row = await conn.fetchrow(FIND_VISIT, token_hash, now - open_after)
    if row is None:
        return None
    return Visit(
        id=VisitId(row["id"]),
        invitation_id=InvitationId(row["invitation_id"]),
        appointment_id=AppointmentId(row["appointment_id"]),
        appointment_number=row["number"],
        case_id=CaseId(row["case_id"]),
        patient_id=PatientId(row["patient_id"]),
        patient_name=row["patient_name"],
        person_id=str(row["person_id"]),
        role=row["role"],
        name=row["name"],
        language=row["language"],
        time_zone=row["time_zone"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        expert_id=StaffId(row["expert_id"]),
        expert_name=row["expert_name"],
        expert_specialty=row["expert_specialty"],
        expert_time_zone=row["expert_time_zone"],
        kind=ConsultationKind(row["kind"]),
        sequence=row["sequence"],
        needs=tuple(PatientNeed(one) for one in row["needs"]),
        needs_note=row["needs_note"],
        panel=panel_of(row["panel"]),
    )
