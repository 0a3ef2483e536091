"""Booking against real PostgreSQL: one time, one appointment, however many want it."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import asyncpg
import pytest

from consult.availability import service as availability
from consult.domain.errors import InvalidInput, NotFound, SlotInPast, SlotOutsideHours, SlotTaken
from consult.domain.ids import AppointmentId, CaseId, StaffId
from consult.domain.kinds import ConsultationKind
from consult.domain.slots import Slot
from consult.domain.working_days import WorkingBlock
from consult.scheduling import booking_queries
from consult.scheduling import service as scheduling
from consult.scheduling.invitations import make_link
from tests.conftest import Database
from tests.integration.clinic import NOW, book_one, open_clinic

LENGTH = timedelta(minutes=45)
TUESDAY = date(2026, 3, 10)
NINE = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)  # 09:00 in Berlin


async def test_a_free_time_can_be_booked_and_is_no_longer_free(conn: Any) -> None:
    clinic = await open_clinic(conn)
    before = await scheduling.free_slots(conn, clinic.expert, TUESDAY, TUESDAY, LENGTH, now=NOW)
    assert [slot.starts_at for slot in before] == [NINE + n * LENGTH for n in range(4)]
    appointment, link = await scheduling.book(
        conn, clinic.case, clinic.expert, NINE, LENGTH, booked_by=clinic.scheduler, now=NOW
    )
    assert (appointment.starts_at, appointment.ends_at) == (NINE, NINE + LENGTH)
    assert link.number == appointment.number
    after = await scheduling.free_slots(conn, clinic.expert, TUESDAY, TUESDAY, LENGTH, now=NOW)
    assert after == before[1:]


async def test_of_forty_who_want_one_time_exactly_one_gets_it(database: Database) -> None:
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn)

    async def attempt() -> str:
        async with database.pool.acquire() as conn, conn.transaction():
            try:
                await scheduling.book(
                    conn, clinic.case, clinic.expert, NINE, LENGTH, booked_by=clinic.scheduler, now=NOW
                )
            except SlotTaken as taken:
                assert taken.values["nearest"]
                return "taken"
            return "booked"

    outcomes = Counter(await asyncio.gather(*(attempt() for _ in range(40))))
    assert outcomes == {"booked": 1, "taken": 39}
    assert await database.pool.fetchval("select count(*) from appointments") == 1
    assert await database.pool.fetchval("select count(*) from invitations") == 1


async def test_many_overlapping_wishes_leave_no_overlap_and_no_deadlock(database: Database) -> None:
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn)
    wishes = random.Random(7)
    starts = [NINE + timedelta(minutes=5 * wishes.randrange(36)) for _ in range(60)]

    async def attempt(starts_at: datetime) -> None:
        async with database.pool.acquire() as conn:
            try:
                await book_one(conn, clinic, starts_at)
            except SlotTaken:
                return

    await asyncio.gather(*(attempt(starts_at) for starts_at in starts))
    overlaps = await database.pool.fetchval(
        "select count(*) from appointments a join appointments b on a.id < b.id and a.during && b.during"
    )
    assert overlaps == 0
    assert await database.pool.fetchval("select count(*) from appointments") >= 3


async def test_the_database_alone_refuses_an_overlap(conn: Any) -> None:
    clinic = await open_clinic(conn)
    await book_one(conn, clinic, NINE)
    appointment_id = AppointmentId(uuid.uuid4())
    slot = Slot(NINE + LENGTH / 2, NINE + 2 * LENGTH)
    with pytest.raises(asyncpg.ExclusionViolationError):
        await booking_queries.insert_booking(
            conn, appointment_id, clinic.case, slot, {clinic.expert: slot}, make_link(appointment_id),
            kind=ConsultationKind.FIRST_REVIEW, booked_by=clinic.scheduler, now=NOW,
        )  # fmt: skip


async def test_a_taken_time_is_answered_with_the_nearest_free_ones(conn: Any) -> None:
    clinic = await open_clinic(conn)
    await book_one(conn, clinic, NINE)
    with pytest.raises(SlotTaken) as taken:
        await scheduling.book(conn, clinic.case, clinic.expert, NINE, LENGTH, booked_by=clinic.scheduler, now=NOW)
    nearest = taken.value.values["nearest"]
    assert isinstance(nearest, list)
    assert nearest[0].starts_at == NINE + LENGTH
    assert len(nearest) == 3


async def test_the_nearest_free_times_are_of_the_experts_day_also_when_greenwich_has_the_next(conn: Any) -> None:
    clinic = await open_clinic(conn)
    await conn.execute("update staff set time_zone = 'Pacific/Honolulu' where id = $1", clinic.other_expert)
    await availability.set_working_hours(conn, clinic.other_expert, [WorkingBlock(0, time(15), time(18))])
    three = datetime(2026, 3, 10, 1, 0, tzinfo=UTC)  # still Monday there
    now = three - timedelta(minutes=30)
    starts = [three + n * LENGTH for n in range(4)]
    await scheduling.book(
        conn, clinic.case, clinic.other_expert, starts[1], LENGTH, booked_by=clinic.scheduler, now=now
    )
    with pytest.raises(SlotTaken) as taken:
        await scheduling.book(
            conn, clinic.case, clinic.other_expert, starts[1], LENGTH, booked_by=clinic.scheduler, now=now
        )
    nearest = taken.value.values["nearest"]
    assert isinstance(nearest, list)
    assert [slot.starts_at for slot in nearest] == [starts[0], *starts[2:]]


async def test_a_time_in_the_past_cannot_be_booked(conn: Any) -> None:
    clinic = await open_clinic(conn)
    later = NINE + timedelta(minutes=1)
    for outside in (False, True):
        with pytest.raises(SlotInPast):
            await scheduling.book(
                conn, clinic.case, clinic.expert, NINE - timedelta(hours=1), LENGTH,
                booked_by=clinic.scheduler, now=later, outside_hours=outside,
            )  # fmt: skip


async def test_a_time_outside_the_working_hours_needs_a_word_of_the_scheduler(conn: Any) -> None:
    clinic = await open_clinic(conn)
    evening = NINE + timedelta(hours=10)
    with pytest.raises(SlotOutsideHours):
        await scheduling.book(conn, clinic.case, clinic.expert, evening, LENGTH, booked_by=clinic.scheduler, now=NOW)
    with pytest.raises(SlotOutsideHours):  # within the hours, but between two slots
        await scheduling.book(
            conn, clinic.case, clinic.expert, NINE + timedelta(minutes=5), LENGTH, booked_by=clinic.scheduler, now=NOW
        )
    appointment, _link = await book_one(conn, clinic, evening)
    assert appointment.starts_at == evening


async def test_an_appointment_now_can_be_arranged_outside_the_hours(conn: Any) -> None:
    clinic = await open_clinic(conn)
    appointment, _link = await book_one(conn, clinic, NOW)
    assert appointment.starts_at == NOW


@pytest.mark.parametrize("minutes", [0, 5, 181, -45])
async def test_a_call_of_an_impossible_length_is_refused(conn: Any, minutes: int) -> None:
    clinic = await open_clinic(conn)
    with pytest.raises(InvalidInput):
        await scheduling.book(
            conn, clinic.case, clinic.expert, NINE, timedelta(minutes=minutes), booked_by=clinic.scheduler, now=NOW
        )


async def test_nobody_is_booked_who_is_not_an_expert_and_no_case_that_is_not_there(conn: Any) -> None:
    clinic = await open_clinic(conn)
    for case_id, expert_id in (
        (clinic.case, clinic.scheduler),
        (clinic.case, StaffId(999)),
        (CaseId(999), clinic.expert),
    ):
        with pytest.raises(NotFound):
            await scheduling.book(conn, case_id, expert_id, NINE, LENGTH, booked_by=clinic.scheduler, now=NOW)


async def test_a_cancelled_time_is_free_again_and_its_links_are_dead(conn: Any) -> None:
    clinic = await open_clinic(conn)
    appointment, _link = await book_one(conn, clinic, NINE)
    patient = await conn.fetchval("select patient_id from cases where id = $1", clinic.case)
    assert await scheduling.cancel(conn, appointment.id, NOW) == [str(patient)]
    assert await scheduling.cancel(conn, appointment.id, NOW) == []
    free = await scheduling.free_slots(conn, clinic.expert, TUESDAY, TUESDAY, LENGTH, now=NOW)
    assert free[0].starts_at == NINE
    assert await conn.fetchval("select count(*) from invitations where revoked_at is null") == 0
    with pytest.raises(NotFound):
        await scheduling.issue_link(conn, appointment.id, now=NOW)
    with pytest.raises(NotFound):
        await scheduling.cancel(conn, AppointmentId(uuid.uuid4()), NOW)


async def test_working_hours_are_replaced_as_a_whole(conn: Any) -> None:
    clinic = await open_clinic(conn)
    blocks = [
        WorkingBlock(0, time(8), time(10)),
        WorkingBlock(0, time(10), time(12)),
        WorkingBlock(6, time(8), time(9)),
    ]
    await availability.set_working_hours(conn, clinic.other_expert, blocks)
    assert await availability.fetch_working_hours(conn, clinic.other_expert) == blocks
    await availability.set_working_hours(conn, clinic.other_expert, [])
    assert await availability.fetch_working_hours(conn, clinic.other_expert) == []


async def test_hours_that_overlap_or_end_before_they_start_change_nothing(conn: Any) -> None:
    clinic = await open_clinic(conn)
    before = await availability.fetch_working_hours(conn, clinic.expert)
    with pytest.raises(InvalidInput) as wrong:
        await availability.set_working_hours(
            conn,
            clinic.expert,
            [
                WorkingBlock(0, time(8), time(12)),
                WorkingBlock(0, time(11), time(13)),
                WorkingBlock(1, time(9), time(9)),
            ],
        )
    assert set(wrong.value.fields) == {"block-1", "block-2"}
    assert await availability.fetch_working_hours(conn, clinic.expert) == before
    with pytest.raises(NotFound):
        await availability.set_working_hours(conn, clinic.scheduler, [])
