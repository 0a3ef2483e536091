"""What closes or does not open, in Chromium: a withdrawn link, a sign-out, refusing devices; and the keyboard alone."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Page

from tests.browser.call_page import (
    INSIDE,
    OTHER,
    agree,
    arrange_call,
    let_in,
    open_expert,
    open_patient,
    two_browsers,
)
from tests.browser.chromium import find_accessibility_faults
from tests.conftest import Server

pytestmark = pytest.mark.timeout(180)  # two Chromium processes on a busy machine

# Devices that do what the test wants: localStorage.devices is none, used, refused or empty.
STUBBORN = """
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const mode = localStorage.devices;
    if (mode === "none") throw new DOMException("Requested device not found", "NotFoundError");
    if (mode === "refused") throw new DOMException("Permission denied", "NotAllowedError");
    if (mode === "used" && wanted.video) throw new DOMException("Could not start video source", "NotReadableError");
    return open(wanted);
  };
"""
ENDED = "() => { window.endedAt = new Promise((done) => { const look = () => document.querySelector(" + (
    "'[data-part=ending]:not([hidden])') ? done(Date.now()) : requestAnimationFrame(look); look(); }); }"
)
HEARD = """async () => {
  let packets = 0;
  for (const one of (await window.mediaConnections.at(-1).getStats()).values())
    if (one.type === "inbound-rtp" && one.kind === "audio") packets += one.packetsReceived;
  return packets;
}"""


async def test_a_withdrawn_link_and_a_sign_out_close_the_call_at_once(server: Server, tmp_path: Path) -> None:
    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call)
        patient = await open_patient(patient_browser, server, call)
        await let_in(expert, patient)
        await agree(expert, patient)
        scheduler = await open_expert(patient_browser, server, replace(call, expert_token=call.scheduler_token))
        await scheduler.goto(f"{server.url}/appointments/{call.appointment_id}")
        await scheduler.check("[name=withdraw]")
        await patient.evaluate(ENDED)
        pressed_ms = time.time() * 1000
        await scheduler.click(".link-make button[type=submit]")
        assert await patient.evaluate("() => window.endedAt") - pressed_ms <= 1000
        await patient.wait_for_selector("text=This link no longer opens.")
        await expert.wait_for_selector(OTHER, state="detached")
        await patient.reload()
        await patient.wait_for_selector("text=link")  # no way back in by a reload
        assert await patient.locator(INSIDE).count() == 0

        other_tab = await expert.context.new_page()
        await other_tab.goto(f"{server.url}/today")
        await other_tab.click("form[action='/sign-out'] button")
        await expert.wait_for_selector("text=You were signed out.", timeout=5000)


@pytest.mark.parametrize("is_inside", [True, False], ids=["in the call", "in the lobby"])
@pytest.mark.in_pairs
async def test_an_appointment_that_is_cancelled_during_the_call_says_so_to_both(
    server: Server, tmp_path: Path, is_inside: bool
) -> None:
    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call)
        patient = await open_patient(patient_browser, server, call)
        await expert.wait_for_selector("[data-knock=admit]")
        if is_inside:
            await let_in(expert, patient)
            await agree(expert, patient)
        scheduler = await open_expert(patient_browser, server, replace(call, expert_token=call.scheduler_token))
        await scheduler.goto(f"{server.url}/appointments/{call.appointment_id}/cancel")
        await scheduler.click("main form button[type=submit]")
        await scheduler.wait_for_selector("text=This appointment was cancelled.")
        for page, what_next in ((patient, "The clinic will write to you about another time."), (expert, "is kept.")):
            await page.wait_for_selector("[data-part=ending] >> text=This appointment was cancelled.")
            await page.wait_for_selector(f"[data-part=ending] >> text={what_next}")
            assert await page.locator(INSIDE).count() == 0
            assert await find_accessibility_faults(page) == []
        await patient.reload()
        await patient.wait_for_url("**/visit/cancelled")  # which says so and how to ask for another time
        await expert.click("[data-ending-actions] a")
        await expert.wait_for_url(f"**/cases/{call.case_id}*")


@pytest.mark.in_pairs
async def test_who_leaves_the_waiting_room_is_promised_nothing_more_and_can_come_back(
    server: Server, tmp_path: Path
) -> None:
    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call)
        patient = await open_patient(patient_browser, server, call)
        await expert.wait_for_selector("[data-knock=admit]")
        promises = patient.locator(".way-line"), patient.locator("[data-lobby-device=camera]")
        assert [await one.is_visible() for one in promises] == [True, True]
        await patient.click("[data-action=leave-lobby]")
        await patient.wait_for_selector("text=You have left the waiting room.")
        await expert.wait_for_selector("[data-knock=admit]", state="detached")
        assert [await one.is_visible() for one in promises] == [False, False], "its camera is off"
        assert await find_accessibility_faults(patient) == []
        await patient.click("[data-lobby-state=closed] [data-action=return]")
        await expert.wait_for_selector("[data-knock=admit]")
        for one in promises:
            await one.wait_for(state="visible")


@pytest.mark.in_pairs
async def test_devices_that_do_not_open_are_explained_and_the_call_goes_on(server: Server, tmp_path: Path) -> None:
    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call)
        patient = await open_patient(patient_browser, server, call)
        await patient.context.add_init_script(STUBBORN)
        await patient.evaluate("() => (localStorage.devices = 'none')")
        await patient.reload()
        await expert.click("[data-knock=admit]")
        await patient.wait_for_selector(f"{OTHER}.has-picture")
        await expect_band(patient, "We find no camera and no microphone on this device.")
        await patient.wait_for_function(f"async () => (await ({HEARD})()) > 50")
        await expert.wait_for_selector(f"{OTHER}[data-camera=off][data-microphone=off]")
        await agree(expert, patient)

        await try_again(patient, "refused")
        await expect_band(patient, "Your browser keeps the camera and the microphone closed.")
        await try_again(patient, "used")
        await expect_band(patient, "The camera is being used by something else, or did not start.")
        await expert.wait_for_selector(f"{OTHER}[data-camera=off][data-microphone=on]")
        await try_again(patient, "")
        await expert.wait_for_selector(f"{OTHER}[data-camera=on].has-picture")
        assert await patient.is_hidden("[data-band=devices]")
        assert await expert.get_attribute(".room", "data-recording-state") == "on"


@pytest.mark.in_pairs
async def test_the_keyboard_alone_goes_through_a_call(server: Server, tmp_path: Path) -> None:
    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call)
        patient = await open_patient(patient_browser, server, call)
        await patient.wait_for_selector("[data-lobby-state=expert-told]:not([hidden])")
        await press(expert, "[data-knock=admit]")
        await patient.wait_for_selector(f"{INSIDE} {OTHER}.has-picture")
        for page in (expert, patient):
            await press(page, "[data-consent=yes]")
        await expert.wait_for_selector(".room[data-recording-state=on]")
        assert await expert.evaluate("() => document.activeElement.matches('[data-recording-button]')")

        for opener, name in (("[data-recording-button]", "recording"), ("[data-control=devices]", "devices")):
            await press(expert, opener)
            await expert.wait_for_selector(f"dialog[data-dialog={name}][open]")
            for _ in range(12):
                await expert.keyboard.press("Tab")
                assert await expert.evaluate(
                    "() => document.activeElement === document.body || !!document.activeElement.closest('dialog[open]')"
                ), "focus stays in the dialog"
            await expert.keyboard.press("Escape")
            await expert.wait_for_selector(f"dialog[data-dialog={name}]", state="hidden")
            assert await expert.evaluate("(opener) => document.activeElement.matches(opener)", opener)

        await press(expert, "[data-control=records]")
        await press(expert, f'[data-record-id="{call.pdf.id}"]')
        await patient.wait_for_selector(".stage[data-page='1'] canvas")
        await press(expert, "[data-stage]", key="ArrowRight")
        await patient.wait_for_selector(".stage[data-page='2']")
        await expert.keyboard.press("+")
        await patient.wait_for_selector(".stage:not([data-zoom='1'])")
        await press(expert, "[data-control=chat]")
        await expert.keyboard.type("Page two.")
        await expert.keyboard.press("Enter")
        await patient.wait_for_selector("text=Page two.", state="attached")
        await expert.keyboard.press("Escape")
        assert await expert.evaluate("() => document.activeElement.matches('[data-control=chat]')")
        await press(expert, "[data-control=end]")
        await press(expert, "[data-end-yes]")
        await patient.wait_for_url("**/visit/after")


async def press(page: Page, selector: str, *, key: str = "Enter") -> None:
    """Tab until the control has focus, as somebody without a mouse does, see its ring, and press the key."""
    await page.wait_for_selector(selector)
    for _ in range(60):
        if await page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            ring = await page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
            assert ring != "none", f"{selector} has focus, and nobody sees it"
            return await page.keyboard.press(key)
        await page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {selector}")


async def try_again(page: Page, mode: str) -> None:
    await page.evaluate("(mode) => (localStorage.devices = mode)", mode)
    await page.click("[data-try-devices]")


async def expect_band(page: Page, sentence: str) -> None:
    """The sentence, and at least one step of what to do."""
    await page.wait_for_selector(f"[data-band=devices]:not([hidden]) >> text={sentence}")
    assert await page.locator("[data-band-steps] li").count() >= 1
