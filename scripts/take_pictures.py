"""Take the README's pictures from a running demonstration: `python -m scripts.take_pictures`.

Plays scheduler, patient and expert in Chromium with drawn faces and flite's voices; writes docs/pictures/*.png.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw
from playwright.async_api import Page, expect

from tests.browser.chromium import FPS, HEIGHT, WIDTH, FakeDevices, open_browser, say
from tests.browser.people import Room, open_page
from tests.browser.sentences import SENTENCES
from tests.conftest import free_port

TOP = Path(__file__).resolve().parent.parent
PICTURES = TOP / "docs" / "pictures"
SECONDS = 60.0


def draw_face(path: Path, wall: str, hair: str, shirt: str) -> Path:
    """Write a Y4M of a drawn person who nods a little."""
    with path.open("wb") as out:
        out.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip A1:1 C420jpeg\n".encode())
        for number in range(2 * FPS):
            nod = abs(number - FPS) // 5
            image = Image.new("RGB", (WIDTH, HEIGHT), wall)
            draw = ImageDraw.Draw(image)
            draw.ellipse((70, 175, 250, 400), fill=shirt)
            draw.rounded_rectangle((142, 140, 178, 200), 14, fill="#d29a78")
            draw.ellipse((112, 48 + nod, 208, 168 + nod), fill="#dba684")
            draw.chord((106, 38 + nod, 214, 150 + nod), 175, 365, fill=hair)
            planes = image.convert("YCbCr").split()
            half = (WIDTH // 2, HEIGHT // 2)
            out.write(b"FRAME\n" + planes[0].tobytes() + b"".join(one.resize(half).tobytes() for one in planes[1:]))
    return path


def voice(path: Path, name: str, first_s: float) -> Path:
    return say(path, name, [(first_s + 8 * at, text) for at, text in enumerate(SENTENCES[name])], seconds=SECONDS)


def start_demonstration(home: Path) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """Return the process and its three links."""
    environment = {
        **os.environ,
        "CONSULT_HOME": str(home),
        "PORT": str(free_port()),
        "CLINIC_NAME": "Northlake Clinic",
        "MEDIA_HOSTS": "127.0.0.1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "consult", "demo"], cwd=TOP, env=environment, stdout=subprocess.PIPE, text=True
    )
    links: dict[str, str] = {}
    assert process.stdout
    for line in process.stdout:
        if line.startswith("Ready"):
            return process, links
        name, _, link = line.strip().partition(": ")
        links[name] = link
    raise SystemExit("The demonstration did not start.")


async def save(page: Page, name: str, *, height: int = 800) -> None:
    await page.set_viewport_size({"width": 1280, "height": height})
    await page.wait_for_timeout(700)
    await page.screenshot(path=PICTURES / f"{name}.png")


async def play(links: dict[str, str], folder: Path) -> None:
    expert_devices = FakeDevices(
        voice(folder / "expert.wav", "rms", 9), draw_face(folder / "expert.y4m", "#c9d6d3", "#3b2a22", "#1f5d5a")
    )
    patient_devices = FakeDevices(
        voice(folder / "patient.wav", "awb", 13), draw_face(folder / "patient.y4m", "#ddd6c4", "#6b5a4e", "#8a5a3a")
    )
    async with open_browser(expert_devices) as clinic, open_browser(patient_devices) as home:
        patient = await open_page(home, links["Patient"])
        await patient.get_by_role("button", name="Join").click()
        for _ in range(3):
            await patient.get_by_role("button", name="Continue").click()
        await patient.get_by_role("button", name="Go to the waiting room").click()
        expert = await open_page(clinic, links["Expert"], zone="Europe/London")
        await expert.get_by_role("button").first.click()
        await expert.get_by_role("link", name=re.compile("Open the call")).first.click()
        await expect(patient.locator("[data-lobby-state=expert-told]")).to_be_visible()
        await save(patient, "lobby")
        scheduler = await open_page(clinic, links["Scheduler"], zone="Europe/London")
        await scheduler.get_by_role("button").first.click()
        await scheduler.wait_for_url("**/board")
        await fill_a_day(scheduler)
        await save(scheduler, "board", height=1000)
        await talk(Room(expert), Room(patient))
        await expert.wait_for_url("**/cases/*")
        await expect(expert.locator("[data-part=text-state]")).to_have_attribute("data-state", "ready", timeout=120_000)
        await expert.reload()
        await expert.locator("li.turn").nth(3).get_by_role("button").first.click()
        await expert.wait_for_timeout(1500)
        await expert.get_by_role("button", name="Pause").click()
        await save(expert, "case", height=1400)


async def fill_a_day(page: Page) -> None:
    """Book two times on the first free day, and show that day."""
    board = page.url
    for place in (1, 5):
        await page.goto(board.replace("/board", "/cases/1/book"))
        day = await page.locator("input[name=day]").first.get_attribute("value")
        await page.locator("input[name=slot] + label").nth(place).click()
        await page.get_by_role("button", name="Book this time").first.click()
        await page.wait_for_url("**/appointments/**")
    await page.goto(f"{board}?day={day}")


async def talk(expert: Room, patient: Room) -> None:
    await expert.page.locator("[data-knocks] button").first.click()
    await expert.agree_to_recording()
    await patient.agree_to_recording()
    await expert.expect_recording("on")
    await expert.show_record("CT of the chest, one slice")
    await expert.page.wait_for_timeout(14_000)
    await expert.show_record("Pathology report")
    await expert.page.locator("[data-view=next]").click()
    await expert.page.wait_for_timeout(9_000)
    await expert.show_record("CT of the chest, one slice")
    box = await expert.stage.bounding_box()
    assert box
    await expert.page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.42)
    await save(patient.page, "call")
    await expert.page.locator("[data-control=end]").click()
    await expert.page.locator("[data-end-yes]").click()


def main() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        process, links = start_demonstration(Path(folder) / "home")
        try:
            asyncio.run(play(links, Path(folder)))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


if __name__ == "__main__":
    main()
