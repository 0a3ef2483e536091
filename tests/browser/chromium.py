"""A real Chromium for browser tests: one process per person, with that person's camera and microphone.

Chromium reads one fake microphone and one fake camera per process, so two speakers are two processes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, Playwright, async_playwright, expect

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]
COLOUR_RULES = ["color-contrast", "link-in-text-block"]
expect.set_options(timeout=20_000)  # a loaded machine is slow, not wrong
TOP = Path(__file__).parents[2]
# Every test starts Playwright's program anew: half of the time that takes, Node compiles it.
os.environ.setdefault("NODE_COMPILE_CACHE", str(TOP / "build" / "node"))
WIDTH, HEIGHT, FPS = 320, 240, 15


@dataclass(frozen=True, slots=True)
class FakeDevices:
    microphone: Path | None = None  # WAV, mono, 16 bit; played once
    camera: Path | None = None  # Y4M; looped


def find_chromium() -> str:
    path = shutil.which("chromium")
    assert path, "Debian's chromium is needed for the browser tests: apt-get install chromium"
    return path


@asynccontextmanager
async def open_browser(devices: FakeDevices | None = None, *flags: str) -> AsyncIterator[Browser]:
    """A Chromium process of its own, ended afterwards."""
    async with async_playwright() as driver, _launch(driver, devices, *flags) as browser:
        yield browser


@asynccontextmanager
async def open_browsers(*people: FakeDevices) -> AsyncIterator[list[Browser]]:
    """A Chromium process for each of several people."""
    async with async_playwright() as driver, AsyncExitStack() as stack:
        yield [await stack.enter_async_context(_launch(driver, one)) for one in people]


@asynccontextmanager
async def _launch(driver: Playwright, devices: FakeDevices | None, *flags: str) -> AsyncIterator[Browser]:
    arguments = [*FLAGS, *flags]
    if devices and devices.microphone:
        arguments.append(f"--use-file-for-fake-audio-capture={devices.microphone}%noloop")
    if devices and devices.camera:
        arguments.append(f"--use-file-for-fake-video-capture={devices.camera}")
    browser = await driver.chromium.launch(executable_path=find_chromium(), args=arguments)
    try:
        yield browser
    finally:
        await browser.close()


async def find_accessibility_faults(page: Page, *, colours_only: bool = False) -> list[dict[str, Any]]:
    """Return what axe finds on the page as it is now, one entry per rule with the elements.

    colours_only: for a page that was looked at before and has changed nothing but its colours.
    """
    axe = TOP / "node_modules" / "axe-core" / "axe.min.js"
    assert axe.exists(), "axe-core is needed: make test installs it"
    if not await page.evaluate("() => 'axe' in window"):
        # evaluate runs outside the page's Content-Security-Policy, a script tag would not
        await page.evaluate(axe.read_text() + "\n;undefined")
    options = {"resultTypes": ["violations"]} | (
        {"runOnly": {"type": "rule", "values": COLOUR_RULES}} if colours_only else {}
    )
    found: list[dict[str, Any]] = await page.evaluate(
        "async (options) => (await axe.run(document, options)).violations", options
    )
    return [
        {"rule": fault["id"], "help": fault["help"], "where": [node["target"] for node in fault["nodes"]]}
        for fault in found
    ]


def paint_camera(path: Path, rgb: tuple[int, int, int], *, seconds: int = 4) -> Path:
    """Write a Y4M of one colour with a moving grey bar, so that every frame differs from the last."""
    red, green, blue = rgb
    luma = round(16 + 0.257 * red + 0.504 * green + 0.098 * blue)
    chroma_b = round(128 - 0.148 * red - 0.291 * green + 0.439 * blue)
    chroma_r = round(128 + 0.439 * red - 0.368 * green - 0.071 * blue)
    rest = bytes([chroma_b]) * (WIDTH * HEIGHT // 4) + bytes([chroma_r]) * (WIDTH * HEIGHT // 4)
    with path.open("wb") as out:
        out.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip A1:1 C420jpeg\n".encode())
        for number in range(seconds * FPS):
            picture = bytearray([luma]) * (WIDTH * HEIGHT)
            row = (number * 4) % (HEIGHT - 8)
            picture[row * WIDTH : (row + 8) * WIDTH] = bytes([min(235, luma + 40)]) * (8 * WIDTH)
            out.write(b"FRAME\n" + bytes(picture) + rest)
    return path


def _from_first_sound(data: bytes) -> bytes:
    """flite begins every sentence with up to 0.3 s of silence; times are meant for the first sound."""
    samples = memoryview(data).cast("h")
    loud = max(abs(one) for one in samples) // 20
    return data[2 * next(place for place, one in enumerate(samples) if abs(one) > loud) :]


def say(path: Path, voice: str, sentences: list[tuple[float, str]], *, seconds: float) -> Path:
    """Write a WAV (16 kHz, mono) with each sentence spoken by flite at its time (s from the beginning), else silence.

    Raises AssertionError if a sentence runs into the next one.
    """
    import wave

    rate = 16_000
    sound = bytearray(int(seconds * rate) * 2)
    end = 0
    for start_s, text in sentences:
        spoken = path.with_suffix(f".{start_s}.wav")
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(spoken)], check=True, timeout=60)
        with wave.open(str(spoken)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (rate, 1, 2)
            data = _from_first_sound(file.readframes(file.getnframes()))
        spoken.unlink()
        first = int(start_s * rate) * 2
        assert first >= end, f"{text!r} begins before the sentence before it has ended"
        end = first + len(data)
        assert end <= len(sound), f"{text!r} does not fit into {seconds} s"
        sound[first:end] = data
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(sound))
    return path
