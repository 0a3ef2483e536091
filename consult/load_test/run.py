"""One load test: brings everybody in, lets the traffic flow, counts, and sends everybody home again."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from consult.load_test.caller import Caller
from consult.load_test.dtls import Identity
from consult.load_test.frames import Frames, load_frames
from consult.load_test.participant import JoinFailed, Participant
from consult.load_test.plan import Plan, make_seats, until_soon
from consult.load_test.sdp import Kind
from consult.load_test.streams import Sent
from consult.load_test.traffic import Count, Traffic
from signaling.ticket import Seat, sign

JOIN_AT_ONCE: Final = 8  # rooms: people do not all come in the same second
SETTLE_S: Final = 2.0
HEALTH_LIMIT_S: Final = 10.0


class NoInstallation(Exception):
    """Nothing that could be tested answers. The text says why, for the operator."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """rooms: how many were full; failures: why people did not come in, and how many.

    joined_s: sorted, from opening the socket to the connection for sound and picture. recorded: rooms that were.
    count: None if nobody came in.
    """

    rooms: int
    failures: Counter[str]
    joined_s: list[float]
    recorded: int
    count: Count | None


async def run(plan: Plan, key: bytes, folder: Path) -> Outcome:
    """Carry out a plan. key: signs tickets. folder: keeps what is sent, encoded.

    Raises NoInstallation.
    """
    headers = {"Host": plan.host}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as http:
        await _greet(http, plan)
        host = plan.address or await _any_address(plan.url)
        frames = await asyncio.to_thread(load_frames, folder)
        return await _Run(plan, key, http, frames, host).carry_out()


class _Run:
    def __init__(
        self, plan: Plan, key: bytes, http: aiohttp.ClientSession, frames: dict[Kind, Frames], host: str
    ) -> None:
        self._plan = plan
        self._key = key
        self._http = http
        self._frames = frames
        self._host = host
        self._identity = Identity()
        self._by_id: dict[str, Caller] = {}
        self._rooms: list[list[Participant]] = []
        self._failures: Counter[str] = Counter()
        self._gate = asyncio.Semaphore(JOIN_AT_ONCE)

    async def carry_out(self) -> Outcome:
        try:
            async with asyncio.TaskGroup() as group:
                for seats in make_seats(self._plan):
                    group.create_task(self._fill_room(seats), name=f"room {seats[0].room_id}")
            count = await self._count()
            return Outcome(
                rooms=len(self._rooms),
                failures=self._failures,
                joined_s=sorted(participant.joined_s for room in self._rooms for participant in room),
                recorded=sum(all(participant.recorded for participant in room) for room in self._rooms),
                count=count,
            )
        finally:
            await asyncio.gather(*(self._empty_room(room) for room in self._rooms))

    async def _fill_room(self, seats: list[Seat]) -> None:
        async with self._gate:
            room: list[Participant] = []
            try:
                for seat in seats:
                    room.append(await self._bring_in(seat))
            except JoinFailed as failed:
                self._failures[str(failed)] += 1
                await self._empty_room(room)
            except asyncio.CancelledError:
                await self._empty_room(room)
                raise
            else:
                self._rooms.append(room)

    async def _bring_in(self, seat: Seat) -> Participant:
        try:
            caller = Caller(self._identity, self._host, self._frames)
        except OSError as error:
            raise JoinFailed(f"this machine has no UDP port at {self._host}: {error.strerror}") from None
        self._by_id[seat.member_id] = caller
        participant = Participant(caller, seat.member_id, find_source=self._find_source, record=self._plan.record)
        try:
            url, ticket = f"{self._plan.url}/socket", sign(until_soon(seat, time.time()), self._key)
            await participant.join(self._http, url, origin=self._plan.origin, ticket=ticket)
        except BaseException:
            await participant.leave(end=True)
            raise
        return participant

    async def _empty_room(self, room: list[Participant]) -> None:
        for number, participant in enumerate(room):
            await participant.leave(end=number == 0)

    async def _count(self) -> Count | None:
        callers = [participant.caller for room in self._rooms for participant in room]
        if not callers:
            return None
        traffic = Traffic(callers)
        async with traffic.flowing():
            await asyncio.sleep(SETTLE_S)
            return await traffic.count(self._plan.seconds)

    def _find_source(self, member_id: str, kind: Kind) -> Sent | None:
        caller = self._by_id.get(member_id)
        return caller.outgoing[kind].sent if caller else None


async def _greet(http: aiohttp.ClientSession, plan: Plan) -> None:
    """Raise NoInstallation if no Consult answers."""
    limit = aiohttp.ClientTimeout(HEALTH_LIMIT_S)
    try:
        async with http.get(f"{plan.url}/readyz", timeout=limit, allow_redirects=False) as answer:
            status = (await answer.json())["status"] if answer.status in (200, 503) else None
    except (aiohttp.ContentTypeError, ValueError, KeyError, TypeError):
        status = None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise NoInstallation(f"{plan.url} does not answer: {_reason(error)}.") from None
    if status is None:
        raise NoInstallation(f"{plan.url} answers, but not as Consult does. Is it the address of your installation?")
    if status != "ok":
        raise NoInstallation(f"{plan.url} is not ready: {status}.")


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "no machine has that name"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "its certificate is not trusted, or it does not speak TLS"
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno == errno.ECONNREFUSED:
        return "the connection was refused"
    return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__


async def _any_address(url: str) -> str:
    """Return the address to bind, so that the kernel chooses the one that leads to the installation."""
    parts = urlsplit(url)
    found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_DGRAM)
    return "0.0.0.0" if any(family is socket.AF_INET for family, *_ in found) else "::"  # noqa: S104
