"""What one person sends and receives: RTP streams of known frames, with the repairs that browsers do (NACK, PLI).

Owns sequence numbers, time stamps, the history for retransmissions, the putting together of received frames, and the
count of what came. When to send is traffic.py's.
"""

from __future__ import annotations

import random
import secrets
import struct
import time
import zlib
from collections.abc import Callable
from typing import Final

from consult.load_test import rtcp
from consult.load_test.frames import RATE_HZ, STEP_S, Frames
from consult.load_test.sdp import Kind
from consult.load_test.transport import Transport

HISTORY_PACKETS: Final = 1024
NTP_EPOCH_S: Final = 2_208_988_800  # from 1900 to 1970
KEYFRAME_PAUSE_S: Final = 0.3
NACK_AGAIN_S: Final = 0.1
GIVE_UP_S: Final = 1.0

_HEADER = struct.Struct("!BBHII").pack


class Sent:
    """Frames of one stream that are on their way.

    at_s: when the last packet of each place of the loop went, s since 1970; 0: it is not counted. count: how many are.
    """

    def __init__(self, length: int) -> None:
        self.at_s = [0.0] * length
        self.count = 0


class Outgoing:
    """One stream that is sent. sent: what receivers look up."""

    def __init__(self, frames: Frames, transport: Transport, *, ssrc: int, payload_type: int) -> None:
        self.frames = frames
        self.ssrc = ssrc
        self.sent = Sent(len(frames.payloads))
        self.counting = False
        self.step_s = STEP_S[frames.kind]
        self._transport = transport
        self._payload_type = payload_type
        self._video = frames.kind == "video"
        self._step = round(self.step_s * RATE_HZ[frames.kind])
        self._place = 0
        self._sequence = secrets.randbelow(1 << 14)
        self._timestamp = secrets.randbelow(1 << 31)
        self._packets = self._octets = 0
        self._history: list[tuple[int, bytes]] = [(-1, b"")] * HISTORY_PACKETS
        self._keyframe_s = 0.0
        self.resent = 0

    def send_frame(self) -> int:
        """Send the next frame; return how many packets it took."""
        place, transport = self._place, self._transport
        payloads = self.frames.payloads[place]
        last = len(payloads) - 1
        self.sent.count += self.counting
        for number, payload in enumerate(payloads):
            marker = 0x80 if self._video and number == last else 0
            header = _HEADER(0x80, marker | self._payload_type, self._sequence, self._timestamp, self.ssrc)
            protected = transport.protect(header + payload)
            self._history[self._sequence % HISTORY_PACKETS] = (self._sequence, protected)
            self._sequence = self._sequence + 1 & 0xFFFF
            self._octets += len(payload)
            if number == last:
                self.sent.at_s[place] = time.time() if self.counting else 0.0
            transport.send(protected)
        self._packets += last + 1
        self._timestamp = self._timestamp + self._step & 0xFFFFFFFF
        self._place = (place + 1) % len(self.frames.payloads)
        return last + 1

    def report(self) -> None:
        """Send a sender report."""
        ntp = int((time.time() + NTP_EPOCH_S) * (1 << 32))
        self._transport.send_rtcp(
            rtcp.write_sender_report(
                self.ssrc, ntp=ntp, rtp_timestamp=self._timestamp, packets=self._packets, octets=self._octets
            )
        )

    def resend(self, lost: tuple[int, ...]) -> None:
        for number in lost:
            known, protected = self._history[number % HISTORY_PACKETS]
            if known == number:
                self.resent += 1
                self._transport.send(protected)

    def jump_to_keyframe(self) -> None:
        """Go on with the next keyframe of the loop, as an encoder would make one."""
        now_s = time.monotonic()
        if not self._video or now_s - self._keyframe_s < KEYFRAME_PAUSE_S:
            return
        self._keyframe_s = now_s
        ahead = [place for place in self.frames.keyframes if place >= self._place]
        self._place = ahead[0] if ahead else self.frames.keyframes[0]


