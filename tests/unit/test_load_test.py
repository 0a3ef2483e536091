"""The load test's own half of the protocols, without a network: STUN, RTCP, SDP, repaired streams, the verdict."""

from __future__ import annotations

import struct
import zlib
from collections import Counter

import pytest

from consult.load_test import rtcp, stun
from consult.load_test.frames import FIRST_DESCRIPTOR, NEXT_DESCRIPTOR, Frames
from consult.load_test.plan import Plan, make_seats, until_soon
from consult.load_test.report import table, verdict
from consult.load_test.run import Outcome
from consult.load_test.sdp import Local, RemoteSection, Section, read_description, write_answer, write_offer
from consult.load_test.streams import Incoming, Sent
from consult.load_test.traffic import Count
from signaling.ticket import Grant, is_load_test

LOCAL = Local("user", "a password of ours, long", "AA:BB", "192.0.2.1", 5000)


def test_a_check_and_its_answer_are_read_only_with_the_right_password() -> None:
    check, transaction = stun.write_check(username="them:us", password="theirs", tie_breaker=1, controlling=True)
    request = stun.read_message(check, "theirs")
    assert request == stun.Message(stun.REQUEST, transaction, nominates=True)
    assert stun.read_message(check, "another") is None
    assert stun.read_message(check[:-1], "theirs") is None
    answer = stun.write_response(request, ("192.0.2.7", 4000), "theirs")
    assert stun.read_message(answer, "theirs") == stun.Message(stun.RESPONSE, transaction, nominates=False)


def test_the_controlled_side_nominates_nothing() -> None:
    check, _ = stun.write_check(username="them:us", password="theirs", tie_breaker=1, controlling=False)
    request = stun.read_message(check, "theirs")
    assert request is not None
    assert not request.nominates


def test_a_nack_names_the_same_packets_when_it_is_read_again() -> None:
    for lost in ([7], [7, 8, 23], [7, 24, 1000], [65535]):
        assert list(rtcp.read(rtcp.write_nack(1, 2, lost))) == [rtcp.Nack(2, tuple(lost))]


def test_reports_ask_nothing_and_broken_packets_neither() -> None:
    report = rtcp.write_sender_report(1, ntp=1 << 63, rtp_timestamp=5, packets=1, octets=2)
    report += rtcp.write_receiver_report(1, 2, fraction_lost=3, packets_lost=4, highest=70_000)
    wish = rtcp.write_keyframe_request(1, 2)
    assert list(rtcp.read(report + wish)) == [rtcp.KeyframeRequest(2)]
    assert list(rtcp.read(report + wish[:-4])) == []


def test_an_offer_is_read_as_it_was_written_and_answered_section_by_section() -> None:
    sections = [Section("audio", "audio", "sendonly", 11), Section("video-0", "video", "recvonly")]
    offer = read_description(write_offer(LOCAL, sections))
    assert offer.candidates == (("192.0.2.1", 5000),)
    assert (offer.username, offer.password, offer.fingerprint) == ("user", LOCAL.password, "AA:BB")
    assert offer.sections == (RemoteSection("audio", "audio", 111, 11), RemoteSection("video-0", "video", 96, None))
    answer = write_answer(LOCAL, offer)
    assert [section.mid for section in read_description(answer).sections] == ["audio", "video-0"]
    assert answer.count("a=recvonly") == 2
    assert "a=setup:passive" in answer


def test_a_description_without_a_candidate_is_refused() -> None:
    offer = write_offer(LOCAL, [Section("audio", "audio", "sendonly", 11)])
    with pytest.raises(ValueError, match="no candidate"):
        read_description("\r\n".join(line for line in offer.splitlines() if "candidate" not in line))


class Stream:
    """A picture's stream that is received: two frames of two packets and one of one."""

    def __init__(self) -> None:
        encoded = (b"first frame", b"second frame", b"third")
        payloads = tuple(
            (FIRST_DESCRIPTOR + frame[:4], NEXT_DESCRIPTOR + frame[4:])
            if len(frame) > 5
            else (FIRST_DESCRIPTOR + frame,)
            for frame in encoded
        )
        known = {zlib.crc32(frame): place for place, frame in enumerate(encoded)}
        frames = Frames("video", encoded, payloads, (0,), known)
        source = Sent(3)
        source.at_s = [1.0, 2.0, 3.0]
        self.feedback: list[bytes] = []
        self.incoming = Incoming("video", frames, source, ssrc=9, send_rtcp=self.feedback.append)
        self.packets = []
        for payload_set in payloads:
            for number, payload in enumerate(payload_set):
                marker = 0x80 if number == len(payload_set) - 1 else 0
                self.packets.append(
                    struct.pack("!BBHII", 0x80, marker | 96, 65534 + len(self.packets) & 0xFFFF, 0, 9) + payload
                )

    def take(self, *places: int) -> None:
        for place in places:
            self.incoming.take(self.packets[place], 10.0)

    def asked_for(self) -> list[rtcp.Nack | rtcp.KeyframeRequest]:
        return [item for packet in self.feedback for item in rtcp.read(packet)]


