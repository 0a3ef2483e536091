"""Booking while somebody else has the expert's lock: who waits, who does not, and what is true afterwards."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from consult.availability import queries as time_queries
from consult.availability import service as availability
from consult.domain.errors import NotFound, SlotOutsideHours, SlotTaken
from consult.domain.ids import StaffId
from consult.domain.slots import Slot
from consult.scheduling import diary
from consult.scheduling import service as scheduling
from consult.scheduling.model import Appointment, IssuedLink
from tests.conftest import Database
from tests.integration.clinic import NOW, Clinic, book_one, open_clinic

LENGTH = timedelta(minutes=45)
NINE = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)  # Tuesday, 09:00 in Berlin
PATIENCE_S = 20.0
WAITING = """
select count(*) from pg_locks l join pg_database d on d.oid = l.database
where l.locktype = 'advisory' and not l.granted and d.datname = current_database()
"""
IS_FREE_TO_LOCK = "select pg_try_advisory_xact_lock(20743, $1::bigint::integer)"
MORE_EXPERTS = """
insert into staff (email, name, role, time_zone, password_hash, created_at)
select 'expert' || number || '@clinic.example', 'Dr Expert', 'expert', 'UTC', 'x', $1
from generate_series(1, 48) as number
"""
# Ten kept times of each, in other weeks than the test books.
MORE_TAKEN = """
with held as (
  insert into holds (id, case_id, kind, during, held_at, expires_at)
  select gen_random_uuid(), $1, 'first_review', tstzrange(at, at + interval '45 minutes', '[)'), $2, at
  from generate_series($2::timestamptz + interval '300 days', $2 + interval '309 days', interval '1 day') as at
  returning id, during
)
insert into busy_times (id, expert_id, during, blocked, hold_id)
select gen_random_uuid(), s.id, h.during, h.during, h.id from held h cross join staff s where s.role = 'expert'
"""


async def until_waiting(conn: asyncpg.Connection, count: int = 1) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await conn.fetchval(WAITING) < count:
            await asyncio.sleep(0.01)


async def book(database: Database, clinic: Clinic, experts: list[StaffId]) -> tuple[Appointment, IssuedLink]:
    async with database.pool.acquire() as conn:
        return await scheduling.book(
            conn, clinic.case, experts[0], NINE, LENGTH, others=experts[1:], booked_by=clinic.scheduler, now=NOW
        )


async def test_who_waited_for_the_lock_is_told_what_became_so_meanwhile(database: Database) -> None:
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn)
        async with conn.transaction():
            await availability.lock_expert(conn, clinic.expert)
            wanted = asyncio.create_task(book(database, clinic, [clinic.expert]))
            await until_waiting(conn)
            await time_queries.insert_absence(
                conn, uuid.uuid4(), clinic.expert, Slot(NINE - LENGTH, NINE + LENGTH), "", NOW
            )
        with pytest.raises(SlotOutsideHours) as refused:
            await asyncio.wait_for(wanted, PATIENCE_S)
        assert refused.value.message == diary.ABSENT


async def test_who_waited_for_the_lock_gets_the_time_if_it_is_still_free(database: Database) -> None:
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn)
        async with conn.transaction():
            await availability.lock_expert(conn, clinic.expert)
            wanted = asyncio.create_task(book(database, clinic, [clinic.expert]))
            await until_waiting(conn)
        appointment, _link = await asyncio.wait_for(wanted, PATIENCE_S)
        assert appointment.starts_at == NINE


async def test_a_time_that_is_taken_is_refused_without_waiting_for_the_lock(database: Database) -> None:
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn)
        await book_one(conn, clinic, NINE)
        async with conn.transaction():
            await availability.lock_expert(conn, clinic.expert)
            with pytest.raises(SlotTaken) as taken:
                await asyncio.wait_for(book(database, clinic, [clinic.expert]), PATIENCE_S)
        nearest = taken.value.values["nearest"]
        assert isinstance(nearest, list)
        assert nearest[0].starts_at == NINE + LENGTH


async def test_nobody_is_locked_if_somebody_wanted_is_no_expert(database: Database) -> None:
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn)
        async with conn.transaction():
            await availability.lock_expert(conn, clinic.expert)
            with pytest.raises(NotFound):
                await asyncio.wait_for(book(database, clinic, [clinic.expert, clinic.scheduler]), PATIENCE_S)


async def test_a_panel_locks_its_experts_in_the_order_of_their_ids_whoever_leads(database: Database) -> None:
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn)
        first, second = sorted([clinic.expert, clinic.other_expert])
        async with conn.transaction():
            await availability.lock_expert(conn, first)
            waiting = [
                asyncio.create_task(book(database, clinic, experts)) for experts in ([second, first], [first, second])
            ]
            await until_waiting(conn, 2)
            # Who waits for the first has not locked the second: nobody can wait for them in a circle.
            await asyncio.wait_for(availability.lock_expert(conn, second), PATIENCE_S)
        refused = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), PATIENCE_S)
        assert all(isinstance(one, SlotOutsideHours) for one in refused), "the other expert has no hours"


async def test_all_of_a_panel_are_locked_until_it_is_booked(database: Database) -> None:
    async with database.pool.acquire() as conn, database.pool.acquire() as other:
        clinic = await open_clinic(conn)
        panel = (clinic.expert, clinic.other_expert)
        async with conn.transaction():
            await scheduling.book(
                conn, clinic.case, panel[0], NINE, LENGTH, others=panel[1:],
                booked_by=clinic.scheduler, now=NOW, outside_hours=True,
            )  # fmt: skip
            assert [await other.fetchval(IS_FREE_TO_LOCK, one) for one in panel] == [False, False]
        assert [await other.fetchval(IS_FREE_TO_LOCK, one) for one in panel] == [True, True]


async def test_the_statements_of_a_booking_are_planned_once(database: Database) -> None:
    """Also when the tables were analyzed: planning takes longer than what is planned."""
    said: list[str] = []

    def listen(_conn: object, message: asyncpg.PostgresLogMessage) -> None:
        said.append(message.message)

    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn)
        await conn.execute(MORE_EXPERTS, NOW)
        await conn.execute(MORE_TAKEN, clinic.case, NOW)
        for week in range(24):
            if week == 12:
                await conn.execute("analyze")
            if week == 20:  # PostgreSQL plans a statement five times, and then keeps a plan if that does as well
                conn.add_log_listener(listen)
                await conn.execute("set debug_print_plan = on")
                await conn.execute("set client_min_messages = log")
            for number in range(4):
                await book_one(conn, clinic, NINE + timedelta(days=7 * week) + number * LENGTH)
        assert said.count("plan:") == 0
        await conn.fetchval("select count(*) from staff where id = $1", clinic.expert)
        conn.remove_log_listener(listen)
        assert said.count("plan:") == 1, "a statement that is planned would have been seen"
