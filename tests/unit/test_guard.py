"""Which offers are read and which refused, without aiortc."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.answer import LocalTransport, SentTrack, write_answer
from signaling.errors import MediaError, OfferRefused, OfferTooLarge
from signaling.guard import MAX_CANDIDATES, read_offer
from signaling.messages import MAX_SDP_CHARS

TRANSPORT = [
    "c=IN IP4 0.0.0.0", "a=ice-ufrag:abcd", "a=ice-pwd:abcdefghijklmnopqrstuvwx", "a=ice-options:trickle",
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32), "a=setup:actpass", "a=rtcp-mux", "a=rtcp-rsize",
]  # fmt: skip
AUDIO = ["a=rtpmap:111 opus/48000/2", "a=rtcp-fb:111 transport-cc", "a=rtpmap:0 PCMU/8000"]
VIDEO = [
    "a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 nack", "a=rtcp-fb:96 nack pli", "a=rtcp-fb:96 goog-remb",
    "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96", "a=rtpmap:98 H264/90000", "a=rtpmap:99 rtx/90000", "a=fmtp:99 apt=98",
]  # fmt: skip


def _section(mid: int, kind: str, direction: str, *more: str) -> list[str]:
    head, codecs = ("111 0", AUDIO) if kind == "audio" else ("96 97 98 99", VIDEO)
    return [f"m={kind} 9 UDP/TLS/RTP/SAVPF {head}", *TRANSPORT, f"a=mid:{mid}", f"a={direction}", *codecs, *more]


def _offer(*sections: list[str], bundle: str | None = None) -> str:
    mids = " ".join(str(n) for n in range(len(sections))) if bundle is None else bundle
    lines = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {mids}"]
    return "\r\n".join([*lines, *(line for section in sections for line in section)]) + "\r\n"


FULL = _offer(
    _section(0, "audio", "sendonly", "a=ssrc:11 cname:x"),
    _section(1, "video", "sendrecv", "a=ssrc-group:FID 21 22", "a=ssrc:21 cname:x", "a=ssrc:22 cname:x"),
    *(_section(2 + n, "audio" if n % 2 == 0 else "video", "recvonly") for n in range(6)),
)


def test_a_full_offer_is_understood() -> None:
    offer = read_offer(FULL)
    assert [section.kind for section in offer.sections] == ["audio", "video"] * 4
    audio, video, slot = offer.sections[:3]
    assert (audio.payload_type, audio.retransmission_type, audio.ssrcs, audio.sends) == (111, None, (11,), True)
    assert (video.payload_type, video.retransmission_type) == (96, 97)
    assert (video.ssrcs, video.retransmission_ssrcs) == ((21,), (22,))
    assert video.feedback == ("nack", "nack pli", "goog-remb")
    assert slot.receives and not slot.sends
    assert (offer.ice_username, offer.ice_password) == ("abcd", "abcdefghijklmnopqrstuvwx")


def test_the_answer_takes_opus_and_vp8_and_nothing_else() -> None:
    local = LocalTransport("u", "p", ("1 1 udp 1 127.0.0.1 5000 typ host",), "AA")
    sends = {"3": SentTrack(7, 8, "slot0"), "2": SentTrack(5, 6, "slot0")}
    answer = write_answer(read_offer(FULL), session_id=1, local=local, receives=["0", "1"], sends=sends)
    sections = answer.split("m=")[1:]
    assert [section.split("\r\n")[0] for section in sections[:2]] == [
        "audio 9 UDP/TLS/RTP/SAVPF 111",
        "video 9 UDP/TLS/RTP/SAVPF 96 97",
    ]
    assert "H264" not in answer and "PCMU" not in answer and "extmap" not in answer and "transport-cc" not in answer
    assert "a=recvonly" in sections[0] and "a=recvonly" in sections[1]
    assert "a=sendonly" in sections[3] and "a=ssrc-group:FID 7 8" in sections[3]
    assert "a=ssrc-group" not in sections[2]  # sound has no RTX
    assert "a=inactive" in sections[4]
    assert all("a=setup:active" in section and "a=end-of-candidates" in section for section in sections)


def test_an_offer_beyond_a_limit_is_too_large() -> None:
    candidate = "a=candidate:1 1 udp 1 10.0.0.1 5000 typ host"
    too_many = _offer(_section(0, "audio", "sendonly", *[candidate] * (MAX_CANDIDATES + 1)))
    for sdp in (FULL + "a" * MAX_SDP_CHARS, _offer(*(_section(n, "audio", "recvonly") for n in range(9))), too_many):
        with pytest.raises(OfferTooLarge):
            read_offer(sdp)


@pytest.mark.parametrize(
    "sdp",
    [
        "",
        "hello",
        "v=0",
        _offer(),
        _offer(["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", *TRANSPORT, "a=mid:0"]),
        _offer(_section(0, "audio", "sendonly"), _section(1, "video", "sendonly"), bundle="0"),
        _offer(_section(0, "audio", "sendonly"), _section(0, "video", "sendonly"), bundle="0 0"),
        FULL.replace("a=rtcp-mux\r\n", ""),
        FULL.replace("opus/48000/2", "G722/8000"),
        FULL.replace("VP8/90000", "AV1/90000"),
        FULL.replace("a=ice-pwd:abcdefghijklmnopqrstuvwx", "a=ice-pwd:short"),
        FULL.replace("a=fingerprint:sha-256", "a=fingerprint:md5"),
        FULL.replace("a=setup:actpass", "a=setup:active"),
        FULL.replace("a=mid:0", "a=mid:\x00"),
        FULL.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
        FULL.replace("a=rtpmap:111", "a=rtpmap:９９９"),
    ],
)
def test_an_offer_that_we_cannot_use_is_refused(sdp: str) -> None:
    with pytest.raises(OfferRefused):
        read_offer(sdp)


@given(
    st.lists(st.sampled_from([*FULL.splitlines(), "a=rtpmap:x y", "a=fmtp:- apt=96", "m=", "a=ssrc:²"]), max_size=60)
)
def test_no_order_of_lines_makes_reading_fail(lines: list[str]) -> None:
    with contextlib.suppress(MediaError):
        read_offer("\r\n".join(["v=0", *lines]))


@given(st.text(max_size=200))
def test_no_text_makes_reading_fail(text: str) -> None:
    with pytest.raises(MediaError):
        read_offer(text)
