"""The main job, as three people do it: from opening a case to the transcript on the case page. Everything is real."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import aiohttp
import asyncpg
import pytest
from PIL import Image
from playwright.async_api import Browser, Page, expect

from tests.browser import script
from tests.browser.call_page import turn_page
from tests.browser.chromium import FakeDevices, find_accessibility_faults, open_browsers, paint_camera, say
from tests.browser.measures import (
    Decoded,
    decode_recording,
    is_near,
    word_error_rate,
)
from tests.browser.people import Room, expect_picture, open_page, sign_in, upload, zone_where_it_is_noon
from tests.browser.processes import Consult

pytestmark = pytest.mark.timeout(420)

PASSWORD = "a long password for the journey"
EXPERT, PATIENT = "Dr Helen Okafor", "Ana Ribeiro"
EXPERT_BLUE, PATIENT_ORANGE = (40, 80, 200), (220, 130, 40)
# That what was said and seen at one instant stands together is shown by test_lip_sync.py. Here sound and picture
# reach to both ends of the file, but for two things: of silence there is one packet in 400 ms (Opus DTX), and the
# picture begins with a keyframe, of which browsers make no second one within 300 ms and none before their next picture.
TOGETHER_MS = 100
SILENT_MS = 400 + TOGETHER_MS
NO_KEYFRAME_MS = 300 + 67 + TOGETHER_MS


async def test_a_second_opinion_from_booking_to_transcript(database_url: str, tmp_path: Path) -> None:
    consult = Consult(database_url, tmp_path / "home")
    zone = zone_where_it_is_noon(datetime.now(UTC))
    consult.create_staff(
        email="noor@clinic.test", name="Noor Aziz", role="scheduler", time_zone=zone, password=PASSWORD
    )
    consult.create_staff(
        email="helen@clinic.test", name=EXPERT, role="expert", time_zone=zone, password=PASSWORD,
        specialty="Thoracic oncology",
    )  # fmt: skip
    consult.start("web", "worker")
    at_the_clinic = FakeDevices(
        say(
            tmp_path / "expert.wav",
            script.EXPERT_VOICE,
            [*script.TEST_WORDS, *script.EXPERT_SAYS],
            seconds=script.SECONDS,
        ),
        paint_camera(tmp_path / "expert.y4m", EXPERT_BLUE),
    )
    at_home = FakeDevices(
        say(
            tmp_path / "patient.wav",
            script.PATIENT_VOICE,
            [*script.TEST_WORDS, *script.PATIENT_SAYS],
            seconds=script.SECONDS,
        ),
        paint_camera(tmp_path / "patient.y4m", PATIENT_ORANGE),
    )
    try:
        async with open_browsers(at_the_clinic, at_home) as (clinic, home):
            link = await book(clinic, consult.url, ZoneInfo(zone))
            patient_page = await prepare(home, link, tmp_path)
            expert_page = await open_page(clinic, f"{consult.url}/sign-in")
            await sign_in(expert_page, "helen@clinic.test", PASSWORD)
            expert, patient = Room(expert_page), Room(patient_page)
            await come_together(expert, patient)
            await look_at_records(expert, patient)
            said_at = (await expert.microphone_opened_at(), await patient.microphone_opened_at())
            await hear_everything_said(*said_at)
            await come_back_after_a_reload(expert, patient)
            await end(expert, patient)
            started_at = await fetch_start(database_url)
            await read_the_case(expert_page, consult, started_at, said_at)
    finally:
        consult.stop()


async def book(clinic: Browser, url: str, zone: ZoneInfo) -> str:
    """The scheduler opens a case, enters the expert's hours, books the next free slot and copies the link."""
    page = await open_page(clinic, f"{url}/sign-in")
    await page.get_by_label("E-mail").fill("noor@clinic.test")
    await page.get_by_label("Password").fill("not the password")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("do not fit together")).to_be_visible()
    await sign_in(page, "noor@clinic.test", PASSWORD)
    await page.get_by_role("link", name="Open a case").click()
    await page.get_by_label("Name", exact=True).fill(PATIENT)
    await page.get_by_label("E-mail address").fill("ana@patient.test")
    await page.get_by_label("Date of birth").fill("1965-03-02")
    await page.get_by_label("Diagnosis").fill("Lung cancer, stage IIIA")
    await page.get_by_label("First question").fill("Is surgery possible for me?")
    await page.get_by_role("button", name="Open the case").click()
    case_url = page.url
    await page.get_by_role("link", name="Experts").click()
    await enter_hours(page, zone)
    await page.goto(case_url)
    return await book_next_slot(page)


