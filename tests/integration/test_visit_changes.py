"""From the link: another time, cancelling, needs. Every rule, and what nobody expects people to do (SECURITY 3, 5)."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from consult.domain.clock import utc_now
from consult.keys import BUS, LIMITER, POOL
from consult.notices import service as notices
from consult.scheduling import service as scheduling
from consult.scheduling import visit_changes as changes
from consult.scheduling.model import Appointment, CancelledBy, IssuedLink
from signaling.events import RoomCommand
from tests.conftest import Server
from tests.integration import pages
from tests.integration.clinic import Clinic, book_one, open_clinic
from tests.integration.pages import read, send
from tests.integration.test_join import press_join

MOVE, CHANGE, CANCEL = "/visit/move", "/visit/change", "/visit/cancel"


class Booked:
    """An appointment in four days or more, and the link to it."""

    def __init__(self, clinic: Clinic, appointment: Appointment, link: IssuedLink) -> None:
        self.clinic, self.appointment, self.link = clinic, appointment, link


def a_working_day_ahead(days: int) -> datetime:
    """The first of the expert's times, nine in the morning in Berlin, so many days ahead or on the next Monday."""
    at = utc_now().astimezone(ZoneInfo("Europe/Berlin")).replace(hour=9, minute=0, second=0, microsecond=0)
    at += timedelta(days=days)
    while at.weekday() > 3:
        at += timedelta(days=1)
    return at.astimezone(UTC)


@pytest.fixture
async def booked(server: Server, client: aiohttp.ClientSession) -> Booked:
    """The client has opened the link."""
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        appointment, link = await book_one(conn, clinic, a_working_day_ahead(4), now=now)
    assert (await press_join(client, secret=link.secret))[0] == 200
    return Booked(clinic, appointment, link)


@pytest.fixture
def orders(server: Server) -> list[RoomCommand]:
    """What rooms are ordered from now on."""
    heard: list[RoomCommand] = []
    order = server.app[BUS].order

    async def note(command: RoomCommand) -> None:
        heard.append(command)
        await order(command)

    server.app[BUS].order = note  # type: ignore[method-assign]
    return heard


