"""TURN: what a real coturn with the shipped configuration lets through, and with which of our credentials."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from aioice import stun
from aioice.turn import TurnClientUdpProtocol

from consult.rooms import TURN_LIFETIME_S, ice_servers
from consult.settings import Settings
from tests.turn_server import DENY_ALL, SECRET, TurnServer, run_coturn

MEMBER = "v-1"
INTERNAL = [
    "0.0.0.1", "10.0.0.1", "10.255.255.254", "100.64.0.1", "127.0.0.1", "127.1.2.3", "169.254.169.254", "172.16.0.1",
    "172.31.255.254", "192.0.0.8", "192.168.0.1", "192.168.255.254", "198.18.0.1", "224.0.0.251", "239.255.255.250",
    "255.255.255.255",
]  # fmt: skip
INTERNAL_V6 = [
    "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "64:ff9b::a00:1", "2002:a00:1::1",
    "::ffff:10.0.0.1", "::10.0.0.1",
]  # fmt: skip
IPV6 = 0x02000000  # RFC 8656 §18.8


@pytest.fixture(scope="module")
def coturn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TurnServer]:
    with run_coturn(tmp_path_factory.mktemp("coturn"), more=["allowed-peer-ip=203.0.113.8"]) as server:
        yield server


@pytest.fixture(scope="module")
def open_coturn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TurnServer]:
    """Without the lines that deny everybody, as an operator may have it."""
    with run_coturn(tmp_path_factory.mktemp("coturn"), without=DENY_ALL) as server:
        yield server


class _Client(TurnClientUdpProtocol):
    """aioice's client, which can ask for an IPv6 relay too."""

    family: ClassVar[int | None] = None

    async def request(self, request: stun.Message) -> Any:
        if self.family is not None and request.message_method == stun.Method.ALLOCATE:
            request.attributes["REQUESTED-ADDRESS-FAMILY"] = self.family
        return await super().request(request)


class _V6Client(_Client):
    family = IPV6


@asynccontextmanager
async def allocate(
    server: TurnServer, user: str, password: str, client: type[_Client] = _Client
) -> AsyncIterator[_Client]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: client(("127.0.0.1", server.port), user, password, 600, 500),
        remote_addr=("127.0.0.1", server.port),
    )
    try:
        await protocol.connect()
        yield protocol
        await protocol.delete()
    finally:
        if protocol.refresh_task is not None:
            protocol.refresh_task.cancel()
        transport.close()


async def permit(client: _Client, peer: str) -> int:
    """Return the code with which the server answers the wish to reach a peer; 0: it may be reached."""
    codes = set()
    client.channel_number += 1
    for method in (stun.Method.CREATE_PERMISSION, stun.Method.CHANNEL_BIND):
        request = stun.Message(message_method=method, message_class=stun.Class.REQUEST)
        if method == stun.Method.CHANNEL_BIND:
            request.attributes["CHANNEL-NUMBER"] = client.channel_number
        request.attributes["XOR-PEER-ADDRESS"] = (peer, 40_000)
        try:
            await client.request_with_retry(request)
            codes.add(0)
        except stun.TransactionFailed as failure:
            codes.add(failure.response.error_code)
    assert len(codes) == 1, (peer, codes)
    return codes.pop()


@pytest.fixture
def credentials(make_settings: Callable[..., Settings]) -> Callable[..., tuple[str, str]]:
    """Our credentials, as made at an instant: user and password."""

    def make(*, now_s: float | None = None, secret: str = SECRET) -> tuple[str, str]:
        settings = make_settings(turn_urls="turn:127.0.0.1", turn_secret=secret)
        given = ice_servers(settings, MEMBER, now_s=time.time() if now_s is None else now_s).ice_servers[0]
        return given["username"], given["credential"]

    return make


async def test_a_relay_opens_with_our_credentials_and_reaches_the_media_servers_alone(
    coturn: TurnServer, credentials: Callable[..., tuple[str, str]]
) -> None:
    async with allocate(coturn, *credentials()) as client:
        assert await permit(client, "203.0.113.8") == 0
        for peer in ("203.0.113.9", "8.8.8.8", *INTERNAL):
            assert await permit(client, peer) == 403, peer


async def test_private_loopback_link_local_shared_and_multicast_peers_are_refused_by_name_too(
    open_coturn: TurnServer, credentials: Callable[..., tuple[str, str]]
) -> None:
    async with allocate(open_coturn, *credentials()) as client:
        assert await permit(client, "8.8.8.8") == 0
        for peer in INTERNAL:
            assert await permit(client, peer) == 403, peer


