"""What browser tests measure: words, pictures, recordings. Nothing here knows the application."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import av
import numpy as np
from playwright.async_api import Locator


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def word_error_rate(said: str, heard: str) -> float:
    """Return insertions, deletions and substitutions per word said."""
    left, right = words_of(said), words_of(heard)
    row = list(range(len(right) + 1))
    for number, word in enumerate(left, 1):
        diagonal, row[0] = row[0], number
        for place, other in enumerate(right, 1):
            diagonal, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, diagonal + (word != other))
    return row[-1] / max(1, len(left))


async def read_colour(video: Locator) -> tuple[float, float, float]:
    """Return the mean red, green, blue (0 to 255) of what a <video> shows now; black before its first frame."""
    mean: list[float] = await video.evaluate(
        """(video) => {
          const canvas = new OffscreenCanvas(16, 16);
          const paint = canvas.getContext("2d");
          paint.drawImage(video, 0, 0, 16, 16);
          const data = paint.getImageData(0, 0, 16, 16).data;
          const sum = [0, 0, 0];
          for (let at = 0; at < data.length; at += 4) for (const c of [0, 1, 2]) sum[c] += data[at + c];
          return sum.map((one) => one / 256);
        }"""
    )
    return mean[0], mean[1], mean[2]


async def count_frames(video: Locator) -> int:
    """Return how many frames a <video> has decoded since it began."""
    return int(await video.evaluate("(video) => video.getVideoPlaybackQuality().totalVideoFrames"))


def is_near(colour: tuple[float, float, float], wanted: tuple[int, int, int], within: float = 45) -> bool:
    return all(abs(one - other) <= within for one, other in zip(colour, wanted, strict=True))


@dataclass(frozen=True, slots=True)
class Decoded:
    """A recording, decoded whole. Times in ms from the file's beginning; onsets: sound after ≥1 s of silence.

    video_ms, audio_ms: from the beginning of the first to the end of the last; a picture lasts as long as most do.
    """

    frames: int
    colour: tuple[float, float, float]
    video_ms: tuple[float, float]
    audio_ms: tuple[float, float]
    onsets: list[float]
    faults: int


def decode_frames(data: bytes, faults: list[av.error.InvalidDataError]) -> Iterator[av.VideoFrame | av.AudioFrame]:
    """Decode every frame of a recording, in the order of the file. faults: gets what does not decode."""
    with av.open(BytesIO(data)) as file:
        for packet in file.demux():
            try:
                frames = packet.decode()
            except av.error.InvalidDataError as fault:
                faults.append(fault)
                continue
            for frame in frames:
                if isinstance(frame, av.VideoFrame | av.AudioFrame):
                    yield frame


def decode_recording(data: bytes, *, loud: float = 0.02) -> Decoded:
    """Decode every frame of a WebM, sound and picture."""
    video: list[float] = []
    audio: list[float] = []
    onsets: list[float] = []
    colours: list[Any] = []
    faults: list[av.error.InvalidDataError] = []
    quiet_since, audio_end = -10_000.0, 0.0
    for frame in decode_frames(data, faults):
        at = float(frame.pts * frame.time_base) * 1000
        if isinstance(frame, av.VideoFrame):
            video.append(at)
            if len(video) % 5 == 0:
                colours.append(frame.to_ndarray(format="rgb24").mean(axis=(0, 1)))
        else:
            audio.append(at)
            audio_end = at + frame.samples / frame.sample_rate * 1000
            samples = frame.to_ndarray().astype(np.float32)
            if frame.format.name.startswith("s16"):
                samples /= 32768
            if float(np.sqrt((samples**2).mean())) > loud:
                if at - quiet_since >= 1000:
                    onsets.append(at)
                quiet_since = at
    red, green, blue = np.mean(colours, axis=0) if colours else (0.0, 0.0, 0.0)
    return Decoded(
        len(video),
        (float(red), float(green), float(blue)),
        (video[0], video[-1] + float(np.median(np.diff(video)))) if len(video) > 1 else (0, 0),
        (audio[0], audio_end) if audio else (0, 0),
        onsets,
        len(faults),
    )
