"""A call in trouble, as two people live through it in Chromium: everything behind the pages is real."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from uuid import UUID

import pytest
from playwright.async_api import Page

from consult.consultations import service as consultations
from consult.consultations.model import Segment
from consult.keys import POOL
from consult.storage import open_store
from tests.browser.call_page import (
    INSIDE,
    OTHER,
    agree,
    arrange_call,
    arrange_in,
    invite,
    let_in,
    open_expert,
    open_patient,
    read_chat,
    two_browsers,
    write_in_chat,
)
from tests.browser.processes import Consult
from tests.conftest import Database, Server

pytestmark = pytest.mark.timeout(400)  # two Chromium processes on a busy machine

LOST = "[data-band=line]:not([hidden])"
KEPT = """Object.keys(sessionStorage).filter((one) => one.startsWith("consult-call "))
  .map((one) => JSON.parse(sessionStorage.getItem(one)))"""
RECORDED_S = """document.querySelector("[data-recording-time]").textContent.split(":")
  .reduce((sum, part) => sum * 60 + Number(part), 0)"""

FRAMES = f"""() => document.querySelector("{OTHER} video").getVideoPlaybackQuality().totalVideoFrames"""


async def test_a_killed_server_costs_a_second_of_the_recording_and_nothing_else(
    database: Database, tmp_path: Path
) -> None:
    consult = Consult(database.url, tmp_path / "home")
    consult.start("web", "worker")
    call = await arrange_in(database.pool, open_store((tmp_path / "home" / "files").as_uri()))
    try:
        async with two_browsers(tmp_path) as (expert_browser, patient_browser):
            expert = await open_expert(expert_browser, consult, call)
            patient = await open_patient(patient_browser, consult, call)
            await let_in(expert, patient)
            await agree(expert, patient)
            await _show(expert, call.picture.id)
            await write_in_chat(expert, "Do you see the shadow?")
            await patient.wait_for_selector("[data-chat-count]:not([hidden])")
            seats = [await page.get_attribute(OTHER, "data-member-id") for page in (expert, patient)]
            await asyncio.sleep(4)

            killed_at = time.time()
            consult.kill("web")
            await patient.wait_for_selector(LOST)
            await write_in_chat(patient, "Yes, on the left.")
            await patient.wait_for_selector(".chat-line[data-pending=true]")
            consult.start("web")
            for page in (expert, patient):
                await page.wait_for_selector(".room[data-connection-state=open]")
                await page.wait_for_selector(".room[data-recording-state=on]")
                await page.wait_for_selector(".room[data-media-state=connected]")
                await page.wait_for_selector(f"{OTHER}.has-picture")
            assert [await page.get_attribute(OTHER, "data-member-id") for page in (expert, patient)] == seats
            for page in (expert, patient):
                assert await page.locator("[data-knock]:visible, [data-consent]:visible").count() == 0
                await page.wait_for_selector(f".stage[data-record='{call.picture.id}']")
                await page.wait_for_function("() => document.querySelectorAll('.chat-line').length === 2")
                assert await read_chat(page) == ["Do you see the shadow?", "Yes, on the left."]
            await asyncio.sleep(3)
            for page in (expert, patient):
                await page.reload()
                await page.wait_for_selector(INSIDE)
                assert await read_chat(page) == ["Do you see the shadow?", "Yes, on the left."]
            await _end(expert)
        segments = await _wait_for_segments(database, call.appointment_id, count=4)
        async with database.pool.acquire() as conn:
            consultation = await consultations.find_consultation_of(conn, UUID(call.appointment_id))
            there = await consultations.list_attendances(conn, UUID(call.appointment_id))
        assert consultation is not None
        killed_ms = (killed_at - consultation.started_at.timestamp()) * 1000
        for member in {segment.member_id for segment in segments}:
            first, second, *_ = [one for one in segments if one.member_id == member]
            assert first.has_audio and first.has_video
            assert killed_ms - 1000 <= first.end_ms <= killed_ms + 200, (first.end_ms, killed_ms)
            assert second.offset_ms > killed_ms
        assert all(one.left_ms is not None for one in there)
        assert not list((tmp_path / "home" / "spool").iterdir())
    finally:
        consult.stop()


@pytest.mark.in_pairs
async def test_what_was_written_and_decided_while_the_line_was_down_outlives_a_reload(
    server: Server, tmp_path: Path
) -> None:
    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call)
        patient = await open_patient(patient_browser, server, call)
        await let_in(expert, patient)
        await agree(expert, patient)
        await patient.route("**/visit/seat", lambda route: route.abort())
        await patient.evaluate("() => window.lines.at(-1).close()")
        await patient.wait_for_selector(LOST)
        await write_in_chat(patient, "I forgot to say: I take aspirin.")
        await patient.fill("#chat-text", "And another")
        await patient.click("[data-recording-button]")
        await patient.click("[data-recording-act=withdraw]")
        await patient.wait_for_selector("text=Your choice is kept and sent as soon as you are back.")
        await patient.reload()
        await patient.wait_for_selector("body[data-phase=joining]")
        assert await patient.evaluate("() => localStorage.length") <= 1, "the choice of devices at most"
        await patient.unroute("**/visit/seat")
        await patient.wait_for_selector(INSIDE)
        await expert.wait_for_selector("text=I forgot to say: I take aspirin.", state="attached")
        await expert.wait_for_selector(".room[data-recording-state=off]")
        await patient.wait_for_selector(".chat-line[data-pending=false]", state="attached")
        assert await patient.input_value("#chat-text") == "And another"
        await patient.wait_for_function(f"() => {KEPT}.length === 1 && {KEPT}[0].lines.length === 0")
        await patient.wait_for_function(f"() => {KEPT}[0].wishes.length === 0")
        await patient.reload()
        await patient.wait_for_selector(INSIDE)
        assert await read_chat(patient) == ["I forgot to say: I take aspirin."]
        assert await read_chat(expert) == ["I forgot to say: I take aspirin."]
        await _end(expert)
        await patient.wait_for_selector("[data-part=ending]:not([hidden])")
        assert await patient.evaluate(f"() => {KEPT}.length") == 0, "nothing stays in the tab"


async def test_after_a_killed_server_pages_that_were_reloaded_and_newcomers_find_everything(
    database: Database, tmp_path: Path
) -> None:
    consult = Consult(database.url, tmp_path / "home")
    consult.start("web", "worker")
    call = await arrange_in(database.pool, open_store((tmp_path / "home" / "files").as_uri()))
    try:
        async with two_browsers(tmp_path) as (expert_browser, patient_browser):
            expert = await open_expert(expert_browser, consult, call)
            patient = await open_patient(patient_browser, consult, call)
            await let_in(expert, patient)
            await agree(expert, patient)
            turned = f".stage[data-record='{call.picture.id}'][data-rotation='90']"
            await _show(expert, call.picture.id)
            await expert.click("[data-view=turn]")
            await patient.wait_for_selector(turned)
            await write_in_chat(expert, "Written before the server was lost.")
            await patient.wait_for_selector("[data-chat-count]:not([hidden])")
            await expert.wait_for_function(f"() => {RECORDED_S} >= 8")
            recorded_s = await expert.evaluate(f"() => {RECORDED_S}")

            consult.kill("web")
            consult.start("web")
            await asyncio.gather(expert.reload(), patient.reload())
            for page in (expert, patient):
                await page.wait_for_selector(turned)
                await page.wait_for_selector(".room[data-recording-state=on]")
                assert await page.evaluate(f"() => {RECORDED_S}") >= recorded_s - 4, (
                    "it goes on, it does not begin anew"
                )

            mine = await invite(database.pool, call, "Rui Interpreter", "interpreter")
            guest = await open_patient(patient_browser, consult, mine)
            await let_in(expert, guest)
            await guest.wait_for_selector("text=Written before the server was lost.", state="attached")
            assert await read_chat(guest) == ["Written before the server was lost."]
            await guest.wait_for_selector(turned)
            assert await guest.evaluate(f"() => {RECORDED_S}") >= recorded_s - 4
            await _end(expert)
    finally:
        consult.stop()


async def test_a_lost_line_leaves_sound_picture_and_recording_as_they_are(server: Server, tmp_path: Path) -> None:
    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call)
        patient = await open_patient(patient_browser, server, call)
        await let_in(expert, patient)
        await agree(expert, patient)
        await expert.wait_for_timeout(2000)
        for page, other in ((patient, expert), (expert, patient)):
            before = await _frames(page)
            await page.evaluate("() => { document.chosen = window.lines.length; window.lines.at(-1).close(); }")
            await page.wait_for_function("() => window.lines.length > document.chosen")
            await page.wait_for_selector(".room[data-connection-state=open]")
            await other.wait_for_selector(f"{OTHER}[data-connected=true]")
            await page.wait_for_function(f"(before) => ({FRAMES})() > before + 10", arg=before)
            assert await page.evaluate("() => window.mediaConnections.length") == 1
            assert await other.get_attribute(".room", "data-recording-state") == "on"
        await patient.context.set_offline(True)  # the browser says so; what is open may live on
        await patient.wait_for_timeout(1500)
        await patient.context.set_offline(False)
        await patient.wait_for_timeout(4000)
        await patient.wait_for_selector(".room[data-connection-state=open]")
        assert await patient.evaluate("() => window.mediaConnections.length") == 1
        await write_in_chat(patient, "I am back.")
        await expert.wait_for_selector("text=I am back.", state="attached")
        await _end(expert)
        await patient.wait_for_url("**/visit/after")
    segments = await _finished(server, call.appointment_id)
    assert len(segments) == 2, "one for each, uncut"


async def _show(expert: Page, record_id: object) -> None:
    await expert.click("[data-control=records]")
    await expert.click(f'[data-record-id="{record_id}"]')
    await expert.wait_for_selector(f".stage[data-record='{record_id}']")


async def _end(expert: Page) -> None:
    await expert.click("[data-control=end]")
    await expert.click("[data-end-yes]")
    await expert.wait_for_selector("[data-part=ending]:not([hidden])")


async def _frames(page: Page) -> int:
    return int(await page.evaluate(FRAMES))


async def _wait_for_segments(database: Database, appointment_id: str, *, count: int) -> list[Segment]:
    """What is filed, once nothing is left to be filed."""
    deadline = time.monotonic() + 30
    while True:
        async with database.pool.acquire() as conn:
            consultation = await consultations.find_consultation_of(conn, UUID(appointment_id))
            unfiled = await consultations.count_unfiled(conn, UUID(appointment_id))
            assert consultation is not None
            filed = await consultations.list_segments(conn, consultation.id)
        if unfiled == 0 and len(filed) >= count:
            return filed
        assert time.monotonic() < deadline, f"{len(filed)} filed, {unfiled} not"
        await asyncio.sleep(0.3)


async def _finished(server: Server, appointment_id: str) -> list[dict[str, object]]:
    """What the recorder told of its finished segments, once the call is over."""
    deadline = time.monotonic() + 10
    while True:
        async with server.app[POOL].acquire() as conn:
            rows = await conn.fetch(
                "select kind, payload from room_events where appointment_id = $1 order by at_ms", UUID(appointment_id)
            )
        if any(row["kind"] == "RoomClosed" for row in rows):
            return [row["payload"] for row in rows if row["kind"] == "RecordingFinished"]
        assert time.monotonic() < deadline, "the room did not close"
        await asyncio.sleep(0.1)