async def test_internal_peers_are_refused_to_an_ipv6_relay(
    open_coturn: TurnServer, credentials: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    family = (0x0017, "REQUESTED-ADDRESS-FAMILY", stun.pack_unsigned, stun.unpack_unsigned)
    monkeypatch.setitem(stun.ATTRIBUTES_BY_NAME, family[1], family)
    async with allocate(open_coturn, *credentials(), client=_V6Client) as client:
        assert client.relayed_address is not None and ":" in client.relayed_address[0]
        assert await permit(client, "2606:4700:4700::1111") == 0
        for peer in INTERNAL_V6:
            assert await permit(client, peer) == 403, peer


async def test_expired_forged_and_missing_credentials_open_no_relay(
    coturn: TurnServer, credentials: Callable[..., tuple[str, str]]
) -> None:
    user, password = credentials()
    later, *_ = credentials(now_s=time.time() + 60)
    for wrong in (
        credentials(now_s=time.time() - TURN_LIFETIME_S - 2),
        credentials(secret="a secret that nobody shares"),
        (later, password),
        (user.replace(MEMBER, "v-2"), password),
        (user, ""),
        ("", ""),
    ):
        with pytest.raises(stun.TransactionFailed, match="401"):
            async with allocate(coturn, *wrong):
                raise AssertionError("a relay opened")


async def test_a_relay_in_use_outlives_its_credentials(
    tmp_path: Path, credentials: Callable[..., tuple[str, str]]
) -> None:
    """Calls last longer than ten minutes; a nonce that went stale makes the server look at the credentials again."""
    short = credentials(now_s=time.time() - TURN_LIFETIME_S + 4)
    with run_coturn(tmp_path, more=["stale-nonce=1", "allowed-peer-ip=203.0.113.8"]) as server:
        async with allocate(server, *short) as client:
            await asyncio.sleep(6)
            with pytest.raises(stun.TransactionFailed, match="401"):
                async with allocate(server, *short):
                    raise AssertionError("a relay opened")
            refresh = stun.Message(message_method=stun.Method.REFRESH, message_class=stun.Class.REQUEST)
            refresh.attributes["LIFETIME"] = 600
            answer, _ = await client.request_with_retry(refresh)
            assert answer.attributes["LIFETIME"] >= 600
            assert await permit(client, "203.0.113.8") == 0


async def test_one_device_cannot_take_all_relays(
    coturn: TurnServer, credentials: Callable[..., tuple[str, str]]
) -> None:
    user, password = credentials()
    running = []
    try:
        with pytest.raises(stun.TransactionFailed, match="486"):
            for _ in range(20):
                relay = allocate(coturn, user, password)
                await relay.__aenter__()
                running.append(relay)
        assert 4 <= len(running) <= 12
    finally:
        for relay in running:
            await relay.__aexit__(None, None, None)


async def test_a_relay_is_for_udp_alone(coturn: TurnServer, credentials: Callable[..., tuple[str, str]]) -> None:
    """TCP relays (RFC 6062) would make a proxy of the server."""
    request = stun.Message(message_method=stun.Method.ALLOCATE, message_class=stun.Class.REQUEST)
    request.attributes["REQUESTED-TRANSPORT"] = 0x06000000
    loop = asyncio.get_running_loop()
    transport, client = await loop.create_datagram_endpoint(
        lambda: _Client(("127.0.0.1", coturn.port), *credentials(), 600, 500), remote_addr=("127.0.0.1", coturn.port)
    )
    try:
        with pytest.raises(stun.TransactionFailed, match=r"4(00|03|42)"):
            await client.request_with_retry(request)
    finally:
        transport.close()


def test_credentials_live_ten_minutes_and_differ_by_device(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(turn_urls="turn:t.example.org,stun:s.example.org", turn_secret=SECRET, ice_policy="relay")
    one = ice_servers(settings, "v-1", now_s=1000.7)
    other = ice_servers(settings, "v-2", now_s=1000.7)
    assert one.ice_policy == "relay"
    assert one.ice_servers[0] == {"urls": ["stun:s.example.org"]}
    assert one.ice_servers[1]["username"] == "1600:v-1"
    assert one.ice_servers[1]["credential"] != other.ice_servers[1]["credential"]
    assert ice_servers(make_settings(), "v-1", now_s=1000.7).ice_servers == ()
