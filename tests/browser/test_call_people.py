"""Who comes, goes, is refused, says no or comes twice: calls of up to five people in Chromium, everything real."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import time, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from playwright.async_api import Browser, Page, expect

from consult.availability import service as availability
from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.ids import AppointmentId, StaffId
from consult.domain.working_days import WorkingBlock
from consult.keys import POOL
from consult.people import service as people
from consult.scheduling import service as scheduling
from consult.settings import Settings
from signaling import roster
from tests.browser.call_page import (
    BLUE,
    GREEN,
    INSIDE,
    ORANGE,
    OTHER,
    Arranged,
    agree,
    arrange_call,
    browsers_of,
    invite,
    let_in,
    open_expert,
    open_link_again,
    open_patient,
    two_browsers,
    until_recorded,
)
from tests.browser.people import Room, expect_picture, open_page, sign_in, zone_where_it_is_noon
from tests.conftest import Server

pytestmark = pytest.mark.timeout(300)  # two Chromium processes on a busy machine

SUPERSEDED = "[data-part=ending][data-reason=superseded]:not([hidden])"
# The sounds of so many others arrive, and are not silence.
HEARS = """async (others) => {
  const found = await window.mediaConnections.at(-1).getStats();
  const sounds = [...found.values()].filter((one) => one.type === "inbound-rtp" && one.kind === "audio");
  return sounds.filter((one) => one.totalAudioEnergy > 0).length >= others;
}"""
LEAD, SECOND, PATIENT = "Dr Helen Okafor", "Dr Sabine Brandt", "Ana Ruiz"
AGAIN = "[data-ending-again]"


@pytest.mark.in_pairs
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


@pytest.mark.in_pairs
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
        await until_recorded(server.settings.spool, 2)

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
        await until_recorded(server.settings.spool, 2 + 3)
        withdrawn_at_ms = await _press_in_recording(patient, "withdraw")
        await expert.wait_for_selector(".room[data-recording-state=off]")
        finished = await _list_finished(server, call.appointment_id, count=2 + 3)
        async with server.app[POOL].acquire() as conn:
            started_at = await conn.fetchval("select started_at from consultations")
        withdrawn_ms = withdrawn_at_ms - started_at.timestamp() * 1000
        ends_ms = [row["payload"]["offset_ms"] + row["payload"]["duration_ms"] for row in finished]
        assert max(ends_ms) <= withdrawn_ms + 1000, (ends_ms, withdrawn_ms)


async def test_a_panel_meets_the_patient_and_its_call_is_filed_with_everybody_in_it(
    start_server: Callable[..., Any], settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Booked by a scheduler; two experts and the patient see, hear and record each other. The fifth finds it full."""
    monkeypatch.setattr(roster, "MAX_INSIDE", 4)  # six pictures on six pages are more than two cores decode
    server: Server = await start_server(settings, with_worker=True)
    pool = server.app[POOL]
    async with browsers_of(tmp_path, BLUE, GREEN, ORANGE) as (clinic, elsewhere, home):
        calls = await _book_panel(clinic, server)
        lead = await open_expert(clinic, server, calls[LEAD])
        second = await open_expert(elsewhere, server, calls[SECOND])
        patient = await open_patient(home, server, calls[LEAD])
        await patient.goto(f"{server.url}/visit/when")
        for name in (LEAD, SECOND):
            await expect(patient.locator(".meet", has_text=name)).to_be_visible()
        await patient.goto(f"{server.url}/visit/call")
        await second.click("[data-knock=admit]")
        everybody = {LEAD: (lead, BLUE), SECOND: (second, GREEN), PATIENT: (patient, ORANGE)}
        for page, _colour in everybody.values():
            await page.wait_for_selector(INSIDE)
        for own, (page, _) in everybody.items():
            for name, (_, colour) in everybody.items():
                if name != own:
                    await expect_picture(Room(page), name, colour)
            await page.wait_for_function(HEARS, arg=2)
        await agree(lead, second, patient)

        caregiver = await open_patient(clinic, server, await invite(pool, calls[LEAD], "Luis Ruiz", "caregiver"))
        await lead.click("[data-knock=admit]")
        for page in (lead, second, patient, caregiver):
            await page.wait_for_function(f"() => document.querySelectorAll('{OTHER}.has-picture').length === 3")
        fifth = await open_patient(home, server, await invite(pool, calls[LEAD], "Dr Paul Stein", "physician"))
        await lead.click("[data-knock=admit]")
        await lead.wait_for_selector("text=The room is full.")
        await fifth.wait_for_selector("[data-lobby-state=room-full]:not([hidden])")
        await caregiver.click("[data-control=leave]")
        await fifth.wait_for_selector("[data-lobby-state=expert-told]:not([hidden])")

        await second.click("[data-control=end]")
        await second.click("[data-end-yes]")
        await lead.wait_for_url("**/cases/*")
        filed = lead.locator(".play-person")
        while await filed.count() < len(everybody):
            await lead.wait_for_timeout(1000)
            await lead.reload()
        for name in everybody:
            await expect(filed.filter(has_text=name)).to_have_count(1)
            assert await lead.locator(".case-people", has_text=name).count() == 1
        async with pool.acquire() as conn:
            told = await conn.fetch(
                "select audience, recipient from mails where kind = 'invitation' and appointment_id = $1",
                UUID(calls[LEAD].appointment_id),
            )
        assert sorted(tuple(row) for row in told) == [
            ("expert", "helen@clinic.example"), ("expert", "sabine@clinic.example"), ("patient", "ana@example.org"),
        ]  # fmt: skip


