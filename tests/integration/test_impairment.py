"""The bad line that other tests put between a browser and the server does what it says."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.impairment import Direction, Relay, Way
from tests.integration.browsers import until


class Echo(asyncio.DatagramProtocol):
    """Answers each packet; heard: from whom."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.heard.append(addr)
        self.transport.sendto(data, addr)


class End(asyncio.DatagramProtocol):
    """A sender's socket. came: what came back."""

    def __init__(self) -> None:
        self.came: list[bytes] = []

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.came.append(data)


async def open_end(port: int) -> tuple[asyncio.DatagramTransport, End]:
    loop = asyncio.get_running_loop()
    return await loop.create_datagram_endpoint(End, remote_addr=("127.0.0.1", port))


def test_a_share_of_packets_is_lost_and_the_same_ones_for_the_same_seed() -> None:
    one, same, other = (Direction(Way(loss=0.05), seed) for seed in (7, 7, 8))
    fates = [[way.arrival_s(100, n) is None for n in range(4_000)] for way in (one, same, other)]
    assert fates[0] == fates[1] != fates[2]
    assert 140 < sum(fates[0]) < 260


def test_a_slow_line_carries_its_rate_and_drops_what_would_wait_too_long() -> None:
    line = Direction(Way(rate_bps=300_000, queue_ms=200, delay_ms=75), 1)
    arrivals = [line.arrival_s(1_172, n / 100) for n in range(1_000)]  # 960 kbit/s for 10 s
    carried = [at for at in arrivals if at is not None]
    assert 10.0 < carried[-1] < 10.4
    assert abs(len(carried) * 1_200 * 8 / 10 - 300_000) < 15_000
    assert line.counts.overflowed == 1_000 - len(carried)
    assert line.counts.longest_queue_ms <= 200
    assert carried == sorted(carried)


def test_packets_overtake_each_other() -> None:
    line = Direction(Way(reordered=0.1, late_ms=50), 3)
    arrivals = [line.arrival_s(100, n / 100) for n in range(1_000)]
    late = sum(at is not None and at > n / 100 + 0.04 for n, at in enumerate(arrivals))
    assert 60 < late < 150


async def test_each_sender_has_an_address_of_its_own_and_hears_the_answer_after_a_round_trip() -> None:
    loop = asyncio.get_running_loop()
    server, echo = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    relay = Relay(Way(delay_ms=40), Way(delay_ms=40))
    port = await relay.open(server.get_extra_info("sockname"))
    assert await relay.open(server.get_extra_info("sockname")) == port
    (first, one), (second, two) = await open_end(port), await open_end(port)
    try:
        began_s = loop.time()
        first.sendto(b"one")
        second.sendto(b"two")
        await until(lambda: (one.came, two.came) == ([b"one"], [b"two"]))
        assert loop.time() - began_s >= 0.08
        assert len(set(echo.heard)) == 2
        assert relay.cut() == 2
        first.sendto(b"again")
        third, new = await open_end(port)
        third.sendto(b"three")
        await until(lambda: new.came == [b"three"])
        assert one.came == [b"one"]
        third.close()
    finally:
        for transport in (first, second, server):
            transport.close()
        await relay.close()


async def test_candidates_lead_over_the_line() -> None:
    relay = Relay(Way(), Way())
    try:
        ends = [("127.0.0.1", 5000), ("fd00::2", 5001)]
        sdp = "".join(f"a=candidate:1 1 udp 2130706431 {host} {port} typ host\r\n" for host, port in ends)
        ports = [await relay.open(end) for end in ends]
        assert await relay.rewrite(sdp) == "".join(
            f"a=candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host\r\n" for port in ports
        )
    finally:
        await relay.close()
