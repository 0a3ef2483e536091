"""One connection for sound and picture, from the browser's side: ICE, DTLS, SRTP on one UDP socket.

Owns the socket and its life. What the packets say is streams.py's.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import pylibsrtp

from consult.load_test import stun
from consult.load_test.dtls import Handshake, Identity
from consult.load_test.sdp import Local, Remote

BUFFER_BYTES: Final = 4 << 20
DATAGRAM_BYTES: Final = 2048
MOST_CANDIDATES: Final = 4
CHECK_EVERY_S: Final = 0.05
CONSENT_EVERY_S: Final = 5.0  # RFC 7675
STAMP: Final = 35 if sys.platform == "linux" else 0  # SO_TIMESTAMPNS: the kernel says when a datagram came
STAMP_BYTES: Final = socket.CMSG_SPACE(16)

Address = tuple[str, int]
OnPacket = Callable[[bytes, float], None]  # a decrypted packet, and when it came (s since 1970)


class Transport:
    """Life: local, connect, send; close at any time.

    on_rtp, on_rtcp are called on the event loop. loss: the part of datagrams with media that is thrown away, both ways.
    """

    def __init__(
        self,
        identity: Identity,
        host: str,
        *,
        on_rtp: OnPacket,
        on_rtcp: OnPacket,
        loss: float = 0.0,
        timed: bool = True,
    ) -> None:
        """host: the address of ours that the other side can reach. timed: ask the kernel when packets came.

        Raises OSError if the address cannot be used.
        """
        self._loop = asyncio.get_running_loop()
        self._identity = identity
        self._on_rtp = on_rtp
        self._on_rtcp = on_rtcp
        self._loss = loss
        self._socket = _open(host, timed=timed)
        self._read_one = self._read_timed if timed and STAMP else self._read_plain
        self._tie_breaker = secrets.randbits(64)
        self.local = Local(
            secrets.token_hex(4), secrets.token_hex(16), identity.fingerprint, host, self._socket.getsockname()[1]
        )
        self._remote: Remote | None = None
        self._controlling = True
        self._checks: dict[bytes, Address] = {}
        self._address: Address | None = None
        self._found = asyncio.Event()
        self._handshake: Handshake | None = None
        self._shaken = asyncio.Event()
        self._failure: ConnectionError | None = None
        self._sending: pylibsrtp.Session | None = None
        self._receiving: pylibsrtp.Session | None = None
        self._consent: asyncio.Task[None] | None = None
        self.unsent = 0  # datagrams that the kernel had no room for
        self._loop.add_reader(self._socket, self._read_one)

    async def connect(self, remote: Remote, *, offered: bool = True) -> None:
        """Return when packets can be sent. offered: we made the offer, so the nominating is ours (RFC 8445 §6.1.1).

        Raises ConnectionError. The caller sets the time limit.
        """
        self._remote, self._controlling = remote, offered
        self._handshake = Handshake(self._identity, remote.fingerprint)
        version_6 = ":" in self.local.host
        candidates = [address for address in remote.candidates if (":" in address[0]) == version_6][:MOST_CANDIDATES]
        if not candidates:
            raise ConnectionError("the server offers no address that this machine can reach")
        while not self._found.is_set():
            for candidate in candidates:
                self._check(candidate)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_EVERY_S):
                    await self._found.wait()
        assert self._address is not None
        self._socket.connect(self._address)
        while not self._shaken.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_EVERY_S * 4):
                    await self._shaken.wait()
            self._send_all(self._handshake.repeat())
        if self._failure is not None:
            raise self._failure
        self._sending, self._receiving = self._handshake.sessions()
        self._consent = asyncio.create_task(self._keep_consent(), name=f"consent {self.local.username}")

    async def close(self) -> None:
        if self._consent is not None:
            self._consent.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._consent
            self._consent = None
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def protect(self, packet: bytes) -> bytes:
        assert self._sending is not None
        return self._sending.protect(packet)

    def send(self, protected: bytes) -> None:
        """Send what protect() returned."""
        if self._loss and random.random() < self._loss:  # noqa: S311
            return
        try:
            self._socket.send(protected)
        except OSError:  # no room, or nobody listens any more: a datagram is lost, as on a network
            self.unsent += 1

    def send_rtcp(self, packet: bytes) -> None:
        if self._sending is not None:
            self.send(self._sending.protect_rtcp(packet))

    # Receiving

    def _read_plain(self) -> None:
        try:
            data, address = self._socket.recvfrom(DATAGRAM_BYTES)
        except OSError:
            return
        self._take(data, address, time.time())

    def _read_timed(self) -> None:
        try:
            data, ancillary, _, address = self._socket.recvmsg(DATAGRAM_BYTES, STAMP_BYTES)
        except OSError:
            return
        if ancillary:
            seconds, nanoseconds = _TIMESPEC(ancillary[0][2])
            self._take(data, address, seconds + nanoseconds * 1e-9)
        else:
            self._take(data, address, time.time())

    def _take(self, data: bytes, address: Any, arrived_s: float) -> None:
        if not data:
            return
        first = data[0]
        if 127 < first < 192:
            session = self._receiving
            if session is None or (self._loss and random.random() < self._loss):  # noqa: S311
                return
            try:
                if 191 < data[1] < 224:
                    self._on_rtcp(session.unprotect_rtcp(data), arrived_s)
                else:
                    self._on_rtp(session.unprotect(data), arrived_s)
            except pylibsrtp.Error:
                return
        elif first < 4:
            self._take_stun(data, (address[0], address[1]))
        elif 19 < first < 64 and self._handshake is not None and self._found.is_set():
            self._shake(self._handshake, data)

    def _take_stun(self, data: bytes, address: Address) -> None:
        request = stun.read_message(data, self.local.password)
        if request is not None and request.kind == stun.REQUEST:
            with contextlib.suppress(OSError):
                self._socket.sendto(stun.write_response(request, address, self.local.password), address)
            if request.nominates and self._remote is not None and not self._controlling:
                self._choose(address)
            return
        if self._remote is None:
            return
        response = stun.read_message(data, self._remote.password)
        if response is not None and response.transaction in self._checks and self._controlling:
            self._choose(self._checks[response.transaction])

    def _choose(self, address: Address) -> None:
        if self._address is None:
            self._address = address
            self._found.set()

    def _shake(self, handshake: Handshake, data: bytes) -> None:
        try:
            self._send_all(handshake.receive(data))
        except ConnectionError as error:
            self._failure = error
        if handshake.done or self._failure is not None:
            self._shaken.set()

    def _send_all(self, datagrams: list[bytes]) -> None:
        for datagram in datagrams:
            with contextlib.suppress(OSError):
                self._socket.send(datagram)

    # Checks

    def _check(self, address: Address) -> None:
        assert self._remote is not None
        message, transaction = stun.write_check(
            username=f"{self._remote.username}:{self.local.username}",
            password=self._remote.password,
            tie_breaker=self._tie_breaker,
            controlling=self._controlling,
        )
        self._checks[transaction] = address
        with contextlib.suppress(OSError):
            if self._address is None:
                self._socket.sendto(message, address)
            else:
                self._socket.send(message)

    async def _keep_consent(self) -> None:
        assert self._address is not None
        while True:
            await asyncio.sleep(CONSENT_EVERY_S * random.uniform(0.8, 1.2))  # noqa: S311
            self._checks.clear()
            self._check(self._address)


_TIMESPEC = struct.Struct("@ll").unpack


def _open(host: str, *, timed: bool) -> socket.socket:
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        if timed and STAMP:
            opened.setsockopt(socket.SOL_SOCKET, STAMP, 1)
        opened.bind((host, 0))
    except OSError:
        opened.close()
        raise
    return opened
