"""A screen that is shown to all, in Chromium: seen large, recorded for itself, one at a time, and gone with a word."""

from __future__ import annotations

import time
from pathlib import Path
from uuid import UUID

import pytest
from playwright.async_api import Page

from consult.keys import POOL
from tests.browser.call_page import (
    INSIDE,
    OTHER,
    PHONE,
    agree,
    arrange_call,
    let_in,
    open_expert,
    open_patient,
    two_browsers,
)
from tests.browser.chromium import find_accessibility_faults
from tests.conftest import Server

pytestmark = pytest.mark.timeout(240)  # two Chromium processes on a busy machine

SCREEN = ".room-screen:not([hidden]) video"
SEEN = f"""() => {{
  const video = document.querySelector("{SCREEN}");
  return video && video.videoWidth > 0 && video.getVideoPlaybackQuality().totalVideoFrames > 3;
}}"""


async def test_a_screen_is_seen_large_recorded_for_itself_and_gone_with_a_word(server: Server, tmp_path: Path) -> None:
    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call)
        patient = await open_patient(patient_browser, server, call, PHONE)
        await let_in(expert, patient)
        await agree(expert, patient)
        sections = await patient.evaluate("() => window.mediaConnections.at(-1).getTransceivers().length")
        assert sections == 11
        assert await patient.locator(f"{OTHER}.has-picture").count() == 1, "on the section that carries the own picture"

        await expert.click("[data-control=screen]")
        await expert.wait_for_selector("[data-band=screen]:not([hidden])")
        await patient.wait_for_function(SEEN)
        assert await patient.inner_text("[data-screen-title]") == "The screen of Dr Helen Okafor"
        assert await patient.get_attribute(".room", "data-showing") == "record"
        box = await patient.locator(".screen-stage").bounding_box()
        assert box is not None and box["height"] > 250, "large, also on a phone"
        for page in (expert, patient):
            assert await page.locator(f"{OTHER}.has-picture").count() == 1, "faces stay beside it"
            assert await find_accessibility_faults(page) == []
            assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")

        await patient.evaluate("() => window.lines.at(-1).close()")
        await patient.wait_for_selector(".room[data-connection-state=reconnecting]")
        await patient.wait_for_selector(".room[data-connection-state=open]")
        await patient.wait_for_function(SEEN)
        await patient.reload()
        await patient.wait_for_selector(INSIDE)
        await patient.wait_for_function(SEEN)
        await expert.wait_for_timeout(1500)

        await expert.click("[data-band=screen] [data-screen-press]")
        await patient.wait_for_selector(".room-screen", state="hidden")
        assert await patient.get_attribute(".room", "data-showing") == "faces"
        assert await expert.locator("[data-band=screen]:visible").count() == 0
        await expert.click("[data-control=end]")
        await expert.click("[data-end-yes]")
        await patient.wait_for_selector("[data-part=ending]:not([hidden])")
    segments = await _finished(server, call.appointment_id)
    screens = [one for one in segments if one["source"] == "screen"]
    assert len(screens) == 1, segments
    assert (screens[0]["has_video"], screens[0]["has_audio"]) == (True, False)
    assert int(str(screens[0]["duration_ms"])) > 1500
    assert len({one["member_id"] for one in segments if one["source"] == "camera"}) == 2


@pytest.mark.in_pairs
async def test_one_screen_at_a_time_which_the_host_may_stop_and_a_reload_ends(server: Server, tmp_path: Path) -> None:
    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call)
        patient = await open_patient(patient_browser, server, call)
        await let_in(expert, patient)
        await patient.focus("[data-control=screen]")
        await patient.keyboard.press("Enter")
        await expert.wait_for_function(SEEN)
        await expert.wait_for_selector("text=Ana shows their screen.", state="attached")
        await expert.click("[data-control=screen]")
        await expert.wait_for_selector("text=Somebody else shows their screen at the moment.")
        await expert.click("[data-screen-stop]")
        await patient.wait_for_selector("[data-band=screen]", state="hidden")
        assert await patient.get_attribute("[data-control=screen]", "aria-pressed") == "false"
        assert await expert.locator(".room-screen:visible").count() == 0

        await expert.click("[data-control=screen]")
        await patient.wait_for_function(SEEN)
        assert await patient.locator("[data-screen-stop]:visible").count() == 0, "whoever does not lead, stops nobody"
        await expert.reload()
        await expert.wait_for_selector(INSIDE)
        await patient.wait_for_selector(".room-screen", state="hidden")
        await _press_twice(patient)
        await expert.wait_for_selector(".room-screen", state="hidden")


async def _press_twice(page: Page) -> None:
    await page.click("[data-control=screen]")
    await page.wait_for_selector("[data-band=screen]:not([hidden])")
    await page.click("[data-control=screen]")
    await page.wait_for_selector("[data-band=screen]", state="hidden")


async def _finished(server: Server, appointment_id: str) -> list[dict[str, object]]:
    deadline = time.monotonic() + 20
    while True:
        async with server.app[POOL].acquire() as conn:
            rows = await conn.fetch(
                "select kind, payload from room_events where appointment_id = $1 order by at_ms", UUID(appointment_id)
            )
        if any(row["kind"] == "RoomClosed" for row in rows):
            return [row["payload"] for row in rows if row["kind"] == "RecordingFinished"]
        assert time.monotonic() < deadline, "the room did not close"
