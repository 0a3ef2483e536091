"""The only file that touches private parts of aiortc, aioice and pylibsrtp.

aiortc brings ICE (through aioice) and DTLS; its SDP, RTP senders and receivers, codecs and SCTP are not used.

There are two ways for packets, chosen by IceSettings.path:

FastLink: all links share the process's sockets (port.py). STUN goes to aioice, DTLS to aiortc's handshake, RTP and
  RTCP straight to us: decrypted where they lie, in the same call, without a queue or a task switch. Where compiled.py
  could be built, ordinary packets do not even reach Python; `plain` does without it.
PumpLink: a socket per link as aioice opens it, and aiortc's own receive pump. Slower, and for the day on which a
  release of theirs moves what the fast way needs.

What is touched, each held by a test in tests/integration/test_rtc_compat.py:

aioice (0.13), both ways
 1. Connection.get_component_candidates(component, addresses, timeout): overridden, gives our sockets
 2. Connection._protocols: the list that it extends
 3. Connection._queue: what recv() waits for, bounded by 4
 4. Connection.data_received(data, component): overridden, drops when that queue is full
 5. Connection.check_incoming(message, addr, protocol): overridden, sees every authenticated check
 6. ice.StunProtocol(connection): subclassed; .local_candidate, .transport, .datagram_received(data, addr)
 7. candidate.candidate_foundation, candidate_priority
aioice, fast way
 8. Connection.check_complete(pair): overridden, sees the pair in use change and our own checks succeed;
    Connection._nominated[1], CandidatePair.state, .protocol, .remote_addr
 9. StunProtocol.transactions: our own checks that are not answered yet; .connection_made, .connection_lost
aiortc (1.16), both ways
10. RTCIceGatherer._connection: replaced before anybody reads it
11. RTCDtlsTransport._srtp_profiles: which encryption is offered
12. RTCIceTransport.role is "controlled", so that RTCDtlsTransport.start makes us the DTLS client
13. RTCCertificate._create_ssl_context(srtp_profiles): overridden, made once
aiortc, fast way
14. RTCDtlsTransport._rx_srtp, _tx_srtp: pylibsrtp sessions, there once DTLS is connected
aiortc, pump
15. RTCDtlsTransport._handle_rtp_data(data, arrival_time_ms), _handle_rtcp_data(data): overridden, get decrypted packets
16. RTCDtlsTransport._send_rtp(data): protects and sends RTP and RTCP
pylibsrtp (1.0), fast way
17. Session._srtp[0], the libsrtp handle; pylibsrtp._binding.ffi and lib: srtp_protect, srtp_unprotect,
    srtp_protect_rtcp, srtp_unprotect_rtcp (handle, buffer, length), in place
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import aioice
import pylibsrtp
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import CandidatePair, StunProtocol
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
from pylibsrtp._binding import ffi, lib

from signaling import compiled
from signaling.compiled import ShortLine, ShortWay
from signaling.guard import MAX_ADDRESSES, MAX_DATAGRAM_BYTES
from signaling.ice import IceSettings, open_sockets
from signaling.limits import TokenBucket
from signaling.port import Address, OpenShortWay, Outgoing, Port, PortSocket, Slot, take_port
from signaling.rtp import header_end, pack_header, read_fixed, write_packet

OnRtp = Callable[[int, int, int, int, bytes], None]  # marker bit and payload type, sequence, timestamp, SSRC, payload
OnRtcp = Callable[[bytes], None]

DTLS_QUEUE_DATAGRAMS: Final = 64  # a flight of a handshake has fewer than ten
PUMP_QUEUE_DATAGRAMS: Final = 512  # media too: half a second of it
USERNAME_CHARS: Final = 12
CERTIFICATE_LIVES: Final = datetime.timedelta(days=1)
CHECKS_PER_S: Final = 50  # from addresses that are known, and from all others together; a browser sends far fewer
SRTP_TRAILER_BYTES: Final = 16 + 128  # what libsrtp may add

# AES-256-GCM costs twice as much as AES-128-GCM and protects nobody better here.
OUR_SRTP_PROFILES = [profile for profile in (SRTP_AEAD_AES_128_GCM, SRTP_AES128_CM_SHA1_80) if profile in SRTP_PROFILES]


def hold(data: bytearray) -> tuple[Any, Any]:
    """Return the same memory as libsrtp takes it, and as a buffer whose slices are bytes."""
    held = ffi.from_buffer("char[]", data)
    return held, ffi.buffer(held)


_protect, _unprotect = lib.srtp_protect, lib.srtp_unprotect


def _open_short_way(incoming: list[bytearray]) -> ShortWay | None:
    library = compiled.load()
    if library is None:
        return None
    protect, unprotect = (_address_of(ffi.addressof(lib, name)) for name in ("srtp_protect", "srtp_unprotect"))
    return ShortWay(library, incoming, protect=protect, unprotect=unprotect)


def _address_of(pointer: Any) -> int:
    return int(ffi.cast("uintptr_t", pointer))


class _Certificate(RTCCertificate):
    """One for all links of the process, renewed daily; browsers know it by the fingerprint in our answers."""

    _context: Any = None

    def _create_ssl_context(self, srtp_profiles: list[Any]) -> Any:
        if self._context is None:
            self._context = super()._create_ssl_context(srtp_profiles)
        return self._context


_certificates: list[_Certificate] = []


def _take_certificate() -> _Certificate:
    now = datetime.datetime.now(datetime.UTC)
    if not _certificates or _certificates[0].expires - now < datetime.timedelta(days=30) - CERTIFICATE_LIVES:
        _certificates[:] = [_Certificate.generateCertificate()]
    return _certificates[0]


class _Connection(aioice.Connection):
    """ICE for one member: our sockets, bounded queues, and no candidate of the browser is followed."""

    def __init__(self, link: Link, queue_datagrams: int) -> None:
        super().__init__(ice_controlling=False, local_username=aioice.utils.random_string(USERNAME_CHARS))
        self.admitted: set[Address] = set()
        self.checks = 0
        self._link = link
        self._queue_datagrams = queue_datagrams

    async def get_component_candidates(
        self, component: int, addresses: list[str], timeout: int = 5
    ) -> list[aioice.Candidate]:
        self._protocols += await self._link.open_protocols(self)
        return [protocol.local_candidate for protocol in self._protocols]

    def data_received(self, data: bytes, component: int) -> None:
        if data[0] > 19 and self._queue.qsize() < self._queue_datagrams:  # below: STUN that could not be read
            self._queue.put_nowait((data, component))

    def check_incoming(self, message: Any, addr: Address, protocol: StunProtocol) -> None:
        if addr not in self.admitted:
            if len(self.admitted) >= MAX_ADDRESSES:
                return
            self.admitted.add(addr)
        if isinstance(protocol, _Line):
            protocol.socket.admit(addr, protocol)
        self.checks += 1
        super().check_incoming(message, addr, protocol)

    def check_complete(self, pair: CandidatePair) -> None:
        super().check_complete(pair)
        if pair.state is not CandidatePair.State.SUCCEEDED or not isinstance(pair.protocol, _Line):
            return
        pair.protocol.socket.take_over(pair.remote_addr, pair.protocol)
        if self._nominated.get(1) is pair:
            pair.protocol.link.use_path(pair.protocol.socket, pair.remote_addr)


class Link:
    """ICE and DTLS-SRTP to one browser. on_rtp, on_rtcp get decrypted packets.

    Life: gather, connect, send; close at any time, more than once too.
    """

    short: ShortLine | None = None  # for ordinary packets, where there is such a way
    _dtls_class: type[RTCDtlsTransport] = RTCDtlsTransport
    _queue_datagrams = DTLS_QUEUE_DATAGRAMS

    def __init__(self, settings: IceSettings, *, on_rtp: OnRtp, on_rtcp: OnRtcp) -> None:
        self._settings = settings
        self._on_rtp = on_rtp
        self._on_rtcp = on_rtcp
        self._certificate = _take_certificate()
        self._gatherer = RTCIceGatherer(iceServers=[])
        self._connection = self._gatherer._connection = _Connection(self, self._queue_datagrams)
        self._ice = RTCIceTransport(self._gatherer)
        self._dtls = self._dtls_class(self._ice, [self._certificate])
        self._dtls._srtp_profiles = OUR_SRTP_PROFILES
        self._lost = asyncio.Event()
        self._established = False  # asked for often, and aiortc writes its states as words
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
        return self._established and not self._lost.is_set()

    @property
    def heard(self) -> int:
        """A number that grows while the browser is there."""
        return self.packets + self._connection.checks

    @property
    def packets(self) -> int:
        """RTP and RTCP, received and genuine."""
        return self._packets

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
        """The browser is silent, or what it sends cannot be handled: end wait_lost()."""
        self._lost.set()

    async def close(self) -> None:
        self._lost.set()
        await self._dtls.stop()
        await self._ice.stop()

    def send_rtp(self, second: int, sequence: int, timestamp: int, ssrc: int, payload: bytes) -> None:
        """second: marker bit and payload type. sequence, timestamp: cut to their width."""
        raise NotImplementedError

    def send_rtcp(self, packet: bytes) -> None:
        raise NotImplementedError

    async def open_protocols(self, connection: _Connection) -> list[StunProtocol]:
        """Return our ends of the connection, one per offered address. Raises OSError."""
        raise NotImplementedError

    def _look_at_state(self) -> None:
        self._established = self._dtls.state == "connected"
        if self._dtls.state in ("closed", "failed") or self._ice.state in ("closed", "failed"):
            self._lost.set()


def open_link(settings: IceSettings, *, on_rtp: OnRtp, on_rtcp: OnRtcp) -> Link:
    """Return a new link of the kind that the settings ask for."""
    kind = PumpLink if settings.path == "pump" else FastLink
    return kind(settings, on_rtp=on_rtp, on_rtcp=on_rtcp)


def _host_candidate(host: str, port: int) -> aioice.Candidate:
    return aioice.Candidate(
        foundation=candidate_foundation("host", "udp", host),
        component=1,
        transport="udp",
        priority=candidate_priority(1, "host"),
        host=host,
        port=port,
        type="host",
    )


# The fast way ---------------------------------------------------------------------------------------------------------


class _Line(StunProtocol):
    """A link's end at one of the process's sockets (port.Line), and aioice's protocol for it."""

    def __init__(self, connection: _Connection, link: FastLink, socket: PortSocket) -> None:
        super().__init__(connection)
        self.link = link
        self.socket = socket
        self.take_media, self.take_clear = link.take_media, link.take_clear
        self.short = link.short
        self.fail = link.give_up
        self._connection = connection
        self._known = TokenBucket(CHECKS_PER_S, 2 * CHECKS_PER_S)
        self._strangers = TokenBucket(CHECKS_PER_S, 2 * CHECKS_PER_S)
        self.local_candidate = _host_candidate(socket.host, socket.port)
        self.connection_made(_LineTransport(self))
        socket.join(connection.local_username, self)

    def take_stun(self, data: bytes, address: Address) -> None:
        bucket = self._known if address in self._connection.admitted else self._strangers
        if bucket.take(asyncio.get_running_loop().time()):
            with contextlib.suppress(Exception):  # aioice trips over some malformed attributes: no check then
                self.datagram_received(data, address)

    def take_dtls(self, data: bytes) -> None:
        self._connection.data_received(data, 1)

    def waits_for(self, transaction_id: bytes) -> bool:
        return transaction_id in self.transactions

    def leave(self) -> None:
        self.socket.leave(self._connection.local_username, self, self._connection.admitted)
        self.link.leave_port()


