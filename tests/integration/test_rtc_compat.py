"""The private parts of aiortc and aioice that rtc_compat.py touches: a release that moves one fails here.

Numbers are those of the list in rtc_compat.py.
"""

from __future__ import annotations

import asyncio
import inspect
from importlib.metadata import version

import aioice
import pylibsrtp
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import CandidatePair, StunProtocol
from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceGatherer, RTCIceTransport
from aiortc.rtcdtlstransport import SRTP_AEAD_AES_128_GCM, SRTP_PROFILES

from signaling.guard import MAX_DATAGRAM_BYTES
from signaling.ice import IceSettings
from signaling.rtc_compat import DTLS_QUEUE_DATAGRAMS, OUR_SRTP_PROFILES, Link

LOOPBACK = IceSettings(hosts=("127.0.0.1",))


def _arguments(function: object) -> list[str]:
    assert callable(function)
    return list(inspect.signature(function).parameters)


def _link() -> Link:
    return Link(LOOPBACK, on_rtp=lambda packet: None, on_rtcp=lambda packet: None)


def test_the_releases_are_the_ones_that_were_read() -> None:
    assert version("aiortc").startswith("1.16.")
    assert version("aioice").startswith("0.13.")


async def test_1_2_our_sockets_are_opened_where_aioice_gathers() -> None:
    assert _arguments(aioice.Connection.get_component_candidates)[:3] == ["self", "component", "addresses"]
    link = _link()
    await link.gather()
    assert len(link._connection._protocols) == 1
    assert len(link.candidates) == 1 and " 127.0.0.1 " in link.candidates[0]
    await link.close()
    assert link._connection._protocols == []


async def test_3_4_the_queue_towards_dtls_is_bounded() -> None:
    assert _arguments(aioice.Connection.data_received) == ["self", "data", "component"]
    link = _link()
    for _ in range(3 * DTLS_QUEUE_DATAGRAMS):
        link._connection.data_received(b"\x16", 1)
    assert link._connection._queue.qsize() == DTLS_QUEUE_DATAGRAMS
    source = inspect.getsource(aioice.Connection.recvfrom)
    assert "self._queue.get()" in source


def test_5_every_authenticated_check_passes_check_incoming() -> None:
    assert _arguments(aioice.Connection.check_incoming) == ["self", "message", "addr", "protocol"]
    assert "self.check_incoming(message, addr, protocol)" in inspect.getsource(aioice.Connection.request_received)
    assert "check_message_integrity" in inspect.getsource(aioice.Connection.request_received)


def test_6_the_pair_in_use_is_nominated_for_component_1() -> None:
    assert isinstance(inspect.getattr_static(CandidatePair, "remote_addr"), property)
    assert "self._nominated[pair.component] = pair" in inspect.getsource(aioice.Connection.check_complete)
    assert "self.protocol = protocol" in inspect.getsource(CandidatePair.__init__)


def test_7_datagrams_arrive_at_the_stun_protocol() -> None:
    assert _arguments(StunProtocol.datagram_received) == ["self", "data", "addr"]
    assert {"local_candidate", "transport"} <= set(StunProtocol.__annotations__)


def test_8_candidates_are_made_by_two_functions() -> None:
    assert _arguments(candidate_foundation)[:3] == ["candidate_type", "candidate_transport", "base_address"]
    assert _arguments(candidate_priority)[:2] == ["candidate_component", "candidate_type"]


async def test_9_the_gatherers_connection_is_ours_everywhere() -> None:
    link = _link()
    assert RTCIceTransport(link._gatherer)._connection is link._connection
    assert link._ice._recv == link._connection.recv
    assert isinstance(RTCIceGatherer(iceServers=[])._connection, aioice.Connection)


async def test_10_the_cheaper_encryption_is_offered() -> None:
    link = _link()
    assert SRTP_AEAD_AES_128_GCM in SRTP_PROFILES
    assert OUR_SRTP_PROFILES[0] is SRTP_AEAD_AES_128_GCM
    assert link._dtls._srtp_profiles is OUR_SRTP_PROFILES
    assert "srtp_profiles=self._srtp_profiles" in inspect.getsource(RTCDtlsTransport.start)


async def test_11_the_sessions_are_there_once_dtls_is_connected() -> None:
    link = _link()
    for name in ("_rx_srtp", "_tx_srtp"):
        assert getattr(link._dtls, name) is None
    source = inspect.getsource(RTCDtlsTransport._setup_srtp)
    assert "self._rx_srtp = Session(rx_policy)" in source and "self._tx_srtp = Session(tx_policy)" in source
    # pylibsrtp refuses what does not fit its buffer; nothing larger than that gets this far.
    assert len(pylibsrtp.Session()._buffer) == MAX_DATAGRAM_BYTES


async def test_12_we_are_controlled_and_so_the_dtls_client() -> None:
    link = _link()
    assert link._ice.role == "controlled"
    source = inspect.getsource(RTCDtlsTransport.start)
    assert 'if self.transport.role == "controlling":' in source and 'self._set_role("client")' in source


async def test_a_link_closes_before_it_connects_and_twice() -> None:
    link = _link()
    await link.gather()
    connecting = asyncio.create_task(link.connect("user", "p" * 22, (("sha-256", "00"),)))
    await asyncio.sleep(0.05)
    await link.close()
    assert await connecting is False
    await link.close()


def test_a_certificate_tells_its_sha_256_fingerprint() -> None:
    algorithms = [fingerprint.algorithm for fingerprint in RTCCertificate.generateCertificate().getFingerprints()]
    assert "sha-256" in algorithms
