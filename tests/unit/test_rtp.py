"""RTP and RTCP bytes, the clocks behind timestamps, and what a publication and its subscriptions do with packets."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling import rtcp
from signaling.answer import SentTrack
from signaling.clocks import MemberClock, TrackClock
from signaling.codecs import Codec
from signaling.guard import Section
from signaling.publication import Publication
from signaling.rtp import extend, header_end, read_fixed, unwrap_retransmission, wrap_retransmission, write_packet
from signaling.subscription import Subscription

KEYFRAME = b"\x10\x00\x9d\x01\x2a\x80\x02\xe0\x01" + bytes(20)
DELTA = b"\x10\x01" + bytes(20)


def test_a_header_with_extension_sources_and_padding_is_read() -> None:
    body = struct.pack("!BBHLL", 0xB1, 0x80 | 111, 7, 1000, 42) + bytes(4) + b"\xbe\xde\x00\x01" + bytes(4)
    packet = body + b"sound" + b"\0\0\3"
    assert read_fixed(packet) == (0xB1, 0x80 | 111, 7, 1000, 42)
    at, end = header_end(packet + b"what lay in the buffer before", len(packet))
    assert packet[at:end] == b"sound"


@given(st.binary(max_size=40))
def test_no_bytes_make_reading_fail(data: bytes) -> None:
    at, end = header_end(data, len(data))
    assert (at, end) == (0, 0) or 12 <= at <= end <= len(data)
    rtcp.read(data)
    unwrap_retransmission(data)


def test_what_is_written_is_read_back() -> None:
    data = write_packet(0x80 | 96, 65_536 + 5, (1 << 32) + 9, 7, b"picture")
    assert read_fixed(data) == (0x80, 0x80 | 96, 5, 9, 7)
    assert header_end(data, len(data)) == (12, len(data))
    assert unwrap_retransmission(wrap_retransmission(65_536 + 5, b"picture")) == (5, b"picture")


@pytest.mark.parametrize(("value", "near", "extended"), [(1, 65_535, 65_537), (65_535, 65_537, 65_535), (9, 9, 9)])
def test_wrap_around_of_sequence_numbers_is_undone(value: int, near: int, extended: int) -> None:
    assert extend(value, near, 16) == extended


def test_feedback_is_read_back() -> None:
    assert rtcp.read(rtcp.write_keyframe_request(1, 2)) == [rtcp.KeyframeRequest(2)]
    lost = (65_534, 65_535, 0, 1, 40)
    assert rtcp.read(rtcp.write_nack(1, 2, lost)) == [rtcp.Nack(2, lost)]
    (limit,) = rtcp.read(rtcp.write_bitrate_limit(1, 2, 2_500_000))
    assert isinstance(limit, rtcp.BitrateLimit) and 2_490_000 < limit.bitrate_bps <= 2_500_000
    report = rtcp.write_sender_report(5, ntp=1 << 40, rtp_timestamp=77, packets=1, octets=2, cname="slot0")
    assert rtcp.read(report) == [rtcp.SenderReport(5, 1 << 40, 77)]
    reception = rtcp.Reception(9, 26, 3, 70_000, 1, 2, 3)
    assert rtcp.read(rtcp.write_receiver_report(1, [reception])) == [rtcp.Loss(9, 26)]


def test_a_full_intra_request_is_a_keyframe_request() -> None:
    fir = struct.pack("!BBHLLLBBH", 0x84, 206, 4, 1, 0, 33, 1, 0, 0)
    assert rtcp.read(fir) == [rtcp.KeyframeRequest(33)]


class Wire:
    """One publication and one subscription, and what they sent."""

    def __init__(self) -> None:
        self.upstream: list[rtcp.Feedback] = []
        self.packets: list[tuple[int, int, int, bytes]] = []  # sequence, timestamp, ssrc, payload
        self.source = self.new_source()
        section = Section("3", "video", False, True, (Codec("vp8", 96, 97, ("nack",)),), True)
        self.slot = Subscription(section, SentTrack(7, 8, "slot0"), send_rtp=self._take, takes_bps=lambda: 1)
        self.slot.attach(self.source, 0)

    def new_source(self) -> Publication:
        return Publication(
            "video", TrackClock(90_000, MemberClock()), codec="vp8", our_ssrc=1, nacks=True,
            send_rtcp=lambda data: self.upstream.extend(rtcp.read(data)),
        )  # fmt: skip

    def receive(self, sequence: int, payload: bytes = DELTA, *, at_ms: float = 0, ssrc: int = 55) -> None:
        self.source.receive(ssrc, sequence & 0xFFFF, sequence * 3_000, True, payload, at_ms)

    def _take(self, second: int, sequence: int, timestamp: int, ssrc: int, payload: bytes) -> None:
        assert second & 0x80, "the marker bit of the packets below"
        self.packets.append((sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc, payload))


def test_a_new_picture_begins_with_a_keyframe_which_is_asked_for() -> None:
    wire = Wire()
    wire.receive(10)
    wire.slot.tick(1)
    wire.slot.tick(100)  # too soon to ask again
    assert wire.packets == []
    assert wire.upstream == [rtcp.KeyframeRequest(55)]
    wire.slot.tick(400)
    assert len(wire.upstream) == 2
    wire.receive(11, KEYFRAME)
    wire.receive(12)
    assert len(wire.packets) == 2
    wire.source.tick(2_000)
    assert len(wire.upstream) == 2


def test_a_change_of_source_keeps_numbers_and_times_running() -> None:
    wire = Wire()
    wire.receive(10, KEYFRAME, at_ms=0)
    wire.receive(11, at_ms=33)
    wire.source = wire.new_source()
    wire.slot.attach(wire.source, 40)
    wire.receive(40_000, at_ms=50, ssrc=99)  # no keyframe: not passed on
    wire.receive(40_001, KEYFRAME, at_ms=133, ssrc=99)
    wire.receive(40_002, at_ms=166, ssrc=99)
    sequences = [packet[0] for packet in wire.packets]
    times = [packet[1] for packet in wire.packets]
    assert [(b - a) & 0xFFFF for a, b in itertools.pairwise(sequences)] == [1, 1, 1]
    assert (times[2] - times[1]) & 0xFFFFFFFF == 9_000  # the 100 ms that passed
    assert {packet[2] for packet in wire.packets} == {7}


def test_lost_packets_are_asked_for_until_they_come() -> None:
    wire = Wire()
    wire.receive(65_534, KEYFRAME)
    wire.receive(65_538, at_ms=1)
    assert rtcp.Nack(55, (65_535, 0, 1)) in wire.upstream
    wire.receive(65_535, at_ms=20)
    wire.receive(65_536, at_ms=20)
    wire.source.tick(100)  # on most lines an answer takes longer
    assert rtcp.Nack(55, (1,)) not in wire.upstream
    wire.source.tick(300)
    assert wire.upstream[-1] == rtcp.Nack(55, (1,))
    wire.receive(65_537, at_ms=310)
    before = len(wire.upstream)
    wire.source.tick(900)
    assert len(wire.upstream) == before
    assert len(wire.packets) == 5


def test_what_never_comes_is_given_up_for_a_keyframe() -> None:
    wire = Wire()
    wire.receive(10, KEYFRAME)
    wire.receive(12)
    for n in range(1, 26):
        wire.source.tick(n * 100)
    assert wire.source.wants_keyframe


def test_packets_are_asked_for_again_no_sooner_than_the_line_can_answer() -> None:
    wire = Wire()
    wire.receive(10, KEYFRAME)
    for n in range(12):  # every second packet is lost and comes 600 ms after it was asked for
        wire.receive(12 + 2 * n, at_ms=1_000 * n)
        wire.receive(11 + 2 * n, at_ms=1_000 * n + 600)
    wire.upstream.clear()
    wire.receive(40, at_ms=13_000)
    for n in range(1, 7):
        wire.source.tick(13_000 + n * 100)
    asked = [item for item in wire.upstream if isinstance(item, rtcp.Nack)]
    assert len(asked) == 1
    wire.source.tick(13_900)
    assert len([item for item in wire.upstream if isinstance(item, rtcp.Nack)]) == 2


def test_a_viewers_request_is_answered_from_history_as_rtx() -> None:
    wire = Wire()
    wire.receive(10, KEYFRAME)
    wire.receive(11, b"\x10\x01lost")
    sequence, timestamp, _, _ = wire.packets[1]
    wire.slot.resend((sequence, (sequence + 500) & 0xFFFF))
    assert len(wire.packets) == 3
    assert wire.packets[2][1:] == (timestamp, 8, wrap_retransmission(sequence, b"\x10\x01lost"))


def test_a_packet_that_comes_twice_is_passed_on_once() -> None:
    wire = Wire()
    wire.receive(10, KEYFRAME)
    wire.receive(10, KEYFRAME)
    assert len(wire.packets) == 1


def _h264_wire(*codecs: Codec) -> tuple[Publication, Subscription, list[tuple[int, bytes]]]:
    """A publication of H.264, a viewer who takes these codecs, and what that viewer got: payload type and payload."""
    got: list[tuple[int, bytes]] = []

    def take(second: int, sequence: int, timestamp: int, ssrc: int, payload: bytes) -> None:
        got.append((second & 0x7F, payload))

    source = Publication(
        "video", TrackClock(90_000, MemberClock()), codec="h264", our_ssrc=1, nacks=True, send_rtcp=lambda _: None
    )
    slot = Subscription(
        Section("3", "video", False, True, codecs, True), SentTrack(7, 8, "slot0"),
        send_rtp=take, takes_bps=lambda: 1,
    )  # fmt: skip
    slot.attach(source, 0)
    return source, slot, got


def test_h264_goes_by_its_own_payload_type_and_begins_with_its_parameters() -> None:
    source, slot, got = _h264_wire(Codec("vp8", 96, 97), Codec("h264", 108, 109))
    for sequence, payload in enumerate((b"\x41slice", b"\x65without parameters", b"\x67parameters", b"\x65picture")):
        source.receive(55, sequence, sequence * 3_000, True, payload, sequence)
    assert got == [(108, b"\x67parameters"), (108, b"\x65picture")]
    assert not source.wants_keyframe
    slot.resend(tuple(range((1 << 14) + 2)))  # a slot's numbers begin somewhere in here
    assert [(kind, payload[2:]) for kind, payload in got[2:]] == [(109, b"\x67parameters"), (109, b"\x65picture")]


def test_a_viewer_who_cannot_decode_a_codec_gets_none_of_it_and_asks_for_nothing() -> None:
    source, slot, got = _h264_wire(Codec("vp8", 96, 97))
    source.receive(55, 1, 0, True, b"\x67parameters", 0)
    slot.tick(1_000)
    assert not slot.takes(source) and got == [] and not source.wants_keyframe


def test_what_is_too_old_to_be_of_use_is_forgotten() -> None:
    wire = Wire()
    for n in range(60):
        wire.receive(n, KEYFRAME, at_ms=n * 40)
    wire.source.tick(59 * 40)
    wire.slot.resend(tuple(packet[0] for packet in wire.packets))
    assert len(wire.packets) == 60 + 38, "those of the last 1.5 s"
    wire.receive(3, KEYFRAME, at_ms=59 * 40)
    assert len(wire.packets) == 60 + 38, "a copy of one that was forgotten is not new"


def test_receiver_reports_count_what_is_lost() -> None:
    wire = Wire()
    for sequence in range(100):
        if sequence % 10 != 5:
            wire.receive(sequence, KEYFRAME)
    report = wire.source.report(1_000)
    assert report is not None and report.packets_lost == 10 and 20 <= report.fraction_lost <= 28
    again = wire.source.report(2_000)
    assert again is not None and again.fraction_lost == 0
