"""A patient's wish for another time puts the case on the wait list by itself; staff's own entries stand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from consult.domain.clock import utc_now
from consult.keys import POOL
from consult.scheduling import service as scheduling
from consult.scheduling.model import Appointment
from consult.waiting import service as waiting
from consult.waiting.model import EntryLine, Wishes
from tests.conftest import Server
from tests.integration import pages
from tests.integration.clinic import Clinic, book_one, open_clinic
from tests.integration.pages import read, send
from tests.integration.test_join import press_join
from tests.integration.test_visit_changes import CANCEL, a_working_day_ahead
from tests.integration.waiters import USUAL, Told, put_on_list

CANCELLED = "/visit/cancelled"
MON_TUE = [("weekdays", "0"), ("weekdays", "1")]


class Cancelled:
    """An appointment that its patient has cancelled in the browser `client`."""

    def __init__(self, server: Server, client: aiohttp.ClientSession, clinic: Clinic, appointment: Appointment) -> None:
        self.server, self.client, self.clinic, self.appointment = server, client, clinic, appointment

    async def wish(self, *fields: tuple[str, str]) -> tuple[int, str]:
        status, text, _where = await send(self.client, CANCELLED, list(fields), page=CANCELLED)
        return status, text

    async def entry(self) -> EntryLine | None:
        async with self.server.app[POOL].acquire() as conn:
            return await waiting.find_entry(conn, self.clinic.case, utc_now())


@pytest.fixture
async def cancelled(server: Server, client: aiohttp.ClientSession) -> Cancelled:
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        appointment, link = await book_one(conn, clinic, a_working_day_ahead(4), now=now)
    assert (await press_join(client, secret=link.secret))[0] == 200
    await send(client, CANCEL, {}, page=CANCEL)
    return Cancelled(server, client, clinic, appointment)


async def test_a_wish_puts_the_case_on_the_list_and_the_page_says_so(cancelled: Cancelled) -> None:
    status, _ = await cancelled.wish(*MON_TUE, ("part", "morning"), ("wish", "Not before 1 December"))
    assert status == 303
    line = await cancelled.entry()
    assert line is not None and line.entry.asked_by_patient
    wishes = line.entry.wishes
    assert (wishes.weekdays, wishes.expert_ids, line.entry.note) == (
        {0, 1}, (cancelled.clinic.expert,), "Not before 1 December",
    )  # fmt: skip
    assert wishes.time_to is not None and wishes.time_to.hour == 13
    text = await read(cancelled.client, CANCELLED)
    assert "You are on the wait list." in text
    assert text.count('name="weekdays"') == 7 and text.count(" checked") == 3  # two days, one part of the day
    assert text.count("button-main") == 0


async def test_staff_sees_that_it_was_the_patients_own_wish(cancelled: Cancelled) -> None:
    await cancelled.wish(("part", "any"))
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cancelled.server.url, cookie_jar=jar, headers={"Accept": "text/html"}) as staff:
        await pages.sign_in(staff, "noor@clinic.example")
        assert "by their own wish" in await read(staff, "/waiting")
        text = await read(staff, f"/appointments/{cancelled.appointment.id}")
        assert "The patient asks for another time." in text and "On the wait list" in text


async def test_a_freed_time_is_offered_but_never_the_one_that_the_patient_gave_up(cancelled: Cancelled) -> None:
    await cancelled.wish(("part", "any"))
    now, told = utc_now(), Told()
    later = cancelled.appointment.slot.starts_at + timedelta(hours=1)
    async with cancelled.server.app[POOL].acquire() as conn:
        own = await waiting.offer_freed(
            conn, cancelled.clinic.expert, cancelled.appointment.slot, usual=USUAL, now=now, tell=told
        )
        assert own == []
        slots = await scheduling.free_slots(conn, cancelled.clinic.expert, later.date(), later.date(), now=now)
        other = next(slot for slot in slots if slot.starts_at >= cancelled.appointment.slot.ends_at)
        (made,) = await waiting.offer_freed(conn, cancelled.clinic.expert, other, usual=USUAL, now=now, tell=told)
        details = await waiting.fetch_offer(conn, made)
        secret = await told.secret_of(conn, made, now)
        async with conn.transaction():
            answered = await waiting.answer_link(conn, secret, waiting.Answer.TAKE, now)
    assert details.offer.case_id == cancelled.clinic.case
    assert answered.appointment is not None and answered.appointment.booked_by == cancelled.clinic.scheduler


async def test_wished_again_the_new_wish_stands_and_the_place_stays(cancelled: Cancelled) -> None:
    await cancelled.wish(*MON_TUE, ("part", "morning"))
    first = await cancelled.entry()
    await cancelled.wish(("part", "afternoon"), ("wish", "Any day"))
    second = await cancelled.entry()
    assert first is not None and second is not None
    assert (first.entry.id, first.entry.position) == (second.entry.id, second.entry.position)
    assert len(second.entry.wishes.weekdays) == 7 and second.entry.wishes.time_to is None
    assert second.entry.note == "Any day"


async def _on_the_list(conn: Any, case: Cancelled) -> None:
    await put_on_list(conn, case.clinic, "", case_id=case.clinic.case, wishes=Wishes(weekdays=frozenset({4})),
                      now=utc_now())  # fmt: skip


async def _booked_again(conn: Any, case: Cancelled) -> None:
    await book_one(conn, case.clinic, a_working_day_ahead(8), now=utc_now())


@pytest.mark.parametrize("has", [_on_the_list, _booked_again])
async def test_what_staff_did_meanwhile_stands(
    cancelled: Cancelled, has: Callable[[Any, Cancelled], Awaitable[None]]
) -> None:
    async with cancelled.server.app[POOL].acquire() as conn:
        await has(conn, cancelled)
    before = await cancelled.entry()
    assert (await cancelled.wish(*MON_TUE, ("wish", "Please")))[0] == 303
    assert await cancelled.entry() == before
    text = await read(cancelled.client, CANCELLED)
    assert "You asked for another time." in text and "You are on the wait list." not in text


@pytest.mark.parametrize(
    "fields",
    [[("weekdays", "7"), ("wish", "kept text")], [("weekdays", "x"), ("wish", "kept text")],
     [("part", "night"), ("wish", "kept text")], [("part", "any"), ("wish", "kept text" + "x" * 1000)]],
)  # fmt: skip
async def test_nonsense_is_refused_and_what_was_typed_stays(
    cancelled: Cancelled, fields: list[tuple[str, str]]
) -> None:
    status, text = await cancelled.wish(*fields)
    assert status == 422 and "kept text" in text and "field-wrong" in text
    assert await cancelled.entry() is None
