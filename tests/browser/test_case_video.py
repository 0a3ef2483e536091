"""The one video of a call on the case page, and filed recordings of both codecs, in a real Chromium."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from consult.consultations.compose import Plan, Track, compose
from consult.consultations.remux import remux
from consult.domain.clock import utc_now
from consult.keys import POOL, STORE
from tests.browser.chromium import open_browser
from tests.browser.looks import DESKTOP, PHONE, check_look, open_quiet_page
from tests.browser.measures import is_near, read_colour
from tests.conftest import Server
from tests.integration.real_pictures import STEP_MS, luma_of
from tests.integration.studio import MEMBER, Studio
from tests.integration.test_playback_page import signed_in
from tests.integration.tracks import write_track
from tests.rows import Booked, book

pytestmark = pytest.mark.timeout(300)

BLUE, ORANGE = (40, 80, 200), (220, 130, 40)
SECONDS = 4
STATES: dict[str, tuple[dict[str, str], str]] = {
    "none": ({}, "Everybody beside each other in one file."),
    "waiting": ({}, "The video is next in line."),
    "running": ({"started_at": "now()", "done_ms": "1500"}, "The video is being made: 00:01 of 00:04 are done."),
    "failed": ({"started_at": "now()", "failed_at": "now()"}, "The video could not be made."),
    "ready": (
        {"finished_at": "now()", "segments": "2", "blob_key": "'recordings/call.mp4'", "size_bytes": "34500000",
         "duration_ms": "754000"},
        "Download as one video (MP4)",
    ),
    "stale": (
        {"finished_at": "now()", "segments": "1", "blob_key": "'recordings/call.mp4'", "size_bytes": "34500000",
         "duration_ms": "754000"},
        "A part of the recording was filed after this video was made.",
    ),
}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    booked: Booked
    consultation_id: uuid.UUID


async def keep(server: Server, key: str, path: Path) -> int:
    data = await asyncio.to_thread(path.read_bytes)

    async def chunks() -> AsyncIterator[bytes]:
        yield data

    size: int = await server.app[STORE].put(key, chunks())
    return size


async def insert_segment(conn: Any, call: Call, key: str, who: str, media_type: str, size: int) -> None:
    await conn.execute(
        """insert into segments (id, consultation_id, member_id, person_id, name, role, offset_ms, duration_ms,
             has_audio, has_video, media_type, size_bytes, blob_key, filed_at)
           values ($1, $2, $3, $3, $4, 'patient', 0, $5, true, true, $6, $7, $8, now())""",
        uuid.uuid4(), call.consultation_id, f"person:{who}", who, SECONDS * 1000, media_type, size, key,
    )  # fmt: skip


@pytest.fixture
async def call(server: Server, tmp_path: Path) -> Call:
    """A call that is over, with a track of each codec and the video of both in the store."""
    tracks = {"Ana": BLUE, "Helen": ORANGE}
    async with server.app[POOL].acquire() as conn:
        made = Call(await book(conn, utc_now()), uuid.uuid4())
        await conn.execute(
            """insert into consultations (id, appointment_id, started_at, ended_at)
               values ($1, $2, now() - interval '1 minute', now())""",
            made.consultation_id, made.booked.appointment_id,
        )  # fmt: skip
        plan = []
        for who, colour in tracks.items():
            path = write_track(tmp_path / who, seconds=SECONDS, colour=colour, tone_hz=440)
            plan.append(Track(path, who, who, 0, SECONDS * 1000, True, True))
            size = await keep(server, f"recordings/{who}.webm", path)
            await insert_segment(conn, made, f"recordings/{who}.webm", who, "video/webm", size)
    compose(Plan(SECONDS * 1000, tuple(plan)), tmp_path / "call.mp4", lambda _: None)
    await keep(server, "recordings/call.mp4", tmp_path / "call.mp4")
    return made


async def set_state(server: Server, call: Call, state: str) -> None:
    columns = {"all_ms": str(SECONDS * 1000), **STATES[state][0]}
    async with server.app[POOL].acquire() as conn:
        await conn.execute("delete from compositions")
        if state != "none":
            await conn.execute(
                f"""insert into compositions (consultation_id, queued_at, {", ".join(columns)})
                    values ($1, now(), {", ".join(columns.values())})""",
                call.consultation_id,
            )


async def sign_page_in(server: Server, call: Call, page: Page) -> None:
    async with server.app[POOL].acquire() as conn:
        cookies = await signed_in(server, conn, call.booked.expert_id)
    await page.context.add_cookies(
        [{"name": name, "value": value, "url": server.url} for name, value in cookies.items()]
    )


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
async def test_each_state_of_the_video_is_said_in_words_and_looks_right(server: Server, call: Call, width: int) -> None:
    async with open_browser() as browser, open_quiet_page(browser, width) as page:
        await sign_page_in(server, call, page)
        for state, (_, words) in STATES.items():
            await set_state(server, call, state)
            await page.goto(f"{server.url}/cases/{call.booked.case_id}", timeout=60_000)
            part = page.locator("[data-part=video]")
            await expect(part).to_contain_text(words)
            await expect(part.get_by_role("button")).to_have_count(0 if state in ("waiting", "running") else 1)
            await check_look(page, f"case-video-{state}", small_targets=width == DESKTOP)


async def test_a_video_that_is_being_made_tells_how_far_and_can_then_be_saved_without_a_reload(
    server: Server, call: Call, tmp_path: Path
) -> None:
    await set_state(server, call, "waiting")
    async with open_browser() as browser, open_quiet_page(browser, DESKTOP) as page:
        await sign_page_in(server, call, page)
        await page.goto(f"{server.url}/cases/{call.booked.case_id}", timeout=60_000)
        await page.evaluate("window.stays = true")
        part = page.locator("[data-part=video]")
        await expect(part).to_contain_text("next in line")
        await set_state(server, call, "running")
        await expect(part).to_contain_text("00:01 of 00:04", timeout=30_000)
        await set_state(server, call, "ready")
        link = part.get_by_role("link", name="Download as one video (MP4)")
        await expect(link).to_be_visible(timeout=30_000)
        assert await page.evaluate("window.stays")
        async with page.expect_download() as saved:
            await link.click()
        download = await saved.value
        assert download.suggested_filename.startswith(f"consultation-{call.booked.case_id}-")
        await download.save_as(tmp_path / "saved.mp4")
        assert (tmp_path / "saved.mp4").read_bytes() == (tmp_path / "call.mp4").read_bytes()


async def test_chromium_plays_what_was_filed_of_both_codecs_and_the_video_of_the_whole_call(
    server: Server, call: Call, tmp_path: Path
) -> None:
    """The picture at an instant is the one that was sent then, after a seek too: 40 ms of grey per number."""
    async with server.app[POOL].acquire() as conn:
        for codec in ("vp8", "h264"):
            studio = Studio(tmp_path / codec, codec)  # type: ignore[arg-type]
            studio.recorder.begin(MEMBER, studio.publications, 0)
            for at_ms in range(0, SECONDS * 1000, 20):
                if not 1_000 <= at_ms < 2_000:  # a silent browser may send nothing
                    studio.say(at_ms)
                if at_ms % STEP_MS == 0:
                    studio.show(at_ms)
            studio.run()
            (segment,) = await studio.finished()
            facts = remux(tmp_path / codec / segment.path, tmp_path / f"{codec}.filed")
            size = await keep(server, f"recordings/{codec}", tmp_path / f"{codec}.filed")
            await insert_segment(conn, call, f"recordings/{codec}", codec, facts.media_type, size)
        rows = await conn.fetch("select id, name from segments where name in ('vp8', 'h264')")
    await set_state(server, call, "ready")
    async with open_browser() as browser, open_quiet_page(browser, DESKTOP) as page:
        await sign_page_in(server, call, page)
        await page.goto(f"{server.url}/cases/{call.booked.case_id}", timeout=60_000)
        for row in rows:
            duration, lumas = await _look_into(page, f"/segments/{row['id']}/media", [0.5, 1.5, 3.5, 2.5])
            assert duration == pytest.approx(SECONDS, abs=0.1), row["name"]
            for at_s, luma in lumas.items():
                near = [luma_of(int(at_s * 1000 / STEP_MS) + step) for step in (-1, 0, 1)]
                assert min(abs(luma - _shown(one)) for one in near) < 8, (row["name"], at_s, luma, near)
            await page.evaluate(PLAY_TO_THE_END)
        page_video = f"/consultations/{call.consultation_id}/video"
        await page.evaluate(LOAD, page_video)
        await page.evaluate(SEEK, 2.0)
        left = await read_colour(page.locator("#probe"))
        assert is_near(left, tuple((a + b) // 2 for a, b in zip(BLUE, ORANGE, strict=True)), 60)  # type: ignore[arg-type]


def _shown(luma: int) -> float:
    """Video range to what a screen shows."""
    return (luma - 16) * 255 / 219


LOAD = """async (url) => {
  document.getElementById("probe")?.remove();
  const video = Object.assign(document.createElement("video"), { id: "probe", src: url, muted: true, preload: "auto" });
  document.body.append(video);
  await new Promise((resolve, reject) => {
    video.oncanplay = resolve;
    video.onerror = () => reject(new Error(video.error?.message));
  });
  return video.duration;
}"""
SEEK = """async (at) => {
  const video = document.getElementById("probe");
  await new Promise((resolve) => { video.onseeked = resolve; video.currentTime = at; });
}"""
# Over the place where no sound was sent.
PLAY_TO_THE_END = """async () => {
  const video = document.getElementById("probe");
  await new Promise((resolve) => { video.onseeked = resolve; video.currentTime = 0.5; });
  await new Promise((resolve, reject) => {
    video.onended = resolve;
    video.onerror = () => reject(new Error(video.error?.message));
    video.play().catch(reject);
  });
}"""


async def _look_into(page: Page, url: str, places_s: list[float]) -> tuple[float, dict[float, float]]:
    """Return how long a file is and how bright it is at some places, by its <video>."""
    duration: float = await page.evaluate(LOAD, url)
    lumas = {}
    for at_s in places_s:
        await page.evaluate(SEEK, at_s)
        lumas[at_s] = (await read_colour(page.locator("#probe")))[1]
    return duration, lumas
