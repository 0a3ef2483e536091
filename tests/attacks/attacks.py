"""The attacks, each with the rate that is tried. Who attacks is a stranger, somebody with a seat in another room, or
somebody in the attacked call itself; what is counted is always the frames of the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
import struct
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiohttp
import pylibsrtp

from consult.load_test import rtcp
from consult.load_test.participant import Participant
from signaling.ticket import Grant
from tests.attacks.house import House, remote_of, ticket_for
from tests.attacks.strangers import FLOODS
from tests.bench.servers import ORIGIN

STEP_S = 0.005
_HEADER = struct.Struct("!BBHII").pack


# Strangers ------------------------------------------------------------------------------------------------------------


async def from_strangers(house: House, seconds: float, *, kind: str, rate_per_s: float) -> None:
    remote = remote_of(next(iter(house.people.values())))
    address = remote.candidates[0]
    flood = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.attacks.strangers", kind, address[0], str(address[1]), str(rate_per_s),
        str(seconds), remote.username, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await flood.communicate()
    assert flood.returncode == 0
    assert int(output) >= rate_per_s * seconds * 0.2, "the flood was none"


# Somebody with a connection -------------------------------------------------------------------------------------------


async def paced(seconds: float, rate_per_s: float, act: Callable[[], None]) -> None:
    sent, began_s = 0, time.monotonic()
    while (passed_s := time.monotonic() - began_s) < seconds:
        for _ in range(max(0, int(passed_s * rate_per_s) - sent)):
            act()
            sent += 1
        await asyncio.sleep(STEP_S)


async def by_a_neighbour(
    house: House, seconds: float, *, rate_per_s: float, make: Callable[[House, Participant], Callable[[], None]]
) -> None:
    """By somebody in another room."""
    offender, _ = await house.open_call(counted=False)
    await paced(seconds, rate_per_s, make(house, offender))


async def by_a_member(
    house: House, seconds: float, *, rate_per_s: float, make: Callable[[House, Participant], Callable[[], None]]
) -> None:
    """By somebody in the call that is counted."""
    offender = await house.enter(house.rooms[0], f"{house.rooms[0]}-guest", Grant.PUBLISH)
    await asyncio.sleep(0.5)  # sees the others
    await paced(seconds - 0.5, rate_per_s, make(house, offender))


def garbage(house: House, offender: Participant) -> Callable[[], None]:
    """Datagrams of all kinds from an address that is admitted."""
    transport = offender.caller.transport
    kinds = [name for name in FLOODS if name != "sizes"]
    streams = {name: FLOODS[name](remote_of(offender).username) for name in kinds}

    def act() -> None:
        transport.send(next(streams[random.choice(kinds)]))

    return act


def broken_feedback(house: House, offender: Participant) -> Callable[[], None]:
    """RTCP inside SRTP with wrong lengths, counts and kinds."""

    def act() -> None:
        kind, count = random.choice((200, 201, 202, 203, 204, 205, 206, 207)), random.randrange(32)
        body = secrets.token_bytes(random.choice((4, 8, 24, 28, 200, 1_000)))
        length = random.choice((len(body) // 4, 0, 1, 65_535))
        offender.caller.transport.send_rtcp(struct.pack("!BBH", 0x80 | count, kind, length) + body)

    return act


def asking_for_everything(house: House, offender: Participant) -> Callable[[], None]:
    """NACKs for all that can be asked for, the largest that fit."""

    def act() -> None:
        message = b""
        for ssrc in list(offender.caller.incoming):
            at = random.randrange(1 << 16)
            lost = b"".join(struct.pack("!HH", (at + 17 * n) & 0xFFFF, 0xFFFF) for n in range(32))
            message += struct.pack("!BBHII", 0x81, 205, 2 + len(lost) // 4, 1, ssrc) + lost
        if message:
            offender.caller.transport.send_rtcp(message[:1_300])

    return act


def keyframe_requests(house: House, offender: Participant) -> Callable[[], None]:
    def act() -> None:
        for ssrc in list(offender.caller.incoming):
            offender.caller.transport.send_rtcp(rtcp.write_keyframe_request(1, ssrc))

    return act


def lies_about_the_line(house: House, offender: Participant) -> Callable[[], None]:
    """Estimates of nothing and of everything, reports of total loss, clocks of any year."""

    def act() -> None:
        transport = offender.caller.transport
        for ssrc in list(offender.caller.incoming):
            limit = 1 << 24 | random.getrandbits(24)
            transport.send_rtcp(struct.pack("!BBHII4sII", 0x8F, 206, 5, 1, 0, b"REMB", limit, ssrc))
            transport.send_rtcp(struct.pack("!BBHIIIIIII", 0x81, 201, 7, 1, ssrc, 0xFFFFFFFF, 0, 0, 0, 0))
        for stream in offender.caller.outgoing.values():
            report = rtcp.write_sender_report(
                stream.ssrc, ntp=random.getrandbits(64), rtp_timestamp=random.getrandbits(32), packets=1, octets=1
            )
            transport.send_rtcp(report)

    return act


def ten_times_the_frames(house: House, offender: Participant) -> Callable[[], None]:
    def act() -> None:
        for stream in offender.caller.outgoing.values():
            stream.send_frame()

    return act


def nonsense_media(house: House, offender: Participant) -> Callable[[], None]:
    """Gaps, new sources, payloads of nothing, pictures without an end, times that jump."""
    video = offender.caller.outgoing["video"]
    numbers = {"sequence": 0}

    def act() -> None:
        numbers["sequence"] += random.choice((1, 1, 1, 2, 250, -40, 30_000))
        head = _HEADER(
            random.choice((0x80, 0x80, 0x90, 0xA0, 0x8F)), random.choice((96, 96, 111, 97, 127)),
            numbers["sequence"] & 0xFFFF, random.getrandbits(32), random.choice((video.ssrc, random.getrandbits(32))),
        )  # fmt: skip
        payload = random.choice((b"", b"\x10", b"\x90\xff", b"\x10" + secrets.token_bytes(900), bytes(20)))
        transport = offender.caller.transport
        with contextlib.suppress(pylibsrtp.Error):  # some cannot be sent at all
            transport.send(transport.protect(head + payload))

    return act


# Somebody with a socket -----------------------------------------------------------------------------------------------


async def open_socket(house: House) -> aiohttp.ClientWebSocketResponse:
    return await house.http.ws_connect(house.server.url, origin=ORIGIN, compress=0, max_msg_size=0)


async def say(socket: aiohttp.ClientWebSocketResponse, kind: str, **fields: Any) -> None:
    await socket.send_str(json.dumps({"type": kind, **fields}))


async def until_closed(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """Return the code that the server closed with."""
    async for _ in socket:
        pass
    return socket.close_code


async def too_many_messages(house: House, seconds: float, *, rate_per_s: float) -> None:
    """Pointers, views, words and nonsense, faster than anybody's hand; again as soon as the server has closed."""
    words = [
        json.dumps({"type": "point", "x": 0.5, "y": 0.5, "visible": True}),
        json.dumps({"type": "show", "view": {"record_id": "scan", "page": 1}, "revision": 1}),
        json.dumps({"type": "say", "text": "x" * 2_000, "line_id": "line"}),
        "[" * 10_000, '{"type": "ping", "n": 1}', "{}", "\x00",
    ]  # fmt: skip
    ends_s, closed = time.monotonic() + seconds, 0
    while time.monotonic() < ends_s:
        socket = await open_socket(house)
        await say(socket, "hello", version=1, ticket=ticket_for(house.rooms[0], "noisy", Grant.PUBLISH, Grant.SHOW))
        reading = asyncio.create_task(until_closed(socket), name="noisy")
        try:
            for number in range(int(rate_per_s * seconds)):
                await socket.send_str(words[number % len(words)])
                if number % 20 == 0:
                    await asyncio.sleep(20 / rate_per_s)
                if reading.done() or time.monotonic() > ends_s:
                    break
        except (ConnectionError, aiohttp.ClientError):
            pass
        closed += reading.done()
        await socket.close()
        await reading
    assert closed, "whoever shouts is shown out"