async def enter_hours(page: Page, zone: ZoneInfo) -> None:
    """From in three minutes on, in the expert's zone; hours that end before they start are refused and kept."""
    await page.get_by_role("link", name=f"Working hours of {EXPERT}").click()
    soon = datetime.now(zone) + timedelta(minutes=3)
    if not await page.get_by_label("From").count():
        await page.get_by_role("button", name="Add a row").click()
    await page.get_by_label("Day").first.select_option(str(soon.weekday()))
    await page.get_by_label("From").first.fill("18:00")
    await page.get_by_label("To", exact=True).first.fill("08:00")
    await page.get_by_role("button", name="Save the hours").click()
    await expect(page.get_by_label("From").first).to_have_value("18:00")
    await expect(page.locator(".field-wrong").first).to_be_visible()
    await page.get_by_label("From").first.fill(f"{soon:%H:%M}")
    await page.get_by_label("To", exact=True).first.fill("23:45")
    await page.get_by_role("button", name="Save the hours").click()
    await expect(page.locator(".field-wrong")).to_have_count(0)


async def book_next_slot(page: Page) -> str:
    """Book the first free time of today; the same time cannot be booked from a page that was opened before."""
    await page.get_by_role("link", name="Book a time").first.click()
    stale = await page.context.new_page()
    await stale.goto(page.url)
    for each in (page, stale):
        await each.locator("input[name=slot] + label").first.click()
    await page.get_by_role("button", name="Book this time").first.click()
    await expect(page.get_by_role("button", name="Copy the link")).to_be_visible()
    await page.get_by_role("button", name="Copy the link").click()
    link = str(await page.evaluate("navigator.clipboard.readText()"))
    assert re.fullmatch(r"http://localhost:\d+/join#[A-Za-z0-9_-]{43}", link)
    await stale.get_by_role("button", name="Book this time").first.click()
    await expect(stale.locator(".field-wrong").first).to_be_visible()
    await stale.close()
    await expect_mail_in_outbox(page)
    return link


async def expect_mail_in_outbox(page: Page) -> None:
    await page.get_by_role("link", name="Messages").click()
    for _ in range(20):
        if await page.get_by_text("ana@patient.test").count():
            break
        await asyncio.sleep(0.5)
        await page.reload()
    await expect(page.get_by_text("ana@patient.test").first).to_be_visible()


async def prepare(home: Browser, link: str, folder: Path) -> Page:
    """The patient goes through the four steps, from the link to the lobby."""
    page = await open_page(home, link, width=360)
    await expect(page.get_by_role("button", name="Join")).to_be_visible()
    assert "#" not in page.url, "the secret should leave the address bar at once"
    await page.get_by_role("button", name="Join").click()
    await page.wait_for_url("**/visit/**")
    await expect(page.get_by_text(EXPERT).first).to_be_visible()
    await expect(page.get_by_text("Lisbon").first).to_be_visible()
    await page.get_by_role("button", name="Continue").click()
    await upload(page, write_pdf(folder / "pathology report.pdf"), shows="pathology report")
    await upload(page, write_picture(folder / "photo of the scan.png"), shows="photo of the scan")
    await page.get_by_label(re.compile("question", re.I)).last.fill("Can I travel in June?")
    await page.get_by_role("button", name="Add this question").click()
    await expect(page.locator("[data-questions]").get_by_text("Can I travel in June?")).to_be_visible()
    await page.get_by_role("button", name="Continue").click()
    await expect(page.locator("[data-test=microphone]").get_by_text("We hear you")).to_be_visible(timeout=20_000)
    await expect(page.locator("[data-test=camera]").get_by_text("We see you")).to_be_visible()
    await page.get_by_role("button", name="Continue").click()
    await page.get_by_role("button", name="Go to the waiting room").click()
    await expect(page.get_by_text("You are in the right place, Ana.")).to_be_visible()
    return page


async def come_together(expert: Room, patient: Room) -> None:
    """The expert sees the knock, admits; both agree; both see and hear each other; only then is anything recorded."""
    await expect(patient.page.locator("[data-lobby-state=expert-absent]")).to_be_visible(timeout=15_000)
    await expert.page.get_by_role("link", name=re.compile("Open the call")).first.click()
    await expect(patient.page.locator("[data-lobby-state=expert-told]")).to_be_visible(timeout=15_000)
    await expert.page.get_by_role("button", name=re.compile("Let .*in|Admit")).click()
    await expect(patient.face(EXPERT)).to_be_visible(timeout=15_000)
    await expert.agree_to_recording()
    await expert.expect_recording("asking")
    await patient.agree_to_recording()
    await asyncio.gather(expert.expect_recording("on"), patient.expect_recording("on"))
    await asyncio.gather(expect_picture(expert, PATIENT, PATIENT_ORANGE), expect_picture(patient, EXPERT, EXPERT_BLUE))


