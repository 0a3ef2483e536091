"""The private parts of aiortc, aioice and pylibsrtp that rtc_compat.py touches: a release that moves one fails here.

Numbers are those of the list in rtc_compat.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
from collections.abc import AsyncIterator
from importlib.metadata import version

import aioice
import pytest
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import CandidatePair, StunProtocol
from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceGatherer, RTCIceTransport
from aiortc.rtcdtlstransport import SRTP_AEAD_AES_128_GCM, SRTP_PROFILES
from pylibsrtp import Policy, Session
from pylibsrtp._binding import ffi, lib

from signaling.ice import IceSettings, MediaPath
from signaling.rtc_compat import (
    DTLS_QUEUE_DATAGRAMS,
    OUR_SRTP_PROFILES,
    PUMP_QUEUE_DATAGRAMS,
    FastLink,
    Link,
    PumpLink,
    open_link,
)
from signaling.rtp import write_packet

both_ways = pytest.mark.parametrize("path", ["fast", "plain", "pump"])


def _arguments(function: object) -> list[str]:
    assert callable(function)
    return list(inspect.signature(function).parameters)


@contextlib.asynccontextmanager
async def opened(path: MediaPath = "fast") -> AsyncIterator[Link]:
    """A link that waits for its browser."""
    settings = IceSettings(hosts=("127.0.0.1",), path=path)
    link = open_link(settings, on_rtp=lambda *packet: None, on_rtcp=lambda packet: None)
    await link.gather()
    try:
        yield link
    finally:
        await link.close()


def test_the_releases_are_the_ones_that_were_read() -> None:
    assert version("aiortc").startswith("1.16.")
    assert version("aioice").startswith("0.13.")
    assert version("pylibsrtp").startswith("1.0.")


@both_ways
async def test_1_2_our_sockets_are_given_where_aioice_gathers(path: MediaPath) -> None:
    assert _arguments(aioice.Connection.get_component_candidates)[:3] == ["self", "component", "addresses"]
    async with opened(path) as link:
        assert isinstance(link, PumpLink if path == "pump" else FastLink)
        assert len(link._connection._protocols) == 1
        assert len(link.candidates) == 1 and " 127.0.0.1 " in link.candidates[0]
    assert link._connection._protocols == []


@pytest.mark.parametrize(("path", "most"), [("fast", DTLS_QUEUE_DATAGRAMS), ("pump", PUMP_QUEUE_DATAGRAMS)])
async def test_3_4_the_queue_towards_dtls_is_bounded(path: MediaPath, most: int) -> None:
    assert _arguments(aioice.Connection.data_received) == ["self", "data", "component"]
    assert "self.receiver.data_received(data" in inspect.getsource(StunProtocol.datagram_received)
    assert "self._queue.get()" in inspect.getsource(aioice.Connection.recvfrom)
    async with opened(path) as link:
        link._connection.data_received(b"\x01 no STUN", 1)
        assert link._connection._queue.qsize() == 0
        for _ in range(3 * most):
            link._connection.data_received(b"\x16", 1)
        assert link._connection._queue.qsize() == most


def test_5_every_authenticated_check_passes_check_incoming() -> None:
    assert _arguments(aioice.Connection.check_incoming) == ["self", "message", "addr", "protocol"]
    source = inspect.getsource(aioice.Connection.request_received)
    assert source.index("check_message_integrity") < source.index("self.check_incoming(message, addr, protocol)")
    assert "self._early_checks.append((message, addr, protocol))" in source
    assert "self.check_incoming(*early_check)" in inspect.getsource(aioice.Connection.connect)


def test_6_datagrams_arrive_at_the_stun_protocol() -> None:
    assert _arguments(StunProtocol.datagram_received) == ["self", "data", "addr"]
    assert {"local_candidate", "transport"} <= set(StunProtocol.__annotations__)
    assert "self.transport.sendto(" in inspect.getsource(StunProtocol.send_stun)


def test_7_candidates_are_made_by_two_functions() -> None:
    assert _arguments(candidate_foundation)[:3] == ["candidate_type", "candidate_transport", "base_address"]
    assert _arguments(candidate_priority)[:2] == ["candidate_component", "candidate_type"]


def test_8_a_pair_is_in_use_or_proven_once_its_check_is_complete() -> None:
    assert _arguments(aioice.Connection.check_complete) == ["self", "pair"]
    assert "self._nominated[pair.component] = pair" in inspect.getsource(aioice.Connection.check_complete)
    checks = inspect.getsource(aioice.Connection.check_start)
    assert "self.check_state(pair, CandidatePair.State.SUCCEEDED)\n        self.check_complete(pair)" in checks
    assert "integrity_key=self.remote_password" in checks, "only the browser can answer"
    assert "self.check_complete(pair)" in inspect.getsource(aioice.Connection.check_incoming)
    assert isinstance(inspect.getattr_static(CandidatePair, "remote_addr"), property)
    assert "self.protocol = protocol" in inspect.getsource(CandidatePair.__init__)


async def test_9_a_protocol_knows_its_unanswered_checks_and_closes_with_its_transport() -> None:
    request = inspect.getsource(StunProtocol.request)
    assert "self.transactions[request.transaction_id] = transaction" in request
    assert "del self.transactions[request.transaction_id]" in request
    assert "self.transport.close()" in inspect.getsource(StunProtocol.close)
    assert _arguments(StunProtocol.connection_lost) == ["self", "exc"]
    assert _arguments(StunProtocol.connection_made) == ["self", "transport"]


@both_ways
async def test_10_the_gatherers_connection_is_ours_everywhere(path: MediaPath) -> None:
    async with opened(path) as link:
        assert RTCIceTransport(link._gatherer)._connection is link._connection
        assert link._ice._recv == link._connection.recv
        assert isinstance(RTCIceGatherer(iceServers=[])._connection, aioice.Connection)


async def test_11_the_cheaper_encryption_is_offered() -> None:
    async with opened() as link:
        assert SRTP_AEAD_AES_128_GCM in SRTP_PROFILES
        assert OUR_SRTP_PROFILES[0] is SRTP_AEAD_AES_128_GCM
        assert link._dtls._srtp_profiles is OUR_SRTP_PROFILES
        assert "srtp_profiles=self._srtp_profiles" in inspect.getsource(RTCDtlsTransport.start)


async def test_12_we_are_controlled_and_so_the_dtls_client() -> None:
    async with opened() as link:
        assert link._ice.role == "controlled"
        source = inspect.getsource(RTCDtlsTransport.start)
        assert 'if self.transport.role == "controlling":' in source and 'self._set_role("client")' in source


async def test_13_one_certificate_and_its_context_serve_all_links() -> None:
    assert _arguments(RTCCertificate._create_ssl_context) == ["self", "srtp_profiles"]
    assert "._create_ssl_context(" in inspect.getsource(RTCDtlsTransport.start)
    async with opened() as one, opened() as other:
        assert one.fingerprint == other.fingerprint
        contexts = [link._certificate._create_ssl_context(OUR_SRTP_PROFILES) for link in (one, other)]
        assert contexts[0] is contexts[1]


async def test_14_the_sessions_are_there_once_dtls_is_connected() -> None:
    async with opened() as link:
        assert link._dtls._rx_srtp is None and link._dtls._tx_srtp is None
    source = inspect.getsource(RTCDtlsTransport._setup_srtp)
    assert "self._rx_srtp = Session(rx_policy)" in source and "self._tx_srtp = Session(tx_policy)" in source
    start = inspect.getsource(RTCDtlsTransport.start)
    assert start.index("self._setup_srtp()") < start.index("self._set_state(State.CONNECTED)")


def test_15_the_pump_hands_over_decrypted_packets() -> None:
    assert _arguments(RTCDtlsTransport._handle_rtp_data) == ["self", "data", "arrival_time_ms"]
    assert _arguments(RTCDtlsTransport._handle_rtcp_data) == ["self", "data"]
    source = inspect.getsource(RTCDtlsTransport._recv_next)
    assert "self._rx_srtp.unprotect(data)\n                    await self._handle_rtp_data(" in source
    assert "self._rx_srtp.unprotect_rtcp(data)\n                    await self._handle_rtcp_data(" in source


def test_16_the_pump_sends_both_kinds() -> None:
    assert _arguments(RTCDtlsTransport._send_rtp) == ["self", "data"]
    source = inspect.getsource(RTCDtlsTransport._send_rtp)
    assert "if is_rtcp(data):" in source and "await self.transport._send(data)" in source


def test_17_libsrtp_works_in_buffers_of_ours() -> None:
    profile = OUR_SRTP_PROFILES[0]
    key = bytes(range(profile.key_length + profile.salt_length))
    sessions = [
        Session(Policy(key=key, ssrc_type=kind, srtp_profile=profile.libsrtp_profile))
        for kind in (Policy.SSRC_ANY_OUTBOUND, Policy.SSRC_ANY_INBOUND)
    ]
    sender, receiver = (session._srtp[0] for session in sessions)
    plain = write_packet(96, 1, 2, 3, b"picture")
    buffer = bytearray(2048)
    held, length = ffi.from_buffer("char[]", buffer), ffi.new("int *")
    calls = ((lib.srtp_protect, lib.srtp_unprotect), (lib.srtp_protect_rtcp, lib.srtp_unprotect_rtcp))
    for protect, unprotect in calls:
        buffer[: len(plain)], length[0] = plain, len(plain)
        assert protect(sender, held, length) == 0
        assert len(plain) < length[0] <= len(plain) + 20 and buffer[: len(plain)] != plain
        assert unprotect(receiver, held, length) == 0
        assert buffer[: length[0]] == plain
        assert unprotect(receiver, held, length) != 0, "what is no packet of the other side is refused"


@both_ways
async def test_a_link_closes_before_it_connects_and_twice(path: MediaPath) -> None:
    async with opened(path) as link:
        connecting = asyncio.create_task(link.connect("user", "p" * 22, (("sha-256", "00"),)))
        await asyncio.sleep(0.05)
        await link.close()
        assert await connecting is False


async def test_all_links_share_a_port_which_closes_with_the_last_of_them() -> None:
    def port(link: Link) -> str:
        found = re.search(r" 127\.0\.0\.1 (\d+) ", link.candidates[0])
        assert found is not None
        return found[1]

    async with opened() as one:
        number = int(port(one))
        async with opened() as other:
            assert port(one) == port(other) and one.ice_username != other.ice_username
        async with opened("pump") as apart:
            assert port(apart) != port(one)
        async with opened() as again:
            assert port(again) == port(one)
    probe = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", number)
    )
    probe[0].close()


async def test_a_certificate_tells_its_sha_256_fingerprint() -> None:
    async with opened() as link:
        assert re.fullmatch("[0-9A-F]{2}(:[0-9A-F]{2}){31}", link.fingerprint)
