"""A load generator: consultations of two that send pre-encoded sound and picture and check every frame they get.

aiortc brings SDP, ICE and DTLS; nothing is encoded or decoded here, so that the server's cost stands out. Works against
any server that answers `POST /offer {room, name, sdp}` with `{sdp}`.
"""

from __future__ import annotations

import asyncio
import fractions
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import aioice.ice
import aiortc.rtcrtpreceiver
import av
import numpy as np
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

WIDTH, HEIGHT, FRAMES_PER_S = 640, 480, 30
SECONDS = 20
KEYFRAME_EVERY = 60
VIDEO_BPS, AUDIO_BPS = 1_000_000, 32_000
RATE_HZ = {"audio": 48_000, "video": 90_000}
STEP_S = {"audio": 0.02, "video": 1 / FRAMES_PER_S}

Frames = dict[str, list[bytes]]


def make_frames(folder: Path) -> Frames:
    """Return encoded frames by kind, made at first use and kept in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    video, audio = folder / "load-vp8.webm", folder / "load-opus.webm"
    if not video.exists():
        _encode_video(video)
    if not audio.exists():
        _encode_audio(audio)
    return {"video": _read(video), "audio": _read(audio)}


def _encode_video(path: Path) -> None:
    draft = path.with_suffix(".draft.webm")
    with av.open(str(draft), "w") as out:
        options = {"deadline": "realtime", "cpu-used": "8", "g": str(KEYFRAME_EVERY)}
        stream = out.add_stream("libvpx", rate=FRAMES_PER_S, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", VIDEO_BPS
        noise = np.random.default_rng(1)
        slope = np.arange(WIDTH)[None, :] + np.arange(HEIGHT)[:, None]
        for n in range(SECONDS * FRAMES_PER_S):
            picture = np.stack([(slope * k + 4 * n) % 256 for k in (1, 2, 3)], axis=2).astype(np.uint8)
            left = n * 3 % (WIDTH - 80)
            picture[200:260, left : left + 80] = noise.integers(0, 255, (60, 80, 3), dtype=np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    draft.replace(path)


def _encode_audio(path: Path) -> None:
    draft = path.with_suffix(".draft.webm")
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


class FrameTrack(MediaStreamTrack):
    """Sends encoded frames in a loop, in time. sent: how many so far."""

    def __init__(self, kind: str, frames: list[bytes]) -> None:
        super().__init__()
        self.kind = kind
        self.frames = frames
        self.sent = 0
        self._started_s: float | None = None

    async def recv(self) -> av.Packet[Any]:
        if self.readyState != "live":
            raise MediaStreamError
        self._started_s = self._started_s or time.monotonic()
        at_s = self.sent * STEP_S[self.kind]
        await asyncio.sleep(max(0.0, self._started_s + at_s - time.monotonic()))
        packet = av.Packet(self.frames[self.sent % len(self.frames)])
        packet.pts, packet.time_base = round(at_s * RATE_HZ[self.kind]), fractions.Fraction(1, RATE_HZ[self.kind])
        self.sent += 1
        return packet


class _Checked:
    """Stands in for aiortc's decoders: notes the checksum of each frame instead of decoding it."""

    def __init__(self, codec: Any, note: Callable[[str, int], None]) -> None:
        self._kind = "video" if codec.mimeType.lower().startswith("video") else "audio"
        self._note = note

    def decode(self, frame: Any) -> list[Any]:
        self._note(self._kind, zlib.crc32(frame.data))
        return []


class Load:
    """n consultations of two. slots: offer sections of their own for what is received, as Consult's pages do."""

    def __init__(self, frames: Frames, *, slots: bool) -> None:
        self._frames = frames
        self._slots = slots
        self._known = {kind: {zlib.crc32(frame) for frame in encoded} for kind, encoded in frames.items()}
        self._tracks: list[FrameTrack] = []
        self._peers: list[RTCPeerConnection] = []
        self.received: list[tuple[str, int]] = []  # kind and checksum
        receivers: Any = aiortc.rtcrtpreceiver
        receivers.get_decoder = lambda codec: _Checked(codec, self._note)
        aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]

    def _note(self, kind: str, checksum: int) -> None:
        self.received.append((kind, checksum))

    async def connect(self, http: aiohttp.ClientSession, url: str, consultations: int) -> None:
        for number in range(consultations):
            for name in ("expert", "patient"):
                await self._join(http, url, f"load-{number}", name)

    async def _join(self, http: aiohttp.ClientSession, url: str, room: str, name: str) -> None:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        for kind in ("audio", "video"):
            track = FrameTrack(kind, self._frames[kind])
            self._tracks.append(track)
            peer.addTransceiver(track, "sendonly" if self._slots else "sendrecv")
        for kind in ("audio", "video") if self._slots else ():
            peer.addTransceiver(kind, "recvonly")
        await peer.setLocalDescription(await peer.createOffer())
        offer = {"room": room, "name": name, "sdp": peer.localDescription.sdp}
        async with http.post(f"{url}/offer", json=offer) as response:
            response.raise_for_status()
            answer = (await response.json())["sdp"]
        await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        self._peers.append(peer)
        async with asyncio.timeout(30):
            while peer.connectionState != "connected":
                await asyncio.sleep(0.05)

    async def run(self, seconds: float) -> tuple[int, int]:
        """Send for a while; return how many frames were sent meanwhile, and how many of them did not arrive intact."""
        before = [track.sent for track in self._tracks]
        self.received.clear()
        await asyncio.sleep(seconds)
        after = [track.sent for track in self._tracks]
        await asyncio.sleep(1)
        arrived: dict[tuple[str, int], int] = {}
        for item in self.received:
            arrived[item] = arrived.get(item, 0) + 1
        sent = lost = 0
        for track, first, last in zip(self._tracks, before, after, strict=True):
            for index in range(first, last):
                key = (track.kind, zlib.crc32(track.frames[index % len(track.frames)]))
                sent += 1
                lost += arrived.get(key, 0) < 1
                arrived[key] = arrived.get(key, 0) - 1
        return sent, lost

    async def close(self) -> None:
        for peer in self._peers:
            await peer.close()
