"""Caller: one connection with what is sent and received on it. Owns which packet belongs to which stream."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from consult.load_test import rtcp
from consult.load_test.dtls import Identity
from consult.load_test.frames import Frames
from consult.load_test.sdp import PAYLOAD_TYPES, Kind
from consult.load_test.streams import Incoming, Outgoing, Sent
from consult.load_test.transport import Transport


class Caller:
    """transport: to be connected by whoever signals. incoming: by the SSRC that the server said."""

    def __init__(
        self,
        identity: Identity,
        host: str,
        frames: Mapping[Kind, Frames],
        *,
        sends: bool = True,
        loss: float = 0.0,
        timed: bool = True,
    ) -> None:
        """Raises OSError if the address cannot be used."""
        self._frames = frames
        self.transport = Transport(
            identity, host, on_rtp=self._take_rtp, on_rtcp=self._take_rtcp, loss=loss, timed=timed
        )
        self.outgoing: dict[Kind, Outgoing] = {}
        if sends:
            for kind in ("audio", "video"):
                self.outgoing[kind] = Outgoing(
                    frames[kind],
                    self.transport,
                    ssrc=1 + secrets.randbelow((1 << 32) - 1),
                    payload_type=PAYLOAD_TYPES[kind],
                )
        self.incoming: dict[int, Incoming] = {}
        self.unknown = 0  # packets of streams that nobody announced

    def listen(self, kind: Kind, ssrc: int, source: Sent | None) -> None:
        """Expect a stream of somebody. source: what they send."""
        known = self.incoming.get(ssrc)
        if known is None or known.source is not source:
            self.incoming[ssrc] = Incoming(
                kind, self._frames[kind], source, ssrc=ssrc, send_rtcp=self.transport.send_rtcp
            )

    def tick(self, now_s: float) -> None:
        """Several times a second."""
        for stream in self.incoming.values():
            stream.tick(now_s)

    def report(self) -> None:
        """Every second."""
        for outgoing in self.outgoing.values():
            outgoing.report()
        for incoming in self.incoming.values():
            incoming.report()

    async def close(self) -> None:
        await self.transport.close()

    def _take_rtp(self, packet: bytes, arrived_s: float) -> None:
        stream = self.incoming.get(int.from_bytes(packet[8:12], "big"))
        if stream is None:
            self.unknown += 1
        else:
            stream.take(packet, arrived_s)

    def _take_rtcp(self, packet: bytes, arrived_s: float) -> None:
        for item in rtcp.read(packet):
            for stream in self.outgoing.values():
                if stream.ssrc != item.ssrc:
                    continue
                if isinstance(item, rtcp.Nack):
                    stream.resend(item.lost)
                else:
                    stream.jump_to_keyframe()
