"""Holds, panels, rooms, moves and cancelling against real PostgreSQL: all or none, and nothing is lost."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import asyncpg
import pytest

from consult.availability import service as availability
from consult.domain.errors import (
    AppointmentStarted,
    HoldExpired,
    InvalidInput,
    MovedMeanwhile,
    NotFound,
    RoomsFull,
    SlotInPast,
    SlotOutsideHours,
    SlotTaken,
)
from consult.domain.ids import AppointmentId, HoldId, StaffId
from consult.domain.kinds import ConsultationKind
from consult.domain.working_days import WorkingBlock
from consult.people import service as people
from consult.scheduling import service as scheduling
from consult.scheduling.model import CancelledBy, ChangeKind, Hold, PatientNeed
from tests.conftest import Database
from tests.integration.clinic import NOW, Clinic, book_one, open_clinic

LENGTH = timedelta(minutes=45)
TUESDAY = date(2026, 3, 10)
NINE = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)  # 09:00 in Berlin
TEN_MINUTES = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)
WEEK = [WorkingBlock(weekday, time(9), time(12)) for weekday in range(5)]
IN_TORONTO = [WorkingBlock(weekday, time(4), time(6)) for weekday in range(5)]  # 09:00 to 11:00 in Berlin, in March


async def hold_one(conn: Any, clinic: Clinic, starts_at: datetime = NINE, **given: Any) -> Hold:
    known = {"kind": ConsultationKind.FIRST_REVIEW, "expires_at": NOW + TEN_MINUTES, "now": NOW}
    return await scheduling.hold(conn, clinic.case, [clinic.expert], starts_at, LENGTH, **(known | given))


async def free_on_tuesday(conn: Any, clinic: Clinic, *, now: datetime = NOW) -> list[datetime]:
    return [slot.starts_at for slot in await scheduling.free_slots(conn, clinic.expert, TUESDAY, TUESDAY, now=now)]


async def count_overlaps(database: Database) -> int:
    overlaps: int = await database.pool.fetchval(
        """select count(*) from busy_times a join busy_times b
           on a.id < b.id and a.expert_id = b.expert_id and a.blocked && b.blocked"""
    )
    return overlaps


async def test_a_kept_time_is_offered_to_nobody_else_until_it_is_given_back(conn: Any) -> None:
    clinic = await open_clinic(conn)
    kept = await hold_one(conn, clinic)
    assert NINE not in await free_on_tuesday(conn, clinic)
    for outside in (False, True):
        with pytest.raises(SlotTaken) as taken:
            await scheduling.book(
                conn, clinic.case, clinic.expert, NINE, LENGTH,
                booked_by=clinic.scheduler, now=NOW, outside_hours=outside,
            )  # fmt: skip
        assert taken.value.values["nearest"]
    assert await scheduling.release(conn, kept.id, NOW)
    assert not await scheduling.release(conn, kept.id, NOW)
    assert NINE in await free_on_tuesday(conn, clinic)


async def test_a_kept_time_is_taken_by_whom_it_was_kept_for(conn: Any) -> None:
    clinic = await open_clinic(conn)
    kept = await hold_one(conn, clinic)
    appointment, _link = await scheduling.book(
        conn, clinic.case, clinic.expert, NINE, LENGTH, booked_by=clinic.scheduler, now=NOW + MINUTE, hold_id=kept.id
    )
    assert await conn.fetchval("select array_agg(appointment_id) from busy_times") == [appointment.id]
    with pytest.raises(HoldExpired):  # it was taken
        await scheduling.fetch_hold(conn, kept.id, NOW + MINUTE)
    with pytest.raises(HoldExpired):
        await scheduling.book(
            conn, clinic.case, clinic.expert, NINE + LENGTH, LENGTH,
            booked_by=clinic.scheduler, now=NOW + MINUTE, hold_id=kept.id,
        )  # fmt: skip


async def test_a_hold_that_expired_cannot_be_taken_and_is_in_nobodys_way(conn: Any) -> None:
    clinic = await open_clinic(conn)
    kept = await hold_one(conn, clinic)
    later = NOW + TEN_MINUTES
    assert NINE in await free_on_tuesday(conn, clinic, now=later)
    with pytest.raises(HoldExpired):
        await scheduling.book(
            conn, clinic.case, clinic.expert, NINE, LENGTH, booked_by=clinic.scheduler, now=later, hold_id=kept.id
        )
    again = await hold_one(conn, clinic, NINE, expires_at=later + TEN_MINUTES, now=later)
    assert again.slot == kept.slot
    with pytest.raises(HoldExpired):
        await scheduling.fetch_hold(conn, HoldId(uuid.uuid4()), NOW)


async def test_what_was_allowed_when_it_was_kept_is_allowed_when_it_is_taken(conn: Any) -> None:
    clinic = await open_clinic(conn)
    await conn.execute("insert into expert_rules values ($1, 0, 0, 0, 0, 0, 24, 366, null, 24)", clinic.expert)
    just = NINE - timedelta(hours=24)
    kept = await hold_one(conn, clinic, now=just, expires_at=just + TEN_MINUTES)
    appointment, _link = await scheduling.book(
        conn, clinic.case, clinic.expert, NINE, LENGTH, booked_by=clinic.scheduler, now=just + MINUTE, hold_id=kept.id
    )
    assert appointment.starts_at == NINE


async def test_a_job_frees_what_expired(conn: Any) -> None:
    clinic = await open_clinic(conn)
    await hold_one(conn, clinic)
    await scheduling.tidy_holds(conn, NOW)
    assert await conn.fetchval("select count(*) from busy_times") == 1
    await scheduling.tidy_holds(conn, NOW + TEN_MINUTES)
    assert await conn.fetchval("select count(*) from busy_times") == 0
    assert len(await scheduling.take_freed(conn)) == 1
    assert await scheduling.take_freed(conn) == []


async def test_a_hold_of_another_time_or_case_is_not_taken(conn: Any) -> None:
    clinic = await open_clinic(conn)
    kept = await hold_one(conn, clinic)
    with pytest.raises(HoldExpired):
        await scheduling.book(
            conn, clinic.case, clinic.expert, NINE + LENGTH, LENGTH,
            booked_by=clinic.scheduler, now=NOW, hold_id=kept.id,
        )  # fmt: skip
    assert (await scheduling.fetch_hold(conn, kept.id, NOW)).expert_ids == (clinic.expert,)


async def test_an_absent_expert_is_not_booked_and_the_answer_says_so(conn: Any) -> None:
    clinic = await open_clinic(conn)
    await conn.execute(
        "insert into absences values ($1, $2, tstzrange($3, $4), '', $5)",
        uuid.uuid4(), clinic.expert, NINE, NINE + timedelta(hours=1), NOW,
    )  # fmt: skip
    with pytest.raises(SlotOutsideHours) as refused:
        await scheduling.book(conn, clinic.case, clinic.expert, NINE, LENGTH, booked_by=clinic.scheduler, now=NOW)
    assert "absent" in refused.value.message
    with pytest.raises(SlotOutsideHours) as refused:  # nor by a word of the scheduler
        await book_one(conn, clinic, NINE)
    assert "take the absence out" in refused.value.message
    evening, _link = await book_one(conn, clinic, NINE + timedelta(hours=10))
    with pytest.raises(SlotOutsideHours) as refused:
        await scheduling.move(
            conn, evening.id, NINE, sequence=evening.sequence, by=clinic.scheduler, now=NOW, outside_hours=True
        )
    assert "take the absence out" in refused.value.message


@pytest.mark.parametrize(
    ("rule", "words"),
    [("daily_limit = 1", "no more calls"), ("notice_h = 48", "too soon"), ("horizon_days = 1", "further ahead")],
)
async def test_a_rule_that_forbids_a_time_is_named(conn: Any, rule: str, words: str) -> None:
    clinic = await open_clinic(conn)
    await book_one(conn, clinic, NINE)
    await conn.execute("insert into expert_rules values ($1, 0, 0, 0, 0, 0, 0, 366, null, 24)", clinic.expert)
    await conn.execute(f"update expert_rules set {rule}")
    wanted = NINE + LENGTH if "horizon" not in rule else NINE + timedelta(days=1)
    with pytest.raises(SlotOutsideHours) as refused:
        await scheduling.book(conn, clinic.case, clinic.expert, wanted, LENGTH, booked_by=clinic.scheduler, now=NOW)
    assert words in refused.value.message


async def test_preparation_and_buffers_are_kept_free_around_a_call(conn: Any) -> None:
    clinic = await open_clinic(conn)
    await conn.execute("insert into expert_rules values ($1, 0, 15, 0, 0, 0, 0, 366, null, 24)", clinic.expert)
    await scheduling.book(conn, clinic.case, clinic.expert, NINE, LENGTH, booked_by=clinic.scheduler, now=NOW)
    assert await free_on_tuesday(conn, clinic) == [NINE + timedelta(hours=1), NINE + timedelta(hours=2)]
    arranged, _link = await book_one(conn, clinic, NINE + LENGTH)  # the scheduler agreed on it: the rest is given up
    assert arranged.starts_at == NINE + LENGTH


async def panel_of_two(conn: Any, clinic: Clinic) -> None:
    await availability.set_working_hours(conn, clinic.other_expert, IN_TORONTO)


async def book_panel(conn: Any, clinic: Clinic, starts_at: datetime = NINE, *, turned: bool = False) -> Any:
    lead, other = (clinic.other_expert, clinic.expert) if turned else (clinic.expert, clinic.other_expert)
    return await scheduling.book(
        conn, clinic.case, lead, starts_at, timedelta(hours=1),
        kind=ConsultationKind.PANEL, others=[other], booked_by=clinic.scheduler, now=NOW,
    )  # fmt: skip


async def test_a_panel_finds_a_time_for_all_and_takes_it_of_all(conn: Any) -> None:
    clinic = await open_clinic(conn)
    await panel_of_two(conn, clinic)
    experts = [await people.fetch_staff(conn, one) for one in (clinic.expert, clinic.other_expert)]
    hour = timedelta(hours=1)
    found = await scheduling.list_panel_slots(conn, experts, TUESDAY, TUESDAY, hour, now=NOW)
    assert [slot.starts_at for slot in found] == [NINE, NINE + hour]
    appointment, _link = await book_panel(conn, clinic)
    assert appointment.expert_ids == (clinic.expert, clinic.other_expert)
    assert [slot.starts_at for slot in await scheduling.list_panel_slots(
        conn, experts, TUESDAY, TUESDAY, hour, now=NOW)] == [NINE + hour]  # fmt: skip
    assert await conn.fetchval("select count(*) from busy_times") == 2
    details = await scheduling.fetch_appointment(conn, appointment.id)
    assert [member.name for member in details.panel] == ["Dr Helen Okafor"]
    assert details.appointment.kind is ConsultationKind.PANEL
    assert await scheduling.list_expert_ids(conn, clinic.case) == {clinic.expert, clinic.other_expert}


async def test_a_panel_is_booked_for_all_or_for_none(conn: Any) -> None:
    clinic = await open_clinic(conn)
    await panel_of_two(conn, clinic)
    await scheduling.book(
        conn, clinic.case, clinic.other_expert, NINE, LENGTH, booked_by=clinic.scheduler, now=NOW, outside_hours=True
    )
    with pytest.raises(SlotTaken):
        await book_panel(conn, clinic)
    assert await conn.fetchval("select count(*) from busy_times where expert_id = $1", clinic.expert) == 0
    for others in ([clinic.expert], [clinic.scheduler], [StaffId(999)]):
        with pytest.raises((InvalidInput, NotFound)):
            await scheduling.book(
                conn, clinic.case, clinic.expert, NINE, LENGTH, others=others, booked_by=clinic.scheduler, now=NOW
            )


async def test_panels_in_both_orders_at_once_wait_for_each_other_and_never_in_a_circle(database: Database) -> None:
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn)
        await panel_of_two(conn, clinic)
    outcomes: Counter[str] = Counter()

    async def attempt(number: int) -> None:
        async with database.pool.acquire() as conn:
            try:
                await book_panel(conn, clinic, NINE + (number % 3) * timedelta(hours=1), turned=number % 2 == 1)
            except (SlotTaken, SlotOutsideHours):
                outcomes["refused"] += 1
            else:
                outcomes["booked"] += 1

    await asyncio.gather(*(attempt(number) for number in range(60)))
    assert outcomes == {"booked": 2, "refused": 58}
    assert await count_overlaps(database) == 0


async def test_there_are_no_more_calls_at_once_than_rooms(conn: Any) -> None:
    clinic = await open_clinic(conn)
    await panel_of_two(conn, clinic)
    await conn.execute("set consult.room_capacity = '1'")
    await book_one(conn, clinic, NINE)
    (other,) = [one for one in await people.list_experts(conn) if one.id == clinic.other_expert]
    free = await scheduling.list_free_slots(conn, [other], TUESDAY, TUESDAY, LENGTH, now=NOW)
    assert [slot.starts_at for slot in free[other.id]] == [NINE + LENGTH]
    for outside in (False, True):
        with pytest.raises(RoomsFull) as full:
            await scheduling.book(
                conn, clinic.case, other.id, NINE, LENGTH,
                booked_by=clinic.scheduler, now=NOW, outside_hours=outside,
            )  # fmt: skip
        assert NINE + LENGTH in [slot.starts_at for slot in full.value.values["nearest"]]
    await conn.execute("set consult.room_capacity = '2'")
    await scheduling.book(conn, clinic.case, other.id, NINE, LENGTH, booked_by=clinic.scheduler, now=NOW)


async def test_many_experts_at_once_fill_the_rooms_and_not_one_more(database: Database) -> None:
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn)
        experts = [clinic.expert]
        for number in range(7):
            copy = await conn.fetchval(
                """insert into staff (email, name, role, time_zone, password_hash, created_at)
                   values ($1, 'Dr Copy', 'expert', 'Europe/Berlin', 'x', $2) returning id""",
                f"copy{number}@clinic.example", NOW,
            )  # fmt: skip
            await availability.set_working_hours(conn, StaffId(copy), WEEK)
            experts.append(StaffId(copy))

    async def attempt(expert: StaffId) -> bool:
        async with database.pool.acquire() as conn, conn.transaction():
            await conn.execute("set local consult.room_capacity = '3'")
            try:
                await scheduling.book(conn, clinic.case, expert, NINE, LENGTH, booked_by=clinic.scheduler, now=NOW)
            except RoomsFull:
                return False
            return True

    assert sum(await asyncio.gather(*(attempt(expert) for expert in experts))) == 3
    assert await database.pool.fetchval("select count(*) from appointments") == 3


async def test_a_move_gives_a_new_time_a_new_link_and_a_line_of_history(conn: Any) -> None:
    clinic = await open_clinic(conn)
    appointment, link = await book_one(conn, clinic, NINE)
    guest = await scheduling.invite_guest(conn, appointment.id, name="Rui", role="interpreter", now=NOW)
    moved = await scheduling.move(
        conn, appointment.id, NINE + LENGTH, sequence=0, by=clinic.scheduler, now=NOW, reason="A train was late"
    )
    assert (moved.appointment.starts_at, moved.appointment.sequence) == (NINE + LENGTH, 1)
    assert moved.appointment.ends_at - moved.appointment.starts_at == LENGTH
    invited = await scheduling.list_invited(conn, appointment.id)
    assert sorted(str(one.person_id) for one in invited) == sorted(moved.lost)
    assert {one.name for one in invited} == {"Ana Ribeiro", "Rui"}
    for old in (link, guest):
        with pytest.raises(Exception, match=r"link\.not_usable"):
            await scheduling.open_invitation(conn, secret=old.secret, now=NOW)
    for new in (moved.link, *moved.guest_links.values()):
        await scheduling.open_invitation(conn, secret=new.secret, now=NOW)
    assert NINE in await free_on_tuesday(conn, clinic)
    changes = await scheduling.list_changes(conn, appointment.id)
    assert [one.kind for one in changes] == [ChangeKind.BOOKED, ChangeKind.MOVED]
    assert (changes[1].by_name, changes[1].reason) == ("Noor Aziz", "A train was late")
    assert changes[1].before is not None
    assert (changes[1].before.starts_at, changes[1].from_expert) == (NINE, None)


async def test_a_move_to_another_expert_says_who_took_over(conn: Any) -> None:
    clinic = await open_clinic(conn)
    await panel_of_two(conn, clinic)
    appointment, _link = await book_one(conn, clinic, NINE)
    moved = await scheduling.move(
        conn, appointment.id, NINE, sequence=0, by=clinic.scheduler, now=NOW, expert_id=clinic.other_expert
    )
    assert moved.appointment.expert_id == clinic.other_expert
    change = (await scheduling.list_changes(conn, appointment.id))[-1]
    assert (change.from_expert, change.to_expert) == ("Dr Sabine Brandt", "Dr Helen Okafor")
    assert await conn.fetchval("select array_agg(expert_id) from busy_times") == [clinic.other_expert]


async def test_an_appointment_moves_into_time_that_is_partly_its_own(conn: Any) -> None:
    clinic = await open_clinic(conn)
    appointment, _link = await book_one(conn, clinic, NINE + 30 * MINUTE)
    kept = await hold_one(conn, clinic, NINE, moving=appointment.id)
    moved = await scheduling.move(conn, appointment.id, NINE, sequence=0, by=None, now=NOW, hold_id=kept.id)
    assert moved.appointment.starts_at == NINE


async def test_of_two_who_move_at_once_the_second_is_told_the_new_time(database: Database) -> None:
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn)
        appointment, _link = await book_one(conn, clinic, NINE)

    async def attempt(place: int) -> datetime:
        async with database.pool.acquire() as conn, conn.transaction():
            try:
                moved = await scheduling.move(
                    conn, appointment.id, NINE + place * LENGTH, sequence=0, by=clinic.scheduler, now=NOW
                )
            except MovedMeanwhile as refused:
                assert refused.values["sequence"] == 1
                told: Any = refused.values["starts_at"]
                assert isinstance(told, datetime)
                return told
            return moved.appointment.starts_at

    first, second, third = await asyncio.gather(*(attempt(place) for place in (1, 2, 3)))
    assert first == second == third
    assert await database.pool.fetchval("select lower(during) from busy_times") == first
    assert await database.pool.fetchval("select sequence from appointments") == 1


async def test_a_move_to_a_taken_time_changes_nothing(conn: Any) -> None:
    clinic = await open_clinic(conn)
    appointment, link = await book_one(conn, clinic, NINE)
    await book_one(conn, clinic, NINE + LENGTH)
    with pytest.raises(SlotTaken) as taken:
        await scheduling.move(conn, appointment.id, NINE + LENGTH, sequence=0, by=clinic.scheduler, now=NOW)
    assert taken.value.values["nearest"]
    with pytest.raises(InvalidInput):
        await scheduling.move(conn, appointment.id, NINE, sequence=0, by=clinic.scheduler, now=NOW)
    assert (await scheduling.fetch_appointment(conn, appointment.id)).appointment.starts_at == NINE
    await scheduling.open_invitation(conn, secret=link.secret, now=NOW)


async def test_what_has_begun_stays_where_it_is(conn: Any) -> None:
    clinic = await open_clinic(conn)
    appointment, _link = await book_one(conn, clinic, NINE)
    for now in (NINE, NINE + MINUTE):
        with pytest.raises(AppointmentStarted):
            await scheduling.move(conn, appointment.id, NINE + 2 * LENGTH, sequence=0, by=clinic.scheduler, now=now)
        with pytest.raises(AppointmentStarted):
            await scheduling.cancel(conn, appointment.id, now)
    await conn.execute("insert into consultations values ($1, $2, $3)", uuid.uuid4(), appointment.id, NINE - MINUTE)
    with pytest.raises(AppointmentStarted):  # people came early
        await scheduling.move(conn, appointment.id, NINE + 2 * LENGTH, sequence=0, by=None, now=NINE - MINUTE)


async def test_a_time_that_began_a_moment_ago_is_answered_by_our_clock_alone(conn: Any) -> None:
    clinic = await open_clinic(conn)
    for late in (timedelta(), MINUTE, TEN_MINUTES):  # the browser's clock may well be behind
        with pytest.raises(SlotInPast):
            await scheduling.book(
                conn, clinic.case, clinic.expert, NINE, LENGTH, booked_by=clinic.scheduler, now=NINE + late
            )
        with pytest.raises(SlotInPast):
            await hold_one(conn, clinic, NINE, now=NINE + late, expires_at=NINE + late + TEN_MINUTES)


async def test_cancelling_says_by_whom_and_why(conn: Any) -> None:
    clinic = await open_clinic(conn)
    for by, expected in ((clinic.scheduler, CancelledBy.STAFF), (None, CancelledBy.PATIENT)):
        appointment, _link = await book_one(conn, clinic, NINE)
        await scheduling.cancel(conn, appointment.id, NOW, by=by, reason=" A fever ")
        cancelled = (await scheduling.fetch_appointment(conn, appointment.id)).appointment
        assert (cancelled.cancelled_by, cancelled.cancel_reason, cancelled.sequence) == (expected, "A fever", 1)
        with pytest.raises(NotFound):
            await scheduling.move(conn, appointment.id, NINE + LENGTH, sequence=1, by=by, now=NOW)
    with pytest.raises(InvalidInput):
        await scheduling.cancel(conn, AppointmentId(uuid.uuid4()), NOW, reason="x" * 501)


async def test_what_a_patient_needs_is_kept_in_order_and_told_once(conn: Any) -> None:
    clinic = await open_clinic(conn)
    appointment, _link = await book_one(conn, clinic, NINE)
    needs = [PatientNeed.CAPTIONS, PatientNeed.INTERPRETER]
    for _ in range(2):
        await scheduling.set_needs(conn, appointment.id, needs, "Portuguese", by=None, now=NOW)
    kept = (await scheduling.fetch_appointment(conn, appointment.id)).appointment
    assert kept.needs == (PatientNeed.INTERPRETER, PatientNeed.CAPTIONS)
    assert (kept.needs_note, kept.sequence) == ("Portuguese", 0)
    assert len(await scheduling.list_changes(conn, appointment.id)) == 2
    with pytest.raises(InvalidInput):
        await scheduling.set_needs(conn, appointment.id, needs, "x" * 501, by=None, now=NOW)


async def test_every_change_of_the_schedule_is_heard(database: Database) -> None:
    heard: list[str] = []

    def hear(_conn: Any, _pid: int, _channel: str, payload: Any) -> None:
        if "-" in str(payload):  # an appointment's or hold's; experts' own time is told of by their numbers
            heard.append(str(payload))

    listener = await asyncpg.connect(database.url)
    await listener.add_listener("schedule_changed", hear)
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn)
        appointment, _link = await book_one(conn, clinic, NINE)
        kept = await hold_one(conn, clinic, NINE + LENGTH)
        await scheduling.release(conn, kept.id, NOW)
        await scheduling.move(conn, appointment.id, NINE + LENGTH, sequence=0, by=None, now=NOW)
        await scheduling.cancel(conn, appointment.id, NOW)
    async with asyncio.timeout(5):
        while len(heard) < 5:
            await asyncio.sleep(0.02)
    await listener.close()
    assert heard == [str(one) for one in (appointment.id, kept.id, kept.id, appointment.id, appointment.id)]
