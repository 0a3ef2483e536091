"""A call between a patient in Firefox and an expert in Chromium: everything behind the pages is real."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.call_page import INSIDE, OTHER, WATCH, arrange_call, open_expert, until_recorded
from tests.browser.chromium import FakeDevices, open_browser, paint_camera
from tests.browser.firefox import find_firefox, open_firefox
from tests.browser.measures import decode_recording
from tests.conftest import Server

pytestmark = pytest.mark.timeout(240)  # two browsers on a busy machine

RECEIVED = """async () => {
  const found = {frames: 0, samples: 0, loudness: 0, lines: []};
  for (const one of (await window.mediaConnections.at(-1).getStats()).values()) {
    if (one.type !== "inbound-rtp") continue;
    if (one.kind === "video") found.frames += one.framesDecoded ?? 0;
    if (one.kind === "audio") found.samples += one.totalSamplesReceived ?? 0;
    if (one.kind === "audio") found.loudness += one.totalAudioEnergy ?? 0;
  }
  return found;
}"""
GOES_ON = f"""async (before) => {{
  const now = await ({RECEIVED})();
  return now.frames >= before.frames + 30 && now.samples > before.samples && now.loudness > before.loudness;
}}"""


async def test_a_patient_in_firefox_is_seen_heard_recorded_and_comes_back_to_their_seat(
    server: Server, tmp_path: Path
) -> None:
    find_firefox()
    call = await arrange_call(server)
    blue = paint_camera(tmp_path / "blue.y4m", (40, 70, 190))
    async with open_browser(FakeDevices(camera=blue)) as chromium, open_firefox(tmp_path / "firefox") as patient:
        expert = await open_expert(chromium, server, call)
        await patient.add_init_script(WATCH)
        await patient.set_cookie(server.url, "consult_visit", call.visit_token)
        await patient.goto(f"{server.url}/visit/call")
        await expert.click("[data-knock=admit]", timeout=60_000)
        await patient.wait_for_selector(INSIDE)
        await patient.wait_for_selector(f"{OTHER}.has-picture")
        await expert.wait_for_selector(f"{OTHER}.has-picture", timeout=60_000)
        await expert.click("[data-consent=yes]")
        await patient.click("[data-consent=yes]")
        for page in (expert, patient):
            await page.wait_for_selector(".room[data-recording-state=on]")

        async def both_see_and_hear() -> None:
            before = await expert.evaluate(RECEIVED)
            await expert.wait_for_function(GOES_ON, arg=before, polling=250, timeout=60_000)
            await patient.wait_for(GOES_ON, await patient.evaluate(RECEIVED))

        await both_see_and_hear()
        seat = await expert.get_attribute(OTHER, "data-member-id")
        await patient.reload()
        await patient.wait_for_selector(INSIDE)
        await patient.wait_for_selector(f"{OTHER}.has-picture")
        await both_see_and_hear()
        assert await expert.get_attribute(OTHER, "data-member-id") == seat
        assert await expert.locator("[data-knock]:visible").count() == 0, "nobody is asked again"
        await patient.wait_for_selector(".room[data-recording-state=on]")
        await until_recorded(server.settings.spool, 3)
        await expert.wait_for_timeout(2_000)
        await patient.evaluate("() => { document.querySelector('[data-control=leave]').click(); }")
        await expert.wait_for_selector(OTHER, state="detached")

    files = [path for path in server.settings.spool.glob("*/*.*") if path.suffix in (".webm", ".mkv")]
    decoded = [decode_recording(path.read_bytes()) for path in files]
    assert len([one for one in decoded if one.frames > 20]) >= 3, "the expert's, and the patient's before and after"
