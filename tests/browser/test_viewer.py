"""Hands on a record: two fingers in Chromium's own touch input, and a photo that was taken with the phone turned."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator

import pytest
from PIL import Image, ImageDraw
from playwright.async_api import CDPSession, Page

from consult.domain.clock import utc_now
from consult.domain.ids import CaseId
from consult.keys import POOL, STORE
from consult.records import service as records
from consult.records.model import Record, UploadedBy
from tests.browser.call_page import INSIDE, PHONE, arrange_call, open_expert
from tests.browser.chromium import open_browser
from tests.conftest import Server

pytestmark = pytest.mark.timeout(180)  # Chromium on a busy machine

WIDTH, HEIGHT = 400, 300  # as the sensor stored it
COLOUR_AT = """(image, [x, y]) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  return [...pen.getImageData(x * canvas.width, y * canvas.height, 1, 1).data.slice(0, 3)];
}"""


async def test_two_fingers_zoom_where_they_are_and_one_moves_the_page(server: Server) -> None:
    call = await arrange_call(server)
    async with open_browser() as browser:
        page = await open_expert(browser, server, call, PHONE)
        await _show(page, call.picture)
        box = await page.locator(".stage").bounding_box()
        assert box is not None
        middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        touch = await page.context.new_cdp_session(page)

        await _touch(touch, "touchStart", (middle[0] - 30, middle[1]), (middle[0] + 30, middle[1]))
        for step in range(1, 7):
            await _touch(
                touch, "touchMove", (middle[0] - 30 - 10 * step, middle[1]), (middle[0] + 30 + 10 * step, middle[1])
            )
        await _touch(touch, "touchEnd")
        await page.wait_for_function("() => Number(document.querySelector('.stage').dataset.zoom) > 2.4")
        view = await _view(page)
        assert 2.4 < view["zoom"] < 3.6, "three times as far apart, three times as large"
        assert abs(view["x"] - 0.5) < 0.05 and abs(view["y"] - 0.5) < 0.05, "what was between the fingers stays there"
        assert await page.evaluate("() => window.visualViewport.scale") == 1, "the page itself does not zoom"

        await _touch(touch, "touchStart", middle)
        for step in range(1, 7):
            await _touch(touch, "touchMove", (middle[0] - 12 * step, middle[1]))
        await _touch(touch, "touchEnd")
        await page.wait_for_function(
            "(x) => Number(document.querySelector('.stage').dataset.x) > x + 0.03", arg=view["x"]
        )

        await _touch(touch, "touchStart", (middle[0] - 120, middle[1]), (middle[0] + 120, middle[1]))
        for step in range(1, 12):
            await _touch(
                touch, "touchMove", (middle[0] - 120 + 10 * step, middle[1]), (middle[0] + 120 - 10 * step, middle[1])
            )
        await _touch(touch, "touchEnd")
        await page.wait_for_function("() => Number(document.querySelector('.stage').dataset.zoom) === 1")
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


async def test_a_photo_taken_with_the_phone_turned_stands_upright(server: Server) -> None:
    call = await arrange_call(server)
    async with server.app[POOL].acquire() as conn:
        photo = await records.add_record(
            conn, server.app[STORE], CaseId(call.case_id), file_name="Photo.jpg", chunks=_chunks(draw_turned_photo()),
            uploaded_by=UploadedBy.STAFF, now=utc_now(),
        )  # fmt: skip
    async with open_browser() as browser:
        page = await open_expert(browser, server, call, PHONE)
        await _show(page, photo)
        image = page.locator(".stage img")
        assert await image.evaluate("(one) => [one.naturalWidth, one.naturalHeight]") == [HEIGHT, WIDTH]
        box = await page.locator(".stage-sheet").bounding_box()
        assert box is not None and abs(box["height"] / box["width"] - WIDTH / HEIGHT) < 0.02, "not squeezed"
        red, green, blue = await image.evaluate(COLOUR_AT, [0.9, 0.1])
        assert red > 180 and green < 90 and blue < 90, "the sensor's first corner is above, on the right"
        await page.click("[data-control=records]")
        await page.keyboard.press("Escape")
        await page.focus(".stage")
        await page.keyboard.press("r")
        await page.wait_for_selector(".stage[data-rotation='90']")
        turned = await page.locator(".stage-sheet").bounding_box()
        assert turned is not None and abs(turned["width"] / turned["height"] - WIDTH / HEIGHT) < 0.02


def draw_turned_photo() -> bytes:
    """A JPEG that says in its EXIF: turn me right by a quarter. The stored picture's first corner is red."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), (230, 230, 230))
    ImageDraw.Draw(picture).rectangle((0, 0, WIDTH // 4, HEIGHT // 4), fill=(220, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=95, exif=exif)
    return out.getvalue()


async def _show(page: Page, record: Record) -> None:
    await page.wait_for_selector(INSIDE)
    await page.click("[data-control=records]")
    await page.click(f'[data-record-id="{record.id}"]')
    await page.wait_for_selector(f".stage[data-record='{record.id}'] img")


async def _touch(touch: CDPSession, kind: str, *points: tuple[float, float]) -> None:
    fingers = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
    await touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})


async def _view(page: Page) -> dict[str, float]:
    found: dict[str, float] = await page.eval_on_selector(
        ".stage", "({dataset: {zoom, x, y}}) => ({zoom: Number(zoom), x: Number(x), y: Number(y)})"
    )
    return found


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data