class _LineTransport(asyncio.DatagramTransport):
    """What aioice sends through and closes; the socket itself stays open for others."""

    def __init__(self, line: _Line) -> None:
        super().__init__()
        self._line: _Line | None = line
        self._socket = line.socket

    def sendto(self, data: Any, addr: Any = None) -> None:
        if self._line is not None:
            self._socket.send(data, addr)

    def is_closing(self) -> bool:
        return self._line is None

    def close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.leave()
            asyncio.get_running_loop().call_soon(line.connection_lost, None)


class FastLink(Link):
    """A link at the process's shared sockets. Decrypts and encrypts in the port's slots."""

    def __init__(self, settings: IceSettings, *, on_rtp: OnRtp, on_rtcp: OnRtcp) -> None:
        super().__init__(settings, on_rtp=on_rtp, on_rtcp=on_rtcp)
        library = compiled.load() if settings.path == "fast" else None
        self.short = ShortLine(library) if library is not None else None
        self._port: Port | None = None
        self._lines = 0
        self._out: Outgoing | None = None  # once there is a path and a key
        self._path: tuple[PortSocket, Address] | None = None
        self._rx = self._tx = ffi.NULL
        self._length = ffi.new("int *")

    @property
    def packets(self) -> int:
        return self._packets + (int(self.short.c.packets) if self.short is not None else 0)

    async def open_protocols(self, connection: _Connection) -> list[StunProtocol]:
        short_way: OpenShortWay = _open_short_way if self.short is not None else lambda incoming: None
        self._port = port = take_port(self._settings, hold, short_way)
        lines: list[StunProtocol] = [_Line(connection, self, socket) for socket in port.sockets]
        self._lines = len(lines)
        return lines

    def leave_port(self) -> None:
        """One of our lines has left its socket; with the last one goes our hold on the port."""
        self._lines -= 1
        if self._lines == 0 and self._port is not None:
            self._port.release()
            self._port = None

    def use_path(self, socket: PortSocket, address: Address) -> None:
        """ICE found a way, or another one."""
        self._path = (socket, address)
        self._begin_to_send()

    def give_up(self) -> None:
        super().give_up()
        self._end()

    async def close(self) -> None:
        self._end()
        await super().close()

    def take_media(self, slot: Slot, size: int) -> None:
        """Decrypt where it lies, and pass on."""
        if not self._rx or size < 12:
            return
        length, data = self._length, slot.data
        length[0] = size
        if 191 < data[1] < 224:
            if lib.srtp_unprotect_rtcp(self._rx, slot.held, length) == 0:
                self._packets += 1
                self._on_rtcp(slot.taken[0 : length[0]])
            return
        if _unprotect(self._rx, slot.held, length) != 0:
            return
        self._packets += 1
        self.take_clear(slot, length[0])

    def take_clear(self, slot: Slot, size: int) -> None:
        """Pass a decrypted packet on."""
        data, end = slot.data, size
        first, second, sequence, timestamp, ssrc = read_fixed(data)
        at = 12
        if first != 0x80:
            at, end = header_end(data, end)
            if at == 0:
                return
        self._on_rtp(second, sequence, timestamp, ssrc, slot.taken[at:end])

    def send_rtp(self, second: int, sequence: int, timestamp: int, ssrc: int, payload: bytes) -> None:
        out, end = self._out, 12 + len(payload)
        if out is None or end > MAX_DATAGRAM_BYTES:
            return
        slot, length = out.next(), self._length
        pack_header(slot.data, 0, 0x80, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
        slot.data[12:end] = payload
        length[0] = end
        if _protect(self._tx, slot.held, length) == 0:
            slot.size, slot.address, slot.socket = length[0], self._address, self._socket
            out.post(slot)

    def send_rtcp(self, packet: bytes) -> None:
        out, end = self._out, len(packet)
        if out is None or end > MAX_DATAGRAM_BYTES:
            return
        slot, length = out.next(), self._length
        slot.data[:end] = packet
        length[0] = end
        if lib.srtp_protect_rtcp(self._tx, slot.held, length) == 0:
            slot.size, slot.address, slot.socket = length[0], self._address, self._socket
            out.post(slot)

    def _look_at_state(self) -> None:
        super()._look_at_state()
        if self._lost.is_set():
            self._end()
        elif self._established:
            self._rx, self._tx = self._dtls._rx_srtp._srtp[0], self._dtls._tx_srtp._srtp[0]
            if self.short is not None:
                self.short.receive_with(_address_of(self._rx))
            self._begin_to_send()

    def _begin_to_send(self) -> None:
        if self._path is not None and self._tx and not self._lost.is_set():
            self._socket, self._address = self._path
            self._out = self._port.out if self._port is not None else None
            if self.short is not None and self._out is not None:
                self.short.send_with(_address_of(self._tx), self._socket.descriptor, self._address)

    def _end(self) -> None:
        """Nothing is sent or passed on any more."""
        if self.short is not None:
            self.short.end()
        self._out = None
        self._rx = self._tx = ffi.NULL


# The pump -------------------------------------------------------------------------------------------------------------


class _Socket(StunProtocol):
    """One UDP socket of a link: keeps out what the pump would stumble over."""

    def __init__(self, connection: _Connection) -> None:
        super().__init__(connection)
        self._connection = connection

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        if not isinstance(data, bytes) or not 0 < len(data) <= MAX_DATAGRAM_BYTES:
            return
        # Anything but STUN only from where an authenticated check came from (RFC 7983 tells the kinds apart).
        if data[0] < 4:
            with contextlib.suppress(Exception):  # aioice trips over some malformed attributes: no check then
                super().datagram_received(data, addr)
        elif (addr[0], addr[1]) in self._connection.admitted and len(data) >= 12:
            self._connection.data_received(data, 1)

    def error_received(self, exc: Exception) -> None:
        """An ICMP message says that nobody listens; consent checks decide when a peer is gone."""


class _PumpTransport(RTCDtlsTransport):
    """aiortc's pump, whose packets come to us instead of to its receivers."""

    link: PumpLink

    async def _handle_rtp_data(self, data: bytes, arrival_time_ms: int) -> None:
        self.link.take_rtp(data)

    async def _handle_rtcp_data(self, data: bytes) -> None:
        self.link.take_rtcp(data)


class PumpLink(Link):
    """A link with sockets of its own on aiortc's pump. A task sends; if it cannot keep up, packets are dropped."""

    _dtls_class = _PumpTransport
    _queue_datagrams = PUMP_QUEUE_DATAGRAMS

    def __init__(self, settings: IceSettings, *, on_rtp: OnRtp, on_rtcp: OnRtcp) -> None:
        super().__init__(settings, on_rtp=on_rtp, on_rtcp=on_rtcp)
        assert isinstance(self._dtls, _PumpTransport)
        self._dtls.link = self
        self._unsent: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None

    async def open_protocols(self, connection: _Connection) -> list[StunProtocol]:
        loop = asyncio.get_running_loop()
        protocols: list[StunProtocol] = []
        for opened in open_sockets(self._settings):
            _, protocol = await loop.create_datagram_endpoint(lambda: _Socket(connection), sock=opened.socket)
            protocol.local_candidate = _host_candidate(opened.host, opened.socket.getsockname()[1])
            protocols.append(protocol)
        return protocols

    async def close(self) -> None:
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)
        await super().close()

    def take_rtp(self, data: bytes) -> None:
        if self._lost.is_set():
            return
        self._packets += 1
        at, end = header_end(data, len(data))
        if at:
            _, second, sequence, timestamp, ssrc = read_fixed(data)
            self._on_rtp(second, sequence, timestamp, ssrc, data[at:end])

    def take_rtcp(self, data: bytes) -> None:
        if not self._lost.is_set():
            self._packets += 1
            self._on_rtcp(data)

    def send_rtp(self, second: int, sequence: int, timestamp: int, ssrc: int, payload: bytes) -> None:
        self.send_rtcp(write_packet(second, sequence, timestamp, ssrc, payload))

    def send_rtcp(self, packet: bytes) -> None:
        if not self.connected or len(self._unsent) >= PUMP_QUEUE_DATAGRAMS:
            return
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_all(), name=f"sender {self.ice_username}")
        self._unsent.append(packet)
        self._wake.set()

    async def _send_all(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._unsent:
                with contextlib.suppress(ConnectionError, pylibsrtp.Error, ValueError):
                    await self._dtls._send_rtp(self._unsent.popleft())
