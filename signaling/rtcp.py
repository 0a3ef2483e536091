"""RTCP: the few packets a relay reads and writes (RFC 3550, RFC 4585, RFC 5104, REMB draft).

Reading never raises: what is malformed or unknown is left out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SENDER_REPORT, RECEIVER_REPORT, SOURCE_DESCRIPTION = 200, 201, 202
TRANSPORT_FEEDBACK, PAYLOAD_FEEDBACK = 205, 206
MAX_LOST_PER_NACK = 128
MAX_PACKETS = 32


@dataclass(frozen=True, slots=True)
class SenderReport:
    """ntp: 32.32 fixed point seconds since 1900, the instant that rtp_timestamp stands for."""

    ssrc: int
    ntp: int
    rtp_timestamp: int


@dataclass(frozen=True, slots=True)
class Nack:
    """lost: 16-bit sequence numbers."""

    media_ssrc: int
    lost: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyframeRequest:
    """PLI or FIR."""

    media_ssrc: int


@dataclass(frozen=True, slots=True)
class BitrateLimit:
    """REMB: the most that the receiver can take, for all tracks to it together."""

    bitrate_bps: int


@dataclass(frozen=True, slots=True)
class Loss:
    """From a receiver report: what share of a track's packets did not arrive since the last one, in 1/256."""

    media_ssrc: int
    fraction: int


Feedback = SenderReport | Nack | KeyframeRequest | BitrateLimit | Loss


@dataclass(frozen=True, slots=True)
class Reception:
    """One report block (RFC 3550 §6.4.1). delay_since_report: in 1/65536 s."""

    ssrc: int
    fraction_lost: int
    packets_lost: int
    highest_sequence: int
    jitter: int
    last_report: int
    delay_since_report: int


def read(data: bytes) -> list[Feedback]:
    """Return what a decrypted compound packet says."""
    found: list[Feedback] = []
    at = 0
    for _ in range(MAX_PACKETS):
        if at + 8 > len(data) or data[at] >> 6 != 2:
            break
        end = at + 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data):
            break
        found.extend(_read_one(data[at] & 0x1F, data[at + 1], data[at + 4 : end]))
        at = end
    return found


def _read_one(count_or_format: int, packet_type: int, body: bytes) -> Sequence[Feedback]:
    if packet_type == SENDER_REPORT and len(body) >= 24:
        ssrc, ntp, rtp_timestamp = struct.unpack_from("!LQL", body)
        return [SenderReport(ssrc, ntp, rtp_timestamp)]
    if packet_type == RECEIVER_REPORT:
        blocks = range(4, min(len(body) - 23, 4 + 24 * count_or_format), 24)
        return [Loss(int.from_bytes(body[at : at + 4], "big"), body[at + 4]) for at in blocks]
    if len(body) < 8:
        return []
    media_ssrc = int.from_bytes(body[4:8], "big")
    if packet_type == TRANSPORT_FEEDBACK and count_or_format == 1:
        return [Nack(media_ssrc, tuple(_lost(body[8:])))]
    if packet_type == PAYLOAD_FEEDBACK and count_or_format == 1:
        return [KeyframeRequest(media_ssrc)]
    if packet_type == PAYLOAD_FEEDBACK and count_or_format == 4:
        # FIR names its targets in the entries, 8 bytes each (RFC 5104 §4.3.1.1).
        return [KeyframeRequest(int.from_bytes(body[at : at + 4], "big")) for at in range(8, len(body) - 7, 8)][:8]
    if packet_type == PAYLOAD_FEEDBACK and count_or_format == 15 and body[8:12] == b"REMB" and len(body) >= 16:
        exponent, mantissa = body[13] >> 2, (body[13] & 3) << 16 | body[14] << 8 | body[15]
        return [BitrateLimit(mantissa << exponent)]
    return []


def _lost(entries: bytes) -> list[int]:
    lost: list[int] = []
    for at in range(0, len(entries) - 3, 4):
        first, mask = struct.unpack_from("!HH", entries, at)
        lost.append(first)
        lost.extend((first + bit + 1) & 0xFFFF for bit in range(16) if mask >> bit & 1)
        if len(lost) >= MAX_LOST_PER_NACK:
            break
    return lost[:MAX_LOST_PER_NACK]


def write_sender_report(ssrc: int, *, ntp: int, rtp_timestamp: int, packets: int, octets: int, cname: str) -> bytes:
    """Return a compound packet: sender report and the source's name."""
    body = struct.pack("!LQLLL", ssrc, ntp, rtp_timestamp & 0xFFFFFFFF, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF)
    return _packet(SENDER_REPORT, 0, body) + _source_description(ssrc, cname)


def write_receiver_report(ssrc: int, receptions: Iterable[Reception]) -> bytes:
    blocks = [
        struct.pack(
            "!LLLLLL",
            block.ssrc,
            block.fraction_lost << 24 | (min(block.packets_lost, 0x7FFFFF) & 0xFFFFFF),
            block.highest_sequence & 0xFFFFFFFF,
            block.jitter & 0xFFFFFFFF,
            block.last_report,
            block.delay_since_report & 0xFFFFFFFF,
        )
        for block in receptions
    ]
    return _packet(RECEIVER_REPORT, len(blocks), struct.pack("!L", ssrc) + b"".join(blocks))


def write_keyframe_request(ssrc: int, media_ssrc: int) -> bytes:
    return _packet(PAYLOAD_FEEDBACK, 1, struct.pack("!LL", ssrc, media_ssrc))


def write_nack(ssrc: int, media_ssrc: int, lost: Iterable[int]) -> bytes:
    """Return a request to repeat packets. lost: 16-bit sequence numbers, oldest first."""
    entries: list[list[int]] = []
    for sequence in lost:
        distance = (sequence - entries[-1][0] - 1) & 0xFFFF if entries else 0xFFFF
        if distance < 16:
            entries[-1][1] |= 1 << distance
        else:
            entries.append([sequence, 0])
    body = struct.pack("!LL", ssrc, media_ssrc) + b"".join(struct.pack("!HH", *entry) for entry in entries)
    return _packet(TRANSPORT_FEEDBACK, 1, body)


def write_bitrate_limit(ssrc: int, media_ssrc: int, bitrate_bps: int) -> bytes:
    exponent = max(0, bitrate_bps.bit_length() - 18)
    limit = (1 << 24) | exponent << 18 | bitrate_bps >> exponent
    return _packet(PAYLOAD_FEEDBACK, 15, struct.pack("!LL4sLL", ssrc, 0, b"REMB", limit, media_ssrc))


def _source_description(ssrc: int, cname: str) -> bytes:
    name = cname.encode()
    chunk = struct.pack("!LBB", ssrc, 1, len(name)) + name + b"\0"
    return _packet(SOURCE_DESCRIPTION, 1, chunk + b"\0" * (-len(chunk) % 4))


def _packet(packet_type: int, count_or_format: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0x80 | count_or_format, packet_type, len(body) // 4) + body
