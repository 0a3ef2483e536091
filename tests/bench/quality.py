"""Two people in Chromium, one of them behind a bad line: how much of the sound is heard, how long pictures stand still.

`python -m tests.bench.quality [SECONDS]`; writes build/bench/quality.json. The patient's line loses 5 % each way, takes
150 ms there and back and carries 300 kbit/s each way; the expert's is good. The figures are the worse of both people's.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, Page

from consult.db import embedded
from consult.db.migrate import migrate
from consult.db.pool import create_pool
from consult.storage import open_store
from tests.browser import hearing
from tests.browser.call_page import agree, arrange_in, let_in, open_expert, open_patient
from tests.browser.chromium import FakeDevices, open_browser
from tests.browser.processes import Consult
from tests.impairment import PATCH_PAGE, Relay, Way

SECONDS = 60.0
SETTLE_S = 5  # what is seen and heard before does not count
LINE = Way(loss=0.05, delay_ms=75, rate_bps=300_000, queue_ms=500)
BUILD = Path("build/bench")


async def measure(expert: Page, patient: Page, relay: Relay, seconds: float) -> dict[str, Any]:
    """Return the figures of a call that has just begun."""
    await asyncio.sleep(SETTLE_S)
    began = {page: await hearing.read_statistics(page) for page in (expert, patient)}
    samples = []
    for _ in range(round(seconds / 5)):
        await asyncio.sleep(5)
        samples.append({"expert": await _line(expert), "patient": await _line(patient)})
    ended = {page: await hearing.read_statistics(page) for page in (expert, patient)}
    found: dict[str, Any] = {"samples": samples}
    for name, page in (("expert", expert), ("patient", patient)):
        since, until = began[page]["at_ms"], ended[page]["at_ms"]
        heard = await hearing.read_heard(page, since, until)
        freezes = await hearing.read_freezes(page, since, until)
        sent = [hearing.total(one[page], "outbound-rtp", "video", "bytesSent") for one in (began, ended)]
        found[name] = {
            "sound_percent": round(heard.percent, 2),
            "gaps_ms": [round(gap) for gap in heard.gaps_ms[:8]],
            "freezes_ms": [round(freeze) for freeze in freezes[:5]],
            "video_kbps": round((sent[1] - sent[0]) * 8 / (until - since), 1),
            "concealed_percent": round(_share(began[page], ended[page], "concealedSamples"), 2),
            "silent_percent": round(_share(began[page], ended[page], "silentConcealedSamples"), 2),
            "pictures": len(freezes) - 1,
        }
    found["line"] = {
        name: {"lost": way.counts.lost, "overflowed": way.counts.overflowed, "passed": way.counts.passed,
               "queue_ms": round(way.counts.longest_queue_ms)}
        for name, way in (("up", relay.up), ("down", relay.down))
    }  # fmt: skip
    return found


def _share(before: dict[str, Any], after: dict[str, Any], name: str) -> float:
    part, whole = (
        hearing.total(after, "inbound-rtp", "audio", one) - hearing.total(before, "inbound-rtp", "audio", one)
        for one in (name, "totalSamplesReceived")
    )
    return 100 * part / max(1.0, whole)


async def _line(page: Page) -> dict[str, float]:
    """What a page says of its own connection at this moment."""
    statistics = await hearing.read_statistics(page)
    pairs = [one for one in statistics["found"] if one["type"] == "candidate-pair" and one.get("nominated")]
    return {
        "target_kbps": round(hearing.total(statistics, "outbound-rtp", "video", "targetBitrate") / 1000),
        "available_kbps": round(max((one.get("availableOutgoingBitrate") or 0 for one in pairs), default=0) / 1000),
        "round_trip_ms": round(max((one.get("currentRoundTripTime") or 0 for one in pairs), default=0) * 1000),
        "sent_bytes": hearing.total(statistics, "outbound-rtp", "video", "bytesSent"),
        "repeated": hearing.total(statistics, "outbound-rtp", "video", "retransmittedPacketsSent"),
        "frozen_s": hearing.total(statistics, "inbound-rtp", "video", "totalFreezesDuration"),
        "jitter_buffer_ms": round(
            1000 * hearing.total(statistics, "inbound-rtp", "audio", "jitterBufferDelay")
            / max(1.0, hearing.total(statistics, "inbound-rtp", "audio", "jitterBufferEmittedCount"))
        ),
    }  # fmt: skip


async def run(folder: Path, database_url: str, seconds: float) -> dict[str, Any]:
    consult = Consult(database_url, folder / "home")
    pool = await create_pool(database_url)
    relay = Relay(LINE, LINE)
    street = hearing.paint_street(folder / "street.y4m")

    async def prepare_patient(context: BrowserContext) -> None:
        await hearing.prepare(context)
        await context.expose_function("throughLine", relay.rewrite)
        await context.add_init_script(PATCH_PAGE)

    consult.start("web")
    try:
        call = await arrange_in(pool, open_store((consult.home / "files").as_uri()))
        async with AsyncExitStack() as stack:
            clinic = await stack.enter_async_context(open_browser(FakeDevices(camera=street)))
            home = await stack.enter_async_context(open_browser(FakeDevices(camera=street)))
            expert = await open_expert(clinic, consult, call, prepare=hearing.prepare)
            patient = await open_patient(home, consult, call, prepare=prepare_patient)
            await let_in(expert, patient)
            await agree(expert, patient)
            return await measure(expert, patient, relay, seconds)
    finally:
        await relay.close()
        await pool.close()
        consult.stop()


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = embedded.start(folder / "postgres", log=folder / "postgres.log", fast=True)
        try:
            asyncio.run(migrate(server.url()))
            result = asyncio.run(run(folder, server.url(), seconds))
        finally:
            server.stop()
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "quality.json").write_text(json.dumps(result, indent=1))
    for sample in result["samples"]:
        print(sample)
    for name in ("line", "expert", "patient"):
        print(name, result[name])
    both = (result["expert"], result["patient"])
    figures = {
        "sound_percent": min(one["sound_percent"] for one in both),
        "longest_gap_ms": max(max(one["gaps_ms"], default=0) for one in both),
        "longest_freeze_ms": max(one["freezes_ms"][0] for one in both),
        "bitrate_kbps": max(one["video_kbps"] for one in both),
    }
    print("quality " + " ".join(f"{name}={value:g}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
