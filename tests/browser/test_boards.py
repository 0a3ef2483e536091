"""Boards in a real Chromium: as they look, as they follow what happens, and moving by hand and by keyboard."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Browser, Locator, Page, Request, Route, expect

from consult.availability import service as availability
from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.ids import CaseId, StaffId
from consult.domain.working_days import WorkingBlock
from consult.keys import BUS, POOL
from consult.people import service as people
from consult.scheduling import service as scheduling
from consult.scheduling.model import Appointment
from signaling.events import MemberWaiting
from tests.browser.chromium import open_browser
from tests.browser.looks import DESKTOP, PHONE, check_look, open_quiet_page
from tests.browser.people import sign_in, zone_where_it_is_noon
from tests.conftest import Server
from tests.integration.clinic import PASSWORD, open_case

SCHEDULER = "noor@clinic.example"
ALL_WEEK = [WorkingBlock(weekday, clock(8), clock(18)) for weekday in range(7)]
NAMES = (
    "Dr Sabine Brandt", "Dr Helen Okafor", "Prof. Leila Haddad", "Dr Ingrid Solberg", "Dr Kenji Watanabe",
    "Dr María-Fernanda Konstantinopoulou-Wolfeschlegelsteinhausenbergerdorff",
)  # fmt: skip


class House:
    """A clinic in whose zone it is noon, so that the day has hours before and behind it."""

    def __init__(
        self, server: Server, scheduler: StaffId, experts: list[StaffId], cases: list[CaseId], now: datetime
    ) -> None:
        self.server, self.scheduler, self.experts, self.cases = server, scheduler, experts, cases
        self.now = now
        self.hour = now.replace(minute=0, second=0, microsecond=0)

    async def book(
        self, starts_at: datetime, *, expert: int = 0, case: int = 0, minutes: int = 45, now: datetime | None = None
    ) -> Appointment:
        async with self.server.app[POOL].acquire() as conn:
            booked, _link = await scheduling.book(
                conn, self.cases[case], self.experts[expert], starts_at, timedelta(minutes=minutes),
                booked_by=self.scheduler, now=now or utc_now(), outside_hours=True,
            )  # fmt: skip
        return booked

    async def enter_lobby(self, appointment: Appointment) -> None:
        who = ("m1", "person:1", "Ana Ribeiro", "patient")
        told = MemberWaiting(str(uuid.uuid4()), str(appointment.id), 0, utc_now().isoformat(), *who)
        await self.server.app[BUS].publish(told)


async def settle(server: Server, *, experts: int = 2, hours: bool = True) -> House:
    now = utc_now()
    zone = zone_where_it_is_noon(now)
    async with server.app[POOL].acquire() as conn:

        async def employ(email: str, name: str, role: StaffRole) -> StaffId:
            return await people.create_staff(
                conn, email=email, name=name, role=role, time_zone=zone, password=PASSWORD,
                specialty="Neuroradiology", now=now,
            )  # fmt: skip

        scheduler = await employ(SCHEDULER, "Noor Aziz", StaffRole.SCHEDULER)
        made = [
            await employ(f"expert{number}@clinic.example", name, StaffRole.EXPERT)
            for number, name in enumerate(NAMES[:experts])
        ]
        for one in made if hours else []:
            await availability.set_working_hours(conn, one, ALL_WEEK)
        cases = [await open_case(conn, scheduler, now=now), await open_case(conn, scheduler, name="Omar Said", now=now)]
        await conn.execute("update patients set time_zone = 'Europe/Lisbon'")
    return House(server, scheduler, made, cases, now)


@pytest.fixture
async def working(make_settings: Any, start_server: Any) -> Server:
    """A server that writes down what rooms tell."""
    started: Server = await start_server(make_settings(), with_worker=True)
    return started


@asynccontextmanager
async def board(
    server: Server, path: str = "/board", *, width: int = DESKTOP, email: str = SCHEDULER, **more: Any
) -> AsyncIterator[Page]:
    async with open_browser() as browser, open_quiet_page(browser, width, **more) as page:
        await page.goto(f"{server.url}/sign-in")
        await sign_in(page, email, PASSWORD)
        await page.goto(server.url + path)
        yield page


async def until_live(page: Page) -> None:
    """Return when the page hears news: as soon as its stream is open, it asks for its board once."""
    await page.wait_for_function(
        """() => performance.getEntriesByType("resource").some(
          (one) => one.initiatorType === "fetch" && one.responseEnd > 0 && new URL(one.name).pathname === "/board")"""
    )


async def fill(house: House) -> None:
    """Six experts with thirty calls each today, and some on the days around."""
    begin = house.hour - timedelta(hours=4)
    for expert in range(6):
        for number in range(30):
            at = begin + timedelta(minutes=20 * number)
            booked = await house.book(at, expert=expert, case=number % 2, minutes=20, now=begin - timedelta(days=1))
            if number == 13 and expert < 2:
                await house.enter_lobby(booked)
    for day in range(-7, 20):
        for expert in range(0, 6, 2):
            if day:
                at = house.hour + timedelta(days=day, hours=expert)
                await house.book(at, expert=expert, now=at - timedelta(days=1))


@pytest.mark.timeout(360)
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("is_full", [False, True], ids=["empty", "full"])
async def test_every_board_can_be_read_by_everybody(working: Server, is_full: bool, width: int) -> None:
    house = await settle(working, experts=6 if is_full else 2, hours=is_full)
    if is_full:
        await fill(house)
    async with board(working, width=width) as page:
        for path in ("/board", "/board?view=week", "/board?view=month", f"/board?view=week&expert={house.experts[0]}"):
            await page.goto(working.url + path)
            await expect(page.locator("[data-live]")).to_be_visible()
            if is_full:
                await expect(page.locator(".need").first).to_be_visible()
            await check_look(page, f"boards {is_full} {path.replace(str(house.experts[0]), 'one')}", small_targets=True)
    async with board(working, "/today", width=width, email="expert0@clinic.example") as page:
        for path in ("/today", "/today?view=week"):
            await page.goto(working.url + path)
            await check_look(page, f"boards {is_full} {path}", small_targets=True)
    if is_full and width == DESKTOP:
        async with board(working) as page:
            started = time.perf_counter()
            await page.reload()
            await expect(page.locator(".day.is-placed")).to_be_visible()
            took_s = time.perf_counter() - started
            assert await page.locator(".slot").count() >= 180
            heights = await page.eval_on_selector_all(".slot", "(all) => all.map((one) => one.offsetHeight)")
            assert min(heights) >= 20, "a line of text can be read in the lowest block"
            print(f"a board of 180 calls is drawn in {took_s * 1000:.0f} ms")


async def test_a_board_shows_who_enters_a_lobby_and_what_others_book_within_two_seconds(working: Server) -> None:
    house = await settle(working)
    booked = await house.book(utc_now() + timedelta(minutes=2))
    async with board(working) as page:
        await expect(page.locator(".slot", has_text="Ana Ribeiro")).to_be_visible()
        await until_live(page)
        await house.enter_lobby(booked)
        await expect(page.locator(".need")).to_contain_text("In the lobby for 0 min", timeout=2000)
        await expect(page.locator(".slot-lobby")).to_contain_text("Ana Ribeiro", timeout=500)
        await house.book(house.hour + timedelta(hours=3), expert=1, case=1)
        await expect(page.locator(".slot", has_text="Omar Said")).to_be_visible(timeout=2000)


async def test_focus_and_scroll_stay_where_they_are_when_the_board_changes(working: Server) -> None:
    house = await settle(working)
    await house.book(house.hour + timedelta(hours=2))
    async with board(working) as page:
        await until_live(page)
        await page.set_viewport_size({"width": 1280, "height": 420})  # the board of a short day has to scroll too
        await page.evaluate("scrollTo(0, 60)")
        assert await page.evaluate("scrollY") == 60
        mine = page.locator(".slot a", has_text="Ana Ribeiro").first
        await mine.evaluate("(one) => one.focus({preventScroll: true})")
        await house.book(house.hour + timedelta(hours=1), case=1)
        await expect(page.locator(".slot", has_text="Omar Said")).to_be_visible(timeout=3000)
        assert await mine.evaluate("(one) => one === document.activeElement")
        assert await page.evaluate("scrollY") == 60


async def test_without_a_connection_the_old_board_stays_with_its_time_and_comes_back(working: Server) -> None:
    house = await settle(working)
    await house.book(house.hour + timedelta(hours=2))
    async with board(working) as page:

        async def cut(route: Route) -> None:
            await route.abort()

        await until_live(page)
        await page.route("**/board*", cut)
        await house.book(house.hour + timedelta(hours=1), case=1)  # its news come, its board does not
        await expect(page.locator("[data-board-old]")).to_contain_text("This board is from", timeout=5000)
        await expect(page.locator(".slot", has_text="Ana Ribeiro")).to_be_visible()
        await check_look(page, "boards old", small_targets=True)
        await page.unroute("**/board*")
        await page.get_by_role("link", name="Try now").click()
        await expect(page.locator(".slot", has_text="Omar Said")).to_be_visible()
        await expect(page.locator("[data-board-old]")).to_be_hidden()


async def test_a_board_asks_in_a_person_s_name_only_after_a_person_did_something(working: Server) -> None:
    house = await settle(working)
    async with board(working) as page:
        await page.reload()
        await until_live(page)

        async def next_request(hours: int) -> Request:
            async with page.expect_request(lambda asked: asked.url.endswith("/board")) as asked:
                await house.book(house.hour + timedelta(hours=hours))
            return await asked.value

        assert (await next_request(1)).headers.get("x-by-itself") == "1"
        await page.mouse.click(5, 400)
        assert "x-by-itself" not in (await next_request(2)).headers
        await page.wait_for_timeout(500)
        assert (await next_request(3)).headers.get("x-by-itself") == "1"


async def test_a_wrong_clock_in_the_browser_changes_nothing(working: Server) -> None:
    house = await settle(working)
    booked = await house.book(utc_now() + timedelta(minutes=2))
    await house.enter_lobby(booked)
    async with board(working) as page:
        await page.add_init_script("const right = Date.now; Date.now = () => right() + 600_000")
        await page.reload()
        await expect(page.locator(".need")).to_contain_text("In the lobby for 0 min")
        line = page.locator("[data-now-line]")
        await expect(line).to_be_visible()
        at = await line.evaluate("(one) => Number(one.style.getPropertyValue('--now'))")
        start_ms = int(await page.locator("[data-day]").get_attribute("data-from-ms") or 0)
        assert abs(start_ms / 60_000 + at - datetime.now(UTC).timestamp() / 60) < 2


async def test_signing_out_elsewhere_takes_the_names_off_the_screen(working: Server) -> None:
    house = await settle(working)
    await house.book(house.hour + timedelta(hours=2))
    async with board(working) as page:
        other = await page.context.new_page()
        await other.goto(working.url + "/cases")
        await page.bring_to_front()
        await until_live(page)
        await other.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Password")).to_be_visible(timeout=5000)
        await expect(page.get_by_text("Ana Ribeiro")).to_have_count(0)


async def where_it_is(house: House, appointment: Appointment) -> tuple[int, datetime, int]:
    """The place of its expert among the house's, its start, and how often it was moved."""
    row = await house.server.app[POOL].fetchrow(
        "select expert_id, lower(during) as starts_at, sequence from appointments where id = $1", appointment.id
    )
    return house.experts.index(row["expert_id"]), row["starts_at"], row["sequence"]


