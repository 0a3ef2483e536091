"""SQL of experts' time: weekly hours, what differs from them, rules; and the lock that orders what changes it.

The end of a day is 24:00 in the database and 00:00 in Python, which has no 24:00.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import asyncpg

from consult.availability.collisions import Booked
from consult.availability.model import Absence, ExpertRules, ExpertTime
from consult.domain.ids import AppointmentId, CaseId, StaffId
from consult.domain.kinds import USUAL_LENGTHS, ConsultationKind
from consult.domain.slots import Slot
from consult.domain.working_days import Travel, WorkingBlock
from consult.domain.zones import DAY_S

FIRST_DAY = date(1970, 1, 1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMETABLES_KEPT = 256  # each with what was reckoned from it: up to some 200 kB
# 20743 is the class of advisory locks that order the bookings of one expert.
LOCK_EXPERT = "select pg_advisory_xact_lock(20743, ($1::bigint % 2147483647)::integer)"

LIST_WORKING_HOURS = """
select expert_id, weekday, starts, extract(epoch from ends)::integer as ends_s
from working_hours where expert_id = any($1::bigint[])
order by expert_id, weekday, starts
"""

DELETE_WORKING_HOURS = "delete from working_hours where expert_id = $1"

INSERT_WORKING_HOURS = """
insert into working_hours (id, expert_id, weekday, starts, ends) values ($1, $2, $3, $4, $5::text::time)
"""

FETCH_TIMES = "select one as expert_id, timetable_of(one) as timetable from unnest($1::bigint[]) as one"

DELETE_DAY_HOURS = "delete from day_hours where expert_id = $1 and day = $2"

INSERT_DAY_HOURS = """
insert into day_hours (id, expert_id, day, starts, ends) values ($1, $2, $3, $4, $5::text::time)
"""

LIST_ABSENCES_TO_COME = """
select id, lower(during) as starts_at, upper(during) as ends_at, note
from absences where expert_id = $1 and upper(during) > $2
order by during
"""

INSERT_ABSENCE = """
insert into absences (id, expert_id, during, note, entered_at) values ($1, $2, tstzrange($3, $4, '[)'), $5, $6)
"""

DELETE_ABSENCE = "delete from absences where expert_id = $1 and id = $2"

INSERT_TRAVEL = """
insert into travels (id, expert_id, days, time_zone) values ($1, $2, daterange($3, $4, '[]'), $5)
"""

DELETE_TRAVEL = "delete from travels where expert_id = $1 and lower(days) = $2"

UPSERT_RULES = """
insert into expert_rules (expert_id, buffer_before_min, buffer_after_min, preparation_min, preparation_per_record_min,
                          preparation_most_min, notice_h, horizon_days, daily_limit, changes_until_h)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (expert_id) do update set
  buffer_before_min = excluded.buffer_before_min, buffer_after_min = excluded.buffer_after_min,
  preparation_min = excluded.preparation_min, preparation_per_record_min = excluded.preparation_per_record_min,
  preparation_most_min = excluded.preparation_most_min, notice_h = excluded.notice_h,
  horizon_days = excluded.horizon_days, daily_limit = excluded.daily_limit, changes_until_h = excluded.changes_until_h
"""

DELETE_KINDS = "delete from expert_kinds where expert_id = $1"

INSERT_KIND = "insert into expert_kinds (expert_id, kind, length_min) values ($1, $2, $3)"

COUNT_ENTRIES = """
select (select count(*) from day_hours where expert_id = $1 and day >= $2::date)
     + (select count(*) from absences where expert_id = $1 and upper(during) > $2::date)
     + (select count(*) from travels where expert_id = $1 and upper(days) > $2::date)