def test_frames_are_put_together_and_timed_across_the_wrap_around() -> None:
    stream = Stream()
    stream.take(0, 1, 2, 3, 4)
    assert stream.incoming.frames == 3
    assert stream.incoming.latencies_ms == [9000, 8000, 7000]
    assert not stream.feedback


def test_a_lost_packet_is_asked_for_and_its_frame_counts_once_it_comes() -> None:
    stream = Stream()
    stream.take(0, 2, 3, 4)
    assert stream.incoming.frames == 0
    assert stream.asked_for() == [rtcp.Nack(9, (65535,))]
    stream.take(1)
    assert stream.incoming.frames == 3


def test_what_never_comes_is_given_up_and_a_keyframe_asked_for() -> None:
    stream = Stream()
    stream.take(0, 2, 3, 4)
    stream.incoming.tick(float("inf"))
    assert rtcp.KeyframeRequest(9) in stream.asked_for()
    assert stream.incoming.frames == 2


def test_a_frame_that_comes_twice_or_that_nobody_sent_is_not_counted_as_received() -> None:
    stream = Stream()
    stream.take(0, 1, 2, 3)
    again = struct.pack("!BBHII", 0x80, 0x80 | 96, 2, 0, 9) + FIRST_DESCRIPTOR
    stream.incoming.take(again + b"second frame", 11.0)
    strange = struct.pack("!BBHII", 0x80, 0x80 | 96, 3, 0, 9) + FIRST_DESCRIPTOR
    stream.incoming.take(strange + b"something else", 11.0)
    assert (stream.incoming.frames, stream.incoming.repeated, stream.incoming.strange) == (2, 1, 1)


PLAN = Plan("http://x", "http://x", "x", consultations=2, participants=3, seconds=3, record=True, address=None)


def test_seats_are_in_rooms_that_say_what_they_are_and_the_first_is_the_hosts() -> None:
    rooms = list(make_seats(PLAN))
    assert [len(seats) for seats in rooms] == [3, 3]
    for seats in rooms:
        assert len({seat.room_id for seat in seats}) == 1
        assert is_load_test(seats[0].room_id)
        assert [Grant.HOST in seat.grants for seat in seats] == [True, False, False]
    assert len({seat.member_id for seats in rooms for seat in seats}) == 6
    assert until_soon(rooms[0][0], now_s=1000.5).expires_at == 1060


def outcome(*, rooms: int = 2, lost: int = 0, late_ms: float = 1, latencies_ms: list[float] | None = None) -> Outcome:
    count = Count(
        seconds=3, expected=1000, lost=lost, strange=0, repeated=0, packets_sent=600, packets_received=600, unsent=0,
        late_ms=late_ms, latencies_ms=latencies_ms or [1.0] * 100,
    )  # fmt: skip
    failures = Counter({"the reason": 2 - rooms}) if rooms < 2 else Counter()
    return Outcome(rooms, failures, [0.1] * rooms, rooms, count if rooms else None)


@pytest.mark.parametrize(
    ("result", "carried", "words"),
    [
        (outcome(), True, "carries 2 consultations"),
        (outcome(rooms=0), False, "Nobody could join"),
        (outcome(rooms=1), False, "1 of 2 consultations could not be joined"),
        (outcome(lost=10), False, "1.0 % of sound and picture was lost"),
        (outcome(late_ms=80), False, "This machine could not send the load in time"),
        (outcome(latencies_ms=[1.0] * 90 + [200.0] * 10), False, "held up for 199 ms"),
    ],
)
def test_the_verdict_says_what_was_too_much(result: Outcome, carried: bool, words: str) -> None:
    assert verdict(PLAN, result)[0] is carried
    assert words in verdict(PLAN, result)[1]


def test_the_table_names_why_people_did_not_come_in() -> None:
    text = table(PLAN, outcome(rooms=1))
    assert "1 of 2 consultations" in text
    assert "1 × the reason" in text
    assert "received     1000 of 1000 frames" in text