async def centre(one: Locator) -> tuple[float, float]:
    box = await one.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


async def test_an_appointment_is_dragged_to_a_free_time_of_another_expert(working: Server) -> None:
    house = await settle(working)
    booked = await house.book(house.hour + timedelta(hours=2))
    async with board(working) as page:
        block = page.locator(".slot[data-move]", has_text="Ana Ribeiro")
        await block.scroll_into_view_if_needed()
        await page.mouse.move(*await centre(block))
        await page.mouse.down()
        await page.mouse.move(*[place + 12 for place in await centre(block)], steps=3)
        target = page.locator(f"[data-expert='{house.experts[1]}'] .slot-target button").first
        await expect(target).to_be_visible()
        await check_look(page, "boards dragging", small_targets=True)
        starts_at = datetime.fromisoformat(await target.get_attribute("data-target") or "")
        await page.mouse.move(*await centre(target), steps=8)
        await page.mouse.up()
        question = page.get_by_role("dialog")
        await expect(question).to_contain_text("Move this call?")
        await expect(question).to_contain_text("Lisbon time (the patient)")
        await expect(question).to_contain_text("get a new one")
        await check_look(page, "boards question", small_targets=True)
        assert await where_it_is(house, booked) == (0, booked.starts_at, 0), "nothing moves before it is confirmed"
        await question.get_by_role("button", name="Move it").click()
        await expect(question).to_be_hidden()
        moved = page.locator(f"[data-expert='{house.experts[1]}'] .slot", has_text="Ana Ribeiro")
        await expect(moved).to_be_visible()
        await expect(page.locator("[data-move-words]")).to_contain_text("Ana Ribeiro moved to")
        assert await where_it_is(house, booked) == (1, starts_at, 1)


