"""A media process that is killed under a call, as two people live through it in Chromium: everything is real."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from uuid import UUID

import pytest
from playwright.async_api import Page
from redis.asyncio import Redis

from consult.consultations import service as consultations
from consult.storage import open_store
from signaling.redis_bus import ROOM_KEY
from tests.browser.call_page import OTHER, agree, arrange_in, let_in, open_expert, open_patient, two_browsers
from tests.browser.processes import Consult
from tests.browser.test_call_trouble import _end, _wait_for_segments
from tests.conftest import Database

pytestmark = pytest.mark.timeout(300)  # two Chromium processes and five of our own

WITHIN_S = 60
HEARS_AGAIN = """async (connections) => {
  if (window.mediaConnections.length <= connections) return false;
  for (const one of (await window.mediaConnections.at(-1).getStats()).values())
    if (one.type === "inbound-rtp" && one.kind === "audio" && one.packetsReceived > 5) return true;
  return false;
}"""


async def until_heard_again(page: Page, connections: int) -> float:
    """Wait for sound of the other on a connection after the first `connections`; return when it was, s since 1970."""
    async with asyncio.timeout(WITHIN_S):
        while not await page.evaluate(HEARS_AGAIN, connections):
            await asyncio.sleep(0.02)
    return time.time()


async def kill_holder(consult: Consult, redis_url: str, room_id: str) -> tuple[str, float]:
    """Kill the media process that holds a room; return its node and when, s since 1970."""
    client = Redis.from_url(redis_url)
    node = str(await client.get(ROOM_KEY + room_id), "utf-8")
    await client.aclose()
    process = consult.node_process(node)
    killed_at = time.time()
    process.kill()
    return node, killed_at


async def test_a_killed_media_process_asks_nobody_anything(database: Database, redis_url: str, tmp_path: Path) -> None:
    consult = Consult(database.url, tmp_path / "home", REDIS_URL=redis_url)
    call = await arrange_in(database.pool, open_store((tmp_path / "home" / "files").as_uri()))
    try:
        consult.start("web", "media", "worker")
        async with two_browsers(tmp_path) as (expert_browser, patient_browser):
            expert = await open_expert(expert_browser, consult, call)
            patient = await open_patient(patient_browser, consult, call)
            await let_in(expert, patient)
            await agree(expert, patient)
            seats = [await page.get_attribute(OTHER, "data-member-id") for page in (expert, patient)]
            await expert.wait_for_timeout(3000)
            _, killed_at = await kill_holder(consult, redis_url, call.appointment_id)
            for page in (expert, patient):
                await until_heard_again(page, 1)
                await page.wait_for_selector(".room[data-connection-state=open]")
                await page.wait_for_selector(".room[data-recording-state=on]")
                await page.wait_for_selector(f"{OTHER}.has-picture")
                assert await page.locator("[data-knock]:visible, [data-consent]:visible").count() == 0
            assert [await page.get_attribute(OTHER, "data-member-id") for page in (expert, patient)] == seats
            await expert.wait_for_timeout(3000)
            await _end(expert)
        segments = await _wait_for_segments(database, call.appointment_id, count=4)
        async with database.pool.acquire() as conn:
            consultation = await consultations.find_consultation_of(conn, UUID(call.appointment_id))
        assert consultation is not None
        killed_ms = (killed_at - consultation.started_at.timestamp()) * 1000
        for member in {one.member_id for one in segments}:
            first, second = [one for one in segments if one.member_id == member]
            assert first.has_audio and first.has_video and second.has_audio and second.has_video
            assert killed_ms - 1000 <= first.end_ms <= killed_ms + 200
            assert second.offset_ms > killed_ms
    finally:
        consult.stop()
