"""The call page in Chromium, two people, everything behind it real: rooms, media, records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.call_page import (
    DESKTOP,
    PHONE,
    arrange_call,
    open_expert,
    open_patient,
    turn_page,
    two_browsers,
)
from tests.browser.chromium import find_accessibility_faults
from tests.conftest import Server

pytestmark = [pytest.mark.timeout(240), pytest.mark.in_pairs]  # two Chromium processes on a busy machine

INSIDE = "body[data-phase=inside]"
OTHER = ".tile:not(.is-me)"
COLOUR_OF = """(video) => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d");
  pen.drawImage(video, 0, 0, 1, 1);
  return [...pen.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}"""
# A button of the bands is there in full, without scrolling.
IN_SIGHT = """(selector) => {
  const button = document.querySelector(selector), box = button.getBoundingClientRect();
  const bands = button.closest(".room-bands").getBoundingClientRect();
  return box.height > 43 && box.top >= bands.top - 1 && box.bottom <= bands.bottom + 1 && box.right <= innerWidth + 1;
}"""


async def test_an_admitted_patient_and_the_expert_see_each_other_and_agree_to_recording(
    server: Server, tmp_path: Path
) -> None:
    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call)
        patient = await open_patient(patient_browser, server, call)
        await patient.wait_for_selector("[data-lobby-state=expert-told]:not([hidden])")
        assert await patient.get_attribute("body", "data-surround") is None
        await _admit(expert, patient)
        assert await patient.get_attribute("body", "data-surround") == "room"

        red, _, blue = await _colour_of_the_other(patient)
        assert blue > red + 60, "the patient sees the expert's blue camera"
        red, _, blue = await _colour_of_the_other(expert)
        assert red > blue + 60, "the expert sees the patient's orange camera"

        assert await patient.get_attribute(".room", "data-recording-state") == "asking"
        await expert.click("[data-consent=yes]")
        assert await patient.get_attribute(".room", "data-recording-state") == "asking"
        await patient.click("[data-consent=yes]")
        for page in (expert, patient):
            await page.wait_for_selector(".room[data-recording-state=on]")
            assert await page.inner_text("[data-announce]") == "This call is being recorded."
        await patient.click("[data-recording-button]")
        await patient.click("[data-recording-act=withdraw]")
        await expert.wait_for_selector(".room[data-recording-state=off]")
        await patient.wait_for_selector("text=Recording is off. Nothing is kept from now on.")

        await expert.click("[data-control=camera]")
        await patient.wait_for_selector(f"{OTHER}[data-camera=off]:not(.has-picture)")
        await expert.click("[data-control=camera]")
        await patient.wait_for_selector(f"{OTHER}[data-camera=on].has-picture")


async def test_the_patient_follows_the_expert_through_a_record_looks_around_and_comes_back(
    server: Server, tmp_path: Path
) -> None:
    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call)
        patient = await open_patient(patient_browser, server, call, PHONE)
        await _admit(expert, patient)
        await _show(expert, call.pdf.id)
        await patient.wait_for_selector(".stage[data-page='1'] canvas")
        await expert.wait_for_timeout(500)  # the neighbours are being drawn

        for number in (2, 3, 4):
            await turn_page(expert, patient, number)

        await expert.click("[data-view=larger]")
        await expert.click("[data-view=turn]")
        await patient.wait_for_selector(".stage[data-rotation='90']")
        assert await _stage(patient) == await _stage(expert), "the same place on any size of screen"
        await expert.mouse.move(400, 420)
        await expert.mouse.move(420, 430)
        await patient.wait_for_selector(".pointer:not([hidden]) >> text=Dr Okafor")

        await patient.check("[name=follow][value=around]")
        await patient.click("[data-view=previous]")
        await patient.wait_for_selector(".stage[data-page='3']")
        assert (await _stage(expert))["page"] == "4", "looking around moves nobody else"
        await patient.check("[name=follow][value=follow]")
        await patient.wait_for_selector(".stage[data-page='4'][data-rotation='90']")

        await _show(expert, call.picture.id)
        await patient.wait_for_selector(f".stage[data-record='{call.picture.id}'] img")
        await expert.click("[data-view=stop]")
        await patient.wait_for_selector(".room[data-showing=faces]")


async def test_a_reload_returns_to_the_same_seat_leaving_can_be_undone_and_an_ended_call_leads_on(
    server: Server, tmp_path: Path
) -> None:
    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call)
        patient = await open_patient(patient_browser, server, call)
        await _admit(expert, patient)
        seat = await expert.get_attribute(OTHER, "data-member-id")
        await _show(expert, call.pdf.id)

        await expert.click("[data-control=chat]")
        await expert.fill("#chat-text", "The report is from February.")
        await expert.press("#chat-text", "Enter")
        await patient.wait_for_selector("[data-control=chat] [data-chat-count]:not([hidden])")
        for page in (patient, expert):
            await page.reload()
            await page.wait_for_selector(INSIDE)
            await page.wait_for_selector(".stage[data-page='1'] canvas")
            await page.wait_for_selector(f"{OTHER}.has-picture")
        assert await expert.get_attribute(OTHER, "data-member-id") == seat
        assert await patient.text_content("[data-chat-lines] .chat-text") == "The report is from February."

        await patient.click("[data-control=leave]")
        await expert.wait_for_selector(OTHER, state="detached")
        await patient.click("[data-ending-again]")
        await patient.wait_for_selector(f"{OTHER}.has-picture")

        await expert.click("[data-control=end]")
        await expert.click("[data-end-yes]")
        await patient.wait_for_url("**/visit/after")
        await expert.wait_for_url(f"**/cases/{call.case_id}")


async def test_the_call_page_has_no_accessibility_fault_and_never_scrolls_sideways(
    server: Server, tmp_path: Path
) -> None:
    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call)
        patient = await open_patient(patient_browser, server, call, PHONE)
        await expert.wait_for_selector("[data-knock=admit]")
        await _is_sound(expert, patient)
        await _admit(expert, patient)
        await _is_sound(expert, patient)
        for width, height in ((740, 360), (PHONE["width"], PHONE["height"])):  # turned on its side and back
            await patient.set_viewport_size({"width": width, "height": height})
            await _is_sound(patient)
            for answer in ("yes", "no"):
                assert await patient.evaluate(IN_SIGHT, f"[data-consent={answer}]"), (width, answer)
        await _show(expert, call.pdf.id)
        await patient.wait_for_selector(".stage[data-page='1'] canvas")
        await _is_sound(expert, patient)
        await patient.click("[data-control=more]")
        await patient.click("[data-more=chat]")
        await expert.set_viewport_size({"width": 360, "height": 740})
        await expert.click("[data-control=records]")
        await _is_sound(expert, patient)
        await expert.keyboard.press("Escape")
        await expert.set_viewport_size({"width": DESKTOP["width"], "height": DESKTOP["height"]})
        await expert.click("[data-recording-button]")
        await _is_sound(expert)


async def _admit(expert: Page, patient: Page) -> None:
    await expert.click("[data-knock=admit]")
    await patient.wait_for_selector(INSIDE)
    for page in (expert, patient):
        await page.wait_for_selector(f"{OTHER}.has-picture")


async def _show(expert: Page, record_id: object) -> None:
    await expert.click("[data-control=records]")
    await expert.click(f'[data-record-id="{record_id}"]')
    await expert.wait_for_selector(f".stage[data-record='{record_id}']")


async def _stage(page: Page) -> dict[str, str]:
    found: dict[str, Any] = await page.evaluate("() => ({...document.querySelector('.stage').dataset})")
    return {name: found[name] for name in ("record", "page", "zoom", "rotation", "x", "y")}


async def _colour_of_the_other(page: Page) -> list[int]:
    colour: list[int] = await page.eval_on_selector(f"{OTHER} video", COLOUR_OF)
    return colour


async def _is_sound(*pages: Page) -> None:
    for page in pages:
        assert await find_accessibility_faults(page) == []
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