"""

LIST_BOOKED = """
select a.id, a.case_id, lower(b.during) as starts_at, upper(b.during) as ends_at, p.name as patient_name
from busy_times b
join appointments a on a.id = b.appointment_id
join cases c on c.id = a.case_id
join patients p on p.id = c.patient_id
where b.expert_id = $1 and upper(b.during) > $2
order by b.during
"""

TELL_OF_CHANGE = "select pg_notify('schedule_changed', $1::bigint::text)"


async def lock_expert(conn: asyncpg.Connection, expert_id: StaffId) -> None:
    """Order the bookings of one expert until this transaction ends."""
    await conn.execute(LOCK_EXPERT, expert_id)


async def list_working_hours(
    conn: asyncpg.Connection, expert_ids: Sequence[StaffId]
) -> dict[StaffId, list[WorkingBlock]]:
    hours: dict[StaffId, list[WorkingBlock]] = {expert_id: [] for expert_id in expert_ids}
    for row in await conn.fetch(LIST_WORKING_HOURS, list(expert_ids)):
        hours[StaffId(row["expert_id"])].append(_block(row["weekday"], row["starts"], row["ends_s"]))
    return hours


async def replace_working_hours(conn: asyncpg.Connection, expert_id: StaffId, blocks: Sequence[WorkingBlock]) -> None:
    await conn.execute(DELETE_WORKING_HOURS, expert_id)
    await conn.executemany(
        INSERT_WORKING_HOURS,
        [(uuid.uuid4(), expert_id, block.weekday, block.starts, _end_of(block)) for block in blocks],
    )


async def fetch_times(conn: asyncpg.Connection, zones: dict[StaffId, ZoneInfo]) -> dict[StaffId, ExpertTime]:
    """Return the time of each expert. zones: where each is at home."""
    rows = await conn.fetch(FETCH_TIMES, list(zones))
    return {expert_id: time_of(expert_id, zones[expert_id], timetable) for expert_id, timetable in rows}


# Most timetables are as they were when somebody looked last, and what was reckoned from them stays with them.
@lru_cache(maxsize=TIMETABLES_KEPT)
def time_of(expert_id: StaffId, home_zone: ZoneInfo, timetable: str) -> ExpertTime:
    """Return an expert's time. timetable: what `timetable_of` returned."""
    read = json.loads(timetable)
    return ExpertTime(
        expert_id=expert_id,
        home_zone=home_zone,
        week=tuple(_block_of(weekday, starts_s, ends_s) for weekday, starts_s, ends_s in read["week"]),
        rules=ExpertRules() if read["rules"] is None else _rules(*read["rules"]),
        lengths={ConsultationKind(kind): timedelta(minutes=int(length)) for kind, length in read["kinds"]}
        or USUAL_LENGTHS,
        day_hours=_day_hours(read["day_hours"]),
        absences=tuple(Slot(_instant(starts_us), _instant(ends_us)) for starts_us, ends_us in read["absences"]),
        travels=tuple(
            Travel(date.fromisoformat(day_from), date.fromisoformat(day_to), ZoneInfo(zone))
            for day_from, day_to, zone in read["travels"]
        ),
    )


async def replace_day_hours(
    conn: asyncpg.Connection, expert_id: StaffId, day: date, blocks: Sequence[WorkingBlock]
) -> None:
    """Let these hours stand on a day; with none, a row says that there are none."""
    await conn.execute(DELETE_DAY_HOURS, expert_id, day)
    rows: list[tuple[time | None, str | None]] = [(block.starts, _end_of(block)) for block in blocks]
    await conn.executemany(
        INSERT_DAY_HOURS, [(uuid.uuid4(), expert_id, day, starts, ends) for starts, ends in rows or [(None, None)]]
    )


async def delete_day_hours(conn: asyncpg.Connection, expert_id: StaffId, day: date) -> None:
    await conn.execute(DELETE_DAY_HOURS, expert_id, day)


async def list_absences(conn: asyncpg.Connection, expert_id: StaffId, now: datetime) -> list[Absence]:
    """Return the absences that are not over, ordered."""
    return [
        Absence(row["id"], Slot(row["starts_at"], row["ends_at"]), row["note"])
        for row in await conn.fetch(LIST_ABSENCES_TO_COME, expert_id, now)
    ]


async def insert_absence(
    conn: asyncpg.Connection, absence_id: uuid.UUID, expert_id: StaffId, during: Slot, note: str, now: datetime
) -> None:
    await conn.execute(INSERT_ABSENCE, absence_id, expert_id, during.starts_at, during.ends_at, note, now)


async def delete_absence(conn: asyncpg.Connection, expert_id: StaffId, absence_id: uuid.UUID) -> None:
    await conn.execute(DELETE_ABSENCE, expert_id, absence_id)


