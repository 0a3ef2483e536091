"""What is sent and received: Opus, VP8, H.264. Owns which of an offer's payload types we take, and by which name.

Nothing is transcoded, so a picture reaches a viewer in the sender's codec. A sender is told one codec: VP8 where it is
offered, since every browser decodes it everywhere; H.264 is missing in some (Firefox before its plug-in has arrived,
Chromium on phones without a decoder). A viewer's sections take both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from signaling import h264, vp8

Kind = Literal["audio", "video"]
CodecName = Literal["opus", "vp8", "h264"]

_NAMES: Final[dict[Kind, dict[str, CodecName]]] = {
    "audio": {"opus/48000/2": "opus"},
    "video": {"vp8/90000": "vp8", "h264/90000": "h264"},
}
_ORDER: Final[tuple[CodecName, ...]] = ("opus", "vp8", "h264")  # the first is what a sender is told
_REPEATED: Final = "rtx/90000"
MAX_LINES: Final = 128


@dataclass(frozen=True, slots=True)
class Codec:
    """One payload type of an offer. retransmission_type: of its RTX, if offered. feedback: the kinds of RTCP feedback.

    profile: profile-level-id of H.264, else empty.
    """

    name: CodecName
    payload_type: int
    retransmission_type: int | None = None
    feedback: tuple[str, ...] = ()
    profile: str = ""


def starts_keyframe(name: CodecName, payload: bytes) -> bool:
    """Return whether a decoder can begin with this packet."""
    if name == "vp8":
        return vp8.starts_keyframe(payload)
    return name == "opus" or h264.starts_keyframe(payload)


def read_codecs(
    kind: Kind, *, rtpmap: Iterable[str], fmtp: Iterable[str], feedback: Iterable[str]
) -> tuple[Codec, ...]:
    """Return what we take of a media section, at most one payload type per codec, the one for senders first.

    rtpmap, fmtp, feedback: values of the section's attributes (rtcp-fb for the last).
    """
    names = dict(_by_type(rtpmap))
    parameters = {number: _parameters(value) for number, value in _by_type(fmtp)}
    wanted: dict[CodecName, list[int]] = {}
    for number, name in names.items():
        codec = _NAMES[kind].get(name.lower())
        if codec is not None and (codec != "h264" or _is_baseline(parameters.get(number, {}))):
            wanted.setdefault(codec, []).append(number)
    told = list(feedback)
    repeats = {
        given["apt"]: number for number, given in parameters.items()
        if "apt" in given and names.get(number, "").lower() == _REPEATED
    }  # fmt: skip
    found = []
    for codec in sorted(wanted, key=_ORDER.index):
        # Constrained baseline is what every decoder takes; browsers offer plain baseline too.
        number = min(wanted[codec], key=lambda one: not _profile(parameters.get(one, {})).startswith("42e0"))
        found.append(
            Codec(
                name=codec,
                payload_type=number,
                retransmission_type=repeats.get(str(number)),
                feedback=_feedback(number, told),
                profile=_profile(parameters.get(number, {})) if codec == "h264" else "",
            )
        )
    return tuple(found)


def _by_type(values: Iterable[str]) -> Iterable[tuple[int, str]]:
    for _, value in zip(range(MAX_LINES), values, strict=False):
        number, _, rest = value.partition(" ")
        if number.isascii() and number.isdigit() and len(number) <= 3 and int(number) < 128:
            yield int(number), rest.strip()


def _parameters(value: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in value.split(";"))
    return {name.strip().lower(): given.strip() for name, _, given in pairs}


def _profile(parameters: Mapping[str, str]) -> str:
    """profile-level-id (RFC 6184 §8.1); what cannot be one counts as absent."""
    profile = parameters.get("profile-level-id", "").lower()
    is_hex = len(profile) == 6 and all(digit in "0123456789abcdef" for digit in profile)
    return profile if is_hex else "42000a"


def _is_baseline(parameters: Mapping[str, str]) -> bool:
    return parameters.get("packetization-mode") == "1" and _profile(parameters).startswith("42")


def _feedback(number: int, values: Iterable[str]) -> tuple[str, ...]:
    parts = (value.partition(" ") for value in values)
    return tuple(what for payload_type, _, what in parts if payload_type in (str(number), "*"))
