"""SQL of the clinic's conditions, of profiles, of how busy experts are, and of choices."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import asyncpg

from consult.domain.ids import CaseId, ConditionCode, ExpertChoiceId, SpecialtyCode, StaffId
from consult.matching.model import (
    Answer,
    Condition,
    ExpertChoice,
    ExpertProfile,
    Part,
    Reason,
    Specialty,
    Workload,
)

LIST_SPECIALTIES = "select code, name from specialties order by name, code"

INSERT_SPECIALTY = """
insert into specialties (code, name) values ($1, $2) on conflict do nothing returning code
"""

LIST_CONDITIONS = """
select c.code, c.name, c.icd10, c.specialty, s.name as specialty_name
from conditions c
join specialties s on s.code = c.specialty
order by s.name, c.name, c.code
"""

INSERT_CONDITION = """
insert into conditions (code, name, specialty, icd10, added_by, added_at) values ($1, $2, $3, $4, $5, $6)
on conflict do nothing returning code
"""

COUNT_CONDITIONS = "select count(*) from conditions"

LIST_PROFILES = """
select wanted.expert_id, p.languages, p.licences, p.new_cases_a_week, p.leads_panels, p.updated_at,
       array(select condition from expert_conditions where expert_id = wanted.expert_id) as conditions,
       array(select specialty from expert_specialties where expert_id = wanted.expert_id) as specialties,
       array(select c.specialty from expert_conditions x join conditions c on c.code = x.condition
              where x.expert_id = wanted.expert_id) as specialties_of_conditions
from unnest($1::bigint[]) as wanted (expert_id)
left join expert_profiles p on p.expert_id = wanted.expert_id
"""

UPSERT_PROFILE = """
insert into expert_profiles (expert_id, languages, licences, new_cases_a_week, leads_panels, updated_by, updated_at)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (expert_id) do update
set languages = excluded.languages, licences = excluded.licences, new_cases_a_week = excluded.new_cases_a_week,
    leads_panels = excluded.leads_panels, updated_by = excluded.updated_by, updated_at = excluded.updated_at
"""

DELETE_EXPERT_CONDITIONS = "delete from expert_conditions where expert_id = $1"

INSERT_EXPERT_CONDITIONS = """
insert into expert_conditions (expert_id, condition) select $1, unnest($2::text[])
"""

DELETE_EXPERT_SPECIALTIES = "delete from expert_specialties where expert_id = $1"

INSERT_EXPERT_SPECIALTIES = """
insert into expert_specialties (expert_id, specialty) select $1, unnest($2::text[])
"""

FETCH_CASE_PROFILE = """
select p.other_languages, p.region, c.code, c.name, c.icd10, c.specialty, s.name as specialty_name
from case_profiles p
left join conditions c on c.code = p.condition
left join specialties s on s.code = c.specialty
where p.case_id = $1
"""

UPSERT_CASE_PROFILE = """
insert into case_profiles (case_id, condition, other_languages, region, updated_by, updated_at)
values ($1, $2, $3, $4, $5, $6)
on conflict (case_id) do update
set condition = excluded.condition, other_languages = excluded.other_languages, region = excluded.region,
    updated_by = excluded.updated_by, updated_at = excluded.updated_at
"""

# $2 is now, $3 until when calls count; a call since $4 that is over, in an open case, means an opinion to write. Who
# sits in a panel comes to its call and gives an opinion like who leads it.
LIST_WORKLOADS = """
with sits as (
  select expert_id, id as appointment_id from appointments where expert_id = any($1::bigint[])
  union all
  select expert_id, appointment_id from panel_experts where expert_id = any($1::bigint[])
)
select wanted.expert_id,
       count(*) filter (
         where a.cancelled_at is null and lower(a.during) >= $2 and lower(a.during) < $3
       ) as calls,
       count(distinct a.case_id) filter (where k.ended_at > $4 and c.closed_at is null) as opinions
from unnest($1::bigint[]) as wanted (expert_id)
left join sits on sits.expert_id = wanted.expert_id
left join appointments a on a.id = sits.appointment_id
left join consultations k on k.appointment_id = a.id
left join cases c on c.id = a.case_id
group by wanted.expert_id
"""

LOCK_CASE = "select id from cases where id = $1 for update"

INSERT_CHOICE = """
insert into expert_choices (id, case_id, expert_id, chosen_by, chosen_at, place, of_experts, reasons, note)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""

CHOICES = """
select distinct on (h.case_id) h.id, h.case_id, h.expert_id, e.name as expert_name, b.name as chosen_by_name,
       h.chosen_at, h.place, h.of_experts, h.reasons, h.note
from expert_choices h
join staff e on e.id = h.expert_id
join staff b on b.id = h.chosen_by
where h.case_id = any($1::bigint[])
order by h.case_id, h.chosen_at desc, h.id
"""


async def list_specialties(conn: asyncpg.Connection) -> list[Specialty]:
    return [Specialty(SpecialtyCode(row["code"]), row["name"]) for row in await conn.fetch(LIST_SPECIALTIES)]


async def insert_specialty(conn: asyncpg.Connection, code: str, name: str) -> bool:
    """False if there is one of this name."""
    return await conn.fetchval(INSERT_SPECIALTY, code, name) is not None


async def list_conditions(conn: asyncpg.Connection) -> list[Condition]:
    return [_condition(row) for row in await conn.fetch(LIST_CONDITIONS)]