@asynccontextmanager
async def browser(server: Server, secret: str | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(server.url, cookie_jar=jar, headers={"Accept": "text/html"}) as other:
        if secret is not None:
            assert (await press_join(other, secret=secret))[0] == 200
        yield other


async def now_booked(server: Server, booked: Booked) -> Appointment:
    async with server.app[POOL].acquire() as conn:
        return (await scheduling.fetch_appointment(conn, booked.appointment.id)).appointment


async def patients_mails(server: Server, booked: Booked) -> list[str]:
    async with server.app[POOL].acquire() as conn:
        mails = await notices.list_mails_of_appointment(conn, booked.appointment.id)
    return [mail.kind.value for mail in mails if mail.recipient == "ana@example.org"]


async def count_holds(server: Server) -> int:
    found: int = await server.app[POOL].fetchval("select count(*) from busy_times where hold_id is not null")
    return found


async def set_start(server: Server, booked: Booked, starts_at: datetime) -> None:
    """Let the appointment begin at another time, as if the days had gone by."""
    async with server.app[POOL].acquire() as conn, conn.transaction():
        await conn.execute("delete from busy_times where appointment_id = $1", booked.appointment.id)
        await conn.execute(
            "update appointments set during = tstzrange($2, $3, '[)') where id = $1",
            booked.appointment.id, starts_at, starts_at + timedelta(minutes=45),
        )  # fmt: skip


async def set_changes_until(server: Server, booked: Booked, *, hours: int) -> None:
    """Let the expert's appointments be changed until so many hours before them."""
    await server.app[POOL].execute(
        """insert into expert_rules (expert_id, buffer_before_min, buffer_after_min, preparation_min,
             preparation_per_record_min, preparation_most_min, notice_h, horizon_days, daily_limit, changes_until_h)
           values ($1, 0, 0, 0, 0, 0, 0, 366, null, $2)""",
        booked.clinic.expert,
        hours,
    )


async def first_day(client: aiohttp.ClientSession) -> str:
    """The first day that is whole wherever the reader is: of today there may be one time left, or none in a moment."""
    soonest = utc_now().date() + timedelta(days=2)
    text = await read(client, MOVE)
    for month in ("", *re.findall(r'href="(/visit/move\?month=[\d-]+)"', text)):
        text = await read(client, month) if month else text
        for day in re.findall(r'href="(/visit/move\?day=[\d-]+)"', text):
            if date.fromisoformat(day.rpartition("=")[2]) >= soonest:
                return str(day)
    raise AssertionError("no free time is offered")


def choices_in(text: str) -> list[str]:
    return [unescape(value) for value in re.findall(r'name="time" value="([^"]+)"', text)]


def sequence_in(text: str) -> str:
    found = re.search(r'name="sequence" value="(\d+)"', text)
    assert found is not None
    return found[1]


async def keep(client: aiohttp.ClientSession, time: str | None = None) -> tuple[str, str]:
    """Choose a time as the pages lead to it; return the page that asks for a yes, and its address."""
    day = await first_day(client)
    text = await read(client, day)
    data = {"time": time or choices_in(text)[0], "sequence": sequence_in(text)}
    status, answer, place = await send(client, MOVE, data, page=day)
    assert status == 303 and place.startswith("/visit/move/"), answer[:2000]
    return await read(client, place), place


async def say_yes(client: aiohttp.ClientSession, place: str, **more: str) -> tuple[int, str, str]:
    return await send(client, place, {"sequence": sequence_in(await read(client, place))} | more, page=place)


async def test_the_whole_way_to_another_time(
    client: aiohttp.ClientSession, server: Server, booked: Booked, orders: list[RoomCommand]
) -> None:
    text = await read(client, CHANGE)
    assert 'href="/visit/move"' in text and 'href="/visit/cancel"' in text
    text, place = await keep(client)
    assert "We keep this time for you until" in text and await count_holds(server) == 1
    assert text.count("button-main") == 1
    async with browser(server, booked.link.secret) as other_device:
        status, _, after = await say_yes(client, place)
        assert (status, after) == (303, "/visit/moved")
        await read(other_device, "/visit/when", status=303)  # the old link is dead on every other device
        async with other_device.get("/visit") as page:
            assert "Your appointment was moved" in await page.text(), "which is told what happened"
    moved = await now_booked(server, booked)
    assert moved.starts_at != booked.appointment.starts_at and moved.sequence == booked.appointment.sequence + 1
    text = await read(client, "/visit/moved")
    assert "A mail with your new link is on its way to a***@example.org." in text
    await read(client, "/visit/when")  # this device goes on
    assert await count_holds(server) == 0
    assert [type(one).__name__ for one in orders] == ["RemovePerson"]
    async with browser(server) as stranger:
        assert (await press_join(stranger, secret=booked.link.secret))[0] == 410
    assert await patients_mails(server, booked) == ["change"]


async def test_after_a_move_the_cookie_is_another_and_the_old_one_opens_nothing(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    def cookie() -> str:
        return next(one.value for one in client.cookie_jar if one.key == "consult_visit")

    old = cookie()
    _, place = await keep(client)
    await say_yes(client, place)
    assert cookie() != old
    jar = aiohttp.DummyCookieJar()
    async with (
        aiohttp.ClientSession(server.url, cookie_jar=jar, headers={"Cookie": f"consult_visit={old}"}) as thief,
        thief.get("/visit/when", allow_redirects=False) as answer,
    ):
        assert answer.status == 401


async def test_steps_that_were_done_stay_done_after_a_move(client: aiohttp.ClientSession, booked: Booked) -> None:
    await send(client, "/visit/steps/when", {}, page="/visit/when")
    _, place = await keep(client)
    await say_yes(client, place)
    async with client.get("/visit", allow_redirects=False) as answer:
        assert answer.headers["Location"] == "/visit/records"


async def test_pressing_yes_twice_at_once_moves_once_and_keeps_the_device_in(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    text, place = await keep(client)
    data = {"csrf": await pages.proof(client, place), "sequence": sequence_in(text)}
    headers = {"Accept": "text/html"} | cookies_of(client)

    async def press() -> tuple[int, str, str]:
        jar = aiohttp.DummyCookieJar()
        async with (
            aiohttp.ClientSession(server.url, cookie_jar=jar, headers=headers) as tab,
            tab.post(place, data=data, allow_redirects=False) as answer,
        ):
            token = answer.cookies["consult_visit"].value if "consult_visit" in answer.cookies else ""
            return answer.status, answer.headers.get("Location", ""), token

    answers = await asyncio.gather(press(), press(), press())
    assert {(status, place) for status, place, _ in answers} == {(303, "/visit/moved")}
    tokens = {token for _, _, token in answers}
    assert len(tokens) == 1 and tokens != {""}
    assert (await now_booked(server, booked)).sequence == booked.appointment.sequence + 1
    late = await press()
    assert late == answers[0], "and the second press may come a moment later"


async def test_the_second_press_is_forgiven_for_two_minutes_only(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    text, place = await keep(client)
    data = {"csrf": await pages.proof(client, place), "sequence": sequence_in(text)}
    headers = {"Accept": "text/html"} | cookies_of(client)
    await say_yes(client, place)
    await server.app[POOL].execute("update invitations set issued_at = issued_at - interval '3 minutes'")
    async with (
        aiohttp.ClientSession(server.url, cookie_jar=aiohttp.DummyCookieJar(), headers=headers) as thief,
        thief.post(place, data=data, allow_redirects=False) as answer,
    ):
        assert answer.status == 401 and "consult_visit" not in answer.cookies


def cookies_of(client: aiohttp.ClientSession) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{cookie.key}={cookie.value}" for cookie in client.cookie_jar)}


async def test_a_second_time_that_is_chosen_gives_the_first_back(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    """Two tabs: the one that was left behind is told calmly that its time is no longer kept."""
    _, first = await keep(client)
    text = await read(client, await first_day(client))
    _, second = await keep(client, choices_in(text)[-1])
    assert await count_holds(server) == 1
    async with client.get(first, allow_redirects=False) as answer:
        text = await answer.text()
        assert answer.status == 409
    assert "This time was kept for a while and is free for others again." in text
    assert "Your appointment is still on" in text and "/visit/move?day=" in text
    status, text, _ = await send(client, first, {"sequence": "0"}, page=CHANGE)
    assert status == 409 and "This time was kept for a while" in text
    assert (await now_booked(server, booked)).starts_at == booked.appointment.starts_at
    assert (await say_yes(client, second))[2] == "/visit/moved"


async def test_an_expired_hold_says_so_and_offers_the_times_again(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    text, place = await keep(client)
    sequence = sequence_in(text)
    await server.app[POOL].execute(
        "update holds set held_at = held_at - interval '1 hour', expires_at = expires_at - interval '1 hour'"
    )
    status, text, _ = await send(client, place, {"sequence": sequence}, page=CHANGE)
    assert status == 409 and "This time was kept for a while" in text and "/visit/move?day=" in text
    assert (await now_booked(server, booked)).starts_at == booked.appointment.starts_at
    _, again = await keep(client)
    assert (await say_yes(client, again))[2] == "/visit/moved"


async def test_going_back_gives_the_time_to_others(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    _, place = await keep(client)
    status, _, back = await send(client, f"{place}/release", {}, page=place)
    assert status == 303 and back.startswith("/visit/move?day=")
    assert await count_holds(server) == 0
    assert (await send(client, f"{place}/release", {}, page=CHANGE))[0] == 303  # pressed twice
    _, place = await keep(client)
    assert (await send(client, f"{place}/release", {"stay": "1"}, page=place))[2] == CHANGE
    assert await count_holds(server) == 0


async def test_a_time_that_somebody_else_took_meanwhile_is_refused_and_others_are_offered(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    day = await first_day(client)
    text = await read(client, day)
    wanted = choices_in(text)[0]
    async with server.app[POOL].acquire() as conn:
        await book_one(conn, booked.clinic, datetime.fromisoformat(wanted), now=utc_now())
    status, text, _ = await send(client, MOVE, {"time": wanted, "sequence": "0"}, page=day)
    assert status == 409 and "Somebody else has just booked this time." in text
    assert wanted not in choices_in(text) and choices_in(text), "the day's other times"


@pytest.mark.parametrize(
    ("time", "status"),
    [
        ("", 422),
        ("tomorrow", 422),
        ("2026-13-45T10:00:00+00:00", 422),
        ("2030-01-01T10:00:00", 422),
        ("0001-01-01T00:00:00+14:00", 422),
        ("2001-01-02T09:00:00+00:00", 422),
        ("2199-01-02T09:00:00+00:00", 422),
        ("9" * 400, 422),
    ],
)
async def test_a_time_that_was_not_offered_cannot_be_had(
    client: aiohttp.ClientSession, server: Server, booked: Booked, time: str, status: int
) -> None:
    answer, text, _ = await send(client, MOVE, {"time": time, "sequence": "0"}, page=CHANGE)
    assert answer == status and "Your appointment is still on" in text
    assert await count_holds(server) == 0


async def test_a_time_outside_the_experts_hours_or_the_same_time_is_refused(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    at_night = booked.appointment.starts_at.replace(hour=2).isoformat()
    status, text, _ = await send(client, MOVE, {"time": at_night, "sequence": "0"}, page=CHANGE)
    assert status == 422 and "The expert does not work at this time." in text
    same = booked.appointment.starts_at.isoformat()
    status, text, _ = await send(client, MOVE, {"time": same, "sequence": "0"}, page=CHANGE)
    assert status == 409 and "Your appointment is at this time already." in text
    assert await count_holds(server) == 0


async def test_a_move_by_the_clinic_meanwhile_says_the_new_time(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    text, place = await keep(client)
    later = a_working_day_ahead(11)
    async with server.app[POOL].acquire() as conn:
        await scheduling.move(
            conn, booked.appointment.id, later, sequence=booked.appointment.sequence, by=booked.clinic.scheduler,
            now=utc_now(),
        )  # fmt: skip
    form = {"csrf": await pages.proof(client, "/visit/moved"), "sequence": sequence_in(text)}
    async with client.post(place, data=form) as answer:
        text = await answer.text()
    assert "Your appointment was moved" in text and later.strftime("%-d") in text
    assert "The link that you used here belonged to the time before" in text
    assert (await now_booked(server, booked)).starts_at == later
    for path in (CHANGE, MOVE, CANCEL, "/visit"):
        async with client.get(path, allow_redirects=False) as answer:
            assert answer.headers["Location"] == "/visit/moved", path


async def test_a_wrong_sequence_moves_nothing_and_shows_the_time_as_it_is(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    _, place = await keep(client)
    for wrong in ("7", "-1", "", "x", "9" * 30):
        status, text, _ = await send(client, place, {"sequence": wrong}, page=place)
        assert status == 409 and "This appointment was changed meanwhile." in text, wrong
    status, text, _ = await send(
        client, MOVE, {"time": a_working_day_ahead(8).isoformat(), "sequence": "7"}, page=CHANGE
    )
    assert status == 409 and "This appointment was changed meanwhile." in text
    assert (await now_booked(server, booked)).starts_at == booked.appointment.starts_at


async def test_within_the_last_day_the_page_says_whom_to_call(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    _, place = await keep(client)
    await set_start(server, booked, utc_now() + timedelta(hours=23, minutes=59))
    text = await read(client, CHANGE)
    assert "It is too late to do this here." in text and "Ask for Noor Aziz" in text
    assert 'href="/visit/move"' not in text and 'href="/visit/cancel"' not in text
    for path in (MOVE, place, CANCEL):
        async with client.get(path, allow_redirects=False) as answer:
            assert answer.headers.get("Location") == CHANGE, path
    for path, data in ((MOVE, {"time": a_working_day_ahead(8).isoformat()}), (place, {"sequence": "0"}), (CANCEL, {})):
        assert (await send(client, path, data, page=CHANGE))[2] == CHANGE, path
    after = await now_booked(server, booked)
    assert not after.is_cancelled and after.sequence == booked.appointment.sequence


async def test_the_experts_own_rule_decides_how_late_is_too_late(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    await set_changes_until(server, booked, hours=2)
    await set_start(server, booked, utc_now() + timedelta(hours=3))
    assert 'href="/visit/move"' in await read(client, CHANGE)
    await set_start(server, booked, utc_now() + timedelta(hours=1, minutes=59))
    assert 'href="/visit/move"' not in await read(client, CHANGE)


async def test_a_time_so_near_that_it_cannot_be_changed_again_is_said_to_be_so_before_the_yes(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    await set_changes_until(server, booked, hours=720)
    await set_start(server, booked, utc_now() + timedelta(days=60))
    text, _ = await keep(client)
    assert "This time is so near that you cannot change it here again." in text
    text, _ = await keep(client, a_working_day_ahead(40).isoformat())
    assert "We keep this time for you until" in text and "you cannot change it here again" not in text


async def test_only_times_within_the_experts_notice_and_horizon_are_offered(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    await server.app[POOL].execute(
        """insert into expert_rules (expert_id, buffer_before_min, buffer_after_min, preparation_min,
             preparation_per_record_min, preparation_most_min, notice_h, horizon_days, daily_limit, changes_until_h)
           values ($1, 0, 0, 0, 0, 0, 48, 10, null, 24)""",
        booked.clinic.expert,
    )
    now = utc_now()
    offered: list[str] = []
    pages_seen = [MOVE, *re.findall(r'href="(/visit/move\?month=[\d-]+)"', await read(client, MOVE))]
    for page in pages_seen:
        for day in re.findall(r'href="(/visit/move\?day=[\d-]+)"', await read(client, page)):
            offered += choices_in(await read(client, day))
    assert offered
    assert all(timedelta(hours=48) <= datetime.fromisoformat(one) - now <= timedelta(days=10) for one in offered)


async def test_an_appointment_that_has_begun_stays(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    _, place = await keep(client)
    await set_start(server, booked, utc_now() - timedelta(minutes=1))
    assert "This appointment has begun." in await read(client, CHANGE)
    assert (await send(client, place, {"sequence": "0"}, page=CHANGE))[2] == CHANGE
    assert (await send(client, CANCEL, {}, page=CHANGE))[2] == CHANGE
    assert not (await now_booked(server, booked)).is_cancelled


async def test_odd_days_and_months_lead_to_the_days_there_are(client: aiohttp.ClientSession, booked: Booked) -> None:
    for odd in (
        "?day=2001-01-01",
        "?day=nonsense",
        "?month=2001-01",
        "?month=%27",
        "?day=2026-02-30",
        f"?day={'9' * 300}",
    ):
        text = await read(client, MOVE + odd)
        assert "/visit/move?day=" in text, odd


async def test_an_expert_without_free_times_leaves_whom_to_call(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    await server.app[POOL].execute("delete from working_hours")
    text = await read(client, MOVE)
    assert "There is no other free time at the moment." in text and "Ask for Noor Aziz" in text


async def test_days_and_times_are_the_patients_own(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    await server.app[POOL].execute("update patients set time_zone = 'Pacific/Auckland'")
    text = await read(client, await first_day(client))
    assert "Auckland time" in text
    first = datetime.fromisoformat(choices_in(text)[0])
    assert 19 <= int(re.findall(r">(\d\d):\d\d</button>", text)[0]) <= 23 or first.hour > 11


async def test_a_hold_of_another_appointment_is_not_there(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        other, _ = await book_one(conn, booked.clinic, a_working_day_ahead(11), now=now)
        hold = await changes.hold_time(conn, other, a_working_day_ahead(18), now=now)
    for path in (f"{MOVE}/{hold.id}", f"{MOVE}/x"):
        await read(client, path, status=404)
    assert "This time was kept for a while" in await read(client, f"{MOVE}/{uuid.uuid4()}", status=409)
    for path in (f"{MOVE}/{hold.id}", f"{MOVE}/{hold.id}/release", f"{MOVE}/x", f"{MOVE}/x/release"):
        assert (await send(client, path, {"sequence": "0"}, page=CHANGE))[0] == 404, path
    assert (await send(client, f"{MOVE}/{uuid.uuid4()}", {"sequence": "0"}, page=CHANGE))[0] == 409
    assert (await send(client, f"{MOVE}/{uuid.uuid4()}/release", {}, page=CHANGE))[2] == MOVE
    assert await count_holds(server) == 1


async def test_nobody_keeps_times_without_end(client: aiohttp.ClientSession, server: Server, booked: Booked) -> None:
    day = await first_day(client)
    wanted = choices_in(await read(client, day))[0]
    statuses = [(await send(client, MOVE, {"time": wanted, "sequence": "0"}, page=CHANGE))[0] for _ in range(41)]
    assert statuses[:40] == [303] * 40 and statuses[40] == 429
    assert await count_holds(server) == 1


async def test_nobody_searches_free_times_without_end(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    for _ in range(59):
        await server.app[LIMITER].hit("free_times", address="192.0.2.1", account=str(booked.appointment.id))
    assert "Choose a day" in await read(client, MOVE)
    text = await read(client, MOVE, status=429)
    assert "Please wait a few minutes and try again." in text and "Your appointment is still on" in text
    assert 'href="/visit/move"' in text, "the way on stays"
    # Nor by a form whose answer would be the times again.
    assert (await send(client, MOVE, {"time": "", "sequence": "0"}, page=CHANGE))[0] == 429


async def test_a_guest_moves_and_cancels_nothing(client: aiohttp.ClientSession, server: Server, booked: Booked) -> None:
    _, place = await keep(client)
    async with server.app[POOL].acquire() as conn:
        guest = await scheduling.invite_guest(
            conn, booked.appointment.id, name="Ines", role="interpreter", now=utc_now()
        )
    async with browser(server, guest.secret) as other:
        for path in (CHANGE, MOVE, place, CANCEL, "/visit/needs", "/visit/moved"):
            await read(other, path, status=404)
        for path in (MOVE, place, f"{place}/release", CANCEL, "/visit/needs"):
            assert (await send(other, path, {"sequence": "0"}, page="/visit/when"))[0] == 404, path
    after = await now_booked(server, booked)
    assert not after.is_cancelled and after.sequence == booked.appointment.sequence


async def test_guests_lose_their_link_with_a_move_and_the_patient_makes_new_ones(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    async with server.app[POOL].acquire() as conn:
        guest = await scheduling.invite_guest(
            conn, booked.appointment.id, name="Ines", role="interpreter", now=utc_now()
        )
    async with browser(server, guest.secret) as other:
        _, place = await keep(client)
        await say_yes(client, place)
        await read(other, "/visit/when", status=303)
        async with other.get("/visit/moved", allow_redirects=False) as answer:
            assert answer.headers["Location"] == "/join", "a guest is told nothing"
    assert "Ines needs a new link too:" in await read(client, "/visit/moved")
    text = await read(client, "/visit/people")
    form = re.search(r'action="(/visit/people/[^"]+/link)"', text)
    assert form is not None
    _, text, _ = await send(client, form[1], {}, page="/visit/people", follow=True)
    assert "/join#" in text


async def test_cancelling_ends_every_link_and_says_what_happens_next(
    client: aiohttp.ClientSession, server: Server, booked: Booked, orders: list[RoomCommand]
) -> None:
    assert "Cancel your appointment?" in await read(client, CANCEL)
    status, _, place = await send(client, CANCEL, {"reason": "I am in hospital that day."}, page=CANCEL)
    assert (status, place) == (303, "/visit/cancelled")
    after = await now_booked(server, booked)
    assert after.cancelled_by is CancelledBy.PATIENT and after.cancel_reason == "I am in hospital that day."
    text = await read(client, "/visit/cancelled")
    assert "Your appointment is cancelled" in text and "You cancelled" in text
    assert [type(one).__name__ for one in orders] == ["CloseRoom", "RemovePerson"]
    await read(client, "/visit/when", status=303)
    async with browser(server) as other:
        assert (await press_join(other, secret=booked.link.secret))[0] == 410
    assert await patients_mails(server, booked) == ["cancellation"]
    # Another press, from a tab that was still open: the same calm page, and no second mail.
    assert (await send(client, CANCEL, {"reason": ""}, page="/visit/cancelled"))[2] == "/visit/cancelled"
    assert await patients_mails(server, booked) == ["cancellation"]


async def test_cancelling_gives_a_kept_time_back(client: aiohttp.ClientSession, server: Server, booked: Booked) -> None:
    await keep(client)
    await send(client, CANCEL, {}, page=CANCEL)
    assert await server.app[POOL].fetchval("select count(*) from busy_times") == 0


async def test_a_reason_that_is_too_long_stays_as_it_was_typed(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    long = "because " * 100
    status, text, _ = await send(client, CANCEL, {"reason": long}, page=CANCEL)
    assert status == 422 and long.strip() in text and 'id="reason-wrong"' in text
    assert not (await now_booked(server, booked)).is_cancelled


async def test_after_cancelling_the_patient_asks_for_another_time_and_the_scheduler_reads_it(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    await send(client, CANCEL, {"reason": "A wedding"}, page=CANCEL)
    for bad in ("", "   ", "x" * 1001):
        status, text, _ = await send(client, "/visit/cancelled", {"wish": bad}, page="/visit/cancelled")
        assert status == 422 and 'id="wish-wrong"' in text and bad.strip() in text
    wish = "Mornings, <b>not</b> on Thursdays"
    status, _, place = await send(client, "/visit/cancelled", {"wish": wish}, page="/visit/cancelled")
    assert (status, place) == (303, "/visit/cancelled")
    text = await read(client, "/visit/cancelled")
    assert "You asked for another time." in text and "Mornings, &lt;b&gt;not&lt;/b&gt; on Thursdays" in text
    await send(client, "/visit/cancelled", {"wish": "Only Mondays"}, page="/visit/cancelled")
    async with browser(server) as staff:
        await pages.sign_in(staff, "noor@clinic.example")
        for path in (f"/appointments/{booked.appointment.id}", f"/cases/{booked.appointment.case_id}"):
            text = await read(staff, path)
            assert "Only Mondays" in text and "Mornings" not in text, path
        assert "A wedding" in await read(staff, f"/appointments/{booked.appointment.id}")


async def test_a_cancellation_by_the_clinic_is_told_and_another_time_can_be_asked_for(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    async with server.app[POOL].acquire() as conn:
        await scheduling.cancel(conn, booked.appointment.id, utc_now(), by=booked.clinic.scheduler, reason="Flu")
    async with client.get(CHANGE) as page:
        text = await page.text()
    assert "Your appointment is cancelled" in text and "You cancelled" not in text and "Flu" not in text
    assert (await send(client, "/visit/cancelled", {"wish": "Any day"}, page="/visit/cancelled"))[0] == 303


@pytest.mark.parametrize("path", ["/visit/cancelled", "/visit/moved"])
async def test_pages_of_what_did_not_happen_lead_back(
    client: aiohttp.ClientSession, server: Server, booked: Booked, path: str
) -> None:
    async with client.get(path, allow_redirects=False) as answer:
        assert answer.headers["Location"] == "/visit"
    assert (await send(client, "/visit/cancelled", {"wish": "Now"}, page=CHANGE))[2] == "/visit"
    async with browser(server) as stranger, stranger.get(path, allow_redirects=False) as answer:
        assert answer.headers["Location"] == "/join"


async def test_a_link_that_was_withdrawn_tells_its_device_nothing(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    """Withdrawn because it fell into wrong hands: what becomes of the appointment is nobody's business there."""
    async with server.app[POOL].acquire() as conn:
        await scheduling.revoke_links(conn, booked.appointment.id, now=utc_now())
        await scheduling.cancel(conn, booked.appointment.id, utc_now(), by=booked.clinic.scheduler)
    for path in ("/visit/cancelled", "/visit/moved", CHANGE):
        async with client.get(path, allow_redirects=False) as answer:
            assert answer.headers["Location"] == "/join", path


async def test_a_device_that_was_left_behind_is_told_for_a_week_only(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    await send(client, CANCEL, {}, page=CANCEL)
    await server.app[POOL].execute("update appointments set cancelled_at = cancelled_at - interval '8 days'")
    await server.app[POOL].execute("update invitations set revoked_at = revoked_at - interval '8 days'")
    async with client.get("/visit/cancelled", allow_redirects=False) as answer:
        assert answer.headers["Location"] == "/join"


async def say_needs(client: aiohttp.ClientSession, needs: list[str], note: str) -> tuple[int, str, str]:
    fields: Any = [*(("needs", need) for need in needs), ("needs_note", note)]
    return await send(client, "/visit/needs", fields, page="/visit/needs")


async def test_needs_are_said_changed_and_taken_back(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    status, _, place = await say_needs(client, ["captions", "interpreter"], "Portuguese")
    assert status == 303
    assert "That is saved. The clinic sees it." in await read(client, place)
    after = await now_booked(server, booked)
    assert ([need.value for need in after.needs], after.needs_note) == (["interpreter", "captions"], "Portuguese")
    text = await read(client, "/visit/needs")
    assert text.count(" checked") == 2 and "Portuguese" in text
    assert (await say_needs(client, [], ""))[0] == 303
    after = await now_booked(server, booked)
    assert (after.needs, after.needs_note) == ((), "")


async def test_needs_that_cannot_be_kept_stay_as_they_were_ticked_and_typed(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    status, text, _ = await say_needs(client, ["interpreter"], "  ")
    assert status == 422 and "Please write which language you speak." in text and text.count(" checked") == 1
    status, text, _ = await say_needs(client, ["captions", "champagne"], "for two")
    assert status == 422 and "for two" in text
    status, text, _ = await say_needs(client, ["captions"], "x" * 501)
    assert status == 422 and "x" * 501 in text
    await set_start(server, booked, utc_now() - timedelta(minutes=1))
    status, text, _ = await say_needs(client, ["captions"], "large ones")
    assert status == 422 and "Please say it in the call." in text and "large ones" in text
    assert (await now_booked(server, booked)).needs == ()


async def test_the_scheduler_reads_what_the_patient_needs(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    await say_needs(client, ["interpreter"], "Portuguese from Brazil")
    async with browser(server) as staff:
        await pages.sign_in(staff, "noor@clinic.example")
        assert "Portuguese from Brazil" in await read(staff, f"/appointments/{booked.appointment.id}")


async def test_quiet_links_lead_to_all_of_it_from_the_first_step(client: aiohttp.ClientSession, booked: Booked) -> None:
    text = await read(client, "/visit/when")
    for place in (CHANGE, "/visit/needs", "/visit/people", "/visit/language", "/visit/link"):
        assert f'href="{place}"' in text, place
        await read(client, place)