async def insert_travel(conn: asyncpg.Connection, travel_id: uuid.UUID, expert_id: StaffId, travel: Travel) -> None:
    """Raises asyncpg.ExclusionViolationError if another journey shares a day."""
    await conn.execute(INSERT_TRAVEL, travel_id, expert_id, travel.day_from, travel.day_to, travel.zone.key)


async def delete_travel(conn: asyncpg.Connection, expert_id: StaffId, day_from: date) -> None:
    await conn.execute(DELETE_TRAVEL, expert_id, day_from)


async def upsert_rules(conn: asyncpg.Connection, expert_id: StaffId, rules: ExpertRules) -> None:
    buffers = (rules.buffer_before, rules.buffer_after)
    preparations = (rules.preparation, rules.preparation_per_record, rules.preparation_most)
    await conn.execute(
        UPSERT_RULES,
        expert_id,
        *(length // timedelta(minutes=1) for length in (*buffers, *preparations)),
        rules.notice // timedelta(hours=1),
        rules.horizon.days,
        rules.daily_limit,
        rules.changes_until // timedelta(hours=1),
    )


async def replace_kinds(
    conn: asyncpg.Connection, expert_id: StaffId, lengths: Mapping[ConsultationKind, timedelta]
) -> None:
    await conn.execute(DELETE_KINDS, expert_id)
    rows = [(expert_id, kind, length // timedelta(minutes=1)) for kind, length in lengths.items()]
    await conn.executemany(INSERT_KIND, rows)


async def count_entries(conn: asyncpg.Connection, expert_id: StaffId, today: date) -> int:
    """Return how many days that differ, absences and journeys an expert has ahead."""
    count: int = await conn.fetchval(COUNT_ENTRIES, expert_id, today)
    return count


async def list_booked(conn: asyncpg.Connection, expert_id: StaffId, now: datetime) -> list[Booked]:
    """Return the appointments of an expert, panels too, that are not over; in the order of time."""
    return [
        Booked(
            AppointmentId(row["id"]),
            CaseId(row["case_id"]),
            Slot(row["starts_at"], row["ends_at"]),
            row["patient_name"],
        )
        for row in await conn.fetch(LIST_BOOKED, expert_id, now)
    ]


async def tell_of_change(conn: asyncpg.Connection, expert_id: StaffId) -> None:
    """Let whoever listens to `schedule_changed` know, once this transaction is done."""
    await conn.execute(TELL_OF_CHANGE, expert_id)


def _day_hours(rows: Sequence[Sequence[int]]) -> dict[date, list[WorkingBlock]]:
    days: dict[date, list[WorkingBlock]] = {}
    for number, starts_s, ends_s in rows:
        day = FIRST_DAY + timedelta(days=number)
        blocks = days.setdefault(day, [])
        if ends_s:
            blocks.append(_block_of(day.weekday(), starts_s, ends_s))
    return days


@lru_cache(maxsize=1024)
def _block_of(weekday: int, starts_s: int, ends_s: int) -> WorkingBlock:
    return _block(weekday, time(starts_s // 3600, starts_s // 60 % 60), ends_s)


def _rules(
    buffer_before_min: int,
    buffer_after_min: int,
    preparation_min: int,
    preparation_per_record_min: int,
    preparation_most_min: int,
    notice_h: int,
    horizon_days: int,
    daily_limit: int | None,
    changes_until_h: int,
) -> ExpertRules:
    return ExpertRules(
        buffer_before=timedelta(minutes=buffer_before_min),
        buffer_after=timedelta(minutes=buffer_after_min),
        preparation=timedelta(minutes=preparation_min),
        preparation_per_record=timedelta(minutes=preparation_per_record_min),
        preparation_most=timedelta(minutes=preparation_most_min),
        notice=timedelta(hours=notice_h),
        horizon=timedelta(days=horizon_days),
        daily_limit=daily_limit,
        changes_until=timedelta(hours=changes_until_h),
    )


def _instant(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


def _block(weekday: int, starts: time, ends_s: int) -> WorkingBlock:
    minutes = ends_s % DAY_S // 60
    return WorkingBlock(weekday, starts, time(minutes // 60, minutes % 60))


def _end_of(block: WorkingBlock) -> str:
    return f"{block.ends_s // 3600:02}:{block.ends_s // 60 % 60:02}"
