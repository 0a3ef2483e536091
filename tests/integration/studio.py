"""A member's browser without a network: real pictures and sounds, on a line of our making, into a recorder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from signaling.clocks import MemberClock, TrackClock
from signaling.codecs import CodecName, Kind
from signaling.disk import DiskWatch
from signaling.media import MediaEvent, MediaMember, SegmentFinished
from signaling.publication import Publication
from signaling.recorder import Recorder
from tests.integration.real_pictures import Camera, Watched, tone, watch

MEMBER = MediaMember("m1", "person:1", "Ana", "patient")


@dataclass(order=True)
class Arrival:
    at_ms: float
    order: int
    deliver: Callable[[], None] = field(compare=False)


class Studio:
    """One member's browser on a line of our making, and the recorder. All times in ms on the room's clock."""

    def __init__(
        self,
        spool: Path,
        codec: CodecName = "vp8",
        *,
        first_sequence: int = 0,
        first_timestamp: int = 0,
        disk: DiskWatch | None = None,
    ) -> None:
        self.spool = spool
        self.events: list[MediaEvent] = []
        self.recorder = Recorder(
            "room", spool=spool, started_at="2026-01-01T00:00:00+00:00", tell=self.events.append, disk=disk
        )
        clock = MemberClock()
        self.publications: dict[Kind, Publication] = {
            "audio": self._publication("audio", "opus", TrackClock(48_000, clock)),
            "video": self._publication("video", codec, TrackClock(90_000, clock)),
        }
        self.camera = Camera(codec)
        self._first_timestamp = first_timestamp
        self._sequences = {"audio": first_sequence, "video": first_sequence}
        self._arrivals: list[Arrival] = []
        self._ssrc = 5

    def _publication(self, kind: Kind, codec: CodecName, clock: TrackClock) -> Publication:
        return Publication(kind, clock, codec=codec, our_ssrc=1, nacks=True, send_rtcp=lambda data: None)

    def begin_anew(self) -> None:
        """As a browser does whose encoders were built again: other sources, numbers and timestamps."""
        self._ssrc += 2
        self._first_timestamp = (self._first_timestamp + 1_234_567_890) & 0xFFFFFFFF
        self._sequences = {kind: sequence + 30_000 for kind, sequence in self._sequences.items()}
        self.camera.resize((160, 120))

    def say(self, at_ms: int, *, takes_ms: float = 0) -> None:
        self._send("audio", at_ms, [tone()[at_ms // 20 % 50]], lambda _: takes_ms)

    def show(self, at_ms: int, *, takes_ms: Callable[[int], float | None] = lambda _: 0) -> None:
        """takes_ms: how long a packet of the picture is on its way, by its place in it; None: lost for ever."""
        self._send("video", at_ms, self.camera.shoot(), takes_ms)

    def _send(self, kind: Kind, at_ms: int, payloads: list[bytes], takes_ms: Callable[[int], float | None]) -> None:
        timestamp = (self._first_timestamp + at_ms * (48 if kind == "audio" else 90)) & 0xFFFFFFFF
        for place, payload in enumerate(payloads):
            sequence = self._sequences[kind] & 0xFFFF
            self._sequences[kind] += 1
            marker = kind == "video" and place == len(payloads) - 1
            takes = takes_ms(place)
            if takes is None:
                continue
            arrived_ms = at_ms + takes

            def deliver(
                sequence: int = sequence,
                marker: bool = marker,
                payload: bytes = payload,
                at: float = arrived_ms,
                ssrc: int = self._ssrc,
            ) -> None:
                self.publications[kind].receive(ssrc, sequence, timestamp, marker, payload, at)

            self._arrivals.append(Arrival(arrived_ms, len(self._arrivals), deliver))

    def run(self, until_ms: float = float("inf")) -> None:
        """Let arrive what is on its way until then."""
        self._arrivals.sort()
        while self._arrivals and self._arrivals[0].at_ms < until_ms:
            arrival = self._arrivals.pop(0)
            self.recorder.tick(arrival.at_ms)
            arrival.deliver()

    async def finished(self) -> list[SegmentFinished]:
        await self.recorder.close()
        return [event for event in self.events if isinstance(event, SegmentFinished)]

    async def watched(self) -> tuple[SegmentFinished, Watched]:
        (segment,) = await self.finished()
        return segment, watch(self.spool / segment.path)
