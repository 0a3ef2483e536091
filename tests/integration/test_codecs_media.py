"""H.264 beside VP8 in one room: through real connections, from encoders to decoders, and bit by bit."""

from __future__ import annotations

import asyncio
import fractions
import zlib
from pathlib import Path
from typing import Any

import aiortc.rtcrtpreceiver
import av
import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from signaling.h264 import START_CODE
from tests.integration.browsers import Browser, loopback, open_room, until

pytestmark = pytest.mark.usefixtures("loopback")
__all__ = ["loopback"]

WIDTH, HEIGHT, FRAMES_PER_S, KEYFRAME_EVERY, COUNT = 320, 180, 15, 15, 45


class EncodedPictures(MediaStreamTrack):
    """Sends pictures that libx264 has encoded before, in time, again and again. sent: how many so far."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self.pictures = encode()
        self.sent = 0

    async def recv(self) -> av.Packet[Any]:
        if self.readyState != "live":
            raise MediaStreamError
        await asyncio.sleep(1 / FRAMES_PER_S)
        packet = av.Packet(self.pictures[self.sent % COUNT])
        packet.pts, packet.time_base = self.sent * 90_000 // FRAMES_PER_S, fractions.Fraction(1, 90_000)
        self.sent += 1
        return packet


def encode() -> list[bytes]:
    """Noise in constrained baseline: some pictures need several packets."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt, context.bit_rate = WIDTH, HEIGHT, "yuv420p", 500_000
    context.framerate, context.time_base = fractions.Fraction(FRAMES_PER_S), fractions.Fraction(1, FRAMES_PER_S)
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "g": str(KEYFRAME_EVERY)}
    noise = np.random.default_rng(1)
    pictures: list[bytes] = []
    for number in range(COUNT):
        frame = av.VideoFrame.from_ndarray(noise.integers(0, 99, (HEIGHT * 3 // 2, WIDTH), np.uint8), format="yuv420p")
        frame.pts = number
        pictures += [bytes(packet) for packet in context.encode(frame)]
    return pictures + [bytes(packet) for packet in context.encode(None)]


def checksum(picture: bytes) -> int:
    """Of a byte stream, whether its start codes have three bytes or four."""
    return zlib.crc32(picture.replace(START_CODE, START_CODE[1:]))


class Counting:
    """Stands in for a decoder: notes what it is given."""

    def __init__(self, got: list[int]) -> None:
        self._got = got

    def decode(self, frame: Any) -> list[Any]:
        self._got.append(checksum(frame.data))
        return []


async def test_members_with_different_codecs_see_each_other(tmp_path: Path) -> None:
    safari, chromium = Browser("safari", luma=60, codec="h264"), Browser("chromium", luma=180, codec="vp8")
    async with open_room(tmp_path, safari, chromium) as room:
        await room.sees(safari, chromium)
        await room.sees(chromium, safari)
        assert abs(safari.luma[room.mids(safari)["video", "chromium"]] - 180) < 12
        assert abs(chromium.luma[room.mids(chromium)["video", "safari"]] - 60) < 12


async def test_a_slot_changes_its_codec_with_the_member_in_it(tmp_path: Path) -> None:
    viewer, first, second = Browser("viewer"), Browser("first", luma=60, codec="h264"), Browser("second", luma=200)
    async with open_room(tmp_path, viewer, first) as room:
        await room.sees(viewer, first)
        mid = room.mids(viewer)["video", "first"]
        await room.media.drop("first")
        await until(lambda: not room.mids(viewer))
        await second.join(room.media)
        try:
            await room.sees(viewer, second)
            assert room.mids(viewer)["video", "second"] == mid
            assert abs(viewer.luma[mid] - 200) < 12
        finally:
            await first.close()
            await second.close()


async def test_every_picture_of_an_encoder_arrives_bit_by_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[int] = []
    real = aiortc.rtcrtpreceiver.get_decoder
    monkeypatch.setattr(
        aiortc.rtcrtpreceiver, "get_decoder",
        lambda codec: Counting(got) if codec.mimeType.lower() == "video/h264" else real(codec),
    )  # fmt: skip
    pictures = EncodedPictures()
    known = [checksum(picture) for picture in pictures.pictures]
    assert len(known) == COUNT == len(set(known))
    sender, viewer = Browser("sender", codec="h264", picture=pictures), Browser("viewer", video=False)
    async with open_room(tmp_path, sender, viewer):
        await until(lambda: len(got) >= 2 * COUNT)
        assert known.index(got[0]) % KEYFRAME_EVERY == 0
        began = known.index(got[0])
        assert got == [known[(began + n) % COUNT] for n in range(len(got))]
