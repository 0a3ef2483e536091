"""Filed tracks of one colour and one tone, and what a composed file shows and sounds like."""

from __future__ import annotations

import fractions
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

FRAMES_PER_S = 10
RATE_HZ = 48_000
Colour = tuple[int, int, int]


def write_track(
    path: Path,
    *,
    seconds: float,
    colour: Colour | None = None,
    tone_hz: float | None = None,
    dark: tuple[float, float] | None = None,
    size: tuple[int, int] = (320, 240),
) -> Path:
    """A WebM with one colour (none: no picture) and one tone. dark: from when to when no picture is sent, in s."""
    with av.open(str(path), "w", format="webm") as file:
        video = file.add_stream("libvpx", rate=FRAMES_PER_S) if colour else None
        if video is not None:
            assert isinstance(video, av.VideoStream)
            video.width, video.height, video.pix_fmt = *size, "yuv420p"
            video.codec_context.gop_size = 10
            video.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
        audio = file.add_stream("libopus", rate=RATE_HZ) if tone_hz else None
        for number in range(int(seconds * FRAMES_PER_S)):
            at_s = number / FRAMES_PER_S
            if isinstance(video, av.VideoStream) and not (dark and dark[0] <= at_s < dark[1]):
                picture = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), colour, np.uint8), format="rgb24")
                picture.pts, picture.time_base = number, fractions.Fraction(1, FRAMES_PER_S)
                file.mux(video.encode(picture))
            if isinstance(audio, av.AudioStream) and tone_hz:
                count = RATE_HZ // FRAMES_PER_S
                times = (np.arange(count) + number * count) / RATE_HZ
                samples = (0.3 * np.sin(2 * np.pi * tone_hz * times)).astype(np.float32)
                sound = av.AudioFrame.from_ndarray(samples[None, :], format="flt", layout="mono")
                sound.sample_rate, sound.pts = RATE_HZ, number * count
                file.mux(audio.encode(sound))
        for stream in (video, audio):
            if isinstance(stream, av.VideoStream | av.AudioStream):
                file.mux(stream.encode(None))
    return path


@dataclass(slots=True)
class Composed:
    """pictures: RGB by ms. sound: mono samples at RATE_HZ."""

    codecs: set[str] = field(default_factory=set)
    duration_ms: int = 0
    pictures: dict[int, npt.NDArray[np.uint8]] = field(default_factory=dict)
    sound: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    def colour(self, at_ms: int, left: float, top: float = 0.4) -> Colour:
        """What is seen at an instant at a place, given as shares of width and height."""
        picture = self.pictures[max(at for at in self.pictures if at <= at_ms)]
        height, width = picture.shape[:2]
        y, x = int(height * top), int(width * left)
        red, green, blue = picture[y - 4 : y + 4, x - 4 : x + 4].mean(axis=(0, 1))
        return int(red), int(green), int(blue)

    def tones(self, at_ms: int) -> set[int]:
        """The loud tones of half a second from an instant on, in steps of 10 Hz."""
        start = at_ms * RATE_HZ // 1000
        piece = self.sound[start : start + RATE_HZ // 2]
        strength = np.abs(np.fft.rfft(piece * np.hanning(len(piece)))) / len(piece)
        return {int(round(bin_ * 2, -1)) for bin_ in np.flatnonzero(strength > 0.02)}


def watch_composed(path: Path) -> Composed:
    found = Composed()
    samples = []
    with av.open(str(path)) as file:
        found.codecs = {stream.codec_context.name for stream in (*file.streams.video, *file.streams.audio)}
        found.duration_ms = round((file.duration or 0) / 1000)
        for frame in file.decode(video=0):
            found.pictures[round(float(frame.time or 0) * 1000)] = frame.to_ndarray(format="rgb24")
    with av.open(str(path)) as file:
        for sound in file.decode(audio=0):
            samples.append(sound.to_ndarray().reshape(-1).astype(np.float32))
    found.sound = np.concatenate(samples)
    return found


def is_near(colour: Colour, wanted: Colour, within: int = 25) -> bool:
    return all(abs(one - other) <= within for one, other in zip(colour, wanted, strict=True))
