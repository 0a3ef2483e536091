"""Impatient presses in a real Chromium, while the server is slow: with scripts and without them."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import expect

from consult.domain.clock import utc_now
from consult.keys import POOL
from tests.browser.chromium import open_browser
from tests.browser.looks import DESKTOP, open_quiet_page
from tests.browser.people import sign_in
from tests.conftest import Database, Server
from tests.integration.clinic import PASSWORD, open_clinic


@pytest.mark.parametrize("scripts", [True, False])
async def test_three_presses_on_a_slow_server_open_one_case(server: Server, database: Database, scripts: bool) -> None:
    async with server.app[POOL].acquire() as conn:
        await open_clinic(conn, now=utc_now())
    before = await database.pool.fetchval("select count(*) from cases")
    async with open_browser() as browser, open_quiet_page(browser, DESKTOP, java_script_enabled=scripts) as page:
        await page.goto(f"{server.url}/sign-in")
        await sign_in(page, "noor@clinic.example", PASSWORD)
        await page.goto(f"{server.url}/cases/new")
        await page.get_by_label("Name").first.fill("Rui Costa")
        await page.get_by_label("Diagnosis").fill("Meningioma")
        button = page.locator(".actions .button-main")
        await button.scroll_into_view_if_needed()
        place = await button.bounding_box()
        assert place is not None
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.method) if request.method == "POST" else None)
        async with database.pool.acquire() as conn:
            transaction = conn.transaction()
            await transaction.start()
            await conn.execute("lock table cases in exclusive mode")
            for _ in range(3):
                await page.mouse.click(place["x"] + 20, place["y"] + 20)  # a button's click would wait for the page
            while not await conn.fetchval("select count(*) from sent_forms"):
                await asyncio.sleep(0.02)
            await transaction.rollback()
        await expect(page.get_by_role("heading", name="Rui Costa")).to_be_visible()
        assert (len(sent) == 1) == scripts  # without scripts the browser sends again
    assert await database.pool.fetchval("select count(*) from cases") == before + 1


async def test_who_comes_back_to_a_page_may_press_again(server: Server, database: Database) -> None:
    async with server.app[POOL].acquire() as conn:
        await open_clinic(conn, now=utc_now())
    before = await database.pool.fetchval("select count(*) from cases")
    async with open_browser() as browser, open_quiet_page(browser, DESKTOP) as page:
        await page.goto(f"{server.url}/sign-in")
        await sign_in(page, "noor@clinic.example", PASSWORD)
        await page.goto(f"{server.url}/cases/new")
        for name in ("Rui Costa", "Rita Costa"):
            await page.get_by_label("Name").first.fill(name)
            await page.get_by_label("Diagnosis").fill("Meningioma")
            await page.locator(".actions .button-main").click()
            await expect(page.get_by_role("heading", name=name)).to_be_visible()
            await page.go_back()
            await expect(page.locator(".actions .button-main")).to_be_visible()
    assert await database.pool.fetchval("select count(*) from cases") == before + 2
