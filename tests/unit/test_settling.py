"""The short way of frames into a file (settle.c): byte by byte the file that Python alone makes."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signaling import compiled
from signaling.codecs import CodecName, Kind
from signaling.compiled import ShortTrack, Taken
from signaling.media import SegmentFinished
from signaling.rtp import Packet
from signaling.segment_file import Placed, SegmentFile
from signaling.spool import Description
from signaling.webm import repair

LIBRARY = compiled.load()
KEYFRAME = b"\x10\x10\x02\x00\x9d\x01\x2a\x40\x01\xf0\x00"
DELTA = b"\x10\x11\x02\x00"
PICTURES = {"vp8": Taken.VP8, "h264": Taken.PACKETS}

needs_library = pytest.mark.skipif(LIBRARY is None, reason="forward.c was not built: python -m signaling.compiling")


@dataclass
class Sender:
    """One track of somebody on a line with troubles: what passes the short way, and what the long one."""

    chance: random.Random
    kind: Kind
    codec: CodecName
    sequence: int = 1_000
    timestamp: int = 0
    offset_ms: float = 0.0  # from its media time to the room's clock
    late: list[Packet] = field(default_factory=list)

    def __post_init__(self) -> None:
        assert LIBRARY is not None
        self.timestamp = self.chance.choice((0, 5_000, (1 << 32) - 30_000))
        self.media_ms = 0.0
        self.track = ShortTrack(LIBRARY, packets=512, size_bytes=384 << 10, offset_ms=0)
        self.trouble = self.chance.choice((0.0, 0.01, 0.05, 0.2))

    def batch(self, until_ms: float) -> Iterator[Placed]:
        """What is heard up to then: some together, as C hands it over, some one by one."""
        while self.media_ms < until_ms:
            for packet in self.frame():
                if self.chance.random() < self.trouble:
                    yield from self.passed()
                    yield from self.disturb(packet)
                else:
                    self.keep(packet)
            if self.chance.random() < 0.05:
                yield from self.passed()
        yield from self.passed()

    def frame(self) -> Iterator[Packet]:
        step_ms = 20 if self.kind == "audio" else self.chance.choice((30, 40))
        khz = 48 if self.kind == "audio" else 90
        chance = self.chance
        arrived_ms = self.media_ms + chance.choice((0.0, 3.5, 0.25, 12.0))
        count = 1 if self.kind == "audio" else chance.choice((1, 1, 2, 4))
        keyframe = self.media_ms == 0 or chance.random() < 0.1
        for number in range(count):
            body = bytes([chance.randrange(256)]) * chance.choice((1, 30, 700))
            if self.kind == "video":
                body = (b"\x00" if number else KEYFRAME if keyframe else DELTA) + body
            elif chance.random() < 0.05:
                body = b""
            marker = number == count - 1
            yield Packet(self.sequence, self.timestamp, marker, body, arrived_ms)
            self.sequence += 1
        if chance.random() < 0.97:
            self.timestamp = self.timestamp + step_ms * khz & 0xFFFFFFFF
        self.media_ms += step_ms
        if chance.random() < 0.02:
            self.offset_ms += chance.choice((-300.0, -8.0, 5.0, 0.3, 60.0))  # the clock learnt something

    def disturb(self, packet: Packet) -> Iterator[Placed]:
        match self.chance.randrange(6):
            case 0:
                pass  # lost for good
            case 1:
                self.late.append(packet)
            case 2:
                yield self.place(packet)
                yield self.place(packet)
            case 3:  # the sender began anew
                self.sequence += 1 << 17
                self.timestamp = self.chance.randrange(1 << 32)
                if self.chance.random() < 0.5:
                    self.offset_ms += self.chance.choice((-4_000.0, 4_000.0))
            case 4:
                self.media_ms += self.chance.choice((200, 1_500))  # silence, without a time stamp
                yield self.place(packet)
            case _:
                yield self.place(packet)
        if self.late and self.chance.random() < 0.3:
            yield self.place(self.late.pop(0))

    def place(self, packet: Packet) -> Placed:
        return packet, array("d", (packet.arrived_ms + self.offset_ms,))

    def keep(self, packet: Packet) -> None:
        sequence, timestamp, marker, payload, arrived_ms = packet
        kept = LIBRARY.lib.forward_keep(  # type: ignore[union-attr]
            self.track.c, sequence, timestamp, marker, arrived_ms, payload, len(payload)
        )
        assert kept

    def passed(self) -> Iterator[Placed]:
        what = Taken.SOUND if self.kind == "audio" else PICTURES[self.codec]
        for passed in self.track.take(what):
            yield passed, array("d", (passed.moment(number)[1] + self.offset_ms for number in range(passed.run_count)))


class Pair:
    """The same segment written both ways."""

    def __init__(self, folder: Path, codec: CodecName, began_ms: float) -> None:
        self.folders = [folder / "python", folder / "c"]
        self.files = [
            SegmentFile(folder, describe, began_ms=began_ms, codec=codec, library=library)
            for folder, library in zip(self.folders, (None, LIBRARY), strict=True)
        ]

    def write(self, heard: dict[Kind, list[Placed]]) -> None:
        for file in self.files:
            file.write(heard)
        first, second = self.files
        assert first.wants_keyframe == second.wants_keyframe

    def content(self) -> list[bytes]:
        return [b"".join(path.read_bytes() for path in sorted(folder.rglob("*.webm"))) for folder in self.folders]

    def finish(self) -> SegmentFinished | None:
        first, second = (file.finish() for file in self.files)
        assert first == second
        return first


def describe(offset_ms: int) -> Description:
    return Description(
        room_id="room", segment_id="segment", member_id="member", person_id="person", name="Ana", role="patient",
        offset_ms=offset_ms, started_at="2026-01-01T00:00:00+00:00", codec="vp8",
    )  # fmt: skip


@needs_library
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 32))
def test_both_ways_make_the_same_file(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    chance = random.Random(seed)
    codec: CodecName = chance.choice(("vp8", "vp8", "vp8", "h264"))
    kinds: list[Kind] = chance.choice((["audio", "video"], ["audio", "video"], ["audio"], ["video"]))
    senders = {kind: Sender(chance, kind, codec) for kind in kinds}
    pair = Pair(tmp_path_factory.mktemp("segment"), codec, began_ms=chance.choice((-50.0, 0.0, 130.0)))
    for until_ms in range(200, chance.choice((1_000, 5_000)), 200):
        heard: dict[Kind, list[Placed]] = {"audio": [], "video": []}
        for kind, sender in senders.items():
            heard[kind] += sender.batch(until_ms)
        pair.write(heard)
        python, c = pair.content()
        assert python == c
    finished = pair.finish()
    python, c = pair.content()
    assert python == c
    if finished is not None:
        path = pair.folders[1] / finished.path
        facts = repair(path)
        assert facts is not None
        assert facts.duration_ms == finished.duration_ms
