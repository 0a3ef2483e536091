"""The patient's way from the Join button to the waiting room, in any language that the catalogues have."""

from __future__ import annotations

import io
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from PIL import Image
from playwright.async_api import Page, expect

from consult.scheduling.model import IssuedLink
from tests.conftest import Server

Say = Callable[[str], str]  # the English sentence as the page says it


async def come_in(page: Page, server: Server, link: IssuedLink) -> None:
    await page.goto(link.url(server.url))
    await page.get_by_role("button", name="Join").click()
    await page.wait_for_url("**/visit/when")


async def go_on(page: Page, to: str) -> None:
    await page.locator(".step-end .button-main").click()
    await page.wait_for_url(f"**/visit/{to}")


async def walk_to_waiting_room(
    page: Page, folder: Path, *, check: Callable[[Page], Awaitable[None]], say: Say = str, city: str = "Lisbon"
) -> None:
    """Go through the four steps as somebody who does everything that is asked, and check each state of each page.

    folder: for the files that are uploaded; one of them is none of ours. city: the patient's, in their language.
    """
    await page.get_by_role("button", name=say("Join"), exact=True).click()
    await page.wait_for_url("**/visit/when")
    await expect(page.get_by_text(say("{city} time").format(city=city))).to_be_visible()
    await check(page)

    await go_on(page, "records")
    await check(page)
    await page.get_by_label(say("Write a question")).fill("Can I travel in June?")
    await page.get_by_role("button", name=say("Add this question")).click()
    await expect(page.get_by_text(say("Your question is saved."))).to_be_visible()
    await expect(page.get_by_text("Can I travel in June?")).to_be_visible()
    (folder / "letter.pdf").write_text("<html>no PDF</html>")
    await page.set_input_files("#file", [picture(folder / "x-ray.jpg"), folder / "letter.pdf"])
    await expect(page.get_by_role("link", name="x-ray")).to_be_visible(timeout=20_000)
    await expect(page.get_by_text(say("Your other files are safe."))).to_be_visible(timeout=20_000)
    await check(page)

    await go_on(page, "devices")
    await expect(page.get_by_text(say("We see you"))).to_be_visible(timeout=15_000)
    await expect(page.get_by_text(say("We hear you"), exact=True)).to_be_visible(timeout=15_000)
    answers = re.compile("|".join(map(say, ("Answers quickly", "Answers slowly"))))
    await expect(page.locator('[data-test="connection"] .state')).to_contain_text(answers)
    await check(page)

    await go_on(page, "recording")
    await check(page)
    await go_on(page, "call")
    greeting = say("You are in the right place, %(name)s.") % {"name": "Ana"}
    await expect(page.get_by_role("heading", name=greeting)).to_be_visible()
    await check(page)


def picture(path: Path) -> Path:
    """Write a small JPEG."""
    out = io.BytesIO()
    Image.new("RGB", (60, 40), "teal").save(out, "JPEG")
    path.write_bytes(out.getvalue())
    return path
