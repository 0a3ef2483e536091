"""The only file that touches private parts of aiortc and aioice.

aiortc brings ICE (through aioice) and DTLS; its SDP, RTP senders and receivers, codecs and SCTP are not used.
Datagrams are sorted where they arrive: STUN goes to aioice, DTLS to aiortc's handshake, RTP and RTCP straight to us,
decrypted, in the same call, without a queue or a task switch.

What is touched, each held by a test in tests/integration/test_rtc_compat.py:

aioice (0.13)
 1. Connection.get_component_candidates(component, addresses, timeout): overridden, opens our sockets
 2. Connection._protocols: the list that it extends
 3. Connection._queue: replaced by a bounded one
 4. Connection.data_received(data, component): overridden, drops when that queue is full
 5. Connection.check_incoming(message, addr, protocol): overridden, sees every authenticated check
 6. Connection._nominated[1]: the pair in use: .protocol and .remote_addr
 7. ice.StunProtocol(connection): subclassed; .local_candidate, .transport, .datagram_received(data, addr)
 8. candidate.candidate_foundation, candidate_priority
aiortc (1.16)
 9. RTCIceGatherer._connection: replaced before anybody reads it
10. RTCDtlsTransport._srtp_profiles: which encryption is offered
11. RTCDtlsTransport._rx_srtp, _tx_srtp: pylibsrtp sessions, there once DTLS is connected
12. RTCIceTransport.role is "controlled", so that RTCDtlsTransport.start makes us the DTLS client
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import aioice
import pylibsrtp
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import StunProtocol
from aiortc import (
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    RTCIceGatherer,
    RTCIceParameters,
    RTCIceTransport,
)
from aiortc.rtcdtlstransport import SRTP_AEAD_AES_128_GCM, SRTP_AES128_CM_SHA1_80, SRTP_PROFILES

from signaling.guard import MAX_ADDRESSES, MAX_DATAGRAM_BYTES
from signaling.ice import IceSettings, open_sockets

Address = tuple[str, int]
OnPacket = Callable[[bytes], None]

DTLS_QUEUE_DATAGRAMS: Final = 64  # a flight of a handshake has fewer than ten

# AES-256-GCM costs twice as much as AES-128-GCM and protects nobody better here.
OUR_SRTP_PROFILES = [profile for profile in (SRTP_AEAD_AES_128_GCM, SRTP_AES128_CM_SHA1_80) if profile in SRTP_PROFILES]


class _Socket(StunProtocol):
    """One UDP socket of a link: sorts what arrives."""

    def __init__(self, connection: _Connection) -> None:
        super().__init__(connection)
        self._link = connection

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        if not isinstance(data, bytes) or not 0 < len(data) <= MAX_DATAGRAM_BYTES:
            return
        first = data[0]
        if first < 4:
            super().datagram_received(data, addr)
            return
        link = self._link
        # Anything but STUN only from where an authenticated check came from (RFC 7983 tells the kinds apart).
        if (addr[0], addr[1]) not in link.admitted:
            return
        if 127 < first < 192:
            link.receive_media(data)
        elif 19 < first < 64:
            link.data_received(data, self.local_candidate.component)

    def error_received(self, exc: Exception) -> None:
        """An ICMP message says that nobody listens; consent checks decide when a peer is gone."""


class _Connection(aioice.Connection):
    """ICE for one member: our sockets, bounded queues, and no candidate of the browser is followed."""

    def __init__(self, settings: IceSettings, receive_media: OnPacket) -> None:
        super().__init__(ice_controlling=False)
        self.admitted: set[Address] = set()
        self.checks = 0
        self.receive_media = receive_media
        self._settings = settings
        self._queue: asyncio.Queue[tuple[bytes, int] | None] = asyncio.Queue()

    async def get_component_candidates(
        self, component: int, addresses: list[str], timeout: int = 5
    ) -> list[aioice.Candidate]:
        loop = asyncio.get_running_loop()
        candidates = []
        for opened in open_sockets(self._settings):
            _, protocol = await loop.create_datagram_endpoint(lambda: _Socket(self), sock=opened.socket)
            protocol.local_candidate = aioice.Candidate(
                foundation=candidate_foundation("host", "udp", opened.host),
                component=component,
                transport="udp",
                priority=candidate_priority(component, "host"),
                host=opened.host,
                port=opened.socket.getsockname()[1],
                type="host",
            )
            self._protocols.append(protocol)
            candidates.append(protocol.local_candidate)
        return candidates

    def data_received(self, data: bytes, component: int) -> None:
        if self._queue.qsize() < DTLS_QUEUE_DATAGRAMS:
            self._queue.put_nowait((data, component))

    def check_incoming(self, message: Any, addr: Address, protocol: StunProtocol) -> None:
        if addr not in self.admitted:
            if len(self.admitted) >= MAX_ADDRESSES:
                return
            self.admitted.add(addr)
        self.checks += 1
        super().check_incoming(message, addr, protocol)

    @property
    def path(self) -> tuple[asyncio.DatagramTransport, Address] | None:
        """Socket and remote address in use, once ICE has found one."""
        pair = self._nominated.get(1)
        return (pair.protocol.transport, pair.remote_addr) if pair else None


class Link:
    """ICE and DTLS-SRTP to one browser. on_rtp, on_rtcp get decrypted packets.

    Life: gather, connect, send; close at any time, more than once too.
    """

    def __init__(self, settings: IceSettings, *, on_rtp: OnPacket, on_rtcp: OnPacket) -> None:
        self._on_rtp = on_rtp
        self._on_rtcp = on_rtcp
        self._certificate = RTCCertificate.generateCertificate()
        self._gatherer = RTCIceGatherer(iceServers=[])
        self._connection = self._gatherer._connection = _Connection(settings, self._receive_media)
        self._ice = RTCIceTransport(self._gatherer)
        self._dtls = RTCDtlsTransport(self._ice, [self._certificate])
        self._dtls._srtp_profiles = OUR_SRTP_PROFILES
        self._lost = asyncio.Event()
        self._packets = 0
        self._dtls.on("statechange", self._look_at_state)
        self._ice.on("statechange", self._look_at_state)

    @property
    def ice_username(self) -> str:
        return self._connection.local_username

    @property
    def ice_password(self) -> str:
        return self._connection.local_password

    @property
    def fingerprint(self) -> str:
        """Of SHA-256."""
        return next(f.value for f in self._certificate.getFingerprints() if f.algorithm == "sha-256")

    @property
    def candidates(self) -> tuple[str, ...]:
        """Values for a=candidate lines."""
        return tuple(candidate.to_sdp() for candidate in self._connection.local_candidates)

    @property
    def connected(self) -> bool:
        return self._dtls.state == "connected" and not self._lost.is_set()

    @property
    def heard(self) -> int:
        """A number that grows while the browser is there."""
        return self._packets + self._connection.checks

    async def gather(self) -> None:
        """Open our sockets. Raises OSError."""
        await self._gatherer.gather()

    async def connect(self, username: str, password: str, fingerprints: tuple[tuple[str, str], ...]) -> bool:
        """Wait for the browser's checks, shake hands; return whether that worked. The caller sets the time limit."""
        await self._ice.start(RTCIceParameters(usernameFragment=username, password=password))
        if self._ice.state != "completed":
            return False
        await self._dtls.start(RTCDtlsParameters([RTCDtlsFingerprint(*pair) for pair in fingerprints], role="auto"))
        return self.connected

    async def wait_lost(self) -> None:
        """Return when the browser closed the connection or its consent ran out."""
        await self._lost.wait()

    def give_up(self) -> None:
        """The browser is silent: end wait_lost()."""
        self._lost.set()

    async def close(self) -> None:
        self._lost.set()
        await self._dtls.stop()
        await self._ice.stop()

    def send_rtp(self, packet: bytes) -> None:
        self._send(packet, rtcp=False)

    def send_rtcp(self, packet: bytes) -> None:
        self._send(packet, rtcp=True)

    def _send(self, packet: bytes, *, rtcp: bool) -> None:
        session = self._dtls._tx_srtp
        path = self._connection.path
        if session is None or path is None or self._lost.is_set():
            return
        try:
            data = session.protect_rtcp(packet) if rtcp else session.protect(packet)
        except (pylibsrtp.Error, ValueError):
            return
        transport, address = path
        if not transport.is_closing():
            transport.sendto(data, address)

    def _receive_media(self, data: bytes) -> None:
        session = self._dtls._rx_srtp
        if session is None or self._lost.is_set():
            return
        rtcp = len(data) > 1 and 191 < data[1] < 224
        try:
            packet = session.unprotect_rtcp(data) if rtcp else session.unprotect(data)
        except (pylibsrtp.Error, ValueError):
            return
        self._packets += 1
        if rtcp:
            self._on_rtcp(packet)
        else:
            self._on_rtp(packet)

    def _look_at_state(self) -> None:
        if self._dtls.state in ("closed", "failed") or self._ice.state in ("closed", "failed"):
            self._lost.set()
