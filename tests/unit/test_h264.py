"""H.264 payloads (RFC 6184) as aiortc's encoder (libx264) makes them, and as they are written into files."""

from __future__ import annotations

import fractions

import av
import numpy as np
import pytest
from aiortc.codecs.h264 import H264Encoder
from hypothesis import given
from hypothesis import strategies as st

from signaling import h264


def encode(width: int, height: int, count: int) -> list[list[bytes]]:
    """The payloads of some pictures of noise, so large that they are fragmented."""
    encoder = H264Encoder()
    noise = np.random.default_rng(1)
    pictures = []
    for number in range(count):
        planes = noise.integers(0, 255, (height * 3 // 2, width), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = number * 3_000, fractions.Fraction(1, 90_000)
        payloads, _ = encoder.encode(frame)
        pictures.append(payloads)
    return pictures


@pytest.fixture(scope="module")
def pictures() -> list[list[bytes]]:
    return encode(320, 180, 3)


def test_a_keyframe_begins_where_its_parameters_are(pictures: list[list[bytes]]) -> None:
    assert [h264.starts_keyframe(payload) for payload in pictures[0]].count(True) == 1
    assert h264.starts_keyframe(pictures[0][0])
    assert not any(h264.starts_keyframe(payload) for payload in pictures[1] + pictures[2])


def test_fragments_and_aggregates_become_the_units_that_a_decoder_takes(pictures: list[list[bytes]]) -> None:
    kinds = {payload[0] & 0x1F for payload in pictures[0]}
    assert {h264.STAP_A, h264.FU_A} <= kinds, "the encoder made both"
    decoder = av.CodecContext.create("h264", "r")
    shown = [
        frame
        for payloads in pictures
        for frame in decoder.decode(av.Packet(h264.write_annex_b(h264.join_units(payloads))))
    ]
    shown += decoder.decode(None)
    assert [(frame.width, frame.height) for frame in shown] == [(320, 180)] * 3
    assert [h264.is_keyframe(h264.join_units(payloads)) for payloads in pictures] == [True, False, False]


def test_only_a_units_first_fragment_can_begin_it(pictures: list[list[bytes]]) -> None:
    fragments = [payload for payload in pictures[0] if payload[0] & 0x1F == h264.FU_A]
    ends = sum(bool(payload[1] & 0x40) for payload in fragments)
    assert len(fragments) > ends > 0
    assert [h264.continues_unit(payload) for payload in fragments].count(False) == ends
    assert not h264.continues_unit(fragments[0]) and h264.continues_unit(fragments[1])
    assert not h264.continues_unit(pictures[0][0])


def test_a_unit_whose_end_is_lost_is_left_out(pictures: list[list[bytes]]) -> None:
    lost = [payload for payload in pictures[0] if not (payload[0] & 0x1F == h264.FU_A and payload[1] & 0x40)]
    assert len(lost) < len(pictures[0])
    assert not h264.is_keyframe(h264.join_units(lost))


@pytest.mark.parametrize(("width", "height"), [(160, 120), (320, 180), (640, 360), (854, 480)])
def test_the_parameters_tell_the_size_of_the_picture(width: int, height: int) -> None:
    units = h264.join_units(encode(width, height, 1)[0])
    parameters = h264.find_parameters(units)
    assert parameters is not None and h264.picture_size(parameters.sequence) == (width, height)


def test_files_decode_with_the_configuration_that_we_write(pictures: list[list[bytes]]) -> None:
    units = [h264.join_units(payloads) for payloads in pictures]
    parameters = h264.find_parameters(units[0])
    assert parameters is not None
    decoder = av.CodecContext.create("h264", "r")
    decoder.extradata = h264.write_decoder_configuration(parameters)
    without = [unit for unit in units[0] if unit[0] & 0x1F == h264.IDR]
    shown = decoder.decode(av.Packet(h264.write_avc(without))) + decoder.decode(av.Packet(h264.write_avc(units[1])))
    assert len(shown + decoder.decode(None)) == 2


@given(st.lists(st.binary(max_size=24), max_size=6))
def test_no_bytes_make_reading_fail(payloads: list[bytes]) -> None:
    units = h264.join_units(payloads)
    assert all(units)
    assert sum(map(len, units)) <= sum(map(len, payloads))
    h264.is_keyframe(units)
    h264.find_parameters(units)
    for payload in payloads:
        h264.starts_keyframe(payload)
        h264.continues_unit(payload)
        width, height = h264.picture_size(payload)
        assert (width > 0) == (height > 0)
