"""Voices for tests: flite says sentences, PyAV makes the WebM of a recorder; and how wrong a transcript is."""

from __future__ import annotations

import subprocess
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE_HZ = 16_000
FRAMES_PER_S = 15
_LOUD = 300  # of 32,768: the first sample louder than this begins a sentence


@dataclass(frozen=True, slots=True)
class Speech:
    """sound: 16 kHz mono. starts_ms: where each sentence begins in it."""

    sound: np.ndarray
    starts_ms: tuple[int, ...]


def say(voice: str, sentences: Sequence[str], folder: Path, *, before_s: float = 1.0, pause_s: float = 2.0) -> Speech:
    """Let flite say sentences with digital silence around them, as Chromium's fake microphone has."""
    parts, starts_ms = [np.zeros(int(RATE_HZ * before_s), np.int16)], []
    for number, sentence in enumerate(sentences):
        path = folder / f"{voice}-{number}.wav"
        subprocess.run(["flite", "-voice", voice, "-t", sentence, "-o", str(path)], check=True, timeout=60)
        with wave.open(str(path)) as file:
            assert (file.getframerate(), file.getnchannels()) == (RATE_HZ, 1)
            sound = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        starts_ms.append((sum(map(len, parts)) + int(np.flatnonzero(abs(sound) > _LOUD)[0])) * 1000 // RATE_HZ)
        parts += [sound, np.zeros(int(RATE_HZ * pause_s), np.int16)]
    return Speech(np.concatenate(parts), tuple(starts_ms))


def write_webm(
    path: Path, sound: np.ndarray | None, *, colour: tuple[int, int, int] = (160, 40, 40), seconds: float = 0
) -> None:
    """Write Opus and VP8 (a plain colour with a moving bar) as a crash-safe recorder: live, 1 s clusters, no index."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if sound is None:
        sound = np.zeros(int(RATE_HZ * seconds), np.int16)
    options = {"live": "1", "cluster_time_limit": "1000"}
    with av.open(str(path), "w", format="webm", options=options) as container:
        audio = container.add_stream("libopus", rate=48_000, layout="mono")
        video = container.add_stream("libvpx", rate=FRAMES_PER_S)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        video.options = {"deadline": "realtime", "cpu-used": "8"}
        shown = 0
        for number, piece in enumerate(_pieces(sound)):
            while shown * 50 <= number * FRAMES_PER_S:
                container.mux(video.encode(_picture(shown, colour)))
                shown += 1
            container.mux(audio.encode(piece))
        for stream in (audio, video):
            container.mux(stream.encode(None))


def _pieces(sound: np.ndarray) -> list[av.AudioFrame]:
    """20 ms each, at 48 kHz."""
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[None]), format="s16", layout="mono")
    frame.sample_rate = RATE_HZ
    resampler, queue = av.AudioResampler("s16", "mono", 48_000), av.AudioFifo()
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        part.pts = None
        queue.write(part)
    pieces = []
    while (piece := queue.read(960, partial=True)) is not None:
        piece.pts, piece.time_base = 960 * len(pieces), Fraction(1, 48_000)
        pieces.append(piece)
    return pieces


def _picture(number: int, colour: tuple[int, int, int]) -> av.VideoFrame:
    picture = np.empty((240, 320, 3), np.uint8)
    picture[:] = colour
    picture[:, number * 4 % 320 : number * 4 % 320 + 8] = 255
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_S)
    return frame


def word_errors(said: str, understood: str) -> int:
    """Return the least number of words to change, add or drop."""
    wanted, got = said.split(), understood.split()
    row = list(range(len(got) + 1))
    for number, word in enumerate(wanted, 1):
        before, row[0] = row[0], number
        for place, other in enumerate(got, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (word != other))
    return row[-1]


def word_error_rate(said: Sequence[str], understood: Sequence[str]) -> float:
    """Return the share of wrong words over whole speeches, 0 to 1."""
    whole = " ".join(said)
    return word_errors(whole, " ".join(understood)) / len(whole.split())
