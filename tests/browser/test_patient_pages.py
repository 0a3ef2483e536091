"""The patient's pages in a real Chromium: phone and desktop, light and dark, by keyboard alone, without scripts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import expect

from consult.domain.clock import utc_now
from consult.keys import POOL
from consult.scheduling.model import IssuedLink
from tests.browser.chromium import FLAGS, open_browser
from tests.browser.looks import DESKTOP, PHONE, check_look, open_quiet_page
from tests.browser.patient_walk import come_in, go_on, picture, walk_to_waiting_room
from tests.conftest import Server
from tests.integration.clinic import book_one, open_clinic

MAX_PAGE_BYTES = 100_000
ASKS_NOBODY = "--use-fake-ui-for-media-stream"


@pytest.fixture
async def link(server: Server) -> IssuedLink:
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        _, issued = await book_one(conn, await open_clinic(conn, now=now), now + timedelta(minutes=40), now=now)
    return issued


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
async def test_every_step_from_the_link_to_the_waiting_room(
    server: Server, link: IssuedLink, tmp_path: Path, width: int
) -> None:
    async with open_browser() as browser, open_quiet_page(browser, width) as page:
        await page.goto(f"{server.url}/join")
        await check_look(page)
        await page.goto(link.url(server.url))
        await page.wait_for_url(f"{server.url}/join", timeout=5000)  # the secret leaves the address bar at once
        await check_look(page)
        await page.reload()
        await walk_to_waiting_room(page, tmp_path, check=check_look)
        assert link.secret not in await page.evaluate("JSON.stringify({...sessionStorage, ...localStorage})")


async def test_the_keyboard_alone_leads_through_every_step(server: Server, link: IssuedLink) -> None:
    async with open_browser() as browser, open_quiet_page(browser, DESKTOP) as page:

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
        await press("Go to the content")  # a place in the page, and not another link's secret
        await press("Join")
        for here, button in (("when", "Continue"), ("records", "Continue"), ("devices", "Continue")):
            await page.wait_for_url(f"**/visit/{here}")
            await press(button)
        await page.wait_for_url("**/visit/recording")
        await press("Go to the waiting room")
        await page.wait_for_url("**/visit/call")


async def test_the_appointment_on_paper_says_when_and_how_to_come_in_and_has_nothing_to_press(
    server: Server, link: IssuedLink
) -> None:
    async with open_browser() as browser, open_quiet_page(browser) as page:
        await come_in(page, server, link)
        await page.goto(f"{server.url}/visit/when")
        way_in = page.get_by_text(f"{server.url}/join/new-link")
        await expect(way_in).to_be_hidden()
        await page.emulate_media(media="print")
        await expect(way_in).to_be_visible()
        await expect(page.locator("[data-when='clock']")).to_be_visible()
        for gone in (".button", ".site-head", "nav"):
            for one in await page.locator(gone).all():
                await expect(one).to_be_hidden()


async def test_what_is_typed_outlives_a_reload_and_a_lost_connection(server: Server, link: IssuedLink) -> None:
    async with open_browser() as browser, open_quiet_page(browser) as page:
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
    async with open_browser() as browser, open_quiet_page(browser) as page:
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
        async with open_browser(None, "--deny-permission-prompts") as browser, open_quiet_page(browser) as page:
            await come_in(page, server, link)
            await page.goto(f"{server.url}/visit/devices")
            await expect(page.get_by_text("Your browser keeps the camera and the microphone closed.")).to_be_visible()
            await expect(page.get_by_role("button", name="Try again")).to_have_count(1)
            await check_look(page)
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
    async with open_browser() as browser, open_quiet_page(browser) as page:
        await page.add_init_script(without_camera)
        await come_in(page, server, link)
        await page.goto(f"{server.url}/visit/devices")
        await expect(page.get_by_text(sentence)).to_be_visible()
        await expect(page.get_by_text("We hear you")).to_be_visible(timeout=15_000)
        await check_look(page)


async def test_a_closed_link_offers_a_new_one(server: Server) -> None:
    async with open_browser() as browser, open_quiet_page(browser) as page:
        await page.goto(f"{server.url}/join#{'A' * 43}")
        await page.get_by_role("button", name="Join").click()
        await expect(page.get_by_role("heading", name="This link no longer opens.")).to_be_focused()
        await check_look(page)
        await page.get_by_label("Number of your appointment, or your e-mail address").fill("ana@example.org")
        await page.get_by_role("button", name="Send me a new link").click()
        await expect(page.get_by_role("heading", name="Look into your mail.")).to_be_visible()
        await check_look(page)


async def test_without_scripts_all_but_the_call_works(server: Server, link: IssuedLink, tmp_path: Path) -> None:
    async with open_browser() as browser, open_quiet_page(browser, java_script_enabled=False) as page:
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
    async with open_browser() as browser, open_quiet_page(browser) as page:
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