async def test_a_drag_that_ends_nowhere_moves_nothing_and_opens_nothing(working: Server) -> None:
    house = await settle(working)
    booked = await house.book(house.hour + timedelta(hours=2))
    async with board(working) as page:
        block = page.locator(".slot[data-move]", has_text="Ana Ribeiro")
        await block.scroll_into_view_if_needed()
        await page.mouse.move(*await centre(block))
        await page.mouse.down()
        await page.mouse.move(*[place + 12 for place in await centre(block)], steps=3)
        await expect(page.locator(".slot-target").first).to_be_visible()
        await page.mouse.move(*await centre(page.get_by_role("heading", level=1)), steps=4)
        await page.mouse.up()
        await expect(page.locator(".slot-target")).to_have_count(0)
        await expect(page.locator("[data-move-words]")).to_contain_text("Ana Ribeiro stays where it is")
        assert "/board" in page.url
        assert await where_it_is(house, booked) == (0, booked.starts_at, 0)


@pytest.mark.parametrize("view", ["day", "week"])
async def test_a_board_on_paper_is_a_list_of_calls_in_black_on_white(working: Server, view: str) -> None:
    house = await settle(working)
    await house.book(house.hour + timedelta(hours=2))
    async with board(working) as page:
        await page.goto(f"{working.url}/board?view={view}")
        await until_live(page)
        ink = await page.evaluate("getComputedStyle(document.body).color")
        await page.emulate_media(media="print", color_scheme="dark")
        assert await page.evaluate("getComputedStyle(document.body).color") == ink
        await expect(page.locator(".slot[data-move]", has_text="Ana Ribeiro").locator("b")).to_be_visible()
        await expect(page.locator("h3, .week-experts").get_by_text("Dr Sabine Brandt").first).to_be_visible()
        for gone in (".site-head", ".slot-free", ".slot-move", ".needs", ".button"):
            for one in await page.locator(gone).all():
                await expect(one).to_be_hidden()
        assert await page.evaluate("document.querySelector('.slot[data-move]').offsetHeight") < 90


