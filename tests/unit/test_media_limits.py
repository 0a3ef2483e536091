"""What one sender or viewer can make a process do is bounded: memory, repeated packets, requests."""

from __future__ import annotations

import logging
import uuid
from pathlib import Path

import pytest

from signaling.frames import MAX_PICTURE_PACKETS, Mapping, VideoFrames
from signaling.media import MediaEvent, MediaMember, SegmentFinished
from signaling.publication import MAX_MISSING_PACKETS
from signaling.recorder import Recorder
from signaling.rtp import Packet
from signaling.subscription import RESENT_PER_S
from tests.unit.test_rtp import KEYFRAME, Wire

WHOLE_KEYFRAME = b"\x10\x10\x02\x00\x9d\x01\x2a\x40\x01\xf0\x00"
MEMBER = MediaMember("member", "person", "Ana", "patient")


def test_a_sender_who_leaves_gap_after_gap_is_asked_for_a_keyframe_instead() -> None:
    wire = Wire()
    wire.receive(10, KEYFRAME)
    for number in range(1, 100):
        wire.receive(10 + number * 250)
        assert len(wire.source._missing) <= MAX_MISSING_PACKETS
    assert wire.source.wants_keyframe


def test_a_viewer_who_asks_for_everything_again_and_again_gets_little_of_it() -> None:
    wire = Wire()
    wire.receive(10, KEYFRAME)
    for number in range(11, 100):
        wire.receive(number)
    asked = tuple(packet[0] for packet in wire.packets)
    sent = len(wire.packets)
    for _ in range(100):
        wire.slot.resend(asked)
    assert len(wire.packets) - sent <= RESENT_PER_S
    wire.receive(100, at_ms=1_000)
    wire.slot.resend(asked[:5])
    assert len(wire.packets) - sent > RESENT_PER_S, "who asks for little later gets it"


def test_a_picture_that_never_ends_is_dropped() -> None:
    frames, mapping = VideoFrames(), Mapping(0)
    frames.push(Packet(1, 0, False, WHOLE_KEYFRAME, 0), 0, mapping)
    for number in range(2, 4 * MAX_PICTURE_PACKETS):
        frames.push(Packet(number, 0, False, b"\x80\x80\x01" + bytes(4), 0), 0, mapping)
        assert len(frames._parts) <= MAX_PICTURE_PACKETS
    assert frames.wants_keyframe
    last = 4 * MAX_PICTURE_PACKETS
    assert frames.push(Packet(last, 9, True, WHOLE_KEYFRAME, 0), 1, mapping), "a whole one is taken again"


async def test_what_breaks_one_members_file_leaves_the_others_theirs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing known does: the parsers are fuzzed. If something does, it costs nobody else their recording."""
    caplog.set_level(logging.CRITICAL)
    told: list[MediaEvent] = []
    recorder = Recorder(str(uuid.uuid4()), spool=tmp_path, started_at="2026-01-01T00:00:00+00:00", tell=told.append)
    broken, whole = (recorder.begin(MEMBER, {}, 0) for _ in range(2))
    for number in range(20):
        sound = Packet(number, number * 960, True, b"\xfcsound", number * 20.0)
        whole.take_audio(sound, [100.0 + number * 20])
        nonsense = sound._replace(payload="no bytes")  # type: ignore[arg-type]
        broken.take_audio(nonsense if number == 10 else sound, [100.0 + number * 20])
    recorder.tick(1_000)
    await recorder.close()
    finished = [event.segment_id for event in told if isinstance(event, SegmentFinished)]
    assert whole.segment_id in finished
    assert not [event for event in told if not isinstance(event, SegmentFinished)]
