"""What every page keeps to, light and dark: nothing for axe to find, nothing cut off, one filled button."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page

from tests.browser.chromium import find_accessibility_faults

PHONE, DESKTOP = 360, 1280
SHOTS = os.environ.get("CONSULT_SHOTS")  # a folder for pictures of every page, to be looked at

TOO_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
  [document.documentElement, ...document.querySelectorAll('main *')]
    .filter((one) => one.getBoundingClientRect().right > innerWidth + 1 || one === document.documentElement)
    .slice(0, 5).map((one) => one.outerHTML.slice(0, 160))"""
TOO_SMALL = """() => [...document.querySelectorAll('button, select, input:not([type=hidden]), .button')]
  .filter((one) => one.checkVisibility() && (one.closest('label') ?? one).getBoundingClientRect().height < 43.5)
  .map((one) => one.outerHTML)"""
# Every page of the navigation is in sight, and large enough for a thumb; none of many stands in a row alone.
NAV_OUT_OF_REACH = """() => [...document.querySelectorAll('.site-nav a')].filter((one, _, all) => {
  const box = one.getBoundingClientRect(), nav = one.closest('.site-nav');
  const beside = all.filter((other) => other.getBoundingClientRect().top === box.top);
  return box.left < -1 || box.right > innerWidth + 1 || box.height < 43.5 || nav.scrollWidth > nav.clientWidth + 1
    || (beside.length === 1 && all.length > 3);
}).map((one) => one.outerHTML)"""
# A colour on its way from one scheme to the other is neither.
FINISH_COLOURS = "() => document.getAnimations().forEach((one) => one instanceof CSSTransition && one.finish())"


@asynccontextmanager
async def open_quiet_page(browser: Browser, width: int = PHONE, **more: Any) -> AsyncIterator[Page]:
    """A page in Lisbon, light, that fails its test for whatever the browser's console complains of."""
    known = {"timezone_id": "Europe/Lisbon", "locale": "en-GB", "viewport": {"width": width, "height": 800}}
    context = await browser.new_context(**(known | more))
    context.set_default_timeout(30_000)
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


async def check_look(page: Page, name: str = "", *, small_targets: bool = False) -> None:
    """Check the page as it is now, in light and in dark colours.

    name: for its picture. small_targets: the staff's tables on a desktop have controls below 44 px.
    """
    where = name or page.url
    await _take_picture(page, where, "light")
    _none(where, await find_accessibility_faults(page))
    _none(where, await page.evaluate(TOO_WIDE))
    _none(where, await page.evaluate(NAV_OUT_OF_REACH))
    assert await page.locator("main .button-main:visible").count() <= 1, where
    if not small_targets:
        _none(where, await page.evaluate(TOO_SMALL))
    await page.emulate_media(color_scheme="dark")
    await page.evaluate(FINISH_COLOURS)
    await _take_picture(page, where, "dark")
    _none(f"{where}, dark", await find_accessibility_faults(page, colours_only=True))
    await page.emulate_media(color_scheme="light")
    await page.evaluate(FINISH_COLOURS)


def _none(where: str, faults: list[Any]) -> None:
    assert not faults, f"{where}: {faults}"


async def _take_picture(page: Page, where: str, scheme: str) -> None:
    if not SHOTS:
        return
    width = await page.evaluate("innerWidth")
    name = re.sub(r"[^\w.-]+", "-", where.rpartition("://")[2])[-60:]
    await page.screenshot(path=Path(SHOTS) / f"{width}-{scheme}-{name}.png", full_page=True)
