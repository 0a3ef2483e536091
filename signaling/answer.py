"""The SDP of our answers: non-trickle, one transport, Opus, VP8 and H.264 with RTX.

Own sections of the browser are received; the others, and own ones that go both ways, each carry one slot that the relay
fills and empties later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from signaling.codecs import Codec, CodecName
from signaling.guard import Offer, Section

# Chromium's estimate of the bandwidth begins at 300 kbit/s; most lines take more, and on the weakest ones twice as much
# as they take is a queue of half a second, not more.
START_BITRATE_KBPS = 500
SOUND_BPS = 40_000  # of speech; a lost packet's sound is repeated, coarsely, in the next one (in-band FEC)
_PICTURE_FEEDBACK = ("ccm fir", "nack", "nack pli", "goog-remb")
FEEDBACK: Final[dict[CodecName, tuple[str, ...]]] = {
    "opus": ("nack",), "vp8": _PICTURE_FEEDBACK, "h264": _PICTURE_FEEDBACK,
}  # fmt: skip
_NAMES: Final[dict[CodecName, str]] = {"opus": "opus/48000/2", "vp8": "VP8/90000", "h264": "H264/90000"}
_START: Final = f"x-google-start-bitrate={START_BITRATE_KBPS}"
_PARAMETERS: Final[dict[CodecName, tuple[str, ...]]] = {
    "opus": ("minptime=10", "useinbandfec=1", "usedtx=1", "stereo=0", f"maxaveragebitrate={SOUND_BPS}"),
    "vp8": (_START,),
    "h264": ("level-asymmetry-allowed=1", "packetization-mode=1", _START),
}


@dataclass(frozen=True, slots=True)
class SentTrack:
    """What we send in one section. stream: tracks of one stream are kept in step by the browser."""

    ssrc: int
    retransmission_ssrc: int
    stream: str


@dataclass(frozen=True, slots=True)
class LocalTransport:
    """Our end. candidates: the values of a=candidate lines. fingerprint: of SHA-256."""

    ice_username: str
    ice_password: str
    candidates: tuple[str, ...]
    fingerprint: str


def write_answer(
    offer: Offer, *, session_id: int, local: LocalTransport, receives: Sequence[str], sends: dict[str, SentTrack]
) -> str:
    """Return the answer. receives: mids that we take from the browser. sends: what we send, by mid."""
    mids = " ".join(section.mid for section in offer.sections)
    lines = [
        "v=0", f"o=- {session_id} 2 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {mids}",
        "a=msid-semantic: WMS *",
    ]  # fmt: skip
    for section in offer.sections:
        lines += _section(section, local, section.mid in receives, sends.get(section.mid))
    return "\r\n".join(lines) + "\r\n"


def _section(section: Section, local: LocalTransport, received: bool, sent: SentTrack | None) -> list[str]:
    # Both ways: the browser sends the first, and takes all of them from others.
    codecs = section.codecs[:1] if received and not sent else section.codecs
    types = [
        number for codec in codecs for number in (codec.payload_type, codec.retransmission_type) if number is not None
    ]
    direction = ("sendrecv" if sent else "recvonly") if received else "sendonly" if sent else "inactive"
    lines = [
        f"m={section.kind} 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, types))}", "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0", f"a=ice-ufrag:{local.ice_username}", f"a=ice-pwd:{local.ice_password}",
        f"a=fingerprint:sha-256 {local.fingerprint}", "a=setup:active", f"a=mid:{section.mid}", f"a={direction}",
        "a=rtcp-mux",
    ]  # fmt: skip
    if section.reduced_size:
        lines.append("a=rtcp-rsize")
    for codec in codecs:
        lines += _codec(codec)
    if sent is not None:
        lines += _source(section, sent)
    lines += [f"a=candidate:{candidate}" for candidate in local.candidates]
    lines.append("a=end-of-candidates")
    return lines


def _codec(codec: Codec) -> list[str]:
    number, repeat = codec.payload_type, codec.retransmission_type
    parameters = ";".join(_PARAMETERS[codec.name])
    if codec.name == "h264":
        parameters += f";profile-level-id={codec.profile}"
    lines = [f"a=rtpmap:{number} {_NAMES[codec.name]}", f"a=fmtp:{number} {parameters}"]
    lines += [f"a=rtcp-fb:{number} {what}" for what in FEEDBACK[codec.name] if what in codec.feedback]
    if repeat is not None:
        lines += [f"a=rtpmap:{repeat} rtx/90000", f"a=fmtp:{repeat} apt={number}"]
    return lines


def _source(section: Section, sent: SentTrack) -> list[str]:
    lines = [f"a=msid:{sent.stream} {sent.stream}-{section.kind}"]
    if not any(codec.retransmission_type is not None for codec in section.codecs):
        return [*lines, f"a=ssrc:{sent.ssrc} cname:{sent.stream}"]
    return [
        *lines,
        f"a=ssrc-group:FID {sent.ssrc} {sent.retransmission_ssrc}",
        f"a=ssrc:{sent.ssrc} cname:{sent.stream}",
        f"a=ssrc:{sent.retransmission_ssrc} cname:{sent.stream}",
    ]
