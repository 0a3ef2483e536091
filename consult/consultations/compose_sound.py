"""The sounds of a consultation mixed into one, on its clock. Samples are 48,000 a second, mono."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

import av
import numpy as np
import numpy.typing as npt

RATE_HZ: Final = 48_000
SLACK: Final = RATE_HZ // 25  # times are in ms, and clocks are mended slowly: up to 40 ms the samples just follow on

Samples = npt.NDArray[np.float32]


class SoundTrack(Protocol):
    """path: a file with one sound. offset_ms: of its time zero on the clock."""

    @property
    def path(self) -> Path: ...
    @property
    def offset_ms(self) -> int: ...


class Mixer:
    """heard: whether any sound could be decoded."""

    def __init__(self, tracks: Sequence[SoundTrack]) -> None:
        self.heard = False
        self._sources = [_Source(track) for track in tracks]

    def take(self, start: int, count: int) -> av.AudioFrame:
        """Return the samples [start, start + count) of everybody together; silence where nobody is. Only forwards."""
        mix = np.zeros(count, np.float32)
        for source in self._sources:
            source.add_to(mix, start)
            self.heard = self.heard or source.heard
        frame = av.AudioFrame.from_ndarray(np.clip(mix, -1, 1)[None, :], format="fltp", layout="mono")
        frame.sample_rate = RATE_HZ
        frame.pts = start
        return frame


class _Source:
    """One track, decoded as far as it was asked for."""

    def __init__(self, track: SoundTrack) -> None:
        self.heard = False
        self._start = track.offset_ms * RATE_HZ // 1000  # nothing lies before it
        self._pieces = _decode(track)
        self._piece: tuple[int, Samples] | None = None
        self._ended = False

    def add_to(self, mix: Samples, start: int) -> None:
        end = start + len(mix)
        if end <= self._start:
            return
        while not self._ended:
            if self._piece is None:
                self._piece = next(self._pieces, None)
                if self._piece is None:
                    self._ended = True
                    return
                self.heard = True
            at, samples = self._piece
            first, last = max(at, start), min(at + len(samples), end)
            if first < last:
                mix[first - start : last - start] += samples[first - at : last - at]
            if at + len(samples) > end:
                return
            self._piece = None


def _decode(track: SoundTrack) -> Iterator[tuple[int, Samples]]:
    """Pieces of sound with the number of their first sample on the clock, in order."""
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE_HZ)
    follows: int | None = None
    try:
        with av.open(str(track.path)) as file:
            for decoded in _frames(file):
                for frame in resampler.resample(decoded):
                    samples = frame.to_ndarray()[0]
                    at_s = float(frame.time or 0) + track.offset_ms / 1000
                    at = round(at_s * RATE_HZ)
                    if follows is not None and abs(at - follows) <= SLACK:
                        at = follows
                    elif follows is not None and at < follows:
                        continue
                    follows = at + len(samples)
                    yield at, samples
    except av.error.FFmpegError:
        return  # what was decoded up to here is in it


def _frames(file: av.container.InputContainer) -> Iterator[av.AudioFrame]:
    for packet in file.demux(file.streams.audio[0]):
        try:
            yield from (frame for frame in packet.decode() if isinstance(frame, av.AudioFrame))
        except av.error.InvalidDataError:
            continue