async def drag(page: Page, block: Locator, to: tuple[float, float]) -> None:
    await page.mouse.move(*await centre(block))
    await page.mouse.down()
    await page.mouse.move(*to, steps=4)
    await page.mouse.up()


async def test_a_block_that_is_dropped_before_its_free_times_are_known_goes_where_it_was_dropped(
    working: Server,
) -> None:
    house = await settle(working)
    await house.book(house.hour + timedelta(hours=2))
    async with board(working) as page:
        block = page.locator(".slot[data-move]", has_text="Ana Ribeiro")
        await block.scroll_into_view_if_needed()
        free = page.locator(f"[data-expert='{house.experts[1]}'] .slot-free").first
        place, let_through = await centre(free), asyncio.Event()

        async def slowly(route: Route) -> None:
            await let_through.wait()
            await route.continue_()

        await page.route(re.compile(r"/board/moves/[^/]*\?"), slowly)
        await drag(page, block, place)
        await expect(page.locator("[data-move-words]")).to_contain_text("Looking for free times")
        let_through.set()
        await expect(page.get_by_role("dialog")).to_contain_text("Move this call?")


async def test_a_move_whose_answer_is_lost_is_not_said_to_have_failed_and_pressing_again_tells(working: Server) -> None:
    house = await settle(working)
    booked = await house.book(house.hour + timedelta(hours=2))
    async with board(working) as page:
        block = page.locator(".slot[data-move]", has_text="Ana Ribeiro")
        await block.scroll_into_view_if_needed()
        await drag(page, block, await centre(page.locator(f"[data-expert='{house.experts[1]}'] .slot-free").first))
        question = page.get_by_role("dialog")
        await expect(question).to_contain_text("Move this call?")

        async def lose_answer(route: Route) -> None:
            await route.fetch(max_redirects=0)
            await route.abort("connectionreset")

        await page.route("**/appointments/*/move", lose_answer)
        await question.get_by_role("button", name="Move it").click()
        await expect(question).to_contain_text("may have been moved or not")
        place, starts_at, sequence = await where_it_is(house, booked)
        assert (place, sequence) == (1, 1)
        await page.unroute("**/appointments/*/move")
        await question.get_by_role("button", name="Move it").click()
        await expect(page.locator("[data-move-words]")).to_contain_text("Ana Ribeiro moved to")
        assert await where_it_is(house, booked) == (1, starts_at, 1), "it is moved once"


