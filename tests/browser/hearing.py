"""What somebody in a call really hears and sees: every 10 ms of decoded sound and every picture of the other person.

Owns the steady voice that is sent (silence in it is a fault, never a pause) and how its gaps are found. A page is
prepared before it is opened; the figures are read later.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from playwright.async_api import BrowserContext, Page

WIDTH, HEIGHT, FPS = 480, 360, 20

# A sawtooth with vibrato instead of the microphone: noise suppression would silence a steady tone of a fake device.
STEADY_VOICE = """
  const openDevices = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await openDevices(wanted);
    if (!wanted.audio) return stream;
    const sound = new AudioContext({ sampleRate: 48000 });
    const voice = new OscillatorNode(sound, { type: "sawtooth", frequency: 150 });
    const vibrato = new OscillatorNode(sound, { frequency: 4 });
    const depth = new GainNode(sound, { gain: 8 });
    const loudness = new GainNode(sound, { gain: 0.2 });
    const out = sound.createMediaStreamDestination();
    vibrato.connect(depth).connect(voice.frequency);
    voice.connect(loudness).connect(out);
    voice.start();
    vibrato.start();
    return new MediaStream([...out.stream.getAudioTracks(), ...stream.getVideoTracks()]);
  };
"""

# heard: [instant in ms, loudness] of each 10 ms; seen: instants of pictures. Both by this page's clock.
LISTEN = """
  window.heard = [];
  window.seen = [];
  const listened = new WeakSet();
  async function listen(track) {
    if (listened.has(track)) return;
    listened.add(track);
    const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 500 }).readable.getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      if (track.kind === "video") {
        window.seen.push(performance.now());
      } else {
        const samples = new Float32Array(value.numberOfFrames);
        value.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
        let sum = 0;
        for (const one of samples) sum += one * one;
        const length_ms = (samples.length / value.sampleRate) * 1000;
        window.heard.push([performance.now(), Math.sqrt(sum / samples.length), length_ms]);
      }
      value.close();
    }
  }
  setInterval(() => {
    for (const video of document.querySelectorAll(".tile:not(.is-me) video")) {
      for (const track of video.srcObject?.getTracks() ?? []) void listen(track);
    }
  }, 100);
"""

STATISTICS = """async () => {
  const peer = window.mediaConnections.at(-1);
  const found = [];
  const wanted = ["inbound-rtp", "outbound-rtp", "remote-inbound-rtp", "candidate-pair", "transport", "codec"];
  for (const one of (await peer.getStats()).values()) if (wanted.includes(one.type)) found.push(one);
  return { at_ms: performance.now(), found };
}"""


@dataclass(frozen=True, slots=True)
class Heard:
    """percent: of the time in which the voice sounded. gaps_ms: of silence, where it should have; longest first."""

    percent: float
    gaps_ms: tuple[float, ...]

    @property
    def longest_gap_ms(self) -> float:
        return self.gaps_ms[0] if self.gaps_ms else 0.0


async def prepare(context: BrowserContext) -> None:
    """Before its page is opened: the steady voice, and ears."""
    await context.add_init_script(f"{{ {STEADY_VOICE} }}")
    await context.add_init_script(f"{{ {LISTEN} }}")


async def read_heard(page: Page, since_ms: float = 0.0, until_ms: float = float("inf")) -> Heard:
    """Return what was heard from one instant to another, both by the page's clock (performance.now())."""
    heard: list[list[float]] = await page.evaluate("() => window.heard")
    return judge([one for one in heard if since_ms <= one[0] <= until_ms])


def judge(heard: list[list[float]]) -> Heard:
    """heard: [instant, loudness, length in ms] of each piece of sound. A tenth of the usual loudness is silence."""
    if not heard:
        return Heard(0.0, ())
    loudness = np.array([one[1] for one in heard])
    silent = loudness < float(np.median(loudness)) / 10
    if float(np.median(loudness)) < 1e-3:
        silent[:] = True
    gaps: list[float] = []
    running = 0.0
    for (_, _, length_ms), quiet in zip(heard, silent, strict=True):
        if quiet:
            running += length_ms
        elif running:
            gaps.append(running)
            running = 0.0
    if running:
        gaps.append(running)
    total_ms = sum(one[2] for one in heard)
    return Heard(100 * (1 - sum(gaps) / total_ms), tuple(sorted(gaps, reverse=True)))


async def read_freezes(page: Page, since_ms: float, until_ms: float) -> list[float]:
    """Return the ms between one picture and the next, longest first, between two instants of the page's clock."""
    seen: list[float] = await page.evaluate("() => window.seen")
    instants = [since_ms, *(one for one in seen if since_ms <= one <= until_ms), until_ms]
    return sorted((later - one for one, later in itertools.pairwise(instants)), reverse=True)


async def read_statistics(page: Page) -> dict[str, Any]:
    """Return at_ms (the page's clock) and found: the standard's statistics of RTP streams and transports."""
    found: dict[str, Any] = await page.evaluate(STATISTICS)
    return found


def total(statistics: dict[str, Any], kind: str, media: str, name: str) -> float:
    """Return the sum of a figure over the streams of a type (inbound-rtp, outbound-rtp) and kind (audio, video)."""
    return float(
        sum(one.get(name) or 0 for one in statistics["found"] if (one["type"], one.get("kind")) == (kind, media))
    )


def paint_street(path: Path, *, seconds: int = 6, seed: int = 1) -> Path:
    """Write a Y4M that moves all over, as costly to encode as a shaky phone: a smooth picture would fit any line."""
    chance = np.random.default_rng(seed)
    coarse = chance.integers(40, 215, (HEIGHT // 8 + 1, WIDTH // 4 + 1), dtype=np.uint8)
    wall = np.kron(coarse, np.ones((8, 8), np.uint8))[:HEIGHT, : WIDTH * 2]
    grey = bytes([128]) * (WIDTH * HEIGHT // 2)
    with path.open("wb") as out:
        out.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip A1:1 C420jpeg\n".encode())
        for number in range(seconds * FPS):
            picture = np.roll(wall, (number * 2, number * 5), (0, 1))[:, :WIDTH].copy()
            picture[100:160, 200:280] = chance.integers(16, 235, (60, 80), dtype=np.uint8)
            out.write(b"FRAME\n" + picture.tobytes() + grey)
    return path
