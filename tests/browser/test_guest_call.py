"""An interpreter comes by a link of their own: the waiting room, the call, and only what is being shown."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import expect

from consult.keys import POOL
from tests.browser.call_page import (
    DESKTOP,
    PHONE,
    arrange_call,
    invite,
    let_in,
    open_expert,
    open_patient,
    two_browsers,
)
from tests.browser.chromium import find_accessibility_faults
from tests.conftest import Server

pytestmark = [pytest.mark.timeout(240), pytest.mark.in_pairs]  # two Chromium processes on a busy machine

READ = "async (url) => (await fetch(url)).status"


async def test_an_interpreter_sees_a_record_while_it_is_shown_and_no_longer(server: Server, tmp_path: Path) -> None:
    call = await arrange_call(server)
    mine = await invite(server.app[POOL], call, "Rui Interpreter", "interpreter")
    content = f"/records/{call.picture.id}/content"
    async with two_browsers(tmp_path) as (expert_browser, guest_browser):
        expert = await open_expert(expert_browser, server, call, DESKTOP)
        guest = await open_patient(guest_browser, server, mine, PHONE)
        await guest.wait_for_selector("[data-lobby-state=expert-told]:not([hidden])")
        assert await find_accessibility_faults(guest) == []
        for hidden in ("your records", "Chest", "CT report", "Is the spot growing?"):
            assert hidden not in await guest.content()
        await let_in(expert, guest)
        await expect(guest.locator("[data-control=records]")).to_be_hidden()
        await expect(guest.locator("[data-control=questions]")).to_be_hidden()
        assert await guest.evaluate(READ, content) == 404

        await expert.click("[data-control=records]")
        await expert.get_by_role("dialog").get_by_role("button", name="Chest").click()
        await expect(guest.locator("[data-stage] img")).to_be_visible(timeout=20_000)
        assert await guest.locator("[data-stage] img").evaluate("(one) => one.naturalWidth") == 976
        assert await guest.evaluate(READ, f"/records/{call.pdf.id}/content") == 404
        assert await guest.evaluate("document.documentElement.scrollWidth <= innerWidth")

        await expert.click("[data-control=records]")
        await expert.locator("[data-stop-showing]").click()
        await expect(guest.locator("[data-stage] img")).to_have_count(0)
        async with asyncio.timeout(30):  # the room tells its pages first, and the application a moment later
            while await guest.evaluate(READ, content) != 404:
                await asyncio.sleep(0.1)
