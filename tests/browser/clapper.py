"""A camera and a microphone that carry their own time, and how far sound and picture of a recording stand apart.

Every picture shows the instant at which it was taken, as twenty black or white fields; a beep sounds at every second
of the sound's clock, one pitch after another. Both are told by the page's clock, so a recording says of each picture
and each beep how long after it was taken it stands in the file: the difference of the two is what people see as lips
that do not fit the voice. A picture taken late by a busy page is no fault, for it says so itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray
from playwright.async_api import BrowserContext, Page

from tests.browser.measures import decode_frames

COLUMNS, ROWS = 5, 4
WRAPS_MS = 1 << (COLUMNS * ROWS)  # 17 minutes
PITCHES_HZ = (500, 700, 900, 1100)
BEEP_S = 0.1
QUIET_S = 0.3  # before a beep, so that its beginning is heard
NEIGHBOUR_MS = 1_000
SINCE_S = 5  # a recording goes on for a moment after a page was asked for its clock

CLAP = f"""
  window.claps = [];  // [page's clock in ms, sound's clock in s]
  const pitches = {list(PITCHES_HZ)};
  const sound = new AudioContext({{ sampleRate: 48000 }});
  const out = sound.createMediaStreamDestination();
  const canvas = new OffscreenCanvas(320, 240);
  const pen = canvas.getContext("2d", {{ willReadFrequently: true }});
  const writers = new Set();
  let beeps = 1;
  function beep() {{
    for (; beeps < sound.currentTime + 2; beeps += 1) {{
      const tone = new OscillatorNode(sound, {{ frequency: pitches[beeps % pitches.length] }});
      const loudness = new GainNode(sound, {{ gain: 0.5 }});
      tone.connect(loudness).connect(out);
      tone.start(beeps);
      tone.stop(beeps + {BEEP_S});
    }}
  }}
  function shoot() {{
    const taken = performance.now();
    window.claps.push([taken, sound.currentTime]);
    beep();
    for (let bit = 0; bit < {COLUMNS * ROWS}; bit += 1) {{
      pen.fillStyle = (Math.round(taken) >> bit) & 1 ? "#fff" : "#000";
      pen.fillRect((bit % {COLUMNS}) * 64, Math.floor(bit / {COLUMNS}) * 60, 64, 60);
    }}
    for (const writer of writers) {{
      if (writer.desiredSize <= 0) continue;
      const frame = new VideoFrame(canvas, {{ timestamp: Math.round(taken * 1000) }});
      writer.write(frame).catch(() => writers.delete(writer));
    }}
  }}
  setInterval(shoot, 40);
  navigator.mediaDevices.getUserMedia = async (wanted) => {{
    const tracks = [];
    if (wanted.audio) tracks.push(out.stream.getAudioTracks()[0].clone());
    if (wanted.video) {{
      const track = new MediaStreamTrackGenerator({{ kind: "video" }});
      writers.add(track.writable.getWriter());
      tracks.push(track);
    }}
    return new MediaStream(tracks);
  }};
"""


@dataclass(frozen=True, slots=True)
class Clock:
    """What a page said of its clocks: [the page's in ms, its sound's in s] many times a second.

    origin_ms: since 1970 UTC, at the page's 0.
    """

    readings: NDArray[np.float64]
    origin_ms: float

    def beep_taken_ms(self, number: int) -> float:
        """When a beep left for the line, by the page's clock: the sound's clock stands still between two pieces."""
        near = self.readings[np.argsort(np.abs(self.readings[:, 1] - number))[:25]]  # of a second
        return float(number * 1000 + (near[:, 0] - near[:, 1] * 1000).min())


@dataclass(frozen=True, slots=True)
class Clapped:
    """A recording. pictures: (place in the file, taken at); beeps: (place in the file, pitch); all in ms and Hz."""

    pictures: list[tuple[float, float]]
    beeps: list[tuple[float, int]]
    sound_ms: tuple[float, float]
    faults: int


async def clap(context: BrowserContext) -> None:
    """Before its page is opened: this camera and microphone instead of the browser's."""
    await context.add_init_script(f"{{ {CLAP} }}")