async def _book_panel(browser: Browser, server: Server) -> dict[str, Arranged]:
    """A scheduler books both experts at the first time when both are free. Returns the call as each comes to it."""
    call = await arrange_call(server)
    now, appointment_id = utc_now(), AppointmentId(UUID(call.appointment_id))
    zone = zone_where_it_is_noon(now)
    soon = now.astimezone(ZoneInfo(zone)) + timedelta(minutes=2)
    async with server.app[POOL].acquire() as conn:
        await scheduling.cancel(conn, appointment_id, now, by=await conn.fetchval("select id from staff limit 1"))
        await people.create_staff(
            conn, email="sabine@clinic.example", name=SECOND, role=StaffRole.EXPERT, time_zone=zone,
            password="a long password for tests", specialty="Neuroradiology", now=now,
        )  # fmt: skip
        await conn.execute("update staff set time_zone = $1", zone)
        experts = {row["name"]: StaffId(row["id"]) for row in await conn.fetch("select id, name from staff")}
        tokens = {name: await people.start_session(conn, experts[name], now) for name in (LEAD, SECOND)}
        for name in tokens:
            hours = [WorkingBlock(soon.weekday(), soon.time().replace(second=0, microsecond=0), time(23, 30))]
            await availability.set_working_hours(conn, experts[name], hours)
    page = await open_page(browser, f"{server.url}/sign-in")
    await sign_in(page, "noor@clinic.example", "a long password for tests")
    await page.goto(f"{server.url}/cases/{call.case_id}/book?kind=panel&expert={experts[LEAD]}")
    await page.get_by_label(SECOND).check()
    await page.get_by_role("button", name="Show times").click()
    await page.locator("input[name=slot] + label").first.click()
    await page.get_by_role("button", name="Book this time").first.click()
    link = await page.locator("[data-copy-from]").first.input_value()
    async with server.app[POOL].acquire() as conn:
        visit = await scheduling.open_invitation(conn, now=utc_now(), secret=link.partition("#")[2])
    booked = replace(call, appointment_id=str(visit.appointment_id), visit_token=visit.token)
    await page.context.close()
    return {name: replace(booked, expert_token=token) for name, token in tokens.items()}


async def _list_finished(server: Server, appointment_id: str, *, count: int) -> list[asyncpg.Record]:
    """Return what the recorder told of its finished segments, once it told of so many."""
    async with asyncio.timeout(30):
        while True:
            finished: list[asyncpg.Record] = await server.app[POOL].fetch(
                "select payload from room_events where appointment_id = $1 and kind = 'RecordingFinished'",
                UUID(appointment_id),
            )
            if len(finished) == count:
                return finished
            assert len(finished) < count
            await asyncio.sleep(0.1)


async def _press_in_recording(page: Page, act: str) -> float:
    """Return when it was pressed, in ms since 1970."""
    await page.click("[data-recording-button]")
    pressed_at_ms: float = await page.eval_on_selector(
        f"[data-recording-act={act}]:not([hidden])", "button => { const at = Date.now(); button.click(); return at; }"
    )
    return pressed_at_ms
