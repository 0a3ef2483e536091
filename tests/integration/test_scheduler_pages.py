"""The scheduler's and the expert's pages, read as a browser without scripts reads them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime, time, timedelta
from html import unescape
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from consult.availability import changes
from consult.availability import service as availability
from consult.domain.clock import utc_now
from consult.domain.ids import StaffId
from consult.domain.kinds import ConsultationKind
from consult.domain.slots import instants_of
from consult.domain.working_days import WorkingBlock
from consult.scheduling import service as scheduling
from tests.conftest import Database, Server
from tests.integration.clinic import Clinic, book_one, open_case, open_clinic
from tests.integration.pages import read, send, sign_in

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
async def clinic(server: Server, database: Database) -> Clinic:
    async with database.pool.acquire() as conn:
        return await open_clinic(conn, now=utc_now())


@pytest.fixture
async def scheduler(clinic: Clinic, client: aiohttp.ClientSession) -> AsyncIterator[aiohttp.ClientSession]:
    await sign_in(client, "noor@clinic.example")
    yield client


async def free_slot(database: Database, clinic: Clinic) -> str:
    today = utc_now().astimezone(BERLIN).date()
    async with database.pool.acquire() as conn:
        slots = await scheduling.free_slots(
            conn, clinic.expert, today + timedelta(days=1), today + timedelta(days=7), now=utc_now()
        )
    return slots[0].starts_at.isoformat()


async def test_every_page_says_what_is_empty(scheduler: aiohttp.ClientSession, clinic: Clinic) -> None:
    assert "Nobody waits for you." in await read(scheduler, "/board")
    assert "No calls on" in await read(scheduler, "/board?day=2030-01-05")
    assert "No messages yet" in await read(scheduler, "/messages")
    assert "Nothing is booked yet." in await read(scheduler, f"/cases/{clinic.case}")
    assert "No case has" in await read(scheduler, "/cases?search=nobody")
    assert "nothing can be booked" in await read(scheduler, "/experts")
    assert "has no free time" in await read(scheduler, f"/cases/{clinic.case}/book?expert={clinic.other_expert}")


async def test_a_case_is_opened_with_its_first_question_and_found_again(scheduler: aiohttp.ClientSession) -> None:
    form = {
        "name": "Tomasz Nowak",
        "email": "tomasz@example.org",
        "born_on": "1958-11-02",
        "language": "es",
        "diagnosis": "Glioma, grade II",
        "plan": "Watch and wait",
        "history": "",
        "referring_physician": "Dr Paulo Matos",
        "question": "Should it come out?",
    }
    status, _text, place = await send(scheduler, "/cases/new", form, page="/cases/new")
    assert status == 303
    page = await read(scheduler, place)
    for words in ("Tomasz Nowak", "Glioma, grade II", "Watch and wait", "Dr Paulo Matos", "Should it come out?"):
        assert words in page
    assert "Tomasz Nowak" in await read(scheduler, "/cases?search=glioma")
    assert "Tomasz Nowak" in await read(scheduler, f"/cases?search={place.rpartition('/')[2]}")
    assert "Tomasz Nowak" not in await read(scheduler, "/cases?search=%25")


async def test_a_wrong_case_form_keeps_what_was_typed(scheduler: aiohttp.ClientSession) -> None:
    form = {"name": "", "email": "no address", "born_on": "2190-01-01", "language": "en", "history": "Long <b>history"}
    status, text, _place = await send(scheduler, "/cases/new", form, page="/cases/new")
    assert status == 422
    assert "data-error-summary" in text
    for name in ("name", "diagnosis", "email", "born_on"):  # all at once
        assert f'id="{name}-wrong"' in text
        assert re.search(rf'aria-describedby="[^"]*{name}-wrong"', text)
    assert 'value="no address"' in text
    assert "Long &lt;b&gt;history" in text


async def test_booking_leads_to_the_link_once_and_the_link_opens(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    page = f"/cases/{clinic.case}/book"
    assert "Dr Sabine Brandt" in await read(scheduler, page)
    form = {"expert": clinic.expert, "length": "45", "slot": await free_slot(database, clinic)}
    status, _text, place = await send(scheduler, page, form, page=page)
    assert status == 303
    assert "#" not in place
    assert "?" not in place
    shown = unescape(await read(scheduler, place))
    found = re.search(r"/join#([\w-]{43})", shown)
    assert found is not None
    code = re.search(r"<dd>(\w{4}-\w{4})</dd>", shown)
    assert code is not None
    assert "/join#" not in await read(scheduler, place)
    async with database.pool.acquire() as conn:
        opened = await scheduling.open_invitation(conn, secret=found.group(1), now=utc_now())
        visit = await scheduling.find_visit(conn, opened.token, utc_now())
        assert visit is not None
        by_code = await scheduling.open_invitation(
            conn, number=str(visit.appointment_number), code=code.group(1), now=utc_now()
        )
        assert by_code.appointment_id == visit.appointment_id
    assert await database.pool.fetchval("select kind from mails") == "invitation"


async def test_a_further_time_is_looked_for_with_who_knows_the_case_and_many_experts_leave_it_in_sight(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    async def experts() -> list[tuple[str, str]]:
        found = await read(scheduler, f"/cases/{clinic.case}/book")
        listed = found[found.index('<ul id="expert"') :].partition("</ul>")[0]
        assert ('<ul id="expert" class="many">' in listed) is (listed.count("<li>") > 8)
        return re.findall(r'expert=\d+"( aria-current="true")?>.*?<b>([^<]+)</b>', listed)

    assert (await experts())[0] == (' aria-current="true"', "Dr Helen Okafor"), "the first by name"
    starts_at = (utc_now() + timedelta(days=2)).replace(hour=12)
    async with database.pool.acquire() as conn:
        await book_one(conn, clinic, starts_at, now=utc_now())
    assert await experts() == [("", "Dr Helen Okafor"), (' aria-current="true"', "Dr Sabine Brandt")]
    await database.pool.execute(
        """insert into staff (email, name, role, specialty, language, time_zone, password_hash, created_at)
           select n || email, 'Dr Another ' || n, role, specialty, language, time_zone, password_hash, created_at
           from staff, generate_series(1, 7) n where id = $1""",
        clinic.expert,
    )
    listed = await experts()
    assert len(listed) == 9 and listed[:2] == [(' aria-current="true"', "Dr Sabine Brandt"), ("", "Dr Another 1")]
    board = await read(scheduler, f"/board?day={starts_at.astimezone(BERLIN).date()}")
    columns = re.findall(r'data-expert="(\d+)"', board)
    assert len(columns) == 9 and columns[0] == str(clinic.expert), "who has the call stands first"


async def test_a_taken_slot_is_refused_with_the_nearest_free_ones(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    page = f"/cases/{clinic.case}/book"
    form = {"expert": clinic.expert, "length": "45", "slot": await free_slot(database, clinic)}
    assert (await send(scheduler, page, form, page=page))[0] == 303
    status, text, _place = await send(scheduler, page, form, page=page)
    assert status == 409
    assert "Somebody else has just booked this time" in text
    assert "closest that are still free" in text
    assert form["slot"] not in text
    assert await database.pool.fetchval("select count(*) from appointments") == 1


async def test_bad_choices_of_a_time_are_answered_calmly(scheduler: aiohttp.ClientSession, clinic: Clinic) -> None:
    page = f"/cases/{clinic.case}/book"
    for extra, expected in (
        ({}, 422),
        ({"slot": "nonsense"}, 422),
        ({"slot": "2001-01-01T09:00:00+00:00"}, 422),
        ({"slot": "2026-01-01T09:00:00"}, 422),
        ({"slot": "9999-12-31T23:59:59+00:00"}, 422),
        ({"slot": "0001-01-01T00:00:00+14:00"}, 422),
        ({"outside_hours": "1", "date": "2026-03-29", "time": "02:30"}, 422),
        ({"outside_hours": "1", "date": "", "time": "25:00"}, 422),
    ):
        form = {"expert": clinic.expert, "length": "45", **extra}
        status, text, _place = await send(scheduler, page, form, page=page)
        assert status == expected, extra
        assert "data-error-summary" in text, extra
    status, text, _place = await send(scheduler, page, {"expert": "77", "length": "45"}, page=page)
    assert status == 422


async def test_a_time_outside_the_hours_is_booked_in_the_experts_zone(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    page = f"/cases/{clinic.case}/book"
    day = (utc_now() + timedelta(days=3)).date()
    form = {
        "expert": clinic.other_expert,
        "outside_hours": "1",
        "date": day.isoformat(),
        "time": "20:15",
        "length": "20",
    }
    status, _text, _place = await send(scheduler, page, form, page=page)
    assert status == 303
    booked = await database.pool.fetchval("select lower(during) from appointments")
    assert booked.astimezone(ZoneInfo("America/Toronto")).strftime("%F %H:%M") == f"{day} 20:15"


async def test_of_a_typed_time_that_comes_twice_both_hours_can_be_booked_and_moved_to(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    tomorrow = utc_now().date() + timedelta(days=1)
    nights = (datetime.combine(tomorrow + timedelta(days=number), time(2, 30)) for number in range(400))
    night, (first, second) = next((at, both) for at in nights if len(both := instants_of(at, BERLIN)) == 2)
    typed = {"outside_hours": "1", "date": night.date().isoformat(), "time": "02:30", "length": "20"}
    page = f"/cases/{clinic.case}/book"
    form = {"expert": str(clinic.expert), **typed}
    status, text, _place = await send(scheduler, page, form, page=page)
    assert status == 422 and "The clock shows this time twice on that day." in text
    assert (
        'value="02:30"' in text and "Central European Summer Time" in text and "Central European Standard Time" in text
    )
    status, text, _place = await send(scheduler, page, form | {"hour": "third"}, page=page)
    assert status == 422 and "Please choose one of the given answers." in text
    status, _text, place = await send(scheduler, page, form | {"hour": "second"}, page=page)
    assert status == 303
    assert await database.pool.fetchval("select lower(during) from appointments") == second
    status, text, _place = await send(scheduler, f"{place}/move", form | {"sequence": "0"})
    assert status == 422 and "The clock shows this time twice on that day." in text
    status, _text, _place = await send(scheduler, f"{place}/move", form | {"sequence": "0", "hour": "first"})
    assert status == 303
    assert await database.pool.fetchval("select lower(during) from appointments") == first


async def test_no_time_is_arranged_in_an_absence_and_what_was_typed_stays(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    page = f"/cases/{clinic.case}/book"
    now = utc_now()
    await database.pool.execute(
        "insert into absences values (gen_random_uuid(), $1, tstzrange($2, $3), '', $2)",
        clinic.other_expert, now, now + timedelta(days=9),
    )  # fmt: skip
    day = (now + timedelta(days=3)).date().isoformat()
    form = {"expert": clinic.other_expert, "outside_hours": "1", "date": day, "time": "20:15", "length": "25"}
    status, text, _place = await send(scheduler, page, form, page=page)
    assert status == 422
    assert "first take the absence out of their time" in text
    for typed in (day, "20:15", "25"):
        assert f'value="{typed}"' in text
    assert await database.pool.fetchval("select count(*) from appointments") == 0


async def test_cancelling_asks_first_then_ends_links_and_orders_the_room_closed(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database, server: Server
) -> None:
    async with database.pool.acquire() as conn:
        appointment, link = await book_one(conn, clinic, utc_now() + timedelta(days=1), now=utc_now())
        opened = await scheduling.open_invitation(conn, secret=link.secret, now=utc_now())
    place = f"/appointments/{appointment.id}"
    assert "Cancel this appointment?" in await read(scheduler, f"{place}/cancel")
    assert await database.pool.fetchval("select cancelled_at from appointments") is None
    status, _text, place_after = await send(scheduler, f"{place}/cancel", {}, page=place)
    assert (status, place_after) == (303, place)
    assert "This appointment was cancelled." in await read(scheduler, place)
    async with database.pool.acquire() as conn:
        assert await scheduling.find_visit(conn, opened.token, utc_now()) is None
    assert await database.pool.fetchval("select min(kind) = 'cancellation' and max(kind) = min(kind) from mails")
    assert (await send(scheduler, f"{place}/cancel", {}, page=place))[0] == 303
    told = await database.pool.fetch("select audience from mails order by 1")
    assert [row["audience"] for row in told] == ["expert", "patient"]


async def test_a_further_link_can_withdraw_the_earlier_ones(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    async with database.pool.acquire() as conn:
        appointment, link = await book_one(conn, clinic, utc_now() + timedelta(days=1), now=utc_now())
        opened = await scheduling.open_invitation(conn, secret=link.secret, now=utc_now())
    place = f"/appointments/{appointment.id}"
    assert (await send(scheduler, f"{place}/link", {}, page=place))[0] == 303
    async with database.pool.acquire() as conn:
        assert await scheduling.find_visit(conn, opened.token, utc_now()) is not None
    assert (await send(scheduler, f"{place}/link", {"withdraw": "1", "send": "1"}, page=place))[0] == 303
    async with database.pool.acquire() as conn:
        assert await scheduling.find_visit(conn, opened.token, utc_now()) is None
    assert await database.pool.fetchval("select count(*) from invitations where revoked_at is null") == 1
    assert await database.pool.fetchval("select kind from mails") == "new_link"


async def test_hours_gain_and_lose_rows_without_a_script_and_keep_what_was_typed(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    page = f"/experts/{clinic.other_expert}/hours"
    rows = [("weekday", "0"), ("starts", "09:00"), ("ends", "12:00")]
    status, text, _place = await send(scheduler, page, [*rows, ("add", "1")], page=page)
    assert status == 200
    assert text.count('name="starts"') == 2
    both = [*rows, ("weekday", "1"), ("starts", "13:00"), ("ends", "15:00")]
    _status, text, _place = await send(scheduler, page, [*both, ("remove", "0")], page=page)
    assert text.count('name="starts"') == 1
    assert 'value="13:00"' in text
    wrong = [
        *rows,
        ("weekday", "0"),
        ("starts", "11:00"),
        ("ends", "14:00"),
        ("weekday", "2"),
        ("starts", "9"),
        ("ends", ""),
    ]
    status, text, _place = await send(scheduler, page, wrong, page=page)
    assert status == 422
    assert 'id="row-2-wrong"' in text
    wrong = [
        *rows,
        ("weekday", "0"),
        ("starts", "11:00"),
        ("ends", "14:00"),
        ("weekday", "2"),
        ("starts", "10:00"),
        ("ends", "10:00"),
    ]
    status, text, _place = await send(scheduler, page, wrong, page=page)
    assert status == 422
    assert 'id="row-1-wrong"' in text
    assert 'id="row-2-wrong"' in text
    assert 'value="11:00"' in text
    assert (
        await database.pool.fetchval("select count(*) from working_hours where expert_id = $1", clinic.other_expert)
        == 0
    )
    status, _text, place = await send(scheduler, page, both, page=page)
    assert status == 303
    assert "The hours are saved." in await read(scheduler, place)


async def test_the_board_shows_appointments_free_times_and_who_needs_a_hand(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    starts_at = utc_now() + timedelta(hours=2)
    async with database.pool.acquire() as conn:
        await book_one(conn, clinic, starts_at, now=utc_now())
    day = starts_at.astimezone(BERLIN).date()
    page = await read(scheduler, f"/board?day={day}")
    assert "Ana Ribeiro" in page
    assert "No records yet" in page
    week = day + timedelta(days=7 - day.weekday())
    page = await read(scheduler, f"/board?day={week}")
    assert page.count("slot-free") == 4
    assert "/cases?expert=" in page
    slot = re.search(r'href="(/cases\?expert=[^"]+)"', page)
    assert slot is not None
    chooser = await read(scheduler, unescape(slot.group(1)))
    assert "Which case is this time for?" in chooser
    way = re.search(r'href="(/cases/\d+/book\?[^"]+)"', chooser)
    assert way is not None
    assert " checked" in await read(scheduler, unescape(way.group(1)))
    for nonsense in (
        "/board?day=nonsense",
        "/board?day=0001-01-01",
        "/cases?expert=1&at=x",
        "/cases?expert=999&at=2026-03-01T10:00:00",
    ):
        await read(scheduler, nonsense)


async def test_who_needs_a_hand_in_a_panels_call_is_shown_with_all_of_its_experts(
    scheduler: aiohttp.ClientSession, database: Database, clinic: Clinic
) -> None:
    async with database.pool.acquire() as conn:
        booked, _link = await scheduling.book(
            conn, clinic.case, clinic.expert, utc_now() + timedelta(minutes=5), timedelta(minutes=45),
            kind=ConsultationKind.PANEL, others=[clinic.other_expert], booked_by=clinic.scheduler, now=utc_now(),
            outside_hours=True,
        )  # fmt: skip
    assert "Dr Sabine Brandt, Dr Helen Okafor</span>" in await read(scheduler, "/board")
    await database.pool.execute(
        "insert into room_events values (gen_random_uuid(), $1, 'MemberWaiting', 0, now(), $2)",
        booked.id, {"member_id": "m1"},
    )  # fmt: skip
    page = await read(scheduler, "/board")
    assert "Dr Sabine Brandt, Dr Helen Okafor</span>" in page
    assert "Nobody of the panel has let the patient in yet." in page


async def test_a_call_past_midnight_counts_for_the_day_on_which_it_begins(
    scheduler: aiohttp.ClientSession, database: Database, clinic: Clinic
) -> None:
    day = utc_now().astimezone(BERLIN).date() + timedelta(days=3)
    late = datetime.combine(day, time(23, 50), tzinfo=BERLIN)
    async with database.pool.acquire() as conn:
        await book_one(conn, clinic, late, now=utc_now())
    assert "1 call." in await read(scheduler, f"/board?day={day}")
    after = await read(scheduler, f"/board?day={day + timedelta(days=1)}")
    assert 'data-long="35"' in after and "No calls on" not in after and "1 call." not in after


async def test_boards_show_free_times_in_each_experts_own_length(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    today = utc_now().astimezone(BERLIN).date()
    day = today + timedelta(days=8 - today.weekday())  # a Tuesday
    first, follow_up = ConsultationKind.FIRST_REVIEW, ConsultationKind.FOLLOW_UP
    async with database.pool.acquire() as conn:
        await availability.set_working_hours(conn, clinic.other_expert, [WorkingBlock(1, time(9), time(12))])
        await changes.set_lengths(conn, clinic.expert, {first: timedelta(minutes=90), follow_up: timedelta(minutes=20)})
        await changes.set_lengths(conn, clinic.other_expert, {follow_up: timedelta(minutes=20)})

    async def lengths(expert: StaffId) -> list[str]:
        page = await read(scheduler, f"/board?day={day}&expert={expert}")
        return re.findall(r'class="slot slot-free"[^>]*data-long="(\d+)"', page)

    assert await lengths(clinic.expert) == ["90", "90"]
    assert await lengths(clinic.other_expert) == ["20"] * 9, "who gives no first reviews is shown by what they do give"
    page = await read(scheduler, f"/board?day={day}")
    assert page.count("slot-free") == 11
    for view in ("week", "month"):
        page = await read(scheduler, f"/board?view={view}&day={day}&expert={clinic.other_expert}")
        assert ">9 free<" in page or ", 9 free<" in page, view


async def test_an_expert_sees_their_own_day_and_their_own_cases_alone(
    client: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    async with database.pool.acquire() as conn:
        other = await open_case(conn, clinic.scheduler, name="Rosa Diaz", now=utc_now())
        await book_one(conn, clinic, utc_now(), now=utc_now())
    await sign_in(client, "brandt@clinic.example")
    today = await read(client, "/today")
    assert "Ana Ribeiro" in today
    assert "Open the call" in today
    assert "Ana Ribeiro" in await read(client, f"/cases/{clinic.case}")
    assert "Rosa Diaz" not in await read(client, "/cases")
    await read(client, f"/cases/{other}", 404)
    await read(client, "/board", 403)
    await read(client, f"/cases/{clinic.case}/book", 403)
    await read(client, "/messages", 403)
    await read(client, f"/experts/{clinic.expert}/hours")
    await read(client, f"/experts/{clinic.other_expert}/hours", 404)


async def test_nobody_gets_in_without_signing_in(client: aiohttp.ClientSession, clinic: Clinic) -> None:
    for path in ("/board", "/today", "/cases", f"/cases/{clinic.case}", "/experts", "/messages", "/cases/new"):
        await read(client, path, 303)
