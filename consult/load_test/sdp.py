"""The few lines of SDP that a load test writes and reads: Opus and VP8, one transport, no trickling (RFC 8829)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["audio", "video"]
Direction = Literal["sendonly", "recvonly", "sendrecv"]

PAYLOAD_TYPES: dict[Kind, int] = {"audio": 111, "video": 96}
_CODECS: dict[Kind, tuple[str, ...]] = {
    "audio": ("rtpmap:{} opus/48000/2", "fmtp:{} minptime=10;useinbandfec=1", "rtcp-fb:{} nack"),
    "video": ("rtpmap:{} VP8/90000", "rtcp-fb:{} nack", "rtcp-fb:{} nack pli", "rtcp-fb:{} goog-remb"),
}


@dataclass(frozen=True, slots=True)
class Local:
    """Our end of a transport. host, port: the only candidate."""

    username: str
    password: str
    fingerprint: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Section:
    """A media section of ours. ssrc: of what we send in it, if we send."""

    mid: str
    kind: Kind
    direction: Direction
    ssrc: int | None = None


@dataclass(frozen=True, slots=True)
class RemoteSection:
    """A media section of theirs. ssrc: of what they send in it, if they said."""

    mid: str
    kind: Kind
    payload_type: int
    ssrc: int | None


@dataclass(frozen=True, slots=True)
class Remote:
    """Their end. candidates: UDP host addresses and ports, best first."""

    username: str
    password: str
    fingerprint: str
    candidates: tuple[tuple[str, int], ...]
    sections: tuple[RemoteSection, ...]


def write_offer(local: Local, sections: Sequence[Section]) -> str:
    return _write(local, sections, PAYLOAD_TYPES, setup="actpass")


def write_answer(local: Local, offer: Remote) -> str:
    """Return an answer that receives everything that is offered."""
    sections = [Section(section.mid, section.kind, "recvonly") for section in offer.sections]
    return _write(local, sections, {section.kind: section.payload_type for section in offer.sections}, setup="passive")


def _write(local: Local, sections: Sequence[Section], payload_types: dict[Kind, int], *, setup: str) -> str:
    mids = " ".join(section.mid for section in sections)
    lines = [
        "v=0", f"o=- {secrets.randbits(62)} 2 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {mids}",
        "a=msid-semantic: WMS *",
    ]  # fmt: skip
    family = 6 if ":" in local.host else 4
    for section in sections:
        number = payload_types[section.kind]
        lines += [
            f"m={section.kind} {local.port} UDP/TLS/RTP/SAVPF {number}", f"c=IN IP{family} {local.host}",
            f"a=ice-ufrag:{local.username}", f"a=ice-pwd:{local.password}",
            f"a=fingerprint:sha-256 {local.fingerprint}", f"a=setup:{setup}", f"a=mid:{section.mid}",
            f"a={section.direction}", "a=rtcp-mux", "a=rtcp-rsize",
        ]  # fmt: skip
        lines += ["a=" + line.format(number) for line in _CODECS[section.kind]]
        if section.ssrc is not None:
            lines += [f"a=msid:load {section.kind}", f"a=ssrc:{section.ssrc} cname:load"]
        lines += [f"a=candidate:1 1 udp 2130706431 {local.host} {local.port} typ host", "a=end-of-candidates"]
    return "\r\n".join(lines) + "\r\n"


def read_description(sdp: str) -> Remote:
    """Return what an offer or answer says. Raises ValueError if what we need is not in it."""
    session, *media = _split(sdp)
    if not media:
        raise ValueError("no media section")
    candidates: dict[tuple[str, int], int] = {}
    sections = []
    for lines in media:
        words = lines[0].split()
        kind: Kind = "audio" if words[0] == "m=audio" else "video"
        sources = [int(line[7:].split()[0]) for line in lines if line.startswith("a=ssrc:")]
        sections.append(RemoteSection(_value(lines, "mid"), kind, int(words[3]), sources[0] if sources else None))
        for line in lines:
            parts = line.split()
            if line.startswith("a=candidate:") and parts[2].lower() == "udp" and parts[1] == "1":
                candidates[parts[4], int(parts[5])] = int(parts[3])
    every = media[0] + session
    algorithm, _, fingerprint = _value(every, "fingerprint").partition(" ")
    if algorithm.lower() != "sha-256" or not candidates:
        raise ValueError("no SHA-256 fingerprint or no candidate")
    best_first = tuple(sorted(candidates, key=lambda address: -candidates[address]))
    return Remote(_value(every, "ice-ufrag"), _value(every, "ice-pwd"), fingerprint, best_first, tuple(sections))


def _split(sdp: str) -> list[list[str]]:
    groups: list[list[str]] = [[]]
    for line in sdp.splitlines():
        if line.startswith("m="):
            groups.append([])
        groups[-1].append(line)
    return groups


def _value(lines: list[str], name: str) -> str:
    prefix = f"a={name}:"
    for line in lines:
        if line.startswith(prefix):
            return line[len(prefix) :].strip()
    raise ValueError(f"no {name}")