async def too_large_messages(house: House, seconds: float) -> None:
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        socket = await open_socket(house)
        await say(socket, "hello", version=1, ticket=ticket_for(house.rooms[0], "large", Grant.PUBLISH))
        try:
            for size in (97 * 1024, 97 * 1024, 1 << 20):
                await socket.send_str("x" * size)
            async with asyncio.timeout(10):
                assert await until_closed(socket) in (1006, 1008, 1009, None)
        except (ConnectionError, aiohttp.ClientError):
            pass
        await socket.close()
        await asyncio.sleep(0.05)


async def many_sockets(house: House, seconds: float, *, rate_per_s: float) -> None:
    """Sockets that say nothing, sockets for one seat that push each other out, and tickets of nobody."""
    sockets, ends_s, number = [], time.monotonic() + seconds, 0
    while time.monotonic() < ends_s:
        number += 1
        socket = await open_socket(house)
        sockets.append(socket)
        if number % 3 == 1:
            await say(socket, "hello", version=1, ticket=ticket_for(house.rooms[0], "everywhere", Grant.PUBLISH))
        elif number % 3 == 2:
            await say(socket, "hello", version=1, ticket="e30.e30")
        await asyncio.sleep(1 / rate_per_s)
    await asyncio.gather(*(socket.close() for socket in sockets))


