"""Sound and picture that is encoded once and sent again and again: what a load test says and shows.

VP8 640 × 480 at 30 frames/s and about 1 Mbit/s, Opus in packets of 20 ms. Owns their making, keeping and cutting into
packets; each frame is known by its checksum again when it comes back.
"""

from __future__ import annotations

import fractions
import secrets
import zlib
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from consult.load_test.sdp import Kind

WIDTH, HEIGHT, FRAMES_PER_S = 640, 480, 30
SECONDS = 10
KEYFRAME_EVERY = 150
NOISE = (32, 64)  # height and width of what moves and cannot be foretold
VIDEO_BPS, AUDIO_BPS = 880_000, 32_000
RATE_HZ: dict[Kind, int] = {"audio": 48_000, "video": 90_000}
STEP_S: dict[Kind, float] = {"audio": 0.02, "video": 1 / FRAMES_PER_S}
PAYLOAD_BYTES = 1200
FIRST_DESCRIPTOR, NEXT_DESCRIPTOR = b"\x10", b"\x00"  # S bit: the frame begins here (RFC 7741 §4.2)


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames of one kind in a loop. payloads: per frame those of its packets. known: place in the loop by checksum."""

    kind: Kind
    encoded: tuple[bytes, ...]
    payloads: tuple[tuple[bytes, ...], ...]
    keyframes: tuple[int, ...]
    known: dict[int, int]


def load_frames(folder: Path) -> dict[Kind, Frames]:
    """Return frames by kind; made at first use (some seconds) and kept in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    video, audio = folder / f"load-vp8-{SECONDS}s.webm", folder / f"load-opus-{SECONDS}s.webm"
    if not video.exists():
        _encode_video(video)
    if not audio.exists():
        _encode_audio(audio)
    return {"audio": _cut("audio", _read(audio)), "video": _cut("video", _read(video))}


def _cut(kind: Kind, encoded: list[bytes]) -> Frames:
    payloads: list[tuple[bytes, ...]]
    if kind == "audio":
        payloads = [(frame,) for frame in encoded]
        keyframes = list(range(len(encoded)))
    else:
        payloads = [_packetize(frame) for frame in encoded]
        keyframes = [number for number, frame in enumerate(encoded) if not frame[0] & 1]
    known = {zlib.crc32(frame): number for number, frame in enumerate(encoded)}
    return Frames(kind, tuple(encoded), tuple(payloads), tuple(keyframes), known)


def _packetize(frame: bytes) -> tuple[bytes, ...]:
    parts = [frame[at : at + PAYLOAD_BYTES] for at in range(0, len(frame), PAYLOAD_BYTES)]
    return tuple((NEXT_DESCRIPTOR if number else FIRST_DESCRIPTOR) + part for number, part in enumerate(parts))


def _encode_video(path: Path) -> None:
    draft = path.with_suffix(f".{secrets.token_hex(4)}.webm")  # others may be making it too
    with av.open(str(draft), "w") as out:
        options = {"deadline": "realtime", "cpu-used": "8", "g": str(KEYFRAME_EVERY)}
        stream = out.add_stream("libvpx", rate=FRAMES_PER_S, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", VIDEO_BPS
        noise = np.random.default_rng(1)
        rows, columns = NOISE
        slope = np.arange(WIDTH)[None, :] + np.arange(HEIGHT * 3 // 2)[:, None]  # luma, and below it both chromas
        for n in range(SECONDS * FRAMES_PER_S):
            picture = ((slope + n) % 256).astype(np.uint8)
            left = n * 3 % (WIDTH - columns)
            picture[200 : 200 + rows, left : left + columns] = noise.integers(0, 255, NOISE, dtype=np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="yuv420p")))
        out.mux(stream.encode(None))
    draft.replace(path)


def _encode_audio(path: Path) -> None:
    draft = path.with_suffix(f".{secrets.token_hex(4)}.webm")  # others may be making it too
    with av.open(str(draft), "w") as out:
        stream = out.add_stream("libopus", rate=RATE_HZ["audio"], layout="stereo")
        stream.bit_rate = AUDIO_BPS
        for n in range(SECONDS * 50):
            times = (np.arange(960) + n * 960) / RATE_HZ["audio"]
            tone = (8_000 * np.sin(2 * np.pi * (220 + 40 * np.sin(times)) * times)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.repeat(tone, 2)[None, :], format="s16", layout="stereo")
            frame.sample_rate, frame.pts = RATE_HZ["audio"], n * 960
            frame.time_base = fractions.Fraction(1, RATE_HZ["audio"])
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    draft.replace(path)


def _read(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(file.streams[0]) if packet.size]
