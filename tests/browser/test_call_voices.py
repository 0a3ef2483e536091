"""Who speaks, who was silenced, whose connection is weak: what people see of it in Chromium, and what is kept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from playwright.async_api import Page, expect

from consult.keys import POOL
from tests.browser.call_page import (
    INSIDE,
    OTHER,
    PHONE,
    Arranged,
    arrange_call,
    let_in,
    open_expert,
    open_patient,
    two_browsers,
)
from tests.browser.chromium import find_accessibility_faults
from tests.conftest import Server

pytestmark = pytest.mark.timeout(240)  # two Chromium processes on a busy machine

RECEIVED = """async () => {
  let bytes = 0;
  for (const one of (await window.mediaConnections.at(-1).getStats()).values()) {
    if (one.type === "inbound-rtp" && one.kind === "audio") bytes += one.packetsReceived;
  }
  return bytes;
}"""


@pytest.mark.in_pairs
async def test_a_ring_says_who_speaks_and_goes_when_they_are_silent(server: Server, tmp_path: Path) -> None:
    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call)
        patient = await open_patient(patient_browser, server, call)
        await let_in(expert, patient)
        for page in (expert, patient):  # Chromium's fake microphone beeps once a second
            await page.wait_for_selector(f"{OTHER}.is-speaking")
            await page.wait_for_selector(".tile.is-me.is-speaking")
        await patient.click("[data-control=microphone]")
        await expect(expert.locator(f"{OTHER}.is-speaking")).to_have_count(0)
        await expect(patient.locator(".tile.is-me.is-speaking")).to_have_count(0)
        await patient.wait_for_selector(f"{OTHER}.is-speaking")
        assert "speak" not in (await patient.inner_text("[data-announce-people]")).lower()


async def test_a_host_mutes_somebody_who_is_told_and_speaks_again_by_themselves(server: Server, tmp_path: Path) -> None:
    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call)
        patient = await open_patient(patient_browser, server, call, PHONE)
        await let_in(expert, patient)
        # A page that does not obey: its track stays on, and still nobody hears it.
        await patient.evaluate(
            "() => Object.defineProperty(MediaStreamTrack.prototype, 'enabled', {get: () => true, set: () => {}})"
        )
        await _open_people(expert)
        await expert.wait_for_selector("[data-dialog=people] [data-mute]")
        assert await find_accessibility_faults(expert) == []
        await expert.focus("[data-mute]")
        await expert.keyboard.press("Enter")
        await patient.wait_for_selector("text=Dr Okafor muted you. Unmute when you speak.")
        await expert.wait_for_selector(f"{OTHER}[data-microphone=off]")
        await expert.wait_for_selector("[data-dialog=people] >> text=patient · muted")
        assert await patient.get_attribute("[data-control=microphone]", "aria-pressed") == "false"
        assert await patient.get_attribute("[data-band=muted]", "role") == "status", "screen readers say it"
        assert await find_accessibility_faults(patient) == []
        assert await patient.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        await expert.wait_for_timeout(500)
        heard = await expert.evaluate(RECEIVED)
        await expert.wait_for_timeout(1500)
        assert await expert.evaluate(RECEIVED) == heard, "not a packet comes through"

        await patient.reload()
        await patient.wait_for_selector(INSIDE)
        await patient.wait_for_selector("[data-band=muted]:not([hidden])")
        assert await patient.get_attribute("[data-control=microphone]", "aria-pressed") == "false"
        await patient.click("[data-unmute]")
        await expert.wait_for_selector(f"{OTHER}[data-microphone=on]")
        await patient.wait_for_selector("[data-band=muted]", state="hidden")
        await expert.keyboard.press("Escape")
        await expert.wait_for_selector(f"{OTHER}.is-speaking")
        async with server.app[POOL].acquire() as conn:
            kept = await conn.fetch(
                "select kind, payload from room_events where appointment_id = $1 and kind like '%uted' order by at_ms",
                UUID(call.appointment_id),
            )
        assert [row["kind"] for row in kept] == ["MemberMuted", "MemberUnmuted"]
        assert kept[0]["payload"]["name"] == "Ana Ruiz"


async def test_everybody_sees_in_bars_and_words_how_good_a_connection_is(server: Server, tmp_path: Path) -> None:
    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call)
        patient = await open_patient(patient_browser, server, call, PHONE)
        # The patient's browser finds its line weak: every figure below is from its own statistics, but the round trip.
        await patient.add_init_script(
            """const get = RTCPeerConnection.prototype.getStats;
            RTCPeerConnection.prototype.getStats = async function (...given) {
              const found = new Map(await get.apply(this, given));
              for (const [id, one] of found) {
                if (one.type === "candidate-pair") found.set(id, {...one, nominated: true, currentRoundTripTime: 0.45});
              }
              return found;
            };"""
        )
        await patient.reload()
        await let_in(expert, patient)
        sign = expert.locator(f"{OTHER} .tile-line-button")
        await expect(sign).to_contain_text("Ana’s connection is weak: 450 ms to and fro,")
        assert await expert.get_attribute(f"{OTHER} .line-bars", "data-grade") == "weak"
        words = expert.locator(f"{OTHER} .tile-line-words")
        assert await words.evaluate("(one) => getComputedStyle(one).opacity") == "0"
        await sign.focus()
        await expert.keyboard.press("Shift+Tab")
        await expert.keyboard.press("Tab")
        await expect(words).to_have_css("opacity", "1")
        await expert.keyboard.press("Enter")
        await expect(expert.locator("[data-dialog=people]")).to_contain_text("Ana’s connection is weak")
        await expert.keyboard.press("Escape")

        await patient.wait_for_selector("text=Turning your camera off helps your voice.")
        assert await find_accessibility_faults(patient) == []
        assert await find_accessibility_faults(expert) == []
        await patient.click("[data-weak-camera]")
        await expert.wait_for_selector(f"{OTHER}[data-camera=off]")
        assert await patient.locator("[data-weak-camera]:visible").count() == 0
        async with asyncio.timeout(30):
            while not await _list_lines_kept(server, call, "Ana Ruiz"):
                await asyncio.sleep(0.5)
        await expert.wait_for_timeout(5000)
        kept = await _list_lines_kept(server, call, "Ana Ruiz")
        assert [(one["grade"], one["round_trip_ms"]) for one in kept] == [("weak", 450)], (
            "a summary, not every measurement"
        )


async def _list_lines_kept(server: Server, call: Arranged, name: str) -> list[dict[str, Any]]:
    async with server.app[POOL].acquire() as conn:
        kept = await conn.fetch(
            "select payload from room_events where appointment_id = $1 and kind = 'LineMeasured'",
            UUID(call.appointment_id),
        )
    return [row["payload"] for row in kept if row["payload"]["name"] == name]


async def _open_people(page: Page) -> None:
    await page.click(".tile-line-button >> nth=0")
