"""What ended or froze calls on plain aiortc, tried against ours: the attacked call and another one go on."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from signaling.errors import OfferRefused, OfferTooLarge
from signaling.guard import MAX_SECTIONS
from signaling.media import MediaMember
from signaling.messages import MAX_SDP_CHARS
from tests.integration.browsers import Browser, Room, loopback, media_path, open_room

pytestmark = pytest.mark.usefixtures("loopback", "media_path")
__all__ = ["loopback", "media_path"]

CLIENT_HELLO = bytes.fromhex("16feff0000000000000000003f0100003300000000000000330000fefd") + bytes(47)
CLOSE_ALERT = bytes.fromhex("15fefd000000000000000000020100")


class Calls:
    """Two calls of two. attacked: where datagrams and offers of strangers go."""

    def __init__(self, attacked: Room, other: Room, browsers: tuple[Browser, Browser, Browser, Browser]) -> None:
        self.attacked = attacked
        self.other = other
        self.browsers = browsers

    async def go_on(self) -> None:
        a, b, c, d = self.browsers
        for room, viewer, source in ((self.attacked, a, b), (self.attacked, b, a), (self.other, c, d)):
            await room.sees(viewer, source)

    def ports(self) -> list[int]:
        """The server's ports in the attacked call."""
        answers = [browser.pc.remoteDescription.sdp for browser in self.browsers[:2]]
        return sorted({int(port) for answer in answers for port in re.findall(r" 127\.0\.0\.1 (\d+) typ host", answer)})


@pytest.fixture
async def calls(tmp_path: Path, loopback: None, media_path: str) -> AsyncIterator[Calls]:
    browsers = Browser("a"), Browser("b"), Browser("c"), Browser("d")
    async with open_room(tmp_path, *browsers[:2]) as attacked, open_room(tmp_path, *browsers[2:], room_id="2") as other:
        yield Calls(attacked, other, browsers)


async def test_empty_datagrams_from_anybody_end_no_call(calls: Calls) -> None:
    await calls.go_on()
    _throw(calls.ports(), [b""] * 50)
    await calls.go_on()


async def test_garbage_and_oversized_datagrams_end_no_call(calls: Calls) -> None:
    await calls.go_on()
    rtp, rtcp = b"\x80\x60" + bytes(60), b"\x80\xc8\x00\x06" + bytes(24)
    stun = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12)
    huge = [b"\x80" + bytes(size) for size in (1_500, 9_000, 60_000)]
    _throw(calls.ports(), [rtp, rtcp, stun, stun[:7], CLIENT_HELLO, CLOSE_ALERT, b"\x40", b"\xff" * 200, *huge] * 20)
    await calls.go_on()


async def test_stray_dtls_before_the_handshake_fails_no_call(tmp_path: Path) -> None:
    """Thrown at the ports of an answer that has not reached its browser yet."""
    patient, expert = Browser("patient"), Browser("expert")
    async with open_room(tmp_path, expert) as room:
        accept = room.media.accept_offer

        async def accept_under_fire(member: MediaMember, sdp: str, attempt: int) -> str:
            answer = await accept(member, sdp, attempt)
            ports = [int(port) for port in re.findall(r" (\d+) typ host", answer)]
            _throw(ports, [CLIENT_HELLO, CLOSE_ALERT, b"\x14" * 40, b""] * 20)
            return answer

        room.media.accept_offer = accept_under_fire  # type: ignore[method-assign]
        await patient.join(room.media)
        try:
            await room.connected(patient)
            await room.sees(expert, patient)
            await room.sees(patient, expert)
        finally:
            await patient.close()


async def test_an_oversized_offer_is_refused_and_the_earlier_connection_stays(calls: Calls) -> None:
    member = calls.browsers[0].member
    with pytest.raises(OfferTooLarge):
        await calls.attacked.media.accept_offer(member, "v=0\r\n" + "a=x\r\n" * MAX_SDP_CHARS, 1)
    await calls.go_on()


async def test_an_offer_with_too_many_sections_is_refused(calls: Calls) -> None:
    crowd = Browser("crowd")
    for _ in range(MAX_SECTIONS - 7):
        crowd.pc.addTransceiver("audio", "recvonly")
    with pytest.raises(OfferTooLarge):
        await calls.attacked.media.accept_offer(crowd.member, await crowd.offer(), 0)
    await crowd.close()
    await calls.go_on()


async def test_a_data_channel_is_refused(calls: Calls) -> None:
    chatty = Browser("chatty")
    transceivers = chatty.pc.getTransceivers()
    assert len(transceivers) < MAX_SECTIONS, "one more would not be too many"
    plain = await chatty.offer()
    sections = plain.split("m=")
    channel = "application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:7\r\na=sctp-port:5000\r\n"
    with pytest.raises(OfferRefused):
        await calls.attacked.media.accept_offer(chatty.member, "m=".join([*sections[:-1], channel]), 0)
    await chatty.close()
    await calls.go_on()


async def test_a_candidate_with_a_name_is_not_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chromium hides addresses behind names ending in .local; we neither ask the network nor wait for them."""

    def refuse(*arguments: object) -> None:
        raise AssertionError("looked up")

    monkeypatch.setattr("aioice.ice.get_or_create_mdns_protocol", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    patient, expert = Browser("patient"), Browser("expert")
    named = "a=candidate:1 1 udp 2122260223 6f6e6c79-7465-7374-0000-000000000000.local 50000 typ host\r\na=mid:"
    offer = expert.offer

    async def offer_with_names() -> str:
        return (await offer()).replace("a=mid:", named)

    expert.offer = offer_with_names  # type: ignore[method-assign]
    room = Room(tmp_path)
    try:
        await patient.join(room.media)
        await expert.join(room.media, candidates=True)
        await room.connected(patient, expert)
        await room.sees(patient, expert)
    finally:
        await room.media.close()
        await patient.close()
        await expert.close()


def _throw(ports: list[int], datagrams: list[bytes]) -> None:
    assert ports
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for port in ports:
            for datagram in datagrams:
                stranger.sendto(datagram, ("127.0.0.1", port))