async def test_a_finger_drags_by_the_button_move(working: Server) -> None:
    house = await settle(working)
    booked = await house.book(house.hour + timedelta(hours=2))
    async with board(working, width=PHONE, has_touch=True) as page:
        line = await page.context.new_cdp_session(page)

        async def touch(kind: str, *points: tuple[float, float]) -> None:
            spots = [{"x": x, "y": y} for x, y in points]
            await line.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": spots})

        handle = page.locator(".slot[data-move] [data-move-button]")
        await handle.scroll_into_view_if_needed()
        x, y = await centre(handle)
        await touch("touchStart", (x, y))
        for step in range(1, 6):
            await touch("touchMove", (x, y - 4 * step))
        await expect(page.locator(".slot-target").first).to_be_visible()
        places = [await centre(one) for one in await page.locator(".slot-target button").all()]
        over = min((place for place in places if 80 < place[1] < 700), key=lambda place: abs(place[1] - y))
        await touch("touchMove", over)
        await touch("touchEnd")
        await expect(page.get_by_role("dialog")).to_contain_text("Move this call?")
        await check_look(page, "boards question phone", small_targets=True)
        await page.get_by_role("dialog").get_by_role("button", name="Move it").click()
        await expect(page.locator("[data-move-words]")).to_contain_text("Ana Ribeiro moved to")
        assert (await where_it_is(house, booked))[2] == 1