async def count_conditions(conn: asyncpg.Connection) -> int:
    count: int = await conn.fetchval(COUNT_CONDITIONS)
    return count


async def insert_condition(
    conn: asyncpg.Connection, code: str, name: str, specialty: SpecialtyCode, icd10: str, by: StaffId, now: datetime
) -> bool:
    """False if there is one of this name."""
    return await conn.fetchval(INSERT_CONDITION, code, name, specialty, icd10, by, now) is not None


async def list_profiles(conn: asyncpg.Connection, expert_ids: Sequence[StaffId]) -> dict[StaffId, ExpertProfile]:
    rows = await conn.fetch(LIST_PROFILES, list(expert_ids))
    return {StaffId(row["expert_id"]): _profile(row) for row in rows}


async def upsert_profile(conn: asyncpg.Connection, profile: ExpertProfile, by: StaffId, now: datetime) -> None:
    """Replace what is kept of an expert. Runs in the caller's transaction."""
    expert_id = profile.expert_id
    await conn.execute(
        UPSERT_PROFILE, expert_id, list(profile.languages), list(profile.licences), profile.new_cases_a_week,
        profile.leads_panels, by, now,
    )  # fmt: skip
    await conn.execute(DELETE_EXPERT_CONDITIONS, expert_id)
    await conn.execute(INSERT_EXPERT_CONDITIONS, expert_id, sorted(profile.conditions))
    await conn.execute(DELETE_EXPERT_SPECIALTIES, expert_id)
    await conn.execute(INSERT_EXPERT_SPECIALTIES, expert_id, sorted(profile.specialties))


async def fetch_case_profile(
    conn: asyncpg.Connection, case_id: CaseId
) -> tuple[Condition | None, tuple[str, ...], str | None]:
    """Return condition, other languages and region; nothing of each for a case without a profile."""
    row = await conn.fetchrow(FETCH_CASE_PROFILE, case_id)
    if row is None:
        return None, (), None
    condition = None if row["code"] is None else _condition(row)
    return condition, tuple(row["other_languages"]), row["region"]


async def upsert_case_profile(
    conn: asyncpg.Connection,
    case_id: CaseId,
    condition: ConditionCode | None,
    other_languages: Sequence[str],
    region: str | None,
    by: StaffId,
    now: datetime,
) -> None:
    await conn.execute(UPSERT_CASE_PROFILE, case_id, condition, list(other_languages), region, by, now)


async def list_workloads(
    conn: asyncpg.Connection, expert_ids: Sequence[StaffId], *, now: datetime, until: datetime, opinions_since: datetime
) -> dict[StaffId, Workload]:
    rows = await conn.fetch(LIST_WORKLOADS, list(expert_ids), now, until, opinions_since)
    return {StaffId(row["expert_id"]): Workload(row["calls"], row["opinions"]) for row in rows}


async def lock_case(conn: asyncpg.Connection, case_id: CaseId) -> None:
    """Let two who choose for one case at once do it one after the other."""
    await conn.execute(LOCK_CASE, case_id)


async def insert_choice(
    conn: asyncpg.Connection,
    case_id: CaseId,
    expert_id: StaffId,
    *,
    by: StaffId,
    now: datetime,
    place: int,
    of_experts: int,
    reasons: Sequence[Reason],
    note: str,
) -> None:
    kept = [asdict(reason) for reason in reasons]
    choice_id = ExpertChoiceId(uuid.uuid4())
    await conn.execute(INSERT_CHOICE, choice_id, case_id, expert_id, by, now, place, of_experts, kept, note)


async def list_choices(conn: asyncpg.Connection, case_ids: Sequence[CaseId]) -> dict[CaseId, ExpertChoice]:
    """Return the latest choice of each case that has one."""
    return {CaseId(row["case_id"]): _choice(row) for row in await conn.fetch(CHOICES, list(case_ids))}


def _condition(row: Any) -> Condition:
    specialty = Specialty(SpecialtyCode(row["specialty"]), row["specialty_name"])
    return Condition(ConditionCode(row["code"]), row["name"], specialty, row["icd10"])


def _profile(row: Any) -> ExpertProfile:
    expert_id = StaffId(row["expert_id"])
    if row["updated_at"] is None:
        return ExpertProfile(expert_id)
    specialties = frozenset(SpecialtyCode(code) for code in row["specialties"])
    return ExpertProfile(
        expert_id=expert_id,
        conditions=frozenset(ConditionCode(code) for code in row["conditions"]),
        specialties=specialties,
        fields=specialties | {SpecialtyCode(code) for code in row["specialties_of_conditions"]},
        languages=tuple(row["languages"]),
        licences=tuple(row["licences"]),
        new_cases_a_week=row["new_cases_a_week"],
        leads_panels=row["leads_panels"],
        updated_at=row["updated_at"],
    )


def _choice(row: Any) -> ExpertChoice:
    return ExpertChoice(
        id=ExpertChoiceId(row["id"]),
        case_id=CaseId(row["case_id"]),
        expert_id=StaffId(row["expert_id"]),
        expert_name=row["expert_name"],
        chosen_by_name=row["chosen_by_name"],
        chosen_at=row["chosen_at"],
        place=row["place"],
        of_experts=row["of_experts"],
        reasons=tuple(
            Reason(Part(one["part"]), Answer(one["answer"]), one["sentence"], one["values"]) for one in row["reasons"]
        ),
        note=row["note"],
    )
