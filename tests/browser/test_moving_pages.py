"""Booking panels, moving and cancelling in a real Chromium: phone and desktop, light and dark, and by keyboard."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Page, expect

from consult.availability import service as availability
from consult.domain.clock import utc_now
from consult.domain.working_days import WorkingBlock
from consult.keys import POOL
from consult.scheduling import service as scheduling
from consult.scheduling.model import Appointment
from tests.browser.chromium import open_browser
from tests.browser.looks import DESKTOP, PHONE, check_look, open_quiet_page
from tests.browser.people import sign_in
from tests.conftest import Server
from tests.integration.clinic import PASSWORD, Clinic, book_one, open_clinic

BERLIN = ZoneInfo("Europe/Berlin")
LENGTH = timedelta(minutes=45)


def at_nine() -> datetime:
    """09:00 in Berlin on a working day a week ahead."""
    day = utc_now().astimezone(BERLIN).date() + timedelta(days=7)
    while day.weekday() > 4:
        day += timedelta(days=1)
    return datetime.combine(day, time(9), BERLIN).astimezone(UTC)


async def open_with_two_experts(server: Server) -> tuple[Clinic, Appointment]:
    """Two experts who share an hour a day, and an appointment of the first with some history."""
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        await conn.execute("update staff set time_zone = 'Europe/Berlin' where id = $1", clinic.other_expert)
        blocks = [WorkingBlock(weekday, time(10), time(12)) for weekday in range(5)]
        await availability.set_working_hours(conn, clinic.other_expert, blocks)
        appointment, _link = await book_one(conn, clinic, at_nine(), now=now)
        moved = await scheduling.move(
            conn, appointment.id, at_nine() + LENGTH, sequence=0, by=clinic.scheduler, now=now, reason="A late train"
        )
        return clinic, moved.appointment


async def check_both_widths(page: Page, url: str) -> None:
    for width in (PHONE, DESKTOP):
        await page.set_viewport_size({"width": width, "height": 800})
        await page.goto(url)
        await check_look(page, small_targets=True)  # a radio button's target is its label


@pytest.mark.parametrize("language", ["en", "es"])
async def test_every_state_of_booking_and_moving_keeps_to_the_looks(server: Server, language: str) -> None:
    clinic, appointment = await open_with_two_experts(server)
    await server.app[POOL].execute("update staff set language = $1", language)
    day = at_nine().date()
    book = f"{server.url}/cases/{clinic.case}/book"
    async with open_browser() as browser, open_quiet_page(browser) as page:
        await page.goto(f"{server.url}/sign-in")
        await sign_in(page, "noor@clinic.example", PASSWORD)
        for url in (
            f"{book}?expert={clinic.expert}&day={day}",
            f"{book}?expert={clinic.expert}&kind=panel",
            f"{book}?expert={clinic.expert}&kind=panel&others={clinic.other_expert}&day={day}",
            f"{book}?expert={clinic.expert}&day={day + timedelta(days=5 - day.weekday())}",
            f"{server.url}/appointments/{appointment.id}",
            f"{server.url}/appointments/{appointment.id}/move?day={day}",
            f"{server.url}/appointments/{appointment.id}/cancel",
        ):
            await check_both_widths(page, url)


async def test_an_appointment_is_moved_by_keyboard_and_a_colleagues_move_is_noticed(server: Server) -> None:
    _clinic, appointment = await open_with_two_experts(server)
    async with open_browser() as browser, open_quiet_page(browser, DESKTOP) as page:
        await page.goto(f"{server.url}/sign-in")
        await sign_in(page, "noor@clinic.example", PASSWORD)
        await page.goto(f"{server.url}/appointments/{appointment.id}/move?day={at_nine().date()}")
        async with server.app[POOL].acquire() as conn:
            await scheduling.move(
                conn, appointment.id, at_nine() + 2 * LENGTH, sequence=1, by=appointment.booked_by, now=utc_now()
            )
        await page.locator("input[name=slot]").first.focus()
        await page.keyboard.press("Space")
        await page.keyboard.press("Tab")
        await page.keyboard.type("She asked for it")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Somebody else changed this appointment meanwhile")).to_be_visible()
        await expect(page.get_by_label("Why it moves")).to_have_value("She asked for it")
        await check_look(page, "moved-meanwhile", small_targets=True)
        await page.get_by_role("button", name="Move to this time").first.focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("She asked for it")).to_be_visible()
        await check_look(page, "moved", small_targets=True)


async def test_who_goes_back_after_moving_finds_no_other_time_chosen(server: Server) -> None:
    _clinic, appointment = await open_with_two_experts(server)
    async with open_browser() as browser, open_quiet_page(browser, DESKTOP) as page:
        await page.goto(f"{server.url}/sign-in")
        await sign_in(page, "noor@clinic.example", PASSWORD)
        await page.goto(f"{server.url}/appointments/{appointment.id}/move?day={at_nine().date()}")
        await page.locator("label[for='slot-1']").click()
        await expect(page.locator("input[name='slot']:checked")).to_have_count(1)
        await page.locator("main button.button-main", has_text="Move to this time").click()
        await page.wait_for_url(f"**/appointments/{appointment.id}")
        await page.go_back()
        await expect(page.locator("input[name='slot']").first).to_be_attached()
        await expect(page.locator("input[name='slot']:checked")).to_have_count(0)