async def test_an_appointment_is_moved_by_keyboard_alone_and_told_to_who_does_not_see_it(working: Server) -> None:
    house = await settle(working)
    booked = await house.book(house.hour + timedelta(hours=2))
    async with board(working) as page:
        said = page.locator("[data-said]")
        button = page.get_by_role("link", name="Move Ana Ribeiro")
        await button.focus()
        assert await button.evaluate("(one) => getComputedStyle(one).opacity") == "1"
        await page.keyboard.press("Enter")
        target = page.locator(".slot-target button:focus")
        await expect(target).to_have_text(re.compile(r"^\d\d:\d\d\s*Move here Dr Sabine Brandt$"))
        await expect(said).to_contain_text("Escape leaves it where it is.")
        first = await target.get_attribute("data-target")
        await page.keyboard.press("ArrowLeft")
        await expect(target).to_contain_text("Dr Helen Okafor")
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("ArrowUp")
        await page.keyboard.press("ArrowRight")
        await expect(target).to_contain_text("Dr Sabine Brandt")
        await page.keyboard.press("Escape")
        await expect(button).to_be_focused()
        await expect(said).to_contain_text("It stays where it is.")
        await page.keyboard.press("Enter")
        await expect(target).to_have_attribute("data-target", first or "")
        await page.keyboard.press("End")
        starts_at = datetime.fromisoformat(await target.get_attribute("data-target") or "")
        await page.keyboard.press("Enter")
        question = page.get_by_role("dialog")
        await expect(question).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(question).to_be_hidden()
        await expect(button).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(target).to_be_visible()
        await page.keyboard.press("End")
        await page.keyboard.press("Enter")
        await expect(question).to_be_visible()
        await page.keyboard.press("Tab")
        await expect(question.get_by_role("button", name="Move it")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(said).to_contain_text("Ana Ribeiro moved to")
        await expect(page.get_by_role("link", name="Move Ana Ribeiro")).to_be_focused()
        assert await where_it_is(house, booked) == (0, starts_at, 1)


async def test_two_move_one_appointment_in_the_week_by_hand_and_by_keyboard_and_the_second_is_told(
    working: Server,
) -> None:
    house = await settle(working)
    local = house.hour.astimezone(ZoneInfo(zone_where_it_is_noon(house.now)))
    monday = house.hour + timedelta(days=7 - local.weekday())
    booked = await house.book(monday)
    days = [(local + timedelta(days=7 - local.weekday() + number)).date() for number in range(7)]
    path = f"/board?view=week&day={days[0]}"
    async with board(working, path) as mine, open_quiet_page(of(mine), DESKTOP) as theirs:
        await theirs.goto(f"{working.url}/sign-in")
        await sign_in(theirs, SCHEDULER, PASSWORD)
        await theirs.goto(working.url + path)
        await theirs.get_by_role("link", name="Move Ana Ribeiro").focus()
        await theirs.keyboard.press("Enter")
        focused = theirs.locator(".slot-target button:focus")
        await expect(focused).to_contain_text("Dr Sabine Brandt")
        await theirs.keyboard.press("ArrowRight")
        assert await day_of(focused) == str(days[1]), "the next day"
        nearby = datetime.fromisoformat(await focused.get_attribute("data-target") or "") - monday - timedelta(days=1)
        assert abs(nearby) < timedelta(minutes=45), "at about the same time of day"
        await theirs.keyboard.press("Enter")
        stale = theirs.get_by_role("dialog")
        await expect(stale).to_contain_text("Move this call?")

        block = mine.locator(".slot[data-move]", has_text="Ana Ribeiro")
        await block.scroll_into_view_if_needed()
        await mine.mouse.move(*await centre(block))
        await mine.mouse.down()
        await mine.mouse.move(*[place + 12 for place in await centre(block)], steps=3)
        target = mine.locator(f"[data-day-of-week='{days[2]}'] .slot-target button").first
        await expect(target).to_be_visible()
        await check_look(mine, "boards dragging week", small_targets=True)
        starts_at = datetime.fromisoformat(await target.get_attribute("data-target") or "")
        await mine.mouse.move(*await centre(target), steps=8)
        await mine.mouse.up()
        await mine.get_by_role("dialog").get_by_role("button", name="Move it").click()
        moved = f"[data-day-of-week='{days[2]}'] .slot[data-move]"
        await expect(mine.locator(moved, has_text="Ana Ribeiro")).to_be_visible()
        assert (await where_it_is(house, booked))[1:] == (starts_at, 1)

        await stale.get_by_role("button", name="Move it").click()
        await expect(stale.get_by_role("alert")).to_contain_text("Somebody else changed this appointment meanwhile.")
        await expect(stale.get_by_role("button", name="Move it")).to_be_hidden()
        assert (await where_it_is(house, booked))[1:] == (starts_at, 1), "what the first one chose stands"
        await stale.get_by_role("link", name="Leave it where it is").click()
        await expect(theirs.locator(moved, has_text="Ana Ribeiro")).to_be_visible()
        await theirs.get_by_role("link", name="Move Ana Ribeiro").focus()
        await theirs.keyboard.press("Enter")
        await expect(focused).to_be_visible()
        at_first = await day_of(focused)
        await theirs.keyboard.press("ArrowLeft")
        assert await day_of(focused) == str(days[1]) < at_first
        again_at = datetime.fromisoformat(await focused.get_attribute("data-target") or "")
        await theirs.keyboard.press("Enter")
        await theirs.get_by_role("dialog").get_by_role("button", name="Move it").press("Enter")
        await expect(theirs.locator("[data-said]")).to_contain_text("Ana Ribeiro moved to")
        assert (await where_it_is(house, booked))[1:] == (again_at, 2)
        await expect(mine.locator(f"[data-day-of-week='{days[1]}'] .slot", has_text="Ana Ribeiro")).to_be_visible()


def of(page: Page) -> Browser:
    """The browser of a page."""
    assert page.context.browser is not None
    return page.context.browser


async def day_of(button: Locator) -> str:
    """The day of the week's board in which a free time stands."""
    day: str = await button.evaluate("(one) => one.closest('[data-day-of-week]').dataset.dayOfWeek")
    return day
