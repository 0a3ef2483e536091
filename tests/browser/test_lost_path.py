"""A way through the network that dies under a call, and a line too weak for a picture: what two people live through."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page

from tests.browser import hearing
from tests.browser.call_page import (
    OTHER,
    Prepare,
    agree,
    arrange_call,
    let_in,
    open_expert,
    open_patient,
    two_browsers,
)
from tests.browser.chromium import FakeDevices, open_browsers
from tests.conftest import Server
from tests.impairment import PATCH_PAGE, Relay, Way

pytestmark = pytest.mark.timeout(300)

WEAK = Way(loss=0.05, delay_ms=75, rate_bps=300_000, queue_ms=500)
LIMIT_S = 90


def over(relay: Relay) -> Prepare:
    """A page whose media goes over this line, and which notes what it hears."""

    async def prepare(context: BrowserContext) -> None:
        await hearing.prepare(context)
        await context.expose_function("throughLine", relay.rewrite)
        await context.add_init_script(PATCH_PAGE)

    return prepare


async def sent_bps(page: Page, seconds: float) -> float:
    """Return what a page sends of pictures during so many seconds."""
    before = await hearing.read_statistics(page)
    await asyncio.sleep(seconds)
    after = await hearing.read_statistics(page)
    octets = [hearing.total(one, "outbound-rtp", "video", "bytesSent") for one in (before, after)]
    return (octets[1] - octets[0]) * 8000 / (after["at_ms"] - before["at_ms"])


async def test_a_dead_way_is_left_for_a_new_one_in_the_same_seat(server: Server, tmp_path: Path) -> None:
    call = await arrange_call(server)
    relay = Relay(Way(), Way())
    try:
        async with two_browsers(tmp_path) as (expert_browser, patient_browser):
            expert = await open_expert(expert_browser, server, call, prepare=hearing.prepare)
            patient = await open_patient(patient_browser, server, call, prepare=over(relay))
            await let_in(expert, patient)
            await agree(expert, patient)
            seats = [await page.get_attribute(OTHER, "data-member-id") for page in (expert, patient)]
            assert relay.cut() >= 1
            await patient.wait_for_function("() => window.mediaConnections.length > 1")
            await patient.wait_for_selector(".room[data-media-state=connected]")
            for page in (expert, patient):
                now_ms = await page.evaluate("() => performance.now()")
                await page.wait_for_function(
                    "(now) => window.heard.some(([at, loud]) => at > now && loud > 0.01)", arg=now_ms
                )
                await page.wait_for_selector(f"{OTHER}.has-picture")
                assert await page.locator("[data-knock]:visible, [data-consent]:visible").count() == 0
            assert [await page.get_attribute(OTHER, "data-member-id") for page in (expert, patient)] == seats
            assert await expert.evaluate("() => window.mediaConnections.length") == 1
    finally:
        await relay.close()


async def test_a_weak_line_lowers_the_experts_picture_and_never_the_sound(server: Server, tmp_path: Path) -> None:
    call = await arrange_call(server)
    relay = Relay(Way(), Way())
    street = hearing.paint_street(tmp_path / "street.y4m")
    try:
        async with open_browsers(FakeDevices(camera=street), FakeDevices()) as (clinic, home):
            expert = await open_expert(clinic, server, call, prepare=hearing.prepare)
            patient = await open_patient(home, server, call, prepare=over(relay))
            await let_in(expert, patient)
            relay.up.way = relay.down.way = WEAK
            async with asyncio.timeout(LIMIT_S):
                while await sent_bps(expert, 3) > WEAK.rate_bps:
                    pass
            began = [await page.evaluate("() => performance.now()") for page in (expert, patient)]
            await asyncio.sleep(8)
            for page, since_ms in zip((expert, patient), began, strict=True):
                heard = await hearing.read_heard(page, since_ms)
                assert heard.percent > 80, heard  # a busy machine stutters by itself; without sound it would be 0
    finally:
        await relay.close()