class Incoming:
    """One stream that is received, of a known source. frames: intact ones, each once; late: their ms on the way.

    strange: whole frames that nobody sent; repeated: frames that came again.
    """

    def __init__(
        self, kind: Kind, frames: Frames, source: Sent | None, *, ssrc: int, send_rtcp: Callable[[bytes], None]
    ) -> None:
        """source: None if nothing is compared, only counted."""
        self.kind = kind
        self.packets = 0
        self._packets_before = 0
        self.frames = 0
        self.strange = 0
        self.repeated = 0
        self.latencies_ms: list[float] = []
        self._known = frames.known
        self.source = source
        self._seen_s = [0.0] * len(frames.payloads)
        self._ssrc = ssrc  # theirs
        self._send_rtcp = send_rtcp
        self._our_ssrc = 1 + secrets.randbelow(1 << 31)
        self._next: int | None = None  # extended sequence number that continues what we have
        self._first = 0
        self._ahead: dict[int, bytes] = {}
        self._missing: dict[int, tuple[float, float]] = {}  # asked first, asked last
        self._parts: list[bytes] = []
        self._broken = False
        self._reported = (0, 0)

    @property
    def packets_counted(self) -> int:
        """Since start_over()."""
        return self.packets - self._packets_before

    def start_over(self) -> None:
        """Count from nothing."""
        self._packets_before = self.packets
        self.frames = self.strange = self.repeated = 0
        self.latencies_ms = []

    def take(self, packet: bytes, arrived_s: float) -> None:
        """Take a decrypted packet."""
        self.packets += 1
        if self.kind == "audio":  # each packet is a frame: it waits for no other
            self._finish(packet[12 if packet[0] == 0x80 else _payload_at(packet) :], arrived_s)
        sequence = packet[2] << 8 | packet[3]
        if self._next is None:
            self._next = self._first = (1 << 16) + sequence
        distance = (sequence - self._next + 0x8000 & 0xFFFF) - 0x8000
        if distance == 0:
            self._next += 1
            if self.kind == "video":
                self._put_together(packet, arrived_s)
            if self._ahead:
                self._catch_up(arrived_s)
        elif distance > 0:
            self._note_gap(self._next + distance, packet, arrived_s)

    def tick(self, now_s: float) -> None:
        """Several times a second: ask again for what is missing, give up what will not come."""
        if not self._missing or self._next is None:
            return
        if now_s - self._missing[min(self._missing)][0] > GIVE_UP_S:
            self._skip(now_s)
        again = [number for number, (_, asked_s) in self._missing.items() if now_s - asked_s > NACK_AGAIN_S]
        self._ask(again, now_s)

    def report(self) -> None:
        """Send a receiver report."""
        if self._next is None:
            return
        highest = max(self._ahead, default=self._next - 1)
        expected = highest - self._first + 1
        due, came = expected - self._reported[0], self.packets - self._reported[1]
        self._reported = (expected, self.packets)
        self._send_rtcp(
            rtcp.write_receiver_report(
                self._our_ssrc,
                self._ssrc,
                fraction_lost=max(0, due - came) * 255 // due if due > 0 else 0,
                packets_lost=max(0, expected - self.packets),
                highest=highest,
            )
        )

    def _note_gap(self, number: int, packet: bytes, arrived_s: float) -> None:
        assert self._next is not None
        if number in self._ahead:
            return
        now_s = time.monotonic()
        new = [
            lost for lost in range(max(self._ahead, default=self._next - 1) + 1, number) if lost not in self._missing
        ]
        self._missing.pop(number, None)
        self._ahead[number] = packet
        self._missing.update(dict.fromkeys(new, (now_s, now_s)))
        self._ask(new, now_s)

    def _catch_up(self, arrived_s: float) -> None:
        assert self._next is not None
        self._missing.pop(self._next - 1, None)
        while (packet := self._ahead.pop(self._next, None)) is not None:
            self._next += 1
            if self.kind == "video":
                self._put_together(packet, arrived_s)

    def _skip(self, now_s: float) -> None:
        """What is missing first will not come: go on behind it, for pictures from the next keyframe."""
        self._next = min(self._ahead)
        self._missing = {number: asked for number, asked in self._missing.items() if number > self._next}
        self._broken, self._parts = True, []
        if self.kind == "video":
            self._send_rtcp(rtcp.write_keyframe_request(self._our_ssrc, self._ssrc))
        self._missing[self._next - 1] = (now_s, now_s)
        self._catch_up(time.time())

    def _ask(self, lost: list[int], now_s: float) -> None:
        if lost:
            for number in lost:
                self._missing[number] = (self._missing[number][0], now_s)
            self._send_rtcp(rtcp.write_nack(self._our_ssrc, self._ssrc, [number & 0xFFFF for number in lost]))

    def _put_together(self, packet: bytes, arrived_s: float) -> None:
        at = 12 if packet[0] == 0x80 else _payload_at(packet)
        first = packet[at]
        body = packet[at + 1 :] if not first & 0x80 else packet[_vp8_at(packet, at) :]
        if first & 0x17 == 0x10:  # the frame's first partition begins
            self._parts, self._broken = [body], False
        else:
            self._parts.append(body)
        if packet[1] & 0x80:
            if not self._broken:
                self._finish(self._parts[0] if len(self._parts) == 1 else b"".join(self._parts), arrived_s)
            self._parts = []

    def _finish(self, frame: bytes, arrived_s: float) -> None:
        place = self._known.get(zlib.crc32(frame))
        if place is None:
            self.strange += 1
            return
        if self.source is None:
            self.frames += 1
            return
        sent_s = self.source.at_s[place]
        if not sent_s:
            return
        if sent_s == self._seen_s[place]:
            self.repeated += 1
            return
        self._seen_s[place] = sent_s
        self.frames += 1
        self.latencies_ms.append((arrived_s - sent_s) * 1000)


def _payload_at(packet: bytes) -> int:
    """Where the payload begins, behind contributing sources and header extension (RFC 3550 §5.1)."""
    at = 12 + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        at += 4 + 4 * (packet[at + 2] << 8 | packet[at + 3])
    return at


def _vp8_at(packet: bytes, at: int) -> int:
    """Where the frame's bytes begin, behind an extended descriptor (RFC 7741 §4.2)."""
    extensions = packet[at + 1]
    behind = at + 2
    if extensions & 0x80:
        behind += 2 if packet[behind] & 0x80 else 1
    if extensions & 0x40:
        behind += 1
    if extensions & 0x30:
        behind += 1
    return behind


def random_phase(step_s: float) -> float:
    """Return where in its step a stream begins, so that not all speak at once."""
    return random.uniform(0, step_s)  # noqa: S311
