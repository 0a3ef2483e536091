"""What a scheduler, a patient and an expert do with Consult, by what they see: labels, buttons, sentences."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime
from pathlib import Path

from playwright.async_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.measures import count_frames, is_near, read_colour

MICROPHONE_CLOCK = """
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  window.micOpenedAt = [];
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await open(wanted);
    if (wanted.audio) window.micOpenedAt.push(Date.now());
    return stream;
  };
"""


def zone_where_it_is_noon(now: datetime) -> str:
    """Return a zone in which the working day has hours left, whenever the test runs."""
    ahead = 12 - now.astimezone(UTC).hour
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/UTC"


async def open_page(browser: Browser, url: str, *, width: int = 1280, zone: str = "Europe/Lisbon") -> Page:
    context = await browser.new_context(
        viewport={"width": width, "height": 800},
        timezone_id=zone,
        locale="en-GB",
        permissions=["camera", "microphone", "clipboard-read", "clipboard-write"],
    )
    await context.add_init_script(MICROPHONE_CLOCK)
    context.set_default_timeout(30_000)
    page = await context.new_page()
    await page.goto(url)
    return page


async def sign_in(page: Page, email: str, password: str) -> None:
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(re.compile("/(board|today)"))


class Room:
    """The call page of one person."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @property
    def context(self) -> BrowserContext:
        return self.page.context

    def face(self, name: str) -> Locator:
        return self.page.locator("[data-member-id]", has_text=name)

    def own_face(self) -> Locator:
        return self.page.locator("[data-member-id].is-me")

    @property
    def stage(self) -> Locator:
        return self.page.locator("[data-stage]")

    async def expect_recording(self, state: str) -> None:
        await expect(self.page.locator(f"[data-recording-state={state}]")).to_be_attached(timeout=15_000)

    async def agree_to_recording(self) -> None:
        await expect(self.page.get_by_text("May we record this call?")).to_be_visible()
        await self.page.get_by_role("button", name="Yes, record it").click()

    async def show_record(self, title: str) -> None:
        await self.page.locator("[data-control=records]").click()
        await self.page.get_by_role("dialog").get_by_role("button", name=title).click()
        await expect(self.stage).to_have_attribute("data-page", "1")

    async def say_in_chat(self, text: str) -> None:
        box = self.page.get_by_label("Write to everybody in the call")
        if not await box.is_visible():
            await self.page.locator("[data-control=chat]").click()
        await box.fill(text)
        await box.press("Enter")

    async def microphone_opened_at(self) -> datetime:
        opened_ms = await self.page.evaluate("window.micOpenedAt.at(-1)")
        return datetime.fromtimestamp(opened_ms / 1000, UTC)


async def expect_picture(room: Room, name: str, colour: tuple[int, int, int]) -> None:
    """Wait until somebody's picture is the right one and moves: at least 8 new frames within a second."""
    video = room.face(name).locator("video")
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        before = await count_frames(video)
        await asyncio.sleep(1)
        if await count_frames(video) >= before + 8 and is_near(await read_colour(video), colour):
            return
    raise AssertionError(f"{name}'s picture is {await read_colour(video)}, wanted {colour}, or stands still")


async def upload(page: Page, file: Path, *, shows: str) -> None:
    """Choose a file in the patient's step 2 and wait until it stands in the list."""
    await page.get_by_label("Add records or photos of them").set_input_files(file)
    await expect(page.locator("[data-records]").get_by_text(shows)).to_be_visible(timeout=20_000)
