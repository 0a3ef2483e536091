"""Subscription: one track that we send to a member, in one slot of their connection.

A slot keeps its SSRC for the life of the connection while sources come and go in it. Sequence numbers and timestamps
are rewritten so that they run on, and a new picture begins with a keyframe: the browser's decoder never notices.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from signaling import rtcp
from signaling.answer import SentTrack
from signaling.codecs import starts_keyframe
from signaling.compiled import ShortLine, ShortSink
from signaling.guard import Section
from signaling.limits import TokenBucket
from signaling.publication import Publication
from signaling.rtp import AUDIO_CLOCK_HZ, VIDEO_CLOCK_HZ, Packet, extend, wrap_retransmission

SendRtp = Callable[[int, int, int, int, bytes], None]  # marker and payload type, sequence, timestamp, SSRC, payload

RESENT_PER_S: Final = 300  # more than a bad line needs; a NACK of 1.4 kB can ask for thousands
MIN_STEP_MS: Final = 20  # between the last packet of one source and the first of the next


class Subscription:
    """section: where in the browser's offer. send_rtp: towards that browser.

    takes_bps: what that browser can take for one picture. short: that connection's short way, if there is one.
    """

    def __init__(
        self,
        section: Section,
        track: SentTrack,
        *,
        send_rtp: SendRtp,
        takes_bps: Callable[[], int],
        short: ShortLine | None = None,
    ) -> None:
        self.mid = section.mid
        self.kind = section.kind
        self.track = track
        self.publication: Publication | None = None
        self.takes_bps = takes_bps
        self._send_rtp = send_rtp
        self._codecs = {codec.name: codec for codec in section.codecs}
        self._ssrc = track.ssrc
        self._payload_type = section.payload_type
        self._retransmission_type = section.retransmission_type
        self._khz = (AUDIO_CLOCK_HZ if section.kind == "audio" else VIDEO_CLOCK_HZ) / 1000
        self._waiting = True  # for the packet that a new source can begin with
        self._first_sequence = 0  # of the present source
        self._sequence_offset = 0
        self._timestamp_offset = 0
        # In the lower half: the first wrap-around, which confuses SRTP if packets are lost just then, is far away.
        self._sent_sequence = 1 + secrets.randbelow(1 << 14)
        self._sent_timestamp = secrets.randbelow(1 << 31)
        self._sent_ms = 0.0
        self._resends = TokenBucket(RESENT_PER_S, RESENT_PER_S)
        self._retransmission_sequence = 1 + secrets.randbelow(1 << 14)
        self._packets = self.octets = 0  # of payload, sent, without repetitions
        self._sink = short.make_sink(track.ssrc) if short is not None else None

    def attach(self, publication: Publication, now_ms: float) -> None:
        """Carry this track from now on; of one that this browser cannot decode, nothing."""
        self.detach()
        codec = self._codecs.get(publication.codec)
        if codec is None:
            return
        publication.hold_up()
        self._payload_type, self._retransmission_type = codec.payload_type, codec.retransmission_type
        self.publication = publication
        publication.subscriptions.append(self)
        publication.request_keyframe(now_ms)

    def takes(self, publication: Publication) -> bool:
        """Return whether this browser decodes that track's codec."""
        return publication.codec in self._codecs

    def detach(self) -> None:
        if self.publication is not None:
            self.publication.hold_up()
            self.publication.subscriptions.remove(self)
        self.publication = None
        self.begin_anew()

    def begin_anew(self) -> None:
        """The source starts over: wait for a packet to begin with."""
        if self.publication is not None:
            self.publication.hold_up()
        self._waiting = True

    def prepare_sink(self) -> ShortSink | None:
        """Let the packets behind the last one take the short way; None if the next one is not ordinary."""
        sink = self._sink
        if sink is None or self._waiting:
            return None
        c = sink.c
        c.payload_type, c.sequence_offset = self._payload_type, self._sequence_offset
        c.timestamp_offset = self._timestamp_offset & 0xFFFFFFFF
        c.sent_sequence, c.sent_timestamp = self._sent_sequence, self._sent_timestamp & 0xFFFFFFFF
        c.sent_ms, c.packets, c.octets = self._sent_ms, self._packets, self.octets
        return sink

    def catch_up(self) -> None:
        """Take over what was counted on the short way. The publication calls it, while packets take it."""
        if self._sink is not None and not self._waiting:
            c = self._sink.c
            self._sent_sequence, self._sent_timestamp, self._sent_ms = c.sent_sequence, c.sent_timestamp, c.sent_ms
            self._packets, self.octets = c.packets, c.octets

    def forward(self, packet: Packet) -> None:
        if self._waiting and not self._begin_with(packet):
            return
        if packet.sequence < self._first_sequence:
            return
        sequence = packet.sequence + self._sequence_offset
        timestamp = packet.timestamp + self._timestamp_offset
        if sequence > self._sent_sequence:
            self._sent_sequence = sequence
            self._sent_timestamp = timestamp
            self._sent_ms = packet.arrived_ms
        self._packets += 1
        self.octets += len(packet.payload)
        second = self._payload_type | 0x80 if packet.marker else self._payload_type
        self._send_rtp(second, sequence, timestamp, self._ssrc, packet.payload)

    def resend(self, lost: tuple[int, ...]) -> None:
        """Answer a NACK from the source's history, as RTX where the browser knows it."""
        source = self.publication
        if source is None or self._waiting:
            return
        source.catch_up()
        for sequence in lost:
            sent = extend(sequence, self._sent_sequence, 16)
            wanted = sent - self._sequence_offset
            packet = source.find(wanted) if wanted >= self._first_sequence else None
            if packet is None:
                continue
            if not self._resends.take(self._sent_ms / 1000):
                return
            timestamp = packet.timestamp + self._timestamp_offset
            marker = 0x80 if packet.marker else 0
            if self._retransmission_type is None:
                self._send_rtp(self._payload_type | marker, sent, timestamp, self._ssrc, packet.payload)
                continue
            self._retransmission_sequence += 1
            self._send_rtp(
                self._retransmission_type | marker,
                self._retransmission_sequence,
                timestamp,
                self.track.retransmission_ssrc,
                wrap_retransmission(sent, packet.payload),
            )

    def request_keyframe(self, now_ms: float) -> None:
        if self.publication is not None:
            self.publication.request_keyframe(now_ms)

    def tick(self, now_ms: float) -> None:
        if self._waiting:
            self.request_keyframe(now_ms)

    def write_report(self, now_ms: float, ntp: int) -> bytes:
        """Return a sender report, or nothing: now_ms (room clock) and ntp are the same instant.

        The timestamp comes from the source's clock, which its own sender reports set: sound and picture stay together.
        """
        source = self.publication
        if source is None or self._waiting:
            return b""
        source.catch_up()
        timestamp = source.clock.timestamp_at(now_ms)
        if timestamp is None:
            return b""
        return rtcp.write_sender_report(
            self.track.ssrc,
            ntp=ntp,
            rtp_timestamp=timestamp + self._timestamp_offset,
            packets=self._packets,
            octets=self.octets,
            cname=self.track.stream,
        )

    def _begin_with(self, packet: Packet) -> bool:
        source = self.publication
        if source is None or (source.kind == "video" and not starts_keyframe(source.codec, packet.payload)):
            return False
        passed_ms = max(MIN_STEP_MS, packet.arrived_ms - self._sent_ms) if self._packets else MIN_STEP_MS
        self._first_sequence = packet.sequence
        self._sequence_offset = self._sent_sequence + 1 - packet.sequence
        self._timestamp_offset = (self._sent_timestamp + round(passed_ms * self._khz) - packet.timestamp) & 0xFFFFFFFF
        self._waiting = False
        return True
