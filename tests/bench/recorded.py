"""Reads what servers recorded and decodes it, from the first frame to the last."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

MJR_HEADER, MJR_PACKET = b"MJR00002", b"MEET"


@dataclass(frozen=True, slots=True)
class Recorded:
    """files: how many. frames: encoded frames in them; decoded: of these; broken: files with a frame that failed."""

    files: int
    frames: int
    decoded: int
    broken: int


def decode_all(folder: Path, keep: Path) -> Recorded:
    """Decode every recording below a folder. keep: where copies of broken ones go, for whoever wants to know why."""
    paths = sorted(path for ending in ("webm", "mp4", "mjr") for path in folder.rglob(f"*.{ending}"))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(_decode, paths))
    for path, (frames, decoded) in zip(paths, results, strict=True):
        if frames != decoded or not frames:
            keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, keep)
    return Recorded(
        files=len(paths),
        frames=sum(frames for frames, _ in results),
        decoded=sum(decoded for _, decoded in results),
        broken=sum(frames != decoded or not frames for frames, decoded in results),
    )


def _decode(path: Path) -> tuple[int, int]:
    """Return how many frames a file holds and how many of them decode."""
    if path.suffix == ".mjr":
        return _decode_mjr(path)
    frames = decoded = 0
    try:
        with av.open(str(path)) as file:
            for packet in file.demux():
                frames += packet.size > 0
                if packet.stream.type == "video":  # B-frames come out late: whole numbers only at the end
                    decoded += len(packet.decode())
                elif packet.size:
                    packet.decode()  # an encoder's delay leaves the first without samples
                    decoded += 1
    except av.FFmpegError:
        decoded = -1
    return frames, decoded


def _decode_mjr(path: Path) -> tuple[int, int]:
    packets = _mjr_packets(path.read_bytes())
    kind = next(packets)["t"]
    codec: Any = av.CodecContext.create("vp8" if kind == "v" else "libopus", "r")
    frames = decoded = 0
    for frame in _frames(packets, video=kind == "v"):
        if not frames and kind == "v" and frame[0] & 1:
            continue  # before the first keyframe
        frames += 1
        try:
            decoded += len(codec.decode(av.Packet(frame)))
        except av.FFmpegError:
            decoded -= 1
    return frames, decoded


def _mjr_packets(data: bytes) -> Iterator[Any]:
    """Yield the description, then RTP packets."""
    assert data.startswith(MJR_HEADER)
    at = len(MJR_HEADER)
    (length,) = struct.unpack_from("!H", data, at)
    yield json.loads(data[at + 2 : at + 2 + length])
    at += 2 + length
    while data.startswith(MJR_PACKET, at) and at + 10 <= len(data):
        (length,) = struct.unpack_from("!H", data, at + 8)
        yield data[at + 10 : at + 10 + length]
        at += 10 + length


def _frames(packets: Iterator[bytes], *, video: bool) -> Iterator[bytes]:
    parts: list[bytes] = []
    for packet in packets:
        payload = packet[12:]
        if not video:
            yield payload
            continue
        parts.append(payload[1:])  # our load has descriptors of one byte
        if packet[1] & 0x80:
            yield b"".join(parts)
            parts = []