async def look_at_records(expert: Room, patient: Room) -> None:
    """Pages, zoom and pointer in step; the patient looks around and comes back; chat both ways."""
    await expert.show_record("pathology report")
    await expect(patient.stage).to_have_attribute("data-page", "1")
    await turn_page(expert.page, patient.page, 2)
    await expert.page.locator("[data-view=larger]").click()
    zoom = await expert.stage.get_attribute("data-zoom")
    await expect(patient.stage).to_have_attribute("data-zoom", zoom or "")
    box = await expert.stage.bounding_box()
    assert box
    await expert.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await expect(patient.page.locator("[data-pointer-of]")).to_be_visible()
    await patient.page.get_by_role("radio", name="Look around").check()
    await expert.page.locator("[data-view=next]").click()
    await expect(expert.stage).to_have_attribute("data-page", "3")
    await expect(patient.stage).to_have_attribute("data-page", "2")
    await patient.page.get_by_role("radio", name=re.compile("^Follow")).check()
    await expect(patient.stage).to_have_attribute("data-page", "3")
    await expert.show_record("photo of the scan")
    await expect(patient.page.get_by_text("photo of the scan").first).to_be_attached()
    await expert.say_in_chat("Do you see the picture?")
    await expect(patient.page.locator("[data-chat-lines]")).to_contain_text("Do you see the picture?")
    await expert.page.locator("[data-control=microphone]").click()
    await expect(patient.face(EXPERT)).to_have_attribute("data-microphone", "off")
    await expert.page.locator("[data-control=microphone]").click()
    await expect(patient.face(EXPERT)).to_have_attribute("data-microphone", "on")


async def hear_everything_said(*microphones: datetime) -> None:
    """Wait until both have said their last sentence."""
    last_s = max(start for start, _ in script.PATIENT_SAYS + script.EXPERT_SAYS) + 7
    over = max(microphones) + timedelta(seconds=last_s)
    await asyncio.sleep(max(0, (over - datetime.now(UTC)).total_seconds()))


async def come_back_after_a_reload(expert: Room, patient: Room) -> None:
    """Either page reloaded: the same seat, nobody admits again, and the recording goes on as a further segment."""
    await patient.page.reload()
    await expect(patient.face(EXPERT)).to_be_visible(timeout=15_000)
    await asyncio.gather(expert.expect_recording("on"), patient.expect_recording("on"))
    await expect_picture(expert, PATIENT, PATIENT_ORANGE)
    await expect(patient.page.locator("[data-chat-lines]")).to_contain_text("Do you see the picture?")
    await expert.page.reload()
    await expect(expert.face(PATIENT)).to_be_visible(timeout=15_000)
    await expect_picture(patient, EXPERT, EXPERT_BLUE)
    await expert.expect_recording("on")
    await asyncio.sleep(3)


async def end(expert: Room, patient: Room) -> None:
    await expert.page.locator("[data-control=end]").click()
    await expert.page.locator("[data-end-yes]").click()
    await patient.page.wait_for_url("**/visit/after")
    await expert.page.wait_for_url("**/cases/*")
    assert await find_accessibility_faults(patient.page) == []


async def fetch_start(database_url: str) -> datetime:
    conn = await asyncpg.connect(database_url)
    try:
        started_at: datetime = await conn.fetchval("select started_at from consultations")
        return started_at
    finally:
        await conn.close()


async def read_the_case(page: Page, consult: Consult, started_at: datetime, said_at: tuple[datetime, datetime]) -> None:
    """Transcript with the right words under the right names at the right times; recordings that play in step."""
    await expect(page.locator("[data-part=text-state]")).to_have_attribute("data-state", "ready", timeout=150_000)
    await page.reload()
    for name, sentences, microphone in (
        (EXPERT, script.EXPERT_SAYS, said_at[0]),
        (PATIENT, script.PATIENT_SAYS, said_at[1]),
    ):
        turns = page.locator("li.turn:not(.turn-written)", has_text=name)
        heard = [
            (int(await one.get_attribute("data-start") or 0), (await one.locator("p").inner_text()).replace(name, ""))
            for one in await turns.all()
        ]
        for start_s, sentence in sentences:
            expected_ms = (microphone - started_at).total_seconds() * 1000 + start_s * 1000
            start_ms, text = min(heard, key=lambda turn: abs(turn[0] - expected_ms))
            assert abs(start_ms - expected_ms) <= 500, f"{sentence!r} at {expected_ms:.0f} was heard at {start_ms}"
            assert word_error_rate(sentence, text) <= 0.5, f"{sentence!r} was heard as {text!r}"
        said = " ".join(sentence for _, sentence in sentences)
        first_ms = (microphone - started_at).total_seconds() * 1000 + sentences[0][0] * 1000 - 500
        last_ms = (microphone - started_at).total_seconds() * 1000 + sentences[-1][0] * 1000 + 500
        caught = " ".join(text for start_ms, text in heard if first_ms <= start_ms <= last_ms)
        rate = word_error_rate(said, caught)
        assert rate <= 0.2, f"{name}: word error rate {rate:.0%}: {caught!r}"
    await expect_recordings(page, consult)
    await expect_playback(page)
    assert await find_accessibility_faults(page) == []


