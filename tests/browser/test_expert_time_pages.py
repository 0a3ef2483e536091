"""The pages of an expert's time in a real Chromium: empty, full and refused, and an absence by keyboard alone."""

from __future__ import annotations

from datetime import time as clock_time
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Page, expect

from consult.availability import changes
from consult.availability.changes import AbsenceWish
from consult.availability.model import ExpertTime
from consult.domain.clock import utc_now
from consult.domain.working_days import Travel, WorkingBlock
from consult.keys import POOL
from tests.browser.chromium import open_browser
from tests.browser.looks import DESKTOP, PHONE, check_look, open_quiet_page
from tests.browser.people import sign_in
from tests.conftest import Server
from tests.integration.clinic import PASSWORD, Clinic, book_one, open_clinic

PARTS = ("hours", "days", "absences", "travel", "rules", "kinds")
BERLIN = ZoneInfo("Europe/Berlin")


async def fill(server: Server, clinic: Clinic) -> None:
    """A week away, two booked calls in it, days that differ, a journey."""
    now = utc_now()
    today = now.astimezone(BERLIN).date()
    async with server.app[POOL].acquire() as conn:
        for days in (2, 4):
            await book_one(conn, clinic, now + timedelta(days=days), now=now)
        time = ExpertTime(clinic.expert, BERLIN)
        wish = AbsenceWish(today + timedelta(days=1), None, today + timedelta(days=8), None, "Congress " + "x" * 150)
        await changes.add_absence(conn, time, wish, now=now)
        for days in range(3, 9):
            blocks = [WorkingBlock(0, clock_time(8), clock_time(10)), WorkingBlock(0, clock_time(20), clock_time())]
            await changes.set_day(conn, clinic.expert, today + timedelta(days=days), blocks[: days % 3], today=today)
        travel = Travel(
            today + timedelta(days=20), today + timedelta(days=25), ZoneInfo("America/Argentina/Buenos_Aires")
        )
        await changes.add_travel(conn, clinic.expert, travel, today=today)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
async def test_an_experts_time_can_be_read_by_everybody(server: Server, width: int) -> None:
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=utc_now())
    async with open_browser() as browser, open_quiet_page(browser, width) as page:
        await page.goto(f"{server.url}/sign-in")
        await sign_in(page, "brandt@clinic.example", PASSWORD)
        for part in PARTS:
            await look(page, server, clinic, part, "empty")
        await fill(server, clinic)
        for part in PARTS:
            await look(page, server, clinic, part, "full")
            await page.locator("main form:has(.button-main) .button-main").click()
            if part in ("days", "absences", "travel"):
                await expect(page.get_by_role("alert")).to_be_visible()
                await check_look(page, f"time-{part}-wrong", small_targets=True)


async def look(page: Page, server: Server, clinic: Clinic, part: str, state: str) -> None:
    await page.goto(f"{server.url}/experts/{clinic.expert}/{part}")
    await expect(page.locator(".part-nav [aria-current]")).to_have_count(1)
    await check_look(page, f"time-{part}-{state}", small_targets=True)


async def test_an_absence_is_entered_by_keyboard_alone(server: Server) -> None:
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=utc_now())
    day = utc_now().astimezone(BERLIN).date() + timedelta(days=10)
    async with open_browser() as browser, open_quiet_page(browser, DESKTOP) as page:
        await page.goto(f"{server.url}/sign-in")
        await sign_in(page, "brandt@clinic.example", PASSWORD)
        await page.goto(f"{server.url}/experts/{clinic.expert}/absences")
        await page.get_by_label("From day").focus()
        await page.keyboard.type(f"{day:%m%d%Y}")  # in the order of the browser's own language
        await page.get_by_label("To day").focus()
        await page.keyboard.type(f"{day:%m%d%Y}")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status")).to_contain_text("This is saved.")
        await expect(page.locator(".time-list > li")).to_have_count(1)
        await page.get_by_role("button", name="Remove the absence").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("No absences are entered.")).to_be_visible()
