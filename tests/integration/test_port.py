"""The port that all calls of a process share: who gets which datagram, and whose address is whose."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from signaling.ice import IceSettings
from signaling.port import DATAGRAMS_PER_WAKE, MAX_WAITING, Address, Port, PortSocket, Slot, local_name, take_port
from signaling.rtc_compat import FastLink, hold, open_link
from tests.integration.browsers import until

LOOPBACK = IceSettings(hosts=("127.0.0.1",))
RTP = b"\x80\x60" + bytes(30)
DTLS = b"\x16" + bytes(30)


class Listener:
    """A line that writes down what it gets. awaited: ids of its own checks. broken: it fails at everything."""

    short = None

    def __init__(self, port: Port, name: str) -> None:
        self.heard: list[bytes] = []
        self.awaited: set[bytes] = set()
        self.broken = self.failed = False
        port.sockets[0].join(name, self)

    def take_stun(self, data: bytes, address: Address) -> None:
        self.heard.append(data)

    def take_dtls(self, data: bytes) -> None:
        self.heard.append(data)

    def take_media(self, slot: Slot, size: int) -> None:
        if self.broken:
            raise ValueError("cannot be handled")
        self.heard.append(slot.taken[:size])

    def waits_for(self, transaction_id: bytes) -> bool:
        return transaction_id in self.awaited

    def fail(self) -> None:
        self.failed = True


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    opened = take_port(LOOPBACK, hold)
    yield opened
    opened.release()


class Caller:
    """A socket somewhere."""

    def __init__(self, port: PortSocket) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._to = (port.host, port.port)
        self.address: Address = self._socket.getsockname()

    def send(self, *datagrams: bytes) -> None:
        for datagram in datagrams:
            self._socket.sendto(datagram, self._to)

    async def receive(self, limit_s: float = 10) -> bytes:
        async with asyncio.timeout(limit_s):
            return await asyncio.get_running_loop().sock_recv(self._socket, 2048)

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def callers(port: Port, count: int) -> Any:
    opened = [Caller(port.sockets[0]) for _ in range(count)]
    try:
        yield opened
    finally:
        for caller in opened:
            caller.close()


def check(local: str, *, key: str = "k" * 22, nominate: bool = True) -> stun.Message:
    """A browser's authenticated check of the link with this user name."""
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes |= {"USERNAME": f"{local}:browser", "PRIORITY": 1, "ICE-CONTROLLING": 1}
    if nominate:
        message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity(key.encode())
    return message


def answer(message: stun.Message, *, key: str) -> stun.Message:
    reply = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, message.transaction_id)
    reply.attributes["XOR-MAPPED-ADDRESS"] = ("127.0.0.1", 1)
    reply.add_message_integrity(key.encode())
    return reply


async def test_checks_go_by_name_and_all_else_by_an_admitted_address(port: Port) -> None:
    one, other = Listener(port, "one"), Listener(port, "other")
    asked = bytes(check("other"))
    with callers(port, 2) as (known, stranger):
        port.sockets[0].admit(known.address, one)
        stranger.send(b"", RTP, DTLS, b"\x00" * 19, bytes(check("nobody")), b"\x80" * 1_600, b"\x80" * 9_000, asked)
        known.send(b"", RTP, b"\x80" * 1_600, DTLS, b"\x50" * 40, b"\xff" * 40)
        await until(lambda: len(one.heard) == 2 and len(other.heard) == 1)
        assert one.heard == [RTP, DTLS] and other.heard == [asked]


async def test_an_address_changes_hands_only_when_our_own_check_of_it_succeeds(port: Port) -> None:
    owner, claims = Listener(port, "owner"), Listener(port, "claims")
    ours = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    claims.awaited.add(ours.transaction_id)
    reply = bytes(answer(ours, key="k" * 22))
    with callers(port, 1) as (caller,):
        line = port.sockets[0]
        line.admit(caller.address, owner)
        line.admit(caller.address, claims)  # an authenticated check, whose source may be forged
        caller.send(RTP, reply)
        await until(lambda: bool(claims.heard))
        assert owner.heard == [RTP] and claims.heard == [reply]
        line.take_over(caller.address, claims)
        caller.send(DTLS)
        await until(lambda: len(claims.heard) == 2)
        line.leave("claims", claims, {caller.address})
        caller.send(RTP, bytes(check("claims")), bytes(check("owner")))
        await until(lambda: len(owner.heard) == 2)
        assert len(claims.heard) == 2 and owner.heard[1] != RTP


async def test_what_cannot_be_handled_ends_one_line_alone(port: Port) -> None:
    broken, sound = Listener(port, "broken"), Listener(port, "sound")
    broken.broken = True
    with callers(port, 2) as (first, second):
        port.sockets[0].admit(first.address, broken)
        port.sockets[0].admit(second.address, sound)
        first.send(RTP)
        second.send(RTP)
        await until(lambda: broken.failed and bool(sound.heard))
        assert not sound.failed


