"""Whatever way a time becomes free, the wait list takes note of it, and once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, time, timedelta
from typing import Any

import pytest

from consult.availability import service as availability
from consult.db.pool import create_pool
from consult.domain.clock import utc_now
from consult.domain.kinds import ConsultationKind
from consult.domain.slots import Slot
from consult.domain.working_days import WorkingBlock
from consult.jobs import Jobs
from consult.scheduling import service as scheduling
from consult.scheduling import visit_changes
from consult.scheduling.model import Appointment
from consult.settings import Settings
from consult.waiting import service as waiting
from consult.waiting.model import Wishes
from tests.conftest import Database
from tests.integration.clinic import NOW, Clinic, open_case, open_clinic
from tests.integration.waiters import Told, free_slots, put_on_list

MINUTE = timedelta(minutes=1)
LATER = NOW + 11 * MINUTE
ALL_DAY = [WorkingBlock(weekday, time(0), time(0)) for weekday in range(7)]


async def queued(conn: Any) -> list[tuple[int, datetime]]:
    """Whose time, from when on, the wait list was told of."""
    rows = await conn.fetch("select payload from pgqueuer where entrypoint = $1 order by id", waiting.OFFER_FREED)
    read = [json.loads(row["payload"]) for row in rows]
    return [(one["expert_id"], datetime.fromisoformat(one["starts_at"])) for one in read]


class Moving:
    """An appointment that its patient is about to move, and the free times there are."""

    def __init__(self, clinic: Clinic, appointment: Appointment, slots: list[Slot]) -> None:
        self.clinic, self.appointment, self.slots = clinic, appointment, slots


async def about_to_move(conn: Any) -> Moving:
    clinic = await open_clinic(conn)
    slots = await free_slots(conn, clinic.expert)
    booked, _link = await scheduling.book(
        conn, clinic.case, clinic.expert, slots[-1].starts_at, booked_by=clinic.scheduler, now=NOW
    )
    return Moving(clinic, booked, slots)


async def keep(conn: Any, moving: Moving, place: int, now: datetime = NOW) -> Any:
    return await visit_changes.hold_time(conn, moving.appointment, moving.slots[place].starts_at, now=now)


async def given_back(conn: Any, moving: Moving) -> None:
    await keep(conn, moving, 4)
    await visit_changes.give_back(conn, moving.appointment.id, NOW)


async def exchanged_for_another(conn: Any, moving: Moving) -> None:
    await keep(conn, moving, 4)
    await keep(conn, moving, 6)


async def cancelled_meanwhile(conn: Any, moving: Moving) -> None:
    await keep(conn, moving, 4)
    await visit_changes.cancel(conn, moving.appointment, reason="", now=NOW)


async def expired(conn: Any, moving: Moving) -> None:
    await keep(conn, moving, 4)
    await scheduling.tidy_holds(conn, LATER)


async def expired_and_somebody_booked_that_day(conn: Any, moving: Moving) -> None:
    """Bookings free what expired of an expert's day themselves."""
    await keep(conn, moving, 4)
    other = await open_case(conn, moving.clinic.scheduler, name="Bo", email="bo@example.org")
    await scheduling.book(
        conn, other, moving.clinic.expert, moving.slots[5].starts_at, booked_by=moving.clinic.scheduler, now=LATER
    )
    await scheduling.tidy_holds(conn, LATER)


@pytest.mark.parametrize(
    "let_go",
    [given_back, exchanged_for_another, cancelled_meanwhile, expired, expired_and_somebody_booked_that_day],
    ids=lambda one: str(one.__name__),
)
async def test_a_time_that_was_kept_and_not_taken_is_offered_on_once(
    conn: Any, let_go: Callable[[Any, Moving], Awaitable[None]]
) -> None:
    moving = await about_to_move(conn)
    await let_go(conn, moving)
    await waiting.queue_given_back(conn, NOW)
    await waiting.queue_given_back(conn, NOW)
    assert await queued(conn) == [(moving.clinic.expert, moving.slots[4].starts_at)]


async def test_a_time_that_was_taken_is_not_offered_on(conn: Any) -> None:
    moving = await about_to_move(conn)
    hold = await keep(conn, moving, 4)
    await scheduling.move(
        conn, moving.appointment.id, hold.slot.starts_at, sequence=0, by=None, now=NOW, hold_id=hold.id
    )
    await waiting.queue_given_back(conn, NOW)
    assert await queued(conn) == []


async def test_of_a_panel_everybodys_time_is_offered_on(conn: Any) -> None:
    clinic = await open_clinic(conn)
    await availability.set_working_hours(conn, clinic.other_expert, ALL_DAY)
    start = (await free_slots(conn, clinic.expert))[4].starts_at
    panel = [clinic.expert, clinic.other_expert]
    hold = await scheduling.hold(
        conn, clinic.case, panel, start, timedelta(minutes=45),
        kind=ConsultationKind.PANEL, expires_at=NOW + 10 * MINUTE, now=NOW,
    )  # fmt: skip
    await scheduling.release(conn, hold.id, NOW)
    await waiting.queue_given_back(conn, NOW)
    assert sorted(await queued(conn)) == sorted((one, start) for one in panel)


async def test_an_offer_that_is_declined_is_told_once(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    slot = (await free_slots(conn, clinic.expert))[4]
    await put_on_list(conn, clinic, "Ana")
    (made,) = await waiting.offer_freed(conn, clinic.expert, slot, usual=timedelta(hours=24), now=NOW, tell=told)
    secret = await told.secret_of(conn, made, NOW)
    async with conn.transaction():
        await waiting.answer_link(conn, secret, waiting.Answer.DECLINE, NOW)
    await waiting.queue_given_back(conn, NOW)
    assert await queued(conn) == [(clinic.expert, slot.starts_at)]


async def test_with_few_rooms_a_freed_one_is_everybodys(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    """A call is cancelled, and its room was the last one: who waits for another expert may have the time."""
    now, stop = utc_now(), asyncio.Event()
    pool = await create_pool(database.url, room_capacity=1)
    jobs = Jobs(look_every=timedelta(milliseconds=100))
    waiting.register_jobs(jobs, pool, make_settings(room_capacity=1), utc_now, tell=Told())
    working = asyncio.create_task(jobs.run(pool, stop))
    try:
        async with pool.acquire() as conn:
            clinic = await open_clinic(conn, now=now)
            slot = (await free_slots(conn, clinic.expert, now, days=9))[-1]
            await availability.set_working_hours(conn, clinic.other_expert, ALL_DAY)
            booked, _link = await scheduling.book(
                conn, clinic.case, clinic.expert, slot.starts_at, booked_by=clinic.scheduler, now=now
            )
            await put_on_list(conn, clinic, "Bo", wishes=Wishes(expert_ids=(clinic.other_expert,)), now=now)
            async with conn.transaction():
                await scheduling.cancel(conn, booked.id, now, by=clinic.scheduler)
                await waiting.follow_cancelled(conn, booked, now)
        async with asyncio.timeout(30):
            while (offered := await pool.fetchval("select expert_id from wait_offers")) is None:
                await asyncio.sleep(0.05)
        assert offered == clinic.other_expert
    finally:
        stop.set()
        await asyncio.wait_for(working, 20)
        await pool.close()
