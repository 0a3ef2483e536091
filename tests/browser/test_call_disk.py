"""A recording that cannot be written: everybody is told, calmly, and the host can begin again; the call goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from consult.keys import SETTINGS
from tests.browser.call_page import (
    OTHER,
    PHONE,
    arrange_call,
    let_in,
    open_expert,
    open_patient,
    two_browsers,
)
from tests.browser.chromium import find_accessibility_faults
from tests.conftest import Server

pytestmark = pytest.mark.timeout(240)  # two Chromium processes on a busy machine

FAILED = "[data-band=failed]:not([hidden])"


async def test_a_disk_that_takes_nothing_is_told_calmly_and_tried_again(server: Server, tmp_path: Path) -> None:
    call = await arrange_call(server)
    spool = server.app[SETTINGS].spool
    spool.mkdir(parents=True, exist_ok=True)
    in_the_way = spool / call.appointment_id  # a file where the room's folder should be: no segment can be opened
    in_the_way.write_bytes(b"")
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call)
        patient = await open_patient(patient_browser, server, call, PHONE)
        await let_in(expert, patient)
        await expert.click("[data-consent=yes]")
        await patient.click("[data-consent=yes]")
        for page in (expert, patient):
            await page.wait_for_selector(FAILED)
            assert await page.get_attribute(".room", "data-recording-state") == "failed"
            assert await page.inner_text("[data-recording-word]") == "Recording stopped"
            assert await page.get_attribute("[data-band=failed]", "role") == "status"
            assert await page.locator(f"{OTHER}.has-picture").count() == 1, "the call goes on"
            assert await find_accessibility_faults(page) == []
            assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        assert "You need to do nothing." in await patient.inner_text("[data-band=failed]")
        assert await patient.locator("[data-record-again]:visible").count() == 0
        assert "the server's disk may be full" in await expert.inner_text("[data-band=failed]")

        in_the_way.unlink()
        await expert.focus("[data-record-again]")
        await expert.keyboard.press("Enter")
        for page in (expert, patient):
            await page.wait_for_selector(".room[data-recording-state=on]")
            await page.wait_for_selector("[data-band=failed]", state="hidden")
