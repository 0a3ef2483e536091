"""The patient's pages in a real Chromium: phone and desktop, light and dark, by keyboard alone, without scripts."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.async_api import Browser, Page, expect

from consult.domain.clock import utc_now
from consult.keys import POOL
from consult.scheduling.model import IssuedLink
from tests.browser.chromium import FLAGS, find_accessibility_faults, open_browser
from tests.conftest import Server
from tests.integration.clinic import book_one, open_clinic

PHONE, DESKTOP = 360, 1280
MAX_PAGE_BYTES = 100_000
ASKS_NOBODY = "--use-fake-ui-for-media-stream"


@pytest.fixture
async def link(server: Server) -> IssuedLink:
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        _, issued = await book_one(conn, await open_clinic(conn, now=now), now + timedelta(minutes=40), now=now)
    return issued


@asynccontextmanager
async def open_page(browser: Browser, width: int = PHONE, **more: Any) -> AsyncIterator[Page]:
    """A page in Lisbon that fails its test for whatever the browser's console complains of."""
    known = {"timezone_id": "Europe/Lisbon", "locale": "en-GB", "viewport": {"width": width, "height": 800}}
    context = await browser.new_context(**(known | more))
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page
        # Chromium writes a line for every answer of 4xx; what those mean is asserted on the page.
        assert [line for line in complaints if not line.startswith("Failed to load resource")] == []
    finally:
        await context.close()


async def check(page: Page) -> None:
    """Nothing for axe to find, nothing wider than the screen, at most one filled button, every target large enough."""
    assert await find_accessibility_faults(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
    assert await page.locator(".button-main:visible").count() <= 1
    small = await page.evaluate(
        """[...document.querySelectorAll('button, select, input:not([type=hidden]), .button')]
             .filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 43.5)
             .map((one) => one.outerHTML)"""
    )
    assert small == []


async def go_on(page: Page, to: str) -> None:
    await page.locator(".step-end .button-main").click()
    await page.wait_for_url(f"**/visit/{to}")


async def come_in(page: Page, server: Server, link: IssuedLink) -> None:
    await page.goto(link.url(server.url))
    await page.get_by_role("button", name="Join").click()
    await page.wait_for_url("**/visit/when")


def picture(path: Path) -> Path:
    out = io.BytesIO()
    Image.new("RGB", (60, 40), "teal").save(out, "JPEG")
    path.write_bytes(out.getvalue())
    return path


@pytest.mark.parametrize(
    ("width", "scheme"), [(PHONE, "light"), (PHONE, "dark"), (DESKTOP, "light"), (DESKTOP, "dark")]
)
async def test_every_step_from_the_link_to_the_waiting_room(
    server: Server, link: IssuedLink, tmp_path: Path, width: int, scheme: str
) -> None:
    async with open_browser() as browser, open_page(browser, width, color_scheme=scheme) as page:
        await page.goto(f"{server.url}/join")
        await check(page)
        await page.goto(link.url(server.url))
        await page.wait_for_url(f"{server.url}/join", timeout=5000)  # the secret leaves the address bar at once
        await check(page)
        await page.reload()
        await page.get_by_role("button", name="Join").click()
        await page.wait_for_url("**/visit/when")
        assert link.secret not in await page.evaluate("JSON.stringify({...sessionStorage, ...localStorage})")
        await expect(page.get_by_text("Lisbon time")).to_be_visible()
        await check(page)

        await go_on(page, "records")
        await check(page)
        await page.get_by_label("Write a question").fill("Can I travel in June?")
        await page.get_by_role("button", name="Add this question").click()
        await expect(page.get_by_text("Can I travel in June?")).to_be_visible()
        (tmp_path / "letter.pdf").write_text("<html>no PDF</html>")
        await page.set_input_files("#file", [picture(tmp_path / "x-ray.jpg"), tmp_path / "letter.pdf"])
        await expect(page.get_by_role("link", name="x-ray")).to_be_visible(timeout=20_000)
        await expect(page.get_by_text("Your other files are safe.")).to_be_visible(timeout=20_000)
        await check(page)

        await go_on(page, "devices")
        await expect(page.get_by_text("We see you")).to_be_visible(timeout=15_000)
        await expect(page.get_by_text("We hear you")).to_be_visible(timeout=15_000)
        await expect(page.locator('[data-test="connection"] .state')).to_contain_text("Answers")
        await check(page)

        await go_on(page, "recording")
        await check(page)
        await go_on(page, "call")
        await expect(page.get_by_role("heading", name="You are in the right place, Ana.")).to_be_visible()
        await check(page)


async def test_the_keyboard_alone_leads_through_every_step(server: Server, link: IssuedLink) -> None:
    async with open_browser() as browser, open_page(browser, DESKTOP) as page:

        async def press(name: str) -> None:
            """Tab to the control of that name, as somebody without a mouse does, and press it. Its ring is visible."""
            for _ in range(40):
                await page.keyboard.press("Tab")
                focused = page.locator(":focus")
                words = await focused.get_attribute("aria-label") or await focused.inner_text()
                if words.strip() == name:
                    assert await focused.evaluate("(one) => getComputedStyle(one).outlineStyle") != "none"
                    await page.keyboard.press("Enter")
                    return
            raise AssertionError(f"Tab does not reach {name}")

        await page.goto(link.url(server.url))
        await press("Join")
        for here, button in (("when", "Continue"), ("records", "Continue"), ("devices", "Continue")):
            await page.wait_for_url(f"**/visit/{here}")
            await press(button)
        await page.wait_for_url("**/visit/recording")
        await press("Go to the waiting room")
        await page.wait_for_url("**/visit/call")


async def test_what_is_typed_outlives_a_reload_and_a_lost_connection(server: Server, link: IssuedLink) -> None:
    async with open_browser() as browser, open_page(browser) as page:
        await come_in(page, server, link)
        await page.goto(f"{server.url}/visit/records")
        field = page.get_by_label("Write a question")
        await field.fill("Is it growing?")
        await page.reload()
        await expect(field).to_have_value("Is it growing?")
        await page.context.set_offline(True)
        await page.get_by_role("button", name="Add this question").click()
        await expect(page.get_by_text("You seem to be offline.")).to_be_visible()
        await expect(field).to_have_value("Is it growing?")
        await page.context.set_offline(False)
        await page.get_by_role("button", name="Add this question").click()
        await expect(page.get_by_text("Your question is saved.")).to_be_visible()
        await expect(field).to_have_value("")


async def test_a_file_lost_on_the_way_can_be_tried_again(server: Server, link: IssuedLink, tmp_path: Path) -> None:
    async with open_browser() as browser, open_page(browser) as page:
        await come_in(page, server, link)
        await page.goto(f"{server.url}/visit/records")
        await page.context.set_offline(True)
        await page.set_input_files("#file", picture(tmp_path / "scan.jpg"))
        again = page.get_by_role("button", name="Try again")
        await expect(again).to_be_visible()
        await page.context.set_offline(False)
        await again.click()
        await expect(page.get_by_role("link", name="scan")).to_be_visible(timeout=20_000)


async def test_a_refused_camera_is_explained_and_nobody_is_held_up(server: Server, link: IssuedLink) -> None:
    def without_asking(flags: list[str]) -> list[str]:
        return [flag for flag in flags if flag != ASKS_NOBODY]

    FLAGS[:] = without_asking(FLAGS)  # without it, headless Chromium refuses like a person who presses "Block"
    try:
        async with open_browser(None, "--deny-permission-prompts") as browser, open_page(browser) as page:
            await come_in(page, server, link)
            await page.goto(f"{server.url}/visit/devices")
            await expect(page.get_by_text("Your browser keeps the camera and the microphone closed.")).to_be_visible()
            await expect(page.get_by_role("button", name="Try again")).to_have_count(1)
            await check(page)
            await go_on(page, "recording")
    finally:
        FLAGS.append(ASKS_NOBODY)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("NotFoundError", "We find no camera on this device."),
        ("NotReadableError", "The camera is being used by something else, or did not start."),
    ],
)
async def test_a_camera_that_is_missing_or_in_use_leaves_the_microphone(
    server: Server, link: IssuedLink, error: str, sentence: str
) -> None:
    without_camera = f"""
        const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wanted) => {{
          if (wanted.video) throw new DOMException("", "{error}");
          return open(wanted);
        }};"""
    async with open_browser() as browser, open_page(browser) as page:
        await page.add_init_script(without_camera)
        await come_in(page, server, link)
        await page.goto(f"{server.url}/visit/devices")
        await expect(page.get_by_text(sentence)).to_be_visible()
        await expect(page.get_by_text("We hear you")).to_be_visible(timeout=15_000)
        await check(page)