async def a_crowd_in_the_lobby(house: House, seconds: float, *, rate_per_s: float) -> None:
    sockets, ends_s, number, refused = [], time.monotonic() + seconds, 0, 0
    while time.monotonic() < ends_s:
        number += 1
        socket = await open_socket(house)
        sockets.append(socket)
        await say(socket, "hello", version=1, ticket=ticket_for(house.rooms[0], f"crowd-{number}", admitted=False))
        await asyncio.sleep(1 / rate_per_s)
    for socket in sockets:
        message = await socket.receive(timeout=10)
        refused += message.type is not aiohttp.WSMsgType.TEXT or json.loads(message.data)["type"] != "waiting"
    assert refused >= len(sockets) - 5, "five wait, the others are told to come later"
    await asyncio.gather(*(socket.close() for socket in sockets))


async def offer_after_offer(house: House, seconds: float, *, rate_per_s: float) -> None:
    """New connections for sound and picture, one after another, never used."""
    offender = await house.enter(house.rooms[0], "changeable", Grant.PUBLISH)
    began_s, attempt = time.monotonic(), 1
    while time.monotonic() - began_s < seconds:
        attempt += 1
        await offender._say("offer", sdp=offender._offer(), attempt=attempt)
        await asyncio.sleep(1 / rate_per_s)


async def listening_to_nothing(house: House, seconds: float, *, rate_per_s: float) -> None:
    """One reads nothing of what another says all the time."""
    deaf = await open_socket(house)
    await say(deaf, "hello", version=1, ticket=ticket_for(house.rooms[0], "deaf", Grant.PUBLISH))
    transport = deaf._response.connection.transport  # type: ignore[union-attr]
    assert transport is not None
    transport.pause_reading()
    speaker = house.people[f"{house.rooms[0]}-expert"]
    number = 0
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        number += 1
        await speaker._say("say", text="x" * 2_000, line_id=f"line-{number}")
        await asyncio.sleep(1 / rate_per_s)
    transport.abort()
    await deaf.close()


Run = Callable[[House, float], Awaitable[None]]


def strangers(kind: str, rate_per_s: float) -> Run:
    return partial(from_strangers, kind=kind, rate_per_s=rate_per_s)


# Rates are what two cores that also play the calls and the attacker can bear; everything is on the loopback.
DATAGRAMS: dict[str, Run] = {kind: strangers(kind, 3_000) for kind in FLOODS}
CONNECTIONS: dict[str, Run] = {
    "garbage": partial(by_a_neighbour, rate_per_s=1_000, make=garbage),
    "broken_feedback": partial(by_a_member, rate_per_s=500, make=broken_feedback),
    "asking_for_everything": partial(by_a_member, rate_per_s=200, make=asking_for_everything),
    "keyframe_requests": partial(by_a_member, rate_per_s=200, make=keyframe_requests),
    "lies_about_the_line": partial(by_a_member, rate_per_s=100, make=lies_about_the_line),
    "ten_times_the_frames": partial(by_a_neighbour, rate_per_s=400, make=ten_times_the_frames),
    "nonsense_media": partial(by_a_neighbour, rate_per_s=500, make=nonsense_media),
}
SOCKETS: dict[str, Run] = {
    "too_many_messages": partial(too_many_messages, rate_per_s=2_000),
    "too_large_messages": too_large_messages,
    "many_sockets": partial(many_sockets, rate_per_s=30),
    "a_crowd_in_the_lobby": partial(a_crowd_in_the_lobby, rate_per_s=20),
    "offer_after_offer": partial(offer_after_offer, rate_per_s=5),
    "listening_to_nothing": partial(listening_to_nothing, rate_per_s=60),
}
