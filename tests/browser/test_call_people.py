"""Who comes, goes, is refused, says no or comes twice: calls of up to five people in Chromium, everything real."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from playwright.async_api import Page

from consult.keys import POOL
from signaling import roster
from tests.browser.call_page import (
    INSIDE,
    OTHER,
    agree,
    arrange_call,
    invite,
    let_in,
    open_expert,
    open_link_again,
    open_patient,
    two_browsers,
)
from tests.conftest import Server

pytestmark = pytest.mark.timeout(300)  # two Chromium processes on a busy machine

SUPERSEDED = "[data-part=ending][data-reason=superseded]:not([hidden])"
FRAMES = f"""() => [...document.querySelectorAll("{OTHER} video")]
  .map((one) => one.getVideoPlaybackQuality().totalVideoFrames)"""
AGAIN = "[data-ending-again]"


async def test_a_second_device_waits_at_the_door_takes_over_and_can_be_taken_back(
    server: Server, tmp_path: Path
) -> None:
    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call)
        laptop = await open_patient(patient_browser, server, call)
        await let_in(expert, laptop)
        await agree(expert, laptop)

        phone = await open_patient(patient_browser, server, await open_link_again(server.app[POOL], call))
        await phone.wait_for_selector("[data-lobby-state=second-device]:not([hidden])")
        await expert.wait_for_selector("text=waits on a second device. If you let it in, the first one leaves.")
        await laptop.wait_for_selector("text=Your link was opened on another device")
        assert await laptop.locator("[data-knock]").count() == 0, "the first device cannot let it in"
        assert await laptop.get_attribute(".room", "data-recording-state") == "on", "the call goes on meanwhile"

        await expert.click("[data-knock=admit]")
        await phone.wait_for_selector(f"{INSIDE} {OTHER}.has-picture")
        assert await phone.locator("[data-consent]:visible").count() == 0, "a person's yes holds on every device"
        await laptop.wait_for_selector(SUPERSEDED)
        await laptop.click(AGAIN)
        await laptop.wait_for_selector("[data-lobby-state=second-device]:not([hidden])")
        await expert.click("[data-knock=admit]")
        await laptop.wait_for_selector(f"{INSIDE} {OTHER}.has-picture")
        await phone.wait_for_selector(SUPERSEDED)
        assert await expert.locator(OTHER).count() == 1

        tab = await laptop.context.new_page()
        await tab.goto(f"{server.url}/visit/call")
        await tab.wait_for_selector(f"{INSIDE} {OTHER}.has-picture")  # the same device: nobody has to admit it
        await laptop.wait_for_selector(SUPERSEDED)
        await laptop.click(AGAIN)
        await laptop.wait_for_selector(f"{INSIDE} {OTHER}.has-picture")
        await tab.wait_for_selector(SUPERSEDED)
        await expert.wait_for_selector(f"{OTHER}.has-picture")
        await expert.wait_for_selector(".room[data-recording-state=on]")


async def test_the_expert_comes_later_refuses_leaves_and_comes_back(server: Server, tmp_path: Path) -> None:
    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        patient = await open_patient(patient_browser, server, call)
        await patient.wait_for_selector("[data-lobby-state=expert-absent]:not([hidden])")
        expert = await open_expert(expert_browser, server, call)
        await patient.wait_for_selector("[data-lobby-state=expert-told]:not([hidden])")
        await expert.click("[data-knock=refuse]")
        await patient.wait_for_selector("[data-lobby-state=refused]:not([hidden])")
        await expert.wait_for_selector("[data-knock]", state="detached")
        await patient.click("[data-lobby-state=refused] [data-action=return]")
        await let_in(expert, patient)
        await agree(expert, patient)

        await expert.click("[data-control=leave]")
        await patient.wait_for_selector(OTHER, state="detached")
        await patient.wait_for_selector(".room[data-recording-state=off]")
        await expert.click(AGAIN)
        for page in (expert, patient):
            await page.wait_for_selector(f"{INSIDE} {OTHER}.has-picture")
            await page.wait_for_selector(".room[data-recording-state=on]")
            assert await page.locator("[data-consent]:visible, [data-knock]:visible").count() == 0


async def test_a_no_stops_the_recording_for_all_and_a_newcomer_is_asked_first(server: Server, tmp_path: Path) -> None:
    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call)
        patient = await open_patient(patient_browser, server, call)
        await let_in(expert, patient)
        await expert.click("[data-consent=yes]")
        await patient.click("[data-consent=no]")
        for page in (expert, patient):
            await page.wait_for_selector(".room[data-recording-state=off]")
            assert await page.locator(f"{OTHER}.has-picture").count() == 1, "the call goes on"
        await _press_in_recording(patient, "agree")
        for page in (expert, patient):
            await page.wait_for_selector(".room[data-recording-state=on]")
        await expert.wait_for_timeout(1500)

        caregiver = await open_patient(
            patient_browser, server, await invite(server.app[POOL], call, "Luis Ruiz", "caregiver")
        )
        await expert.click("[data-knock=admit]")
        for page in (expert, patient, caregiver):
            await page.wait_for_selector(".room[data-recording-state=asking]")
        await patient.wait_for_selector("text=Recording is paused until")
        await caregiver.click("[data-consent=yes]")
        for page in (expert, patient, caregiver):
            await page.wait_for_selector(".room[data-recording-state=on]")
        await expert.wait_for_timeout(1500)
        withdrawn_at_ms = await _press_in_recording(patient, "withdraw")
        await expert.wait_for_selector(".room[data-recording-state=off]")
        await expert.wait_for_timeout(1500)
        async with server.app[POOL].acquire() as conn:
            finished = await conn.fetch(
                """select payload, at_ms from room_events where appointment_id = $1 and kind = 'RecordingFinished'""",
                UUID(call.appointment_id),
            )
            started_at = await conn.fetchval("select started_at from consultations")
        withdrawn_ms = withdrawn_at_ms - started_at.timestamp() * 1000
        ends_ms = [row["payload"]["offset_ms"] + row["payload"]["duration_ms"] for row in finished]
        assert len(ends_ms) == 2 + 3
        assert max(ends_ms) <= withdrawn_ms + 1000, (ends_ms, withdrawn_ms)


async def test_four_people_see_each_other_and_who_finds_the_room_full_waits_outside(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "MAX_INSIDE", 4)  # six pictures on six pages are more than two cores decode
    call = await arrange_call(server)
    pool = server.app[POOL]
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call)
        patient = await open_patient(patient_browser, server, call)
        await let_in(expert, patient)
        guests = []
        for browser, name, role in (
            (expert_browser, "Mara Lind", "interpreter"),
            (patient_browser, "Luis Ruiz", "caregiver"),
        ):
            guest = await open_patient(browser, server, await invite(pool, call, name, role))
            await let_in(expert, guest)
            guests.append(guest)
        for page in (expert, patient, *guests):
            await page.wait_for_function(f"() => document.querySelectorAll('{OTHER}.has-picture').length === 3")
            await page.evaluate(f"() => (document.before = ({FRAMES})())")
            await page.wait_for_function(
                f"() => ({FRAMES})().every((now, place) => now >= document.before[place] + 8)",
                polling=250, timeout=90_000,
            )  # fmt: skip
        fifth = await open_patient(patient_browser, server, await invite(pool, call, "Dr Paul Stein", "physician"))
        await expert.click("[data-knock=admit]")
        await expert.wait_for_selector("text=The room is full.")
        await fifth.wait_for_selector("[data-lobby-state=room-full]:not([hidden])")
        await guests[0].click("[data-control=leave]")
        await fifth.wait_for_selector("[data-lobby-state=expert-told]:not([hidden])")
        await expert.click("[data-knock=admit]")
        await fifth.wait_for_selector(f"{INSIDE} {OTHER}.has-picture")


async def _press_in_recording(page: Page, act: str) -> float:
    """Return when it was pressed, in ms since 1970."""
    await page.click("[data-recording-button]")
    pressed_at_ms: float = await page.eval_on_selector(
        f"[data-recording-act={act}]:not([hidden])", "button => { const at = Date.now(); button.click(); return at; }"
    )
    return pressed_at_ms
