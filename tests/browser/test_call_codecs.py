"""H.264 between two real browsers; sound that can be repeated."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page

from tests.browser.call_page import OTHER, arrange_call, let_in, open_expert, open_patient, two_browsers
from tests.browser.hearing import read_statistics
from tests.browser.measures import is_near, read_colour
from tests.conftest import Server

pytestmark = [pytest.mark.timeout(300), pytest.mark.in_pairs]
LIMIT_S = 60

# As a browser that has nothing but H.264.
H264_ALONE = """
  const prefer = RTCRtpTransceiver.prototype.setCodecPreferences;
  RTCRtpTransceiver.prototype.setCodecPreferences = function (codecs) {
    return prefer.call(this, codecs.filter((one) => !/vp8/i.test(one.mimeType)));
  };
"""


async def test_browsers_with_h264_alone_see_each_other(server: Server, tmp_path: Path) -> None:
    async def send_h264(context: BrowserContext) -> None:
        await context.add_init_script(f"{{ {H264_ALONE} }}")

    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call, prepare=send_h264)
        patient = await open_patient(patient_browser, server, call, prepare=send_h264)
        if not await encodes_h264(patient):
            pytest.skip("this Chromium does not encode H.264; aiortc's peers prove that it is forwarded")
        await let_in(expert, patient)
        async with asyncio.timeout(LIMIT_S):
            for page, colour in ((expert, (230, 140, 40)), (patient, (40, 70, 190))):
                while await received_codecs(page) != {"video/H264"}:
                    await asyncio.sleep(0.2)
                while not is_near(await read_colour(page.locator(f"{OTHER} video")), colour):
                    await asyncio.sleep(0.2)


async def test_lost_sound_is_asked_for_again(server: Server, tmp_path: Path) -> None:
    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call)
        patient = await open_patient(patient_browser, server, call)
        await let_in(expert, patient)
        answer: str = await patient.evaluate("() => window.mediaConnections.at(-1).remoteDescription.sdp")
        sound = [section for section in answer.split("m=") if section.startswith("audio")]
        assert sound and all("rtcp-fb:111 nack" in section for section in sound)
        assert all("useinbandfec=1" in section and "usedtx=1" in section for section in sound)


async def encodes_h264(page: Page) -> bool:
    codecs: list[str] = await page.evaluate(
        "() => RTCRtpSender.getCapabilities('video').codecs.map((one) => one.mimeType)"
    )
    return "video/H264" in codecs


async def received_codecs(page: Page) -> set[str]:
    """The codecs of the pictures that are decoded."""
    statistics = await read_statistics(page)
    codecs = {one["id"]: one["mimeType"] for one in statistics["found"] if one["type"] == "codec"}
    return {
        codecs[one["codecId"]] for one in statistics["found"]
        if one["type"] == "inbound-rtp" and one["kind"] == "video" and one.get("framesDecoded")
    }  # fmt: skip