async def expect_recordings(page: Page, consult: Consult) -> None:
    """Every file decodes from first to last frame, in its person's colour, sound and picture from end to end."""
    links = await page.locator("a[href^='/segments/']").evaluate_all(
        "all => all.map((one) => [one.href, one.textContent])"
    )
    for name in (EXPERT, PATIENT):
        assert sum(name in words for _, words in links) >= 2, "each was recorded before and after the reload"
    cookies = {one["name"]: one["value"] for one in await page.context.cookies()}
    async with aiohttp.ClientSession(cookies=cookies) as http:
        for href, words in links:
            async with http.get(href) as answer:
                assert answer.status == 200
                recording = decode_recording(await answer.read())
            assert recording.faults == 0
            assert recording.frames > 5
            assert is_near(recording.colour, EXPERT_BLUE if EXPERT in words else PATIENT_ORANGE)
            expect_both_from_end_to_end(recording, words)
    async with aiohttp.ClientSession() as stranger, stranger.get(links[0][0], allow_redirects=False) as answer:
        assert answer.status in (302, 303, 401, 403, 404), "a recording was given to somebody who is not signed in"


def expect_both_from_end_to_end(recording: Decoded, words: str) -> None:
    """Neither sound nor picture is missing at either end."""
    begins_ms = recording.audio_ms[0] - recording.video_ms[0]
    ends_ms = recording.audio_ms[1] - recording.video_ms[1]
    assert -NO_KEYFRAME_MS <= begins_ms <= SILENT_MS, f"{words}: sound begins {begins_ms} ms after the picture"
    assert -SILENT_MS <= ends_ms <= TOGETHER_MS, f"{words}: sound ends {ends_ms} ms after the picture"


PLACES = """() => {
  const root = document.querySelector("[data-consultation]");
  const segments = JSON.parse(root.dataset.consultation).segments;
  return [...root.querySelectorAll("[data-person] video")].map((video) => {
    const segment = segments.find((each) => video.currentSrc.includes(each.id));
    return segment && !video.paused ? segment.offset_ms + video.currentTime * 1000 : null;
  });
}"""


async def expect_playback(page: Page) -> None:
    """A click on a turn seeks everybody's video there, and they run on from it in step."""
    turn = page.locator("li.turn:not(.turn-written)", has_text=script.EXPERT_SAYS[2][1].split()[-1]).first
    start_ms = int(await turn.get_attribute("data-start") or 0)
    await turn.get_by_role("button").first.click()
    clicked_s = time.monotonic()
    windows: list[list[float]] = []
    while time.monotonic() < clicked_s + 40:
        windows.append(await watch_playback(page, start_ms, clicked_s))
        if windows[-1] and statistics.median(windows[-1]) <= 100:
            return
    raise AssertionError(f"after a click on the turn at {start_ms} the videos stood apart by {windows} ms")


async def watch_playback(page: Page, start_ms: int, clicked_s: float) -> list[float]:
    """Return how far apart the two videos were, in ms, ten times within 2 s; empty unless both ran all the while.

    None of them was before the turn, nor further than the time since the click allows.
    """
    apart: list[float] = []
    for _ in range(10):
        await asyncio.sleep(0.2)
        places: list[float | None] = await page.evaluate(PLACES)
        passed_ms = (time.monotonic() - clicked_s) * 1000
        running = [place for place in places if place is not None]
        assert all(start_ms - 100 <= place <= start_ms + passed_ms + 300 for place in running), (start_ms, places)
        if len(running) != 2:
            return []
        apart.append(max(running) - min(running))
    return apart


def write_pdf(path: Path) -> Path:
    """Three pages, each of another grey, so that a page can be told from the next."""
    pages = [Image.new("RGB", (595, 842), (shade, shade, 255)) for shade in (250, 220, 190)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


def write_picture(path: Path) -> Path:
    Image.radial_gradient("L").resize((640, 640)).save(path)
    return path
