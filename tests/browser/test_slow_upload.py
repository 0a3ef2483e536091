"""A slow upload loses nothing: "Continue" waits for it, one can stay, and closing the tab warns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from consult.keys import POOL
from consult.scheduling.model import IssuedLink
from tests.browser.chromium import open_browser
from tests.browser.looks import check_look, open_quiet_page
from tests.browser.patient_walk import come_in, picture
from tests.browser.test_patient_pages import link
from tests.conftest import Server

__all__ = ["link"]

WAITS = "Your files are still on their way."


@asynccontextmanager
async def slow_upload(server: Server, link: IssuedLink, file: Path) -> AsyncIterator[tuple[Page, asyncio.Event]]:
    """Step 2 on a phone, with a file on its way that arrives when the event is set."""
    arrive = asyncio.Event()

    async def hold(route: Route) -> None:
        if route.request.method == "POST":
            async with asyncio.timeout(30):
                await arrive.wait()
        await route.continue_()

    async with open_browser() as browser, open_quiet_page(browser) as page:
        await come_in(page, server, link)
        await page.goto(f"{server.url}/visit/records")
        await page.route("**/visit/records", hold)
        await page.set_input_files("#file", picture(file))
        try:
            yield page, arrive
        finally:
            arrive.set()
            await page.unroute_all(behavior="wait")


async def test_continue_waits_for_what_is_on_its_way_and_goes_on_by_itself(
    server: Server, link: IssuedLink, tmp_path: Path
) -> None:
    async with slow_upload(server, link, tmp_path / "x-ray.jpg") as (page, arrive):
        await page.get_by_role("button", name="Continue").click()
        await expect(page.get_by_text(WAITS)).to_be_visible()
        await expect(page.get_by_text("We go on when they are here.")).to_be_visible()
        await check_look(page)
        assert page.url.endswith("/visit/records")
        arrive.set()
        await page.wait_for_url("**/visit/devices", timeout=20_000)
        async with server.app[POOL].acquire() as conn:
            assert await conn.fetchval("select count(*) from records") == 1


async def test_one_can_stay_after_pressing_continue(server: Server, link: IssuedLink, tmp_path: Path) -> None:
    async with slow_upload(server, link, tmp_path / "x-ray.jpg") as (page, arrive):
        await page.get_by_role("button", name="Continue").click()
        await page.get_by_role("button", name="Stay on this page").click()
        await expect(page.get_by_text(WAITS)).to_have_count(0)
        arrive.set()
        await expect(page.get_by_role("link", name="x-ray")).to_be_visible(timeout=20_000)
        assert page.url.endswith("/visit/records")


@pytest.mark.parametrize("is_running", [True, False], ids=["while a file is on its way", "when nothing is"])
async def test_closing_the_tab_warns_only_while_a_file_is_on_its_way(
    server: Server, link: IssuedLink, tmp_path: Path, is_running: bool
) -> None:
    async with slow_upload(server, link, tmp_path / "x-ray.jpg") as (page, arrive):
        if not is_running:
            arrive.set()
            await expect(page.get_by_role("link", name="x-ray")).to_be_visible(timeout=20_000)
        is_stopped = await page.evaluate(
            "() => { const leaving = new Event('beforeunload', {cancelable: true}); return !dispatchEvent(leaving) }"
        )
        assert is_stopped is is_running