class Full:
    """A socket that takes nothing while `full`."""

    def __init__(self, sendto: Callable[[bytes, Address], int]) -> None:
        self.full = True
        self._sendto = sendto

    def sendto(self, data: bytes, address: Address) -> int:
        if self.full:
            raise BlockingIOError
        return self._sendto(data, address)


async def test_a_full_socket_loses_pictures_and_keeps_sound_a_little(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = port.sockets[0]
    full = Full(line.sendto)
    monkeypatch.setattr(line, "sendto", full.sendto)
    with callers(port, 1) as (caller,):
        for _ in range(MAX_WAITING + 5):
            line.send(memoryview(b"sound"), caller.address)
        line.send(b"picture" * 100, caller.address)
        assert line.dropped == 6
        full.full = False
        assert [await caller.receive() for _ in range(MAX_WAITING)] == [b"sound"] * MAX_WAITING
        line.send(b"picture", caller.address)
        assert await caller.receive() == b"picture"


async def test_what_is_sent_together_keeps_its_order_and_more_than_fits_goes_in_between(port: Port) -> None:
    with callers(port, 1) as (caller,):

        def post(number: int) -> None:
            slot = port.out.next()
            slot.data[0] = number
            slot.size, slot.address, slot.socket = 1, caller.address, port.sockets[0]
            port.out.post(slot)

        post(0)
        assert await caller.receive() == b"\0", "alone it goes at once"
        with port.out:
            for number in range(DATAGRAMS_PER_WAKE + 3):
                post(number)
        heard = [(await caller.receive())[0] for _ in range(DATAGRAMS_PER_WAKE + 3)]
        assert heard == list(range(DATAGRAMS_PER_WAKE + 3))


@given(st.binary(max_size=60))
def test_no_bytes_make_looking_for_a_name_fail(data: bytes) -> None:
    assert len(local_name(data, len(data))) <= len(data)


def test_the_name_is_the_receivers_part() -> None:
    data = bytes(check("me"))
    assert local_name(data + b"what lay there before", len(data)) == b"me"


# With real links ------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def connecting() -> AsyncIterator[FastLink]:
    """A link that waits for the checks of `browser`."""
    link = open_link(LOOPBACK, on_rtp=lambda *packet: None, on_rtcp=lambda packet: None)
    assert isinstance(link, FastLink)
    await link.gather()
    task = asyncio.create_task(link.connect("browser", "b" * 22, (("sha-256", "00"),)), name="connecting")
    await asyncio.sleep(0)
    try:
        yield link
    finally:
        await link.close()
        await asyncio.gather(task, return_exceptions=True)


async def exchange_checks(caller: Caller, link: FastLink) -> None:
    """Be the browser: check, and answer the link's own check."""
    caller.send(bytes(check(link.ice_username, key=link.ice_password)))
    for _ in range(20):
        data = await caller.receive()
        if data[:2] == b"\x00\x01":
            caller.send(bytes(answer(stun.parse_message(data), key="b" * 22)))
            return
    raise AssertionError("no check came")


async def hello(caller: Caller) -> None:
    """Wait for the link's DTLS handshake."""
    while (await caller.receive())[0] != 22:
        pass


async def test_a_browser_whose_address_changed_is_found_at_the_new_one(port: Port) -> None:
    with callers(port, 2) as (before, after):
        async with connecting() as link:
            await exchange_checks(before, link)
            await hello(before)
            await exchange_checks(after, link)
            await hello(after)
            assert link._path is not None and link._path[1] == after.address


async def test_a_forged_check_takes_no_ones_address(port: Port) -> None:
    with callers(port, 1) as (victim,):
        async with connecting() as link, connecting() as rogue:
            await exchange_checks(victim, link)
            await hello(victim)
            # As if from the victim's address; the victim's browser does not answer for the rogue's.
            victim.send(bytes(check(rogue.ice_username, key=rogue.ice_password)))
            await until(lambda: rogue.heard > 0)
            owner: object = port.sockets[0]._by_address[victim.address]
            assert owner is link._connection._protocols[0]
        assert port.sockets[0]._by_address == {} and port.sockets[0]._challengers == {}


async def test_a_check_with_a_wrong_key_admits_nobody_and_broken_ones_end_nothing(port: Port) -> None:
    with callers(port, 2) as (browser, stranger):
        async with connecting() as link:
            forged = bytes(check(link.ice_username, key="w" * 22))
            cut = bytearray(bytes(check(link.ice_username, key=link.ice_password)))
            cut[23] = 1  # USERNAME of one byte: what follows is no attribute
            stranger.send(*[forged] * 20, bytes(cut), forged[:-7])
            await exchange_checks(browser, link)
            await hello(browser)
            assert list(port.sockets[0]._by_address) == [browser.address]
