"""Stand-ins for browsers: aiortc connections in the same process that send small pictures and tones to a RoomMedia."""

from __future__ import annotations

import asyncio
import contextlib
import fractions
import math
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aioice.ice
import numpy as np
import pytest
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, VideoFrame

from signaling.ice import IceSettings
from signaling.media import MediaEvent, MediaMember, PeerConnected, SegmentFinished, SlotsChanged
from signaling.relay import RoomMedia
from tests.impairment import Relay

WIDTH, HEIGHT, FRAMES_PER_S = 160, 120, 15
LOOPBACK = IceSettings(hosts=("127.0.0.1",))
LIMIT_S = 40


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-ins open their sockets on loopback, where nothing else is reached."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


@pytest.fixture(params=["fast", "plain", "pump"])
def media_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test on both ways that packets can take."""
    monkeypatch.setattr(sys.modules[__name__], "LOOPBACK", IceSettings(hosts=("127.0.0.1",), path=request.param))
    return str(request.param)


class Start:
    """When a member's first track began, in s of the monotonic clock: sound and picture are of one piece."""

    def __init__(self) -> None:
        self.at_s: float | None = None

    def steps(self, step_s: float) -> int:
        """How many steps of a track have passed when it begins."""
        now_s = time.monotonic()
        self.at_s = self.at_s if self.at_s is not None else now_s
        return math.ceil((now_s - self.at_s) / step_s)

    async def wait(self, at_s: float) -> None:
        assert self.at_s is not None
        await asyncio.sleep(max(0.0, self.at_s + at_s - time.monotonic()))


class Picture(MediaStreamTrack):
    """One grey; white for 100 ms at the start of every second if it flashes."""

    kind = "video"

    def __init__(self, luma: int, start: Start, *, flashes: bool = False) -> None:
        super().__init__()
        self.start = start
        self._luma = luma
        self._flashes = flashes
        self._count = -1

    async def recv(self) -> VideoFrame:
        if self.readyState != "live":
            raise MediaStreamError
        self._count = self.start.steps(1 / FRAMES_PER_S) if self._count < 0 else self._count + 1
        at_s = self._count / FRAMES_PER_S
        await self.start.wait(at_s)
        luma = 235 if self._flashes and at_s % 1 < 0.1 else self._luma
        planes = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        planes[:HEIGHT] = luma
        planes[:8, :8] = self._count % 200
        frame = VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = round(at_s * 90_000), fractions.Fraction(1, 90_000)
        return frame


class Tone(MediaStreamTrack):
    """A quiet tone; loud for 100 ms at the start of every second, silent otherwise, if it beeps."""

    kind = "audio"

    def __init__(self, start: Start, *, beeps: bool = False) -> None:
        super().__init__()
        self.start = start
        self._beeps = beeps
        self._count = -1

    async def recv(self) -> AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        self._count = self.start.steps(0.02) if self._count < 0 else self._count + 1
        at_s = self._count * 0.02
        await self.start.wait(at_s)
        times = (np.arange(960) + self._count * 960) / 48_000
        level = (20_000 if at_s % 1 < 0.0999 else 0) if self._beeps else 3_000
        samples = (level * np.sin(2 * np.pi * 880 * times)).astype(np.int16)
        frame = AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
        frame.sample_rate = 48_000
        frame.pts, frame.time_base = round(at_s * 48_000), fractions.Fraction(1, 48_000)
        return frame


