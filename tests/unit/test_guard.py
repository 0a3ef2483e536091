"""Which offers are read and which refused, without aiortc."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.answer import LocalTransport, SentTrack, write_answer
from signaling.codecs import Codec
from signaling.errors import MediaError, OfferRefused, OfferTooLarge
from signaling.guard import MAX_CANDIDATES, MAX_SECTIONS, read_offer
from signaling.messages import MAX_SDP_CHARS

TRANSPORT = [
    "c=IN IP4 0.0.0.0", "a=ice-ufrag:abcd", "a=ice-pwd:abcdefghijklmnopqrstuvwx", "a=ice-options:trickle",
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32), "a=setup:actpass", "a=rtcp-mux", "a=rtcp-rsize",
]  # fmt: skip
AUDIO = ["a=rtpmap:111 opus/48000/2", "a=rtcp-fb:111 transport-cc", "a=rtpmap:0 PCMU/8000"]
VIDEO = [
    "a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 nack", "a=rtcp-fb:96 nack pli", "a=rtcp-fb:96 goog-remb",
    "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96", "a=rtpmap:98 VP9/90000", "a=rtpmap:99 rtx/90000", "a=fmtp:99 apt=98",
]  # fmt: skip


def _h264(number: int, mode: int, profile: str) -> list[str]:
    return [
        f"a=rtpmap:{number} H264/90000", f"a=rtcp-fb:{number} nack pli", f"a=rtpmap:{number + 1} rtx/90000",
        f"a=fmtp:{number + 1} apt={number}",
        f"a=fmtp:{number} level-asymmetry-allowed=1;packetization-mode={mode};profile-level-id={profile}",
    ]  # fmt: skip


# As Safari and Chromium offer it: high before baseline, and the mode that forwards less well too.
H264 = [*_h264(102, 1, "640c1f"), *_h264(104, 0, "42e01f"), *_h264(106, 1, "42001f"), *_h264(108, 1, "42E01F")]


def _section(mid: int, kind: str, direction: str, *more: str) -> list[str]:
    head, codecs = ("111 0", AUDIO) if kind == "audio" else ("96 97 98 99", VIDEO)
    return [f"m={kind} 9 UDP/TLS/RTP/SAVPF {head}", *TRANSPORT, f"a=mid:{mid}", f"a={direction}", *codecs, *more]


def _pictures(mid: int, direction: str, codecs: list[str]) -> list[str]:
    return ["m=video 9 UDP/TLS/RTP/SAVPF 96", *TRANSPORT, f"a=mid:{mid}", f"a={direction}", *codecs]


def _answer(sdp: str, *, receives: list[str], sends: dict[str, SentTrack]) -> list[str]:
    """The sections of the answer."""
    local = LocalTransport("u", "p", ("1 1 udp 1 127.0.0.1 5000 typ host",), "AA")
    answer = write_answer(read_offer(sdp), session_id=1, local=local, receives=receives, sends=sends)
    return answer.split("m=")[1:]


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


def test_the_answer_takes_opus_and_vp8_and_leaves_out_what_we_do_not_forward() -> None:
    sends = {"3": SentTrack(7, 8, "slot0"), "2": SentTrack(5, 6, "slot0")}
    sections = _answer(FULL, receives=["0", "1"], sends=sends)
    assert [section.split("\r\n")[0] for section in sections[:2]] == [
        "audio 9 UDP/TLS/RTP/SAVPF 111",
        "video 9 UDP/TLS/RTP/SAVPF 96 97",
    ]
    assert not any(name in section for section in sections for name in ("VP9", "PCMU", "extmap", "transport-cc"))
    assert "a=recvonly" in sections[0] and "a=recvonly" in sections[1]
    assert "a=sendonly" in sections[3] and "a=ssrc-group:FID 7 8" in sections[3]
    assert "a=ssrc-group" not in sections[2]  # sound has no RTX
    assert "a=inactive" in sections[4]
    assert all("a=setup:active" in section and "a=end-of-candidates" in section for section in sections)


def test_a_section_may_carry_the_own_track_and_somebody_elses() -> None:
    sdp = _offer(_pictures(0, "sendrecv", [*H264, *VIDEO]))
    (both,) = _answer(sdp, receives=["0"], sends={"0": SentTrack(7, 8, "slot0")})
    assert "a=sendrecv" in both and "a=ssrc-group:FID 7 8" in both
    first, *others = both.split("\r\n")[0].split()[3:]
    assert f"a=rtpmap:{first} VP8/90000" in both, "what is sent"
    assert len(others) > 1 and "H264/90000" in both, "what others may send is taken, too"


def test_sound_is_asked_for_with_repairs_and_pauses_and_in_one_channel() -> None:
    (sound,) = _answer(_offer(_section(0, "audio", "sendonly", "a=rtcp-fb:111 nack")), receives=["0"], sends={})
    (line,) = [line for line in sound.split("\r\n") if line.startswith("a=fmtp:111 ")]
    assert {"useinbandfec=1", "usedtx=1", "stereo=0", "maxaveragebitrate=40000"} <= set(line[11:].split(";"))
    assert "a=rtcp-fb:111 nack\r\n" in sound


def test_a_sender_is_told_vp8_whatever_it_offers_first_and_a_viewer_may_get_both() -> None:
    sdp = _offer(_pictures(0, "sendonly", [*H264, *VIDEO]), _pictures(1, "recvonly", [*H264, *VIDEO]))
    sender, viewer = _answer(sdp, receives=["0"], sends={"1": SentTrack(7, 8, "slot0")})
    assert sender.startswith("video 9 UDP/TLS/RTP/SAVPF 96 97\r\n")
    assert viewer.startswith("video 9 UDP/TLS/RTP/SAVPF 96 97 108 109\r\n")
    assert "a=rtpmap:108 H264/90000" in viewer and "a=ssrc-group:FID 7 8" in viewer


def test_a_sender_with_h264_alone_is_told_constrained_baseline_in_fragments() -> None:
    (sender,) = _answer(_offer(_pictures(0, "sendonly", H264)), receives=["0"], sends={})
    assert sender.startswith("video 9 UDP/TLS/RTP/SAVPF 108 109\r\n")
    (line,) = [line for line in sender.split("\r\n") if line.startswith("a=fmtp:108 ")]
    assert {"packetization-mode=1", "level-asymmetry-allowed=1", "profile-level-id=42e01f"} <= set(line[11:].split(";"))
    assert "a=fmtp:109 apt=108" in sender and "a=rtcp-fb:108 nack pli" in sender


def test_plain_baseline_will_do_where_nothing_better_is_offered() -> None:
    offer = read_offer(_offer(_pictures(0, "sendonly", _h264(106, 1, "42001f"))))
    assert offer.sections[0].codecs == (Codec("h264", 106, 107, ("nack pli",), "42001f"),)


def test_an_offer_beyond_a_limit_is_too_large() -> None:
    candidate = "a=candidate:1 1 udp 1 10.0.0.1 5000 typ host"
    too_many = _offer(_section(0, "audio", "sendonly", *[candidate] * (MAX_CANDIDATES + 1)))
    crowd = _offer(*(_section(n, "audio", "recvonly") for n in range(MAX_SECTIONS + 1)))
    for sdp in (FULL + "a" * MAX_SDP_CHARS, crowd, too_many):
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
        _offer(_pictures(0, "sendonly", [*_h264(102, 1, "640c1f"), *_h264(104, 0, "42e01f")])),
        _offer(_pictures(0, "sendonly", _h264(102, 1, "640c1f"))),
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
    st.lists(
        st.sampled_from(
            [
                *FULL.splitlines(),
                *H264,
                "a=rtpmap:x y",
                "a=fmtp:108 =;;packetization-mode",
                "a=fmtp:108 apt=108",
                "a=fmtp:- apt=96",
                "m=",
                "a=ssrc:²",
            ]
        ),
        max_size=60,
    )
)
def test_no_order_of_lines_makes_reading_fail(lines: list[str]) -> None:
    with contextlib.suppress(MediaError):
        read_offer("\r\n".join(["v=0", *lines]))


@given(st.text(max_size=200))
def test_no_text_makes_reading_fail(text: str) -> None:
    with pytest.raises(MediaError):
        read_offer(text)
