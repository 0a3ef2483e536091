"""Addresses that a browser names: the server sends to none of them, whatever they are.

It answers where authenticated checks come from. That is stricter than leaving out private, loopback and link-local
addresses: a public address of somebody else's choice gets nothing either.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from signaling.ice import own_addresses
from tests.integration.browsers import Browser, Room, loopback

pytestmark = pytest.mark.usefixtures("loopback")
__all__ = ["loopback"]

NAMED = [  # where nothing of ours listens; a wrong packet would be seen by the sockets below, or leave the machine
    "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "255.255.255.255",
    "224.0.0.251", "::1", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "localhost", "metadata.internal", "12ab.local",
    "2130706433", "0x7f.1",
]  # fmt: skip
KINDS = ("host", "srflx raddr 127.0.0.1 rport 9", "prflx raddr 127.0.0.1 rport 9", "relay raddr 127.0.0.1 rport 9")


@pytest.fixture
def listeners() -> Iterator[list[socket.socket]]:
    """Sockets on this machine's loopback and its own addresses, as an inner service would have them."""
    opened = []
    for host in ("127.0.0.1", "127.0.0.2", *own_addresses()):
        one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((host, 0))
        one.setblocking(False)
        opened.append(one)
    yield opened
    for one in opened:
        one.close()


async def test_nothing_is_sent_to_an_address_that_an_offer_names(
    tmp_path: Path, listeners: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("looked up")

    named = [one.getsockname()[:2] for one in listeners]
    lines = [
        f"a=candidate:{number} 1 udp 2122260223 {host} {port} typ {kind}\r\n"
        for number, (host, port) in enumerate([*named, *((host, 9) for host in NAMED)])
        for kind in KINDS
    ]
    patient, expert = Browser("patient"), Browser("expert")
    offer = patient.offer

    async def offer_with_candidates() -> str:
        sdp = "".join(f"{line}\r\n" for line in (await offer()).splitlines() if "candidate" not in line)
        return sdp.replace("a=mid:0\r\n", f"a=mid:0\r\n{''.join(lines)}")

    patient.offer = offer_with_candidates  # type: ignore[method-assign]
    monkeypatch.setattr("aioice.ice.get_or_create_mdns_protocol", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    room = Room(tmp_path)
    try:
        await expert.join(room.media)
        await patient.join(room.media, candidates=True)
        await room.connected(patient, expert)
        await room.sees(patient, expert, frames=30)
        await room.sees(expert, patient)
    finally:
        await room.media.close()
        await patient.close()
        await expert.close()
    for one in listeners:
        with pytest.raises(BlockingIOError):
            one.recv(2048)