class Browser:
    """One member. codec: what alone their pictures are offered in, else all that aiortc knows. others: whom they see.

    frames: how many were decoded, by mid. luma: the latest picture's grey, by mid.
    """

    def __init__(
        self,
        member_id: str,
        *,
        luma: int = 60,
        audio: bool = True,
        video: bool = True,
        flashes: bool = False,
        codec: str | None = None,
        others: int = 3,
        picture: MediaStreamTrack | None = None,
    ):
        self.member = MediaMember(member_id, f"person:{member_id}", member_id.title(), "patient")
        self.frames: dict[str, int] = {}
        self.luma: dict[str, float] = {}
        self.corrupt = 0
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        start = Start()
        picture = picture or Picture(luma, start, flashes=flashes)
        own = (("audio", Tone(start, beeps=flashes), audio), ("video", picture, video))
        for kind, track, present in own:
            self.pc.addTransceiver(track if present else kind, "sendonly" if present else "inactive")
        if codec is not None:
            known = RTCRtpSender.getCapabilities("video").codecs
            alone = [one for one in known if one.mimeType.lower() in (f"video/{codec}", "video/rtx")]
            self.pc.getTransceivers()[1].setCodecPreferences(alone)
        for _ in range(others):
            self.pc.addTransceiver("audio", "recvonly")
            self.pc.addTransceiver("video", "recvonly")
        self._watchers: list[asyncio.Task[None]] = []
        self.attempt = 0

    async def offer(self) -> str:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def join(
        self, media: RoomMedia, *, attempt: int = 0, candidates: bool = False, line: Relay | None = None
    ) -> None:
        """Offer, take the answer, watch what arrives. line: what all that goes over."""
        self.attempt = attempt
        sdp = await self.offer()
        if not candidates:
            sdp = "".join(f"{line}\r\n" for line in sdp.splitlines() if "candidate" not in line)
        sdp = _without_rtx_in_slots(sdp)
        answer = await media.accept_offer(self.member, sdp, attempt)
        if line is not None:
            answer = await line.rewrite(answer)
        await self.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        for transceiver in self.pc.getTransceivers()[2:]:
            watch = self._watch(str(transceiver.mid), transceiver.receiver.track)
            self._watchers.append(asyncio.create_task(watch, name=f"watch {transceiver.mid}"))

    async def close(self) -> None:
        for task in self._watchers:
            task.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        await self.pc.close()

    def lose(self, share: float, seed: int = 1) -> None:
        """Lose a share of the RTP packets in both directions, as a bad line does."""
        ice = self.pc.getTransceivers()[0].receiver.transport.transport
        chance = random.Random(seed)
        send, receive = ice._send, ice._recv

        def lost(data: bytes) -> bool:
            return 127 < data[0] < 192 and not 191 < data[1] < 224 and chance.random() < share

        async def lossy_send(data: bytes) -> None:
            if not lost(data):
                await send(data)

        async def lossy_receive() -> bytes:
            while lost(data := await receive()):
                pass
            return bytes(data)

        ice._send, ice._recv = lossy_send, lossy_receive

    async def _watch(self, mid: str, track: Any) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                self.frames[mid] = self.frames.get(mid, 0) + 1
                if isinstance(frame, VideoFrame):
                    self.luma[mid] = float(frame.to_ndarray(format="yuv420p")[HEIGHT // 2, WIDTH // 2])


def _without_rtx_in_slots(sdp: str) -> str:
    """aiortc finds the receiver of an RTX packet by its mid extension, which we do not send (browsers go by SSRC)."""
    session, *sections = sdp.split("m=")
    slots = [_without_rtx(section) for section in sections[2:]]
    return "m=".join([session, *sections[:2], *slots])


def _without_rtx(section: str) -> str:
    types = [line[9:].split()[0] for line in section.splitlines() if line.startswith("a=rtpmap:") and "rtx/" in line]
    lines = [line for line in section.splitlines() if not line.startswith(tuple(f"a={a}:{t}" for a in ("rtpmap", "fmtp")
             for t in types))]  # fmt: skip
    lines[0] = " ".join(word for word in lines[0].split() if word not in types)
    return "".join(f"{line}\r\n" for line in lines)


class Room:
    """A RoomMedia and what it told."""

    def __init__(self, spool: Path, room_id: str = "room-1") -> None:
        self.events: list[MediaEvent] = []
        self._started_s = time.monotonic()
        self.media = RoomMedia(
            room_id,
            clock=self.now_ms,
            spool=spool,
            ice=LOOPBACK,
            tell=self.events.append,
            started_at="2026-11-22T20:00:00+00:00",
        )

    def now_ms(self) -> int:
        return int((time.monotonic() - self._started_s) * 1000)

    def mids(self, browser: Browser) -> dict[tuple[str, str], str]:
        """Where a browser finds whom: mid by (kind, member id)."""
        told = [e for e in self.events if isinstance(e, SlotsChanged) and e.member_id == browser.member.member_id]
        return {(slot.kind, slot.member_id): slot.mid for slot in told[-1].slots if slot.member_id} if told else {}

    @property
    def segments(self) -> list[SegmentFinished]:
        return [event for event in self.events if isinstance(event, SegmentFinished)]

    async def connected(self, *browsers: Browser) -> None:
        for browser in browsers:
            await until(lambda: PeerConnected(browser.member.member_id, browser.attempt) in self.events)  # noqa: B023

    async def sees(self, viewer: Browser, source: Browser, *, frames: int = 5, kinds: str = "audio video") -> None:
        """Wait until a viewer has decoded some more frames of a source."""
        for kind in kinds.split():
            key = (kind, source.member.member_id)
            await until(lambda: key in self.mids(viewer))  # noqa: B023
            mid = self.mids(viewer)[key]
            before = viewer.frames.get(mid, 0)
            await until(lambda: viewer.frames.get(mid, 0) >= before + frames)  # noqa: B023


@contextlib.asynccontextmanager
async def open_room(spool: Path, *browsers: Browser, room_id: str = "room-1") -> AsyncIterator[Room]:
    """A room with these browsers in it, connected; all is closed at the end."""
    room = Room(spool, room_id)
    try:
        for browser in browsers:
            await browser.join(room.media)
        await room.connected(*browsers)
        yield room
    finally:
        await room.media.close()
        for browser in browsers:
            await browser.close()


async def until(condition: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.02)
