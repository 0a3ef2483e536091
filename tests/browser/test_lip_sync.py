"""Lips fit the voice in what is recorded: sound and picture of one instant stand at the same time in the file."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from pathlib import Path

import pytest
from playwright.async_api import Page

from tests.browser.call_page import INSIDE, OTHER, agree, arrange_call, let_in, open_expert, open_patient
from tests.browser.chromium import open_browser
from tests.browser.clapper import Clock, clap, decode_claps, measure_apart, measure_lateness, read_clock
from tests.conftest import Server

pytestmark = pytest.mark.timeout(240)

MOST_APART_MS = 100
BEFORE_S, AFTER_S = 8, 4


async def test_lips_fit_the_voice_from_a_recordings_first_second_to_its_last(server: Server) -> None:
    """Also in the segment after a reload; and what two people did at one instant stands at one instant."""
    call = await arrange_call(server)
    async with open_browser() as browser:
        expert = await open_expert(browser, server, call, prepare=clap)
        patient = await open_patient(browser, server, call, prepare=clap)
        await let_in(expert, patient)
        await agree(expert, patient)
        await asyncio.sleep(BEFORE_S)
        patient_before = await read_clock(patient)
        await patient.reload()
        await come_back(patient)
        await asyncio.sleep(AFTER_S)
        expert_throughout, patient_after = await read_clock(expert), await read_clock(patient)
        await expert.click("[data-control=end]")
        await expert.click("[data-end-yes]")
        await patient.wait_for_url("**/visit/after")
    of_expert, of_patient = (list_recordings(server.settings.spool, role) for role in ("expert", "patient"))
    assert (len(of_expert), len(of_patient)) == (1, 2)
    expect_in_step(of_expert[0], expert_throughout, seconds=BEFORE_S + AFTER_S)
    expect_in_step(of_patient[0], patient_before, seconds=BEFORE_S)
    expect_in_step(of_patient[1], patient_after, seconds=AFTER_S)


async def come_back(patient: Page) -> None:
    await patient.wait_for_selector(INSIDE)
    await patient.wait_for_selector(f"{OTHER}.has-picture")
    await patient.wait_for_selector(".room[data-recording-state=on]")


def list_recordings(spool: Path, role: str) -> list[Path]:
    """Return somebody's files in the order in which they began."""
    described = {path: json.loads(path.with_suffix(".json").read_text()) for path in spool.glob("*/*.webm")}
    own = [path for path, about in described.items() if about["role"] == role]
    return sorted(own, key=lambda path: int(described[path]["offset_ms"]))


def expect_in_step(path: Path, clock: Clock, *, seconds: float) -> None:
    """Every beep stands where its picture does, and every picture where the wall clock stood."""
    about = json.loads(path.with_suffix(".json").read_text())
    clapped = decode_claps(path.read_bytes())
    assert clapped.faults == 0
    apart_ms = [round(one) for one in measure_apart(clapped, clock)]
    print(f"{about['role']}: the picture stands after its sound by {apart_ms} ms")
    assert len(apart_ms) >= seconds - 1
    assert max(map(abs, apart_ms)) <= MOST_APART_MS, f"{about['role']}: picture after sound by {apart_ms} ms"
    began_ms = datetime.fromisoformat(about["started_at"]).timestamp() * 1000 + about["offset_ms"]
    late_ms = measure_lateness(clapped, clock, began_ms)
    print(f"{about['role']}: pictures are {min(late_ms):.0f} to {max(late_ms):.0f} ms late")
    assert max(map(abs, late_ms)) <= MOST_APART_MS, f"{about['role']}: {min(late_ms)} to {max(late_ms)} ms late"
