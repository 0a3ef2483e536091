"""Pictures and sounds that were really encoded, in RTP payloads as browsers send them, and what their files show."""

from __future__ import annotations

import fractions
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import numpy as np
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder

from signaling.codecs import CodecName

STEP_MS = 40
LEAST, MOST = 20, 230


def luma_of(number: int) -> int:
    """A grey per picture, so that a decoded picture tells its number: steps of 6 survive any encoder."""
    return LEAST + number * 6 % (MOST - LEAST)


class Camera:
    """Encodes one grey after another."""

    def __init__(self, codec: CodecName, *, size: tuple[int, int] = (160, 120)) -> None:
        self.codec = codec
        self._size = size
        self._number = 0
        self._encoder = self._open()

    def resize(self, size: tuple[int, int]) -> None:
        """As a browser does when the line gets worse: another size from the next picture on, which is a keyframe."""
        self._size = size
        self._encoder = self._open()

    def shoot(self) -> list[bytes]:
        """Return the payloads of the next picture's packets."""
        width, height = self._size
        planes = np.full((height * 3 // 2, width), 128, np.uint8)
        planes[:height] = luma_of(self._number)
        planes[:height:4, : width // 2 : 4] ^= 0x0F  # something to encode, so that a picture takes several packets
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = self._number, fractions.Fraction(1, 25)
        self._number += 1
        data = b"".join(bytes(packet) for packet in self._encoder.encode(frame))
        if self.codec == "h264":
            return list(H264Encoder._packetize(H264Encoder._split_bitstream(data)))
        return list(Vp8Encoder._packetize(data, self._number))

    def _open(self) -> av.VideoCodecContext:
        encoder = av.CodecContext.create("libx264" if self.codec == "h264" else "libvpx", "w")
        assert isinstance(encoder, av.VideoCodecContext)
        encoder.width, encoder.height = self._size
        encoder.pix_fmt, encoder.time_base, encoder.framerate = (
            "yuv420p",
            fractions.Fraction(1, 25),
            fractions.Fraction(25),
        )
        encoder.bit_rate = 1_500_000
        encoder.gop_size = 25
        if self.codec == "h264":
            encoder.profile = "Baseline"
            encoder.options = {"tune": "zerolatency", "preset": "ultrafast", "level": "31"}
        else:
            encoder.options = {"deadline": "realtime", "lag-in-frames": "0", "cpu-used": "8"}
        return encoder


@cache
def tone() -> tuple[bytes, ...]:
    """One second of Opus packets of 20 ms: 440 Hz."""
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.format, encoder.layout = 48_000, "s16", "stereo"
    encoder.options = {"frame_duration": "20"}
    packets: list[bytes] = []
    for number in range(50):
        times = (np.arange(960) + number * 960) / 48_000
        wave = np.repeat((8_000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16), 2)
        frame = av.AudioFrame.from_ndarray(wave[None, :], format="s16", layout="stereo")
        frame.sample_rate, frame.pts = 48_000, number * 960
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return tuple(packets)


@dataclass(frozen=True, slots=True)
class Watched:
    """A file decoded from first to last frame. Times in ms from its beginning; faults: what no decoder took."""

    lumas: dict[int, float]  # by the picture's time
    sizes: list[tuple[int, int]]
    sound_ms: list[int]
    in_file: tuple[int, int]  # packets of picture and of sound
    faults: int


def watch(path: Path) -> Watched:
    lumas: dict[int, float] = {}
    sizes: list[tuple[int, int]] = []
    sound_ms: list[int] = []
    counts = {"video": 0, "audio": 0}
    faults = 0
    with av.open(str(path)) as file:
        for packet in file.demux():
            counts[packet.stream.type] += bool(packet.size)
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                faults += 1
                continue
            for frame in _timed(frames):
                at_ms = round(float(frame.time or 0) * 1000)
                if isinstance(frame, av.VideoFrame):
                    faults += bool(frame.is_corrupt)
                    lumas[at_ms] = float(frame.to_ndarray(format="yuv420p")[: frame.height, frame.width // 2 :].mean())
                    if not sizes or sizes[-1] != (frame.width, frame.height):
                        sizes.append((frame.width, frame.height))
                else:
                    sound_ms.append(at_ms)
    return Watched(lumas, sizes, sound_ms, (counts["video"], counts["audio"]), faults)


def _timed(frames: object) -> Iterator[av.VideoFrame | av.AudioFrame]:
    for frame in frames if isinstance(frames, list) else []:
        if isinstance(frame, av.VideoFrame | av.AudioFrame):
            yield frame
