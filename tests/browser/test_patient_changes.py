"""Moving and cancelling from the link in a real Chromium: a 360 px phone, by keyboard, in English and Spanish."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, timedelta

import pytest
from playwright.async_api import Page, expect

from consult.domain.clock import utc_now
from consult.keys import POOL
from consult.scheduling import service as scheduling
from consult.scheduling.model import IssuedLink, PatientNeed
from consult.scheduling.wishes import wish_for_another_time
from tests.browser.chromium import open_browser
from tests.browser.looks import DESKTOP, PHONE, check_look, open_quiet_page
from tests.browser.patient_walk import come_in
from tests.browser.test_spanish import check_spanish, in_spanish
from tests.conftest import Server
from tests.integration.clinic import PASSWORD, book_one, open_clinic

Say = Callable[[str], str]
Check = Callable[[Page], Awaitable[None]]


@pytest.fixture
async def link(server: Server) -> IssuedLink:
    now = utc_now()
    starts_at = now.astimezone(UTC).replace(hour=9, minute=0, second=0, microsecond=0) + timedelta(days=5)
    while starts_at.weekday() > 3:
        starts_at += timedelta(days=1)
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        _, issued = await book_one(conn, clinic, starts_at, now=now)
        # Whatever day it is today, what was moved can be changed again.
        await conn.execute(
            """insert into expert_rules (expert_id, buffer_before_min, buffer_after_min, preparation_min,
                 preparation_per_record_min, preparation_most_min, notice_h, horizon_days, daily_limit, changes_until_h)
               values ($1, 0, 0, 0, 0, 0, 12, 90, null, 0)""",
            clinic.expert,
        )
    return issued


async def press(page: Page, name: str | re.Pattern[str], *, key: str = "Enter") -> None:
    """Tab to the control of that name, as somebody without a mouse does, and press it. Its ring is visible."""
    for _ in range(80):
        await page.keyboard.press("Tab")
        focused = page.locator(":focus")
        words = (await focused.get_attribute("aria-label") or await focused.inner_text()).strip()
        fits = words == name if isinstance(name, str) else name.fullmatch(words)
        if fits:
            assert await focused.evaluate("(one) => getComputedStyle(one).outlineStyle") != "none"
            await page.keyboard.press(key)
            return
    raise AssertionError(f"Tab does not reach {name}")


async def look(page: Page) -> None:
    await check_look(page)


async def look_in_spanish(page: Page) -> None:
    await check_spanish(page)
    await check_look(page, "es-" + page.url.rpartition("/")[2])


@pytest.mark.parametrize(
    ("width", "language"), [(PHONE, "en"), (PHONE, "es"), (DESKTOP, "en")], ids=["phone", "phone-es", "desktop"]
)
async def test_the_whole_way_of_moving_and_cancelling_by_keyboard(
    server: Server, link: IssuedLink, width: int, language: str
) -> None:
    say: Say = in_spanish if language == "es" else str
    check: Check = look_in_spanish if language == "es" else look
    async with open_browser() as browser, open_quiet_page(browser, width) as page:
        await come_in(page, server, link)
        if language == "es":
            await page.goto(f"{server.url}/visit/language")
            await check_look(page)
            await press(page, "Español")
            await expect(page.locator("html")).to_have_attribute("lang", "es")
            await page.goto(f"{server.url}/visit/when")
        await check(page)

        await press(page, say("Change or cancel"))
        await page.wait_for_url("**/visit/change")
        await check(page)
        await press(page, say("Choose another time"))
        await page.wait_for_url("**/visit/move")
        await check(page)
        await page.locator(".own-days a").last.focus()  # by Tab it takes as many presses as there are days
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/visit/move?day=*")
        await check(page)
        await press(page, re.compile(r"\d\d:\d\d"))
        await page.wait_for_url(re.compile(r"/visit/move/[\w-]+$"))
        await check(page)

        await press(page, say("Choose another time"))  # going back gives the time to others
        await page.wait_for_url("**/visit/move?day=*")
        assert await server.app[POOL].fetchval("select count(*) from busy_times where hold_id is not null") == 0
        await press(page, re.compile(r"\d\d:\d\d"))
        await page.wait_for_url(re.compile(r"/visit/move/[\w-]+$"))
        await press(page, say("Yes, move my appointment"))
        await page.wait_for_url("**/visit/moved")
        await check(page)
        await press(page, say("Go on"))
        await page.wait_for_url("**/visit/when")  # this device goes on

        await press(page, say("Change or cancel"))
        await page.wait_for_url("**/visit/change")
        await press(page, say("I cannot come at all: cancel"))
        await page.wait_for_url("**/visit/cancel")
        await check(page)
        await page.keyboard.press("Tab")
        await press(page, say("Cancel the appointment"))
        await page.wait_for_url("**/visit/cancelled")
        await check(page)
        await page.get_by_role("checkbox").first.press("Space")
        await page.get_by_label(say("Is there anything else to know?")).fill("Only Mondays")
        await press(page, say("Ask for another time"))
        await expect(page.get_by_role("button", name=say("Change what I asked for"))).to_be_visible()
        await check(page)
    async with server.app[POOL].acquire() as conn:
        appointment = (await scheduling.fetch_appointment(conn, link.appointment_id)).appointment
    assert appointment.is_cancelled and appointment.sequence == 2


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
async def test_needs_people_and_the_link_look_as_they_should_empty_full_and_refused(
    server: Server, link: IssuedLink, width: int
) -> None:
    async with open_browser() as browser, open_quiet_page(browser, width) as page:
        await come_in(page, server, link)
        await page.goto(f"{server.url}/visit/needs")
        await check_look(page)
        await page.get_by_label("An interpreter").check()
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("Please write which language you speak.").first).to_be_visible()
        await check_look(page, "needs-refused")
        await page.get_by_label("Which language do you speak").fill("Portuguese")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("That is saved. The clinic sees it.")).to_be_visible()
        await check_look(page, "needs-saved")

        await page.goto(f"{server.url}/visit/people")
        await check_look(page, "people-empty")
        await page.get_by_label("Name of this person").fill("Rui Sol-Magalhães-de-Albuquerque")
        await page.get_by_label("E-mail address of this person, if you like").fill("rui@nowhere@example.org")
        await page.evaluate("document.querySelector('form:has([name=guest_email])').noValidate = true")
        await page.get_by_role("button", name="Make a link for them").click()
        await expect(page.get_by_text("This does not look like an e-mail address.").first).to_be_visible()
        await check_look(page, "people-refused")
        address = "rui.sol-magalhaes-de-albuquerque.interpretes-e-tradutores@a-very-long-name-of-a-place.example.org"
        await page.get_by_label("E-mail address of this person, if you like").fill(address)
        await page.get_by_role("button", name="Make a link for them").click()
        await expect(page.locator("#link")).to_have_value(re.compile(r"/join#[\w-]{43}$"))
        await check_look(page, "people-link")
        await page.get_by_role("button", name="Take back the link of Rui Sol-Magalhães-de-Albuquerque").click()
        await expect(page.get_by_text("Rui Sol-Magalhães")).to_have_count(0)

        await page.goto(f"{server.url}/visit/link")
        await check_look(page)
        await page.get_by_role("button", name="Send the link").click()
        await expect(page.get_by_role("heading", name="Look into your mail.")).to_be_visible()
        await check_look(page, "link-sent")


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
async def test_an_expired_hold_a_late_change_and_no_free_time_look_as_they_should(
    server: Server, link: IssuedLink, width: int
) -> None:
    pool = server.app[POOL]
    async with open_browser() as browser, open_quiet_page(browser, width) as page:
        await come_in(page, server, link)
        await page.goto(f"{server.url}/visit/move")
        await page.locator(".own-days a").last.click()
        await page.locator(".own-times button").last.click()
        await page.wait_for_url(re.compile(r"/visit/move/[\w-]+$"))
        await pool.execute(
            "update holds set held_at = held_at - interval '1 hour', expires_at = expires_at - interval '1 hour'"
        )
        await page.get_by_role("button", name="Yes, move my appointment").click()
        await expect(page.get_by_text("This time was kept for a while")).to_be_visible()
        await check_look(page, "move-expired")
        await pool.execute("delete from busy_times where appointment_id is null")
        await pool.execute("delete from working_hours")
        await page.goto(f"{server.url}/visit/move")
        await expect(page.get_by_text("There is no other free time at the moment.")).to_be_visible()
        await check_look(page, "move-none")
        await pool.execute("delete from busy_times")
        await pool.execute(
            "update appointments set during = tstzrange($1, $2, '[)')",
            utc_now() + timedelta(hours=3), utc_now() + timedelta(hours=4),
        )  # fmt: skip
        await pool.execute("update expert_rules set changes_until_h = 24")
        await page.goto(f"{server.url}/visit/change")
        await expect(page.get_by_text("It is too late to do this here.")).to_be_visible()
        await check_look(page, "change-late")


async def test_without_scripts_an_appointment_is_moved_and_cancelled(server: Server, link: IssuedLink) -> None:
    async with open_browser() as browser, open_quiet_page(browser, java_script_enabled=False) as page:
        await page.goto(f"{server.url}/join")
        await page.get_by_label("Number of your appointment", exact=True).fill(str(link.number))
        await page.get_by_label("Code", exact=True).fill(link.code_to_read)
        await page.get_by_role("button", name="Join").click()
        await page.get_by_role("link", name="Change or cancel").click()
        await page.get_by_role("link", name="Choose another time").click()
        await page.locator(".own-days a").last.click()
        await page.locator(".own-times button").last.click()
        await page.get_by_role("button", name="Yes, move my appointment").click()
        await page.wait_for_url("**/visit/moved")
        await page.goto(f"{server.url}/visit/cancel")
        await page.get_by_role("button", name="Cancel the appointment").click()
        await expect(page.get_by_role("heading", name="Your appointment is cancelled")).to_be_visible()


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
async def test_a_tab_that_was_left_open_says_what_became_of_the_appointment(
    server: Server, link: IssuedLink, width: int
) -> None:
    async with open_browser() as browser, open_quiet_page(browser, width) as page:
        await come_in(page, server, link)
        other_tab = await page.context.new_page()
        await other_tab.goto(f"{server.url}/visit/cancel")
        await page.goto(f"{server.url}/visit/move")
        await page.locator(".own-days a").last.click()
        await page.locator(".own-times button").last.click()
        await page.get_by_role("button", name="Yes, move my appointment").click()
        await page.wait_for_url("**/visit/moved")
        await other_tab.get_by_role("button", name="Cancel the appointment").click()
        await expect(other_tab.get_by_role("heading", name="This page was open for too long")).to_be_visible()
        await check_look(other_tab, "old-tab")
        await press(other_tab, "Go on")
        await other_tab.wait_for_url("**/visit/when")

        await page.goto(f"{server.url}/visit/cancel")
        async with server.app[POOL].acquire() as conn:
            await scheduling.revoke_links(conn, link.appointment_id, now=utc_now())
        await page.get_by_role("button", name="Cancel the appointment").click()
        await expect(page.get_by_role("heading", name="This page does not go on from here")).to_be_visible()
        await check_look(page, "old-tab-without-link")
        await press(page, "Send me a new link")
        await page.wait_for_url("**/join/new-link")


async def test_an_impatient_second_press_changes_nothing(server: Server, link: IssuedLink) -> None:
    async with open_browser() as browser, open_quiet_page(browser) as page:
        await come_in(page, server, link)
        await page.goto(f"{server.url}/visit/move")
        await page.locator(".own-days a").last.click()
        await page.locator(".own-times button").last.click()
        await page.get_by_role("button", name="Yes, move my appointment").dblclick()
        await page.wait_for_url("**/visit/moved")
        await expect(page.get_by_role("heading", name="Your appointment was moved")).to_be_visible()
        await page.goto(f"{server.url}/visit/cancel")
        await page.get_by_role("button", name="Cancel the appointment").dblclick()
        await expect(page.get_by_role("heading", name="Your appointment is cancelled")).to_be_visible()
    async with server.app[POOL].acquire() as conn:
        assert (await scheduling.fetch_appointment(conn, link.appointment_id)).appointment.sequence == 2


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
async def test_the_scheduler_reads_what_a_patient_said_from_the_link(
    server: Server, link: IssuedLink, width: int
) -> None:
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        needs = [PatientNeed.INTERPRETER, PatientNeed.CAPTIONS]
        await scheduling.set_needs(conn, link.appointment_id, needs, "Portuguese from Brazil", by=None, now=now)
        await scheduling.cancel(conn, link.appointment_id, now, by=None, reason="I am in hospital that day.")
        await wish_for_another_time(conn, link.appointment_id, "Mornings, not on Thursdays. " * 12, now)
        details = await scheduling.fetch_appointment(conn, link.appointment_id)
    async with open_browser() as browser, open_quiet_page(browser, width) as page:
        await page.goto(f"{server.url}/sign-in")
        await page.get_by_label("E-mail").fill("noor@clinic.example")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/board")
        for path in (f"/appointments/{link.appointment_id}", f"/cases/{details.appointment.case_id}"):
            await page.goto(server.url + path)
            await expect(page.get_by_text("Portuguese from Brazil")).to_be_visible()
            await expect(page.get_by_text("I am in hospital that day.").first).to_be_visible()
            await expect(page.get_by_text("Mornings, not on Thursdays.")).to_be_visible()
            await check_look(page, f"said{path.split('/')[1]}", small_targets=True)
        await page.get_by_role("link", name="Put on the wait list").first.click()
        await page.wait_for_url("**/waiting")
