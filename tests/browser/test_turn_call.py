"""A call whose media goes through a real coturn alone, as on a network that lets nothing else out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from consult.settings import Settings
from tests.browser.call_page import agree, arrange_call, let_in, open_expert, open_patient, two_browsers
from tests.turn_server import LOOPBACK_PEERS, SECRET, run_coturn

pytestmark = [pytest.mark.timeout(180), pytest.mark.in_pairs]  # two Chromium processes on a busy machine

HEARD = """async () => {
  const peer = window.mediaConnections.at(-1);
  const stats = [...(await peer.getStats()).values()];
  const transport = stats.find((one) => one.type === "transport");
  const pair = stats.find((one) => one.id === transport.selectedCandidatePairId);
  const found = {frames: 0, loudness: 0};
  found.way = stats.find((one) => one.id === pair?.localCandidateId)?.candidateType;
  found.ways = [...new Set(stats.filter((one) => one.type === "local-candidate").map((one) => one.candidateType))];
  for (const one of stats) {
    if (one.type !== "inbound-rtp") continue;
    if (one.kind === "video") found.frames += one.framesDecoded ?? 0;
    if (one.kind === "audio") found.loudness += one.totalAudioEnergy ?? 0;
  }
  return found;
}"""
USER = "() => window.mediaConnections.at(-1).getConfiguration().iceServers[0].username"
SIX_MINUTES_LATER = """() => {
  const now = performance.now.bind(performance);
  performance.now = () => now() + 6 * 60_000;
}"""


async def test_a_call_goes_through_turn_alone_and_on_with_fresh_credentials_when_turn_was_away(
    make_settings: Callable[..., Settings], start_server: Callable[..., Any], tmp_path: Path
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        with run_coturn(tmp_path, more=LOOPBACK_PEERS) as turn:
            server = await start_server(
                make_settings(turn_urls=turn.url, turn_secret=SECRET, ice_policy="relay", media_hosts="127.0.0.1")
            )
            call = await arrange_call(server)
            expert_browser, patient_browser = await stack.enter_async_context(two_browsers(tmp_path))
            expert = await open_expert(expert_browser, server, call)
            patient = await open_patient(patient_browser, server, call)
            await let_in(expert, patient)
            await agree(expert, patient)
            for page in (expert, patient):
                await _sees_and_hears_through_turn(page)
            first = {page: await page.evaluate(USER) for page in (expert, patient)}
            for page in (expert, patient):
                await page.evaluate(SIX_MINUTES_LATER)
        with run_coturn(tmp_path, more=LOOPBACK_PEERS, port=turn.port):
            for page in (expert, patient):
                await page.wait_for_function(f"(first) => ({USER})() !== first", arg=first[page], timeout=60_000)
            for page in (expert, patient):
                await _sees_and_hears_through_turn(page)


async def _sees_and_hears_through_turn(page: Page) -> None:
    """Wait until both have gone on; everything this browser offers and uses is a relay."""
    await page.wait_for_selector(".room[data-media-state=connected]", timeout=60_000)
    before = await page.evaluate(HEARD)
    await page.wait_for_function(
        f"""async (before) => {{
          const now = await ({HEARD})();
          return now.frames >= before.frames + 20 && now.loudness > before.loudness;
        }}""",
        arg=before,
        polling=250,
    )
    now = await page.evaluate(HEARD)
    assert now["way"] == "relay"
    assert now["ways"] == ["relay"]
