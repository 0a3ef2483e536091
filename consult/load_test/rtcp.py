"""The RTCP that two ends of a call exchange here: reports, NACK, PLI (RFC 3550 §6, RFC 4585). Owns bytes alone."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

SENDER_REPORT, RECEIVER_REPORT, TRANSPORT_FEEDBACK, PAYLOAD_FEEDBACK = 200, 201, 205, 206
GENERIC_NACK, PICTURE_LOSS, FULL_INTRA = 1, 1, 4


@dataclass(frozen=True, slots=True)
class Nack:
    """Packets of ours that did not arrive."""

    ssrc: int
    lost: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyframeRequest:
    ssrc: int


def write_sender_report(ssrc: int, *, ntp: int, rtp_timestamp: int, packets: int, octets: int) -> bytes:
    """ntp: s since 1900, 32.32 fixed point."""
    return struct.pack(
        "!BBHIQIII",
        0x80,
        SENDER_REPORT,
        6,
        ssrc,
        ntp & (1 << 64) - 1,
        rtp_timestamp & 0xFFFFFFFF,
        packets & 0xFFFFFFFF,
        octets & 0xFFFFFFFF,
    )


def write_receiver_report(ssrc: int, source: int, *, fraction_lost: int, packets_lost: int, highest: int) -> bytes:
    """fraction_lost: of 256. highest: the extended sequence number."""
    lost = min(packets_lost, 0x7FFFFF)
    return struct.pack(
        "!BBHIIIIIII", 0x81, RECEIVER_REPORT, 7, ssrc, source, fraction_lost << 24 | lost, highest & 0xFFFFFFFF, 0, 0, 0
    )


def write_nack(ssrc: int, source: int, lost: list[int]) -> bytes:
    """lost: 16-bit sequence numbers."""
    blocks: list[tuple[int, int]] = []
    for number in sorted(lost):
        distance = number - blocks[-1][0] if blocks else 0
        if blocks and 0 < distance <= 16:
            blocks[-1] = (blocks[-1][0], blocks[-1][1] | 1 << distance - 1)
        else:
            blocks.append((number, 0))
    head = struct.pack("!BBHII", 0x80 | GENERIC_NACK, TRANSPORT_FEEDBACK, 2 + len(blocks), ssrc, source)
    return head + b"".join(struct.pack("!HH", *block) for block in blocks)


def write_keyframe_request(ssrc: int, source: int) -> bytes:
    return struct.pack("!BBHII", 0x80 | PICTURE_LOSS, PAYLOAD_FEEDBACK, 2, ssrc, source)


def read(packet: bytes) -> Iterator[Nack | KeyframeRequest]:
    """Yield what asks something of a sender; everything else is passed over."""
    at = 0
    while at + 4 <= len(packet):
        first, kind, words = struct.unpack_from("!BBH", packet, at)
        end = at + 4 * (words + 1)
        if end > len(packet):
            return
        form = first & 0x1F
        if kind == TRANSPORT_FEEDBACK and form == GENERIC_NACK and words >= 3:
            (ssrc,) = struct.unpack_from("!I", packet, at + 8)
            yield Nack(ssrc, tuple(_lost(packet[at + 12 : end])))
        elif kind == PAYLOAD_FEEDBACK and form == PICTURE_LOSS and words >= 2:
            yield KeyframeRequest(struct.unpack_from("!I", packet, at + 8)[0])
        elif kind == PAYLOAD_FEEDBACK and form == FULL_INTRA and words >= 4:
            yield KeyframeRequest(struct.unpack_from("!I", packet, at + 12)[0])
        at = end


def _lost(blocks: bytes) -> Iterator[int]:
    for number, mask in struct.iter_unpack("!HH", blocks):
        yield number
        for bit in range(16):
            if mask >> bit & 1:
                yield (number + bit + 1) & 0xFFFF
