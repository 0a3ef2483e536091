"""What is refused before it reaches aiortc: offers that are too large or ask for what we do not do, stray datagrams.

An offer is read here, by us, line by line, with limits; nothing else of the browser's text is ever parsed. Candidates
are not read at all: the server follows none, it learns a browser's address from its authenticated STUN checks. So no
candidate can make it look up a name or send packets to an address of somebody's choice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from signaling.codecs import Codec, read_codecs
from signaling.codecs import Kind as Kind
from signaling.errors import OfferRefused, OfferTooLarge
from signaling.messages import MAX_SDP_CHARS

MAX_SECTIONS = 12
MAX_LINES = 4000
MAX_CANDIDATES = 128
MAX_DATAGRAM_BYTES = 1500  # also the size of libsrtp's buffer in pylibsrtp
MAX_ADDRESSES = 32  # from which one member's checks are accepted
DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")

_MID = re.compile(r"[A-Za-z0-9_.+-]{1,32}")
_ICE = re.compile(r"[A-Za-z0-9+/]{4,256}")
_FINGERPRINT = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31,63}")


@dataclass(frozen=True, slots=True)
class Section:
    """One media section that is wanted. sends: the browser sends on it; otherwise it receives.

    codecs: what we take, at least one; a sender is told the first. ssrcs, retransmission_ssrcs: announced by the
    browser for what it sends.
    """

    mid: str
    kind: Kind
    sends: bool
    receives: bool
    codecs: tuple[Codec, ...]
    reduced_size: bool
    ssrcs: tuple[int, ...] = ()
    retransmission_ssrcs: tuple[int, ...] = ()

    @property
    def payload_type(self) -> int:
        """What a sender is told to use."""
        return self.codecs[0].payload_type

    @property
    def retransmission_type(self) -> int | None:
        return self.codecs[0].retransmission_type

    @property
    def feedback(self) -> tuple[str, ...]:
        return self.codecs[0].feedback


@dataclass(frozen=True, slots=True)
class Offer:
    """A browser's offer, as far as we use it."""

    sections: tuple[Section, ...]
    ice_username: str
    ice_password: str
    fingerprints: tuple[tuple[str, str], ...]  # (algorithm, value)


@dataclass(slots=True)
class _Lines:
    """The attributes of the session or of one media section, by name."""

    media: str = ""
    attributes: dict[str, list[str]] = field(default_factory=dict)

    def all(self, name: str) -> list[str]:
        return self.attributes.get(name, [])

    def first(self, name: str) -> str:
        return self.attributes.get(name, [""])[0]


def read_offer(sdp: str) -> Offer:
    """Return what a browser offers.

    Raises OfferTooLarge (size, sections, candidates) or OfferRefused (data channels, no BUNDLE or rtcp-mux, no Opus,
    or neither VP8 nor H.264, no ICE or DTLS data, or not readable).
    """
    if len(sdp) > MAX_SDP_CHARS:
        raise OfferTooLarge(f"{len(sdp)} characters")
    session, *media = _group(sdp)
    if not media:
        raise OfferRefused("no media section")
    if len(media) > MAX_SECTIONS:
        raise OfferTooLarge(f"{len(media)} sections")
    if sum(len(lines.all("candidate")) for lines in media) > MAX_CANDIDATES:
        raise OfferTooLarge("candidates")
    sections = tuple(_section(lines) for lines in media)
    _require_bundle(session, [section.mid for section in sections])
    return Offer(sections, *_transport(session, media[0]))


def _group(sdp: str) -> list[_Lines]:
    lines = sdp.splitlines()
    if len(lines) > MAX_LINES:
        raise OfferTooLarge(f"{len(lines)} lines")
    if not lines or lines[0] != "v=0":
        raise OfferRefused("no session description")
    groups = [_Lines()]
    for line in lines:
        if line.startswith("m="):
            groups.append(_Lines(line[2:]))
        elif line.startswith("a="):
            name, _, value = line[2:].partition(":")
            groups[-1].attributes.setdefault(name, []).append(value)
    return groups


def _require_bundle(session: _Lines, mids: list[str]) -> None:
    bundles = [group.split()[1:] for group in session.all("group") if group.startswith("BUNDLE ")]
    if len(set(mids)) != len(mids) or len(bundles) != 1 or bundles[0] != mids:
        raise OfferRefused("not bundled")


def _transport(session: _Lines, first: _Lines) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """ICE and DTLS data of the one transport, from the first section or from the session."""
    username = first.first("ice-ufrag") or session.first("ice-ufrag")
    password = first.first("ice-pwd") or session.first("ice-pwd")
    if not _ICE.fullmatch(username) or not _ICE.fullmatch(password) or len(password) < 22:
        raise OfferRefused("no ICE data")
    if (first.first("setup") or session.first("setup")) not in ("actpass", "passive"):
        raise OfferRefused("DTLS role")
    fingerprints = []
    for value in (first.all("fingerprint") or session.all("fingerprint"))[:4]:
        algorithm, _, digest = value.partition(" ")
        if algorithm.lower() in ("sha-256", "sha-384", "sha-512") and _FINGERPRINT.fullmatch(digest):
            fingerprints.append((algorithm.lower(), digest))
    if not fingerprints:
        raise OfferRefused("no fingerprint")
    return username, password, tuple(fingerprints)


def _section(lines: _Lines) -> Section:
    words = lines.media.split()
    if len(words) < 4 or words[0] not in ("audio", "video") or not words[2].endswith("RTP/SAVPF"):
        raise OfferRefused("only sound and picture")
    kind: Kind = "audio" if words[0] == "audio" else "video"
    mid = lines.first("mid")
    if not _MID.fullmatch(mid) or "rtcp-mux" not in lines.attributes:
        raise OfferRefused("no mid or rtcp-mux")
    if words[1] == "0" and "bundle-only" not in lines.attributes:
        raise OfferRefused("a stopped section")
    codecs = read_codecs(kind, rtpmap=lines.all("rtpmap"), fmtp=lines.all("fmtp"), feedback=lines.all("rtcp-fb"))
    if not codecs:
        raise OfferRefused("no codec that we forward")
    direction = next((name for name in DIRECTIONS if name in lines.attributes), "sendrecv")
    repeated = {
        ssrc for group in lines.all("ssrc-group") if group.startswith("FID ") for ssrc in _numbers(group.split()[2:3])
    }
    ssrcs = list(dict.fromkeys(_numbers(value.split(" ")[0] for value in lines.all("ssrc")[:64])))
    return Section(
        mid=mid,
        kind=kind,
        sends=direction in ("sendrecv", "sendonly"),
        receives=direction in ("sendrecv", "recvonly"),
        codecs=codecs,
        reduced_size="rtcp-rsize" in lines.attributes,
        ssrcs=tuple(ssrc for ssrc in ssrcs if ssrc not in repeated),
        retransmission_ssrcs=tuple(sorted(repeated)),
    )


def _numbers(words: list[str] | Iterator[str]) -> Iterator[int]:
    return (int(word) for word in words if word.isascii() and word.isdigit() and len(word) <= 10)
