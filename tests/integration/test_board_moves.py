"""Where an appointment on a board could go, and the question before it goes there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from consult.availability import service as availability
from consult.domain.clock import utc_now
from consult.domain.slots import Slot
from consult.keys import POOL
from consult.people import service as people
from consult.scheduling import service as scheduling
from consult.scheduling.model import Appointment
from tests.conftest import Database, Server
from tests.integration.clinic import Clinic, book_one, open_clinic

BERLIN = ZoneInfo("Europe/Berlin")
LENGTH = timedelta(minutes=45)


@pytest.fixture
async def clinic(server: Server) -> Clinic:
    async with server.app[POOL].acquire() as conn:
        return await open_clinic(conn, now=utc_now())


@pytest.fixture
async def scheduler(server: Server, clinic: Clinic) -> AsyncIterator[aiohttp.ClientSession]:
    async with server.app[POOL].acquire() as conn:
        token = await people.start_session(conn, clinic.scheduler, utc_now())
    headers = {"Cookie": f"consult_staff={token}", "Accept": "application/json"}
    async with aiohttp.ClientSession(server.url, cookie_jar=aiohttp.DummyCookieJar(), headers=headers) as client:
        yield client


async def next_free(conn: Any, clinic: Clinic) -> list[Slot]:
    """The free times of the expert's next working day but one."""
    today = utc_now().astimezone(BERLIN).date()
    ahead = await scheduling.free_slots(
        conn, clinic.expert, today + timedelta(days=2), today + timedelta(days=7), LENGTH, now=utc_now()
    )
    day = ahead[0].starts_at.astimezone(BERLIN).date()
    return [slot for slot in ahead if slot.starts_at.astimezone(BERLIN).date() == day]


async def targets(client: aiohttp.ClientSession, appointment: Appointment, **asked: str) -> list[tuple[int, datetime]]:
    async with client.get(f"/board/moves/{appointment.id}", params=asked) as answer:
        assert answer.status == 200, await answer.text()
        found = (await answer.json())["targets"]
    return [(one["expert"], datetime.fromisoformat(one["at"])) for one in found]


async def test_the_free_times_of_the_shown_days_are_offered_and_can_be_booked(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    async with database.pool.acquire() as conn:
        free = await next_free(conn, clinic)
        booked, _link = await book_one(conn, clinic, free[0].starts_at, now=utc_now())
        week = await availability.fetch_working_hours(conn, clinic.expert)
        await availability.set_working_hours(conn, clinic.other_expert, week)
        day = free[0].starts_at.astimezone(BERLIN).date().isoformat()
        offered = await targets(scheduler, booked, day=day)
        assert [at for expert, at in offered if expert == clinic.expert] == [slot.starts_at for slot in free[1:]]
        assert {expert for expert, _at in offered} == {clinic.expert, clinic.other_expert}
        only = await targets(scheduler, booked, day=day, expert=str(clinic.other_expert))
        assert {expert for expert, _at in only} == {clinic.other_expert}
        assert len(await targets(scheduler, booked, day=day, days="7")) > len(offered)
        await scheduling.move(
            conn, booked.id, only[0][1], sequence=0, by=clinic.scheduler, now=utc_now(), expert_id=clinic.other_expert
        )


async def test_a_panel_is_offered_the_times_when_all_of_it_are_free(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    async with database.pool.acquire() as conn:
        free = await next_free(conn, clinic)
        booked, _link = await scheduling.book(
            conn, clinic.case, clinic.expert, free[0].starts_at, LENGTH, others=[clinic.other_expert],
            booked_by=clinic.scheduler, now=utc_now(), outside_hours=True,
        )  # fmt: skip
        day = free[0].starts_at.astimezone(BERLIN).date().isoformat()
        assert await targets(scheduler, booked, day=day) == [], "the other has no hours in Toronto"


async def test_what_has_begun_or_is_over_can_go_nowhere(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    async with database.pool.acquire() as conn:
        booked, _link = await book_one(conn, clinic, utc_now() - timedelta(minutes=1), now=utc_now())
    assert await targets(scheduler, booked, days="7") == []


async def test_the_question_says_both_times_in_everybody_s_zone_and_nonsense_is_led_back(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    async with database.pool.acquire() as conn:
        booked, _link = await book_one(conn, clinic, utc_now() + timedelta(days=1), now=utc_now())
        await conn.execute("update patients set time_zone = 'Asia/Tokyo'")
    to = f"/board/moves/{booked.id}/to"
    asked = {"at": (booked.starts_at + timedelta(hours=2)).isoformat(), "expert": str(clinic.other_expert)}
    async with scheduler.get(to, params=asked, headers={"Accept": "text/html"}) as answer:
        page = await answer.text()
    for zone in ("Berlin time", "Tokyo time", "Toronto time"):
        assert page.count(zone) == 2, zone
    assert "Dr Helen Okafor" in page
    assert 'name="sequence" value="0"' in page
    for nonsense in ({}, {"at": "x"}, {"at": "2026-03-01T10:00:00"}, {"at": "9999-12-31T23:00:00+00:00"}):
        async with scheduler.get(to, params=nonsense, allow_redirects=False) as answer:
            assert answer.status == 303, nonsense
    async with scheduler.get(to, params=asked | {"expert": "999"}) as answer:
        assert answer.status == 404
    async with scheduler.get(f"/board/moves/{booked.id}", params={"days": "99999", "day": "2199-12-31"}) as answer:
        assert answer.status == 200
