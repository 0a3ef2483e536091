"""VP8 payloads (RFC 7741), and pictures put together from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.frames import REORDER_MS, Mapping, VideoFrames
from signaling.rtp import Packet, Run
from signaling.vp8 import descriptor_size, is_keyframe, picture_size, starts_keyframe

KEY = b"\x10\x02\x00\x9d\x01\x2a\x80\x02\xe0\x01"  # P bit clear, start code, 640 × 480
DELTA = b"\x11\x02\x00" + bytes(8)


@pytest.mark.parametrize(
    ("descriptor", "size"),
    [
        (b"\x10", 1),
        (b"\x90\x80\x11", 3),
        (b"\x90\x80\x81\x11", 4),
        (b"\x90\xf0\x81\x11\x01\x20", 6),
        (b"\x90\x20\x40", 3),
    ],
)
def test_the_descriptor_ends_where_the_picture_begins(descriptor: bytes, size: int) -> None:
    assert descriptor_size(descriptor + KEY) == size
    assert starts_keyframe(descriptor + KEY)
    assert not starts_keyframe(descriptor + DELTA)


@given(st.binary(max_size=12))
def test_no_bytes_make_reading_fail(payload: bytes) -> None:
    assert 0 <= descriptor_size(payload) <= len(payload)
    starts_keyframe(payload)
    is_keyframe(payload)


def test_a_keyframe_tells_the_size_of_the_picture() -> None:
    assert is_keyframe(KEY) and not is_keyframe(DELTA)
    assert picture_size(KEY) == (640, 480)


def _packet(
    sequence: int, payload: bytes, *, marker: bool = True, at_ms: float = 0, placed_ms: float = 0
) -> tuple[Packet, float, Mapping]:
    return Packet(sequence, sequence * 3_000, marker, payload, at_ms), placed_ms, Mapping(0)


def test_a_picture_in_three_packets_comes_out_whole_in_any_order() -> None:
    frames = VideoFrames()
    first, second, third = (
        _packet(5, b"\x10" + KEY, marker=False, placed_ms=100),
        _packet(6, b"\x00more", marker=False),
        _packet(7, b"\x00end"),
    )
    assert frames.push(*first) == []
    assert frames.push(*third) == []
    (picture,) = frames.push(*second)
    assert (picture.data, picture.keyframe, picture.room_ms) == (KEY + b"moreend", True, 100)


def test_nothing_is_shown_between_a_loss_and_the_next_keyframe() -> None:
    frames = VideoFrames()
    assert len(frames.push(*_packet(1, b"\x10" + KEY))) == 1
    assert frames.push(*_packet(3, b"\x10" + DELTA, at_ms=10)) == []
    assert frames.push(*_packet(4, b"\x10" + DELTA, at_ms=REORDER_MS + 20)) == []
    assert frames.wants_keyframe
    assert len(frames.push(*_packet(5, b"\x10" + KEY, at_ms=REORDER_MS + 30))) == 1
    assert not frames.wants_keyframe


def test_what_waits_at_the_end_is_given_out() -> None:
    frames = VideoFrames()
    frames.push(*_packet(1, b"\x10" + KEY))
    frames.push(*_packet(3, b"\x10" + KEY))
    assert [frame.keyframe for frame in frames.flush()] == [True]


def test_packets_that_only_pad_do_no_harm() -> None:
    frames = VideoFrames()
    frames.push(*_packet(1, b"\x10" + KEY))
    assert frames.push(*_packet(2, b"")) == []
    assert len(frames.push(*_packet(3, b"\x10" + DELTA))) == 1


def _whole(sequence: int, picture: bytes, *, packet_count: int = 3, at_ms: float = 0) -> tuple[Run, float, Mapping]:
    return Run(sequence, sequence * 3_000, True, packet_count, at_ms, picture), sequence * 1.0, Mapping(0)


def test_a_whole_picture_waits_for_what_is_missing_before_it() -> None:
    frames = VideoFrames()
    assert [frame.data for frame in frames.push(*_whole(1, KEY))] == [KEY]
    assert frames.push(*_whole(5, DELTA + b"second")) == []
    assert frames.push(*_whole(8, DELTA + b"third")) == []
    shown = frames.push(*_packet(4, b"\x10" + DELTA + b"first"))
    assert [frame.data for frame in shown] == [DELTA + name for name in (b"first", b"second", b"third")]
    assert [frame.media_ms for frame in shown[1:]] == [5, 8]


def test_a_whole_picture_ends_one_that_was_not_finished() -> None:
    frames = VideoFrames()
    frames.push(*_whole(1, KEY))
    assert frames.push(*_packet(4, b"\x10" + DELTA + b"begun", marker=False)) == []
    assert [frame.data for frame in frames.push(*_whole(5, DELTA))] == [DELTA]
    assert frames.push(*_packet(8, b"\x00and no more")) == []


def test_whole_pictures_behind_a_loss_are_not_shown_before_a_keyframe() -> None:
    frames = VideoFrames()
    frames.push(*_whole(1, KEY))
    assert frames.push(*_whole(5, DELTA, at_ms=10)) == []
    assert frames.push(*_whole(8, DELTA, at_ms=REORDER_MS + 20)) == []
    assert frames.wants_keyframe
    assert [frame.keyframe for frame in frames.push(*_whole(11, KEY, at_ms=REORDER_MS + 30))] == [True]