async def read_clock(page: Page) -> Clock:
    readings, origin_ms = await page.evaluate("() => [window.claps, performance.timeOrigin]")
    return Clock(np.array(readings), float(origin_ms))


def decode_claps(data: bytes) -> Clapped:
    """Decode every frame of a recording."""
    pictures: list[tuple[float, float]] = []
    pieces: list[tuple[float, NDArray[np.float32]]] = []
    faults: list[av.error.InvalidDataError] = []
    for frame in decode_frames(data, faults):
        at_ms = float(frame.time or 0) * 1000
        if isinstance(frame, av.VideoFrame):
            pictures.append((at_ms, _read_picture(frame)))
        else:
            samples = frame.to_ndarray()[0].astype(np.float32)
            assert frame.sample_rate == 48_000 and frame.format.name == "fltp"
            pieces.append((at_ms, samples))
    end_ms = pieces[-1][0] + len(pieces[-1][1]) / 48
    return Clapped(pictures, _find_beeps(pieces), (pieces[0][0], end_ms), len(faults))


def measure_apart(clapped: Clapped, clock: Clock) -> list[float]:
    """Return for each beep how much later its picture stands in the file than it, in ms; negative: earlier.

    A beep whose neighbouring pictures are missing (a camera that is off) is left out.
    """
    apart = []
    for at_ms, pitch in clapped.beeps:
        near = [(place, taken) for place, taken in clapped.pictures if abs(place - at_ms) < NEIGHBOUR_MS]
        if not near:
            continue
        picture_lag = float(np.median([place - taken for place, taken in near]))
        number = _number_of(pitch, at_ms - picture_lag, clock)
        apart.append(picture_lag - (at_ms - clock.beep_taken_ms(number)))
    return apart


def measure_lateness(clapped: Clapped, clock: Clock, began_ms: float) -> list[float]:
    """Return for each picture how much later its place in the recording is than the instant at which it was taken.

    began_ms: the file's time zero, since 1970 UTC. All in ms.
    """
    return [began_ms + place - (clock.origin_ms + taken) for place, taken in clapped.pictures]


def _number_of(pitch: int, taken_ms: float, clock: Clock) -> int:
    """Which beep of this pitch was taken nearest to an instant of the page's clock."""
    first, last = int(clock.readings[0, 1]), int(clock.readings[-1, 1])
    place = PITCHES_HZ.index(pitch)
    numbers = [one for one in range(max(1, first), last + SINCE_S) if one % len(PITCHES_HZ) == place]
    return min(numbers, key=lambda one: abs(clock.beep_taken_ms(one) - taken_ms))


def _read_picture(frame: av.VideoFrame) -> float:
    """When a picture was taken, by the fields that it shows."""
    grey = frame.to_ndarray(format="gray")
    height, width = grey.shape
    taken = 0
    for bit in range(COLUMNS * ROWS):
        y = int((bit // COLUMNS + 0.5) * height / ROWS)
        x = int((bit % COLUMNS + 0.5) * width / COLUMNS)
        taken |= int(grey[y - 2 : y + 3, x - 2 : x + 3].mean() > 127) << bit
    return float(taken)


def _find_beeps(pieces: list[tuple[float, NDArray[np.float32]]]) -> list[tuple[float, int]]:
    """Where sound begins after a pause, to the ms, and its pitch. A beep that had begun before the file is none."""
    beeps: list[tuple[float, int]] = []
    quiet_since_ms = pieces[0][0]
    for place, (at_ms, samples) in enumerate(pieces):
        loud = np.flatnonzero(np.abs(samples) > 0.1)
        if not len(loud):
            continue
        begins_ms = at_ms + float(loud[0]) / 48
        if begins_ms - quiet_since_ms > QUIET_S * 1000:
            heard = np.concatenate([one for _, one in pieces[place : place + 5]])
            strength = np.abs(np.fft.rfft(heard * np.hanning(len(heard)), 48_000))
            beeps.append((begins_ms, max(PITCHES_HZ, key=lambda hz: float(strength[hz]))))
        quiet_since_ms = at_ms + float(loud[-1]) / 48
    return beeps