async def test_a_closed_link_offers_a_new_one(server: Server) -> None:
    async with open_browser() as browser, open_page(browser) as page:
        await page.goto(f"{server.url}/join#{'A' * 43}")
        await page.get_by_role("button", name="Join").click()
        await expect(page.get_by_role("heading", name="This link no longer opens.")).to_be_focused()
        await check(page)
        await page.get_by_label("Number of your appointment, or your e-mail address").fill("ana@example.org")
        await page.get_by_role("button", name="Send me a new link").click()
        await expect(page.get_by_role("heading", name="Look into your mail.")).to_be_visible()
        await check(page)


async def test_without_scripts_all_but_the_call_works(server: Server, link: IssuedLink, tmp_path: Path) -> None:
    async with open_browser() as browser, open_page(browser, java_script_enabled=False) as page:
        await page.goto(link.url(server.url))
        await page.get_by_label("Number of your appointment", exact=True).fill(str(link.number))
        await page.get_by_label("Code", exact=True).fill(link.code_to_read)
        await page.get_by_role("button", name="Join").click()
        await page.wait_for_url("**/visit/when")
        await go_on(page, "records")
        await page.set_input_files("#file", [picture(tmp_path / "a.jpg"), picture(tmp_path / "b.jpg")])
        await page.get_by_role("button", name="Send the files").click()
        await expect(page.get_by_role("link", name="b", exact=True)).to_be_visible(timeout=20_000)
        await page.get_by_label("Write a question").fill("Does it work without scripts?")
        await page.get_by_role("button", name="Add this question").click()
        await expect(page.locator(".question-text").last).to_have_text("Does it work without scripts?")
        await go_on(page, "devices")
        # Chromium parses <noscript> as if scripts ran when they are only switched off by a debugger.
        assert "The test needs JavaScript." in await page.content()
        await go_on(page, "recording")


async def test_a_page_before_the_call_weighs_less_than_100_kb(server: Server, link: IssuedLink) -> None:
    async with open_browser() as browser, open_page(browser) as page:
        await come_in(page, server, link)
        for step in ("when", "records", "devices", "recording"):
            session = await page.context.new_cdp_session(page)
            await session.send("Network.enable")
            await session.send("Network.setCacheDisabled", {"cacheDisabled": True})
            weights: list[float] = []
            session.on("Network.loadingFinished", lambda event, kept=weights: kept.append(event["encodedDataLength"]))
            await page.goto(f"{server.url}/visit/{step}", wait_until="networkidle")
            await session.detach()
            assert 0 < sum(weights) <= MAX_PAGE_BYTES, (step, sum(weights))
