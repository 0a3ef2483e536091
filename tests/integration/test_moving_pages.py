"""The pages that book panels, move and cancel, read as a browser without scripts reads them."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from consult.availability import service as availability
from consult.domain.clock import utc_now
from consult.domain.ids import AppointmentId
from consult.domain.working_days import WorkingBlock
from consult.scheduling import service as scheduling
from consult.scheduling.model import Appointment
from tests.conftest import Database, Server
from tests.integration.clinic import Clinic, book_one, open_clinic
from tests.integration.pages import read, send, sign_in

BERLIN = ZoneInfo("Europe/Berlin")
LENGTH = timedelta(minutes=45)


@pytest.fixture
async def clinic(server: Server, database: Database) -> Clinic:
    async with database.pool.acquire() as conn:
        opened = await open_clinic(conn, now=utc_now())
        await conn.execute("update staff set time_zone = 'Europe/Berlin' where id = $1", opened.other_expert)
        blocks = [WorkingBlock(weekday, time(10), time(12)) for weekday in range(5)]
        await availability.set_working_hours(conn, opened.other_expert, blocks)
        return opened


@pytest.fixture
async def scheduler(clinic: Clinic, client: aiohttp.ClientSession) -> AsyncIterator[aiohttp.ClientSession]:
    await sign_in(client, "noor@clinic.example")
    yield client


def at_nine() -> datetime:
    """09:00 in Berlin on a working day at least a week ahead."""
    day = utc_now().astimezone(BERLIN).date() + timedelta(days=7)
    while day.weekday() > 4:
        day += timedelta(days=1)
    return datetime.combine(day, time(9), BERLIN).astimezone(UTC)


async def booked(database: Database, clinic: Clinic, starts_at: datetime) -> Appointment:
    async with database.pool.acquire() as conn:
        appointment, _link = await book_one(conn, clinic, starts_at, now=utc_now())
    return appointment


async def fetch(database: Database, appointment_id: AppointmentId) -> Appointment:
    async with database.pool.acquire() as conn:
        return (await scheduling.fetch_appointment(conn, appointment_id)).appointment


def move_form(clinic: Clinic, starts_at: datetime, **given: Any) -> dict[str, Any]:
    return {"expert": clinic.expert, "sequence": "0", "slot": starts_at.isoformat(), **given}


async def test_the_month_counts_free_times_and_leads_to_the_next_free_day(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    day = at_nine().date()
    page = await read(scheduler, f"/cases/{clinic.case}/book?expert={clinic.expert}&day={day}")
    assert re.search(rf'day={day}" aria-current="date"><b>{day.day}</b><span class="month-words">4 free<', page)
    async with database.pool.acquire() as conn:
        for place in range(4):
            await book_one(conn, clinic, at_nine() + place * LENGTH, now=utc_now())
    page = await read(scheduler, f"/cases/{clinic.case}/book?expert={clinic.expert}&day={day}")
    assert "has no free time on this day" in page
    assert "Show the next free day" in page


@pytest.mark.parametrize(
    "query", ["day=x&kind=y&others=z&length=w", "day=9999-12-31", "day=0001-01-01&length=-5", "kind=panel&others=0"]
)
async def test_nonsense_in_the_address_is_read_as_nothing(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database, query: str
) -> None:
    appointment = await booked(database, clinic, at_nine())
    await read(scheduler, f"/cases/{clinic.case}/book?{query}")
    await read(scheduler, f"/appointments/{appointment.id}/move?{query}")


async def test_a_follow_up_is_as_long_as_the_expert_wants_it(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    await database.pool.execute("insert into expert_kinds values ($1, 'follow_up', 20)", clinic.expert)
    page = await read(scheduler, f"/cases/{clinic.case}/book?expert={clinic.expert}&kind=follow_up")
    assert "20 minutes, as usual" in page
    form = {"expert": clinic.expert, "kind": "follow_up", "length": "20", "slot": at_nine().isoformat()}
    status, _text, place = await send(scheduler, f"/cases/{clinic.case}/book", form)
    assert status == 303
    assert "Follow-up" in await read(scheduler, place)


async def test_a_panel_is_booked_at_a_time_when_all_are_free(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    page = f"/cases/{clinic.case}/book"
    alone = {"expert": clinic.expert, "kind": "panel", "length": "60", "slot": at_nine().isoformat()}
    status, text, _place = await send(scheduler, page, alone)
    assert status == 422
    assert "Choose at least one more expert" in text
    day = at_nine().date()
    address = f"{page}?kind=panel&expert={clinic.expert}&others={clinic.other_expert}&day={day}"
    text = unescape(await read(scheduler, address))
    ten = at_nine() + timedelta(hours=1)
    assert f'value="{ten.isoformat()}"' in text
    assert f'value="{at_nine().isoformat()}"' not in text
    form = [*alone.items(), ("others", str(clinic.other_expert))]
    form = [(name, value if name != "slot" else ten.isoformat()) for name, value in form]
    status, _text, place = await send(scheduler, page, form)
    assert status == 303
    text = await read(scheduler, place)
    assert "Panel of several experts" in text
    assert "Dr Helen Okafor" in text


async def test_each_expert_of_a_panel_finds_the_case_and_the_door_of_the_call(
    server: Server, clinic: Clinic, database: Database
) -> None:
    async with database.pool.acquire() as conn:
        appointment, _link = await scheduling.book(
            conn, clinic.case, clinic.expert, utc_now() + timedelta(minutes=5), LENGTH,
            others=[clinic.other_expert], booked_by=clinic.scheduler, now=utc_now(), outside_hours=True,
        )  # fmt: skip
    for email in ("brandt@clinic.example", "okafor@clinic.example"):
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(server.url, cookie_jar=jar, headers={"Accept": "text/html"}) as expert:
            await sign_in(expert, email)
            assert "Ana Ribeiro" in await read(expert, "/cases")
            await read(expert, f"/cases/{clinic.case}")
            await read(expert, f"/appointments/{appointment.id}/call")
            status, text, _place = await send(expert, f"/appointments/{appointment.id}/seat", {})
            assert status == 200, text


async def test_a_move_shows_the_new_time_the_new_link_once_and_the_history(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    appointment = await booked(database, clinic, at_nine())
    page = f"/appointments/{appointment.id}"
    assert f'href="{page}/move"' in await read(scheduler, page)
    assert 'name="sequence" value="0"' in await read(scheduler, f"{page}/move")
    form = move_form(clinic, at_nine() + LENGTH, reason="A <b>late</b> train")
    status, _text, place = await send(scheduler, f"{page}/move", form)
    assert (status, place) == (303, page)
    text = await read(scheduler, page)
    assert "/join#" in text
    assert "A &lt;b&gt;late&lt;/b&gt; train" in text
    assert "/join#" not in await read(scheduler, page)
    moved = await fetch(database, appointment.id)
    assert (moved.starts_at, moved.sequence) == (at_nine() + LENGTH, 1)


async def test_who_moves_an_appointment_that_was_moved_meanwhile_sees_its_time_now(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    appointment = await booked(database, clinic, at_nine())
    page = f"/appointments/{appointment.id}/move"
    assert (await send(scheduler, page, move_form(clinic, at_nine() + LENGTH)))[0] == 303
    status, text, _place = await send(scheduler, page, move_form(clinic, at_nine() + 2 * LENGTH, reason="My reason"))
    assert status == 409
    assert "Somebody else changed this appointment meanwhile" in text
    assert 'name="sequence" value="1"' in text
    assert 'value="My reason"' in text
    again = move_form(clinic, at_nine() + 2 * LENGTH, sequence="1")
    assert (await send(scheduler, page, again))[0] == 303


async def test_a_taken_time_leaves_the_appointment_where_it_is_and_offers_others(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    appointment = await booked(database, clinic, at_nine())
    await booked(database, clinic, at_nine() + LENGTH)
    page = f"/appointments/{appointment.id}/move"
    status, text, _place = await send(scheduler, page, move_form(clinic, at_nine() + LENGTH, reason="Kept"))
    assert status == 409
    assert "closest that are still free" in text
    assert 'value="Kept"' in text
    assert (await fetch(database, appointment.id)).starts_at == at_nine()


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"slot": "yesterday"}, 422),
        ({"slot": "2020-01-01T09:00:00+00:00"}, 422),
        ({"slot": "0001-01-01T00:00:00+14:00"}, 422),
        ({"sequence": "x"}, 422),
        ({"sequence": ""}, 422),
        ({"sequence": "-1"}, 422),
        ({"expert": "999"}, 422),
        ({"expert": ""}, 422),
        ({"reason": "x" * 501}, 422),
        ({"outside_hours": "1", "date": "2026-02-29", "time": "09:00"}, 422),
        ({"outside_hours": "1", "date": "", "time": "25:00"}, 422),
    ],
)
async def test_a_wrong_move_is_answered_and_moves_nothing(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database, wrong: dict[str, str], status: int
) -> None:
    appointment = await booked(database, clinic, at_nine())
    form = move_form(clinic, at_nine() + LENGTH) | wrong
    answered, text, _place = await send(scheduler, f"/appointments/{appointment.id}/move", form)
    assert answered == status, text[:500]
    assert "data-error-summary" in text
    assert (await fetch(database, appointment.id)).sequence == 0


async def test_what_has_begun_or_was_cancelled_is_not_moved(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    begun = await booked(database, clinic, utc_now())
    assert "Move it to another time" not in await read(scheduler, f"/appointments/{begun.id}")
    status, text, _place = await send(scheduler, f"/appointments/{begun.id}/move", move_form(clinic, at_nine()))
    assert status == 409
    assert "has begun already" in text
    await read(scheduler, f"/appointments/{begun.id}/move", status=303)
    later = await booked(database, clinic, at_nine())
    await send(scheduler, f"/appointments/{later.id}/cancel", {"reason": "She has a fever"})
    await read(scheduler, f"/appointments/{later.id}/move", status=303)
    status, _text, _place = await send(
        scheduler, f"/appointments/{later.id}/move", move_form(clinic, at_nine() + LENGTH)
    )
    assert status == 404
    assert "She has a fever" in await read(scheduler, f"/appointments/{later.id}")
    await read(scheduler, f"/appointments/{uuid.uuid4()}/move", status=404)


async def test_a_reason_that_is_too_long_is_sent_back_with_what_was_typed(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    appointment = await booked(database, clinic, at_nine())
    status, text, _place = await send(scheduler, f"/appointments/{appointment.id}/cancel", {"reason": "y" * 501})
    assert status == 422
    assert "y" * 501 in text
    assert not (await fetch(database, appointment.id)).is_cancelled


async def test_needs_are_written_down_and_stay_on_the_page(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    appointment = await booked(database, clinic, at_nine())
    page = f"/appointments/{appointment.id}"
    form = [("needs", "captions"), ("needs", "interpreter"), ("needs_note", "Portuguese")]
    status, text, _place = await send(scheduler, f"{page}/needs", [*form, ("needs", "nonsense")])
    assert status == 422
    assert 'value="captions" checked' in text and 'value="Portuguese"' in text
    assert (await send(scheduler, f"{page}/needs", form))[0] == 303
    text = await read(scheduler, page)
    assert 'value="captions" checked' in text
    assert 'value="caregiver" checked' not in text
    assert 'value="Portuguese"' in text
    status, text, _place = await send(scheduler, f"{page}/needs", {"needs_note": "z" * 501})
    assert status == 422
    assert "z" * 501 in text
