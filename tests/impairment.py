"""A bad line between two UDP ends on this machine: loss, delay, reordering, a rate with a queue in front of it.

Owns the line and nothing of what goes over it. A Relay opens a port in front of a target; whoever sends to that port
gets a socket of their own towards the target, so the target sees one address per sender, as behind a router.
"""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import dataclass
from typing import Any, Final

Address = tuple[str, int]

MAX_FLOWS: Final = 64
MAX_WAITING: Final = 4096  # packets under way in one direction
HEADERS_BYTES: Final = 28  # IPv4 and UDP, which the line carries too

_CANDIDATE = re.compile(r"(?<=a=candidate:)\S+ \d+ udp \d+ (\S+) (\d+) typ host")

# A page whose answers go through `window.throughLine` uses the line instead of the server's own port.
PATCH_PAGE: Final = """
  window.RTCPeerConnection = class extends RTCPeerConnection {
    async setRemoteDescription(given) {
      return super.setRemoteDescription({ type: given.type, sdp: await window.throughLine(given.sdp) });
    }
  };
"""


@dataclass(frozen=True, slots=True)
class Way:
    """One direction of a line. loss, reordered: shares of the packets, from 0 to 1. Reordered ones come late_ms later.

    rate_bps: what the line carries; None: anything. queue_ms: how long a packet may wait for its turn, else it is lost.
    """

    loss: float = 0.0
    delay_ms: float = 0.0
    reordered: float = 0.0
    late_ms: float = 30.0
    rate_bps: int | None = None
    queue_ms: float = 400.0


@dataclass(slots=True)
class Counts:
    """What happened to the packets of one direction. longest_queue_ms: what any of them waited for its turn."""

    passed: int = 0
    passed_bytes: int = 0
    lost: int = 0
    overflowed: int = 0
    longest_queue_ms: float = 0.0


class Direction:
    """Decides about each packet of one direction. No I/O, no clock: instants in s come in."""

    def __init__(self, way: Way, seed: int) -> None:
        self.way = way
        self.counts = Counts()
        self._chance = random.Random(seed)
        self._free_s = 0.0  # when the line has carried all that waits

    def arrival_s(self, size_bytes: int, now_s: float) -> float | None:
        """Return when a packet that is sent now arrives, None if it is lost."""
        way, counts = self.way, self.counts
        lost, late = self._chance.random() < way.loss, self._chance.random() < way.reordered
        begins_s = now_s
        if way.rate_bps is not None:
            begins_s = max(now_s, self._free_s)
            queue_ms = (begins_s - now_s) * 1000
            if queue_ms > way.queue_ms:
                counts.overflowed += 1
                return None
            counts.longest_queue_ms = max(counts.longest_queue_ms, queue_ms)
            begins_s += (size_bytes + HEADERS_BYTES) * 8 / way.rate_bps
            self._free_s = begins_s
        if lost:
            counts.lost += 1
            return None
        counts.passed += 1
        counts.passed_bytes += size_bytes
        return begins_s + (way.delay_ms + (way.late_ms if late else 0.0)) / 1000


class Relay:
    """A line that several connections share. up: towards the targets. down: back. Both may be changed at any time."""

    def __init__(self, up: Way, down: Way, *, seed: int = 1) -> None:
        self.up = Direction(up, seed)
        self.down = Direction(down, seed + 1)
        self._fronts: dict[Address, asyncio.DatagramTransport] = {}
        self._flows: dict[tuple[Address, Address], _Flow] = {}
        self._waiting = 0
        self._closed = False

    async def open(self, target: Address) -> int:
        """Return the port on loopback that leads to a target."""
        front = self._fronts.get(target)
        if front is None:
            loop = asyncio.get_running_loop()
            front, _ = await loop.create_datagram_endpoint(lambda: _Front(self, target), local_addr=("127.0.0.1", 0))
            self._fronts[target] = front
        return int(front.get_extra_info("sockname")[1])

    async def rewrite(self, sdp: str) -> str:
        """Return a session description whose candidates lead over this line."""
        for host, port in set(_CANDIDATE.findall(sdp)):
            ours = await self.open((host, int(port)))
            sdp = sdp.replace(f" {host} {port} typ host", f" 127.0.0.1 {ours} typ host")
        return sdp

    def cut(self) -> int:
        """Let nothing more through for everybody who is connected now, for good; return how many that are.

        Who sends from another port, as a new connection does, gets through.
        """
        for flow in self._flows.values():
            flow.dead = True
        return len(self._flows)

    async def close(self) -> None:
        self._closed = True
        for flow in self._flows.values():
            if flow.connecting is not None:
                await flow.connecting
        for transport in [*self._fronts.values(), *(flow.transport for flow in self._flows.values())]:
            if transport is not None:
                transport.close()
        await asyncio.sleep(0)

    def carry(self, direction: Direction, data: bytes, flow: _Flow, *, back: bool) -> None:
        loop = asyncio.get_running_loop()
        arrival_s = direction.arrival_s(len(data), loop.time())
        if arrival_s is None or self._waiting >= MAX_WAITING:
            return
        self._waiting += 1
        loop.call_at(arrival_s, self._deliver, data, flow, back)

    def _deliver(self, data: bytes, flow: _Flow, back: bool) -> None:
        self._waiting -= 1
        if self._closed or flow.dead:
            return
        if back:
            flow.front.sendto(data, flow.client)
        elif flow.transport is not None:
            flow.transport.sendto(data)

    def flow_of(self, front: asyncio.DatagramTransport, client: Address, target: Address) -> _Flow | None:
        """Return what carries a sender's packets, None if there are too many."""
        flow = self._flows.get((client, target))
        if flow is None and len(self._flows) < MAX_FLOWS:
            flow = self._flows[client, target] = _Flow(self, front, client)
            flow.connecting = asyncio.create_task(flow.connect(target), name=f"line {client[1]}")
        return flow


class _Front(asyncio.DatagramProtocol):
    """The port that stands for a target."""

    def __init__(self, relay: Relay, target: Address) -> None:
        self._relay = relay
        self._target = target
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        assert self._transport is not None
        flow = self._relay.flow_of(self._transport, (addr[0], addr[1]), self._target)
        if flow is not None and not flow.dead:
            self._relay.carry(self._relay.up, data, flow, back=False)


class _Flow(asyncio.DatagramProtocol):
    """One sender's socket towards the target."""

    def __init__(self, relay: Relay, front: asyncio.DatagramTransport, client: Address) -> None:
        self.front = front
        self.client = client
        self.dead = False
        self.transport: asyncio.DatagramTransport | None = None
        self.connecting: asyncio.Task[None] | None = None
        self._relay = relay

    async def connect(self, target: Address) -> None:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=target)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        if not self.dead:
            self._relay.carry(self._relay.down, data, self, back=True)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there any more; packets are lost, as on any line."""
