"""The house under attack: a real server process, and calls in it whose every frame is counted.

The server is what `python -m consult media` runs. The calls send sound and picture encoded beforehand, as browsers do
(consult/load_test): a frame that does not arrive bit by bit is a lost one.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil

from consult import rooms
from consult.load_test.caller import Caller
from consult.load_test.dtls import Identity
from consult.load_test.frames import Frames, load_frames
from consult.load_test.participant import Participant
from consult.load_test.sdp import Kind, Remote
from consult.load_test.streams import Sent
from consult.load_test.traffic import Count, Traffic
from consult.settings import read_settings
from signaling.ticket import LIFETIME_S, Grant, MemberId, PersonId, Role, RoomId, Seat, sign
from tests.bench.servers import ORIGIN, SECRET_KEY

HOST = "127.0.0.1"
START_LIMIT_S = 60
STOP_LIMIT_S = 30
SETTLE_S = 1.5  # a keyframe has come
AFTERWARDS_S = 1  # what an attack leaves behind is counted too
MAX_GROWTH_BYTES = 48 << 20
FRAMES = Path("build/bench")
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server process. url: of its socket."""

    process: psutil.Process
    url: str
    log: Path


@contextlib.contextmanager
def run_server(folder: Path) -> Iterator[Server]:
    log = folder / "server.log"
    command = [sys.executable, "-m", "tests.bench.servers", "consult", str(folder), HOST]
    with log.open("wb") as output:  # no pipe: a server that may not log stands still
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            port = _read_port(log, process)
            yield Server(psutil.Process(process.pid), f"http://{HOST}:{port}/socket", log)
            process.terminate()
            process.wait(STOP_LIMIT_S)
        finally:
            process.kill()
            process.wait()


def _read_port(log: Path, process: subprocess.Popen[bytes]) -> int:
    deadline_s = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline_s and process.poll() is None:
        if found := re.match(rb"(\d+)\n", log.read_bytes()):
            return int(found[1])
        time.sleep(0.05)
    raise AssertionError(f"the server did not start: {log.read_text()}")


def ticket_for(room: str, member: str, *grants: Grant, admitted: bool = True, consented: bool = True) -> str:
    settings = read_settings(database_url="postgresql://nobody/nowhere", secret_key=SECRET_KEY, public_url=ORIGIN)
    seat = Seat(
        room_id=RoomId(room),
        member_id=MemberId(member),
        person_id=PersonId(f"person of {member}"),
        name=member.title(),
        role=Role.EXPERT if Grant.HOST in grants else Role.PATIENT,
        grants=grants,
        admitted=admitted,
        consented=consented,
        started_at_ms=None,
        expires_at=int(time.time()) + LIFETIME_S,
    )
    return sign(seat, settings.key_for(rooms.TICKET_KEY))


@dataclass(slots=True)
class House:
    """A server with calls in it. people: by member id. victims: whose frames are counted."""

    server: Server
    http: aiohttp.ClientSession
    frames: dict[Kind, Frames]
    identity: Identity = field(default_factory=Identity)
    people: dict[str, Participant] = field(default_factory=dict)
    guests: list[Participant] = field(default_factory=list)
    rooms: list[str] = field(default_factory=list)
    victims: list[Caller] = field(default_factory=list)

    async def open_call(self, *, counted: bool = True) -> list[Participant]:
        """Two people in a room of their own."""
        room = f"room-{next(_numbers)}"
        self.rooms.append(room)
        return [
            await self.enter(room, f"{room}-expert", Grant.HOST, Grant.PUBLISH, Grant.SHOW, counted=counted),
            await self.enter(room, f"{room}-patient", Grant.PUBLISH, Grant.SHOW, counted=counted),
        ]

    async def enter(self, room: str, member: str, *grants: Grant, counted: bool = False) -> Participant:
        caller = Caller(self.identity, HOST, self.frames)
        if counted:
            self.victims.append(caller)
        person = Participant(caller, member, find_source=self._find_source, record=True)
        self.people[member] = person
        self.guests.append(person)
        await person.join(self.http, self.server.url, origin=ORIGIN, ticket=ticket_for(room, member, *grants))
        return person

    async def leave(self) -> None:
        await asyncio.gather(*(person.leave(end=False) for person in self.guests))

    def memory_bytes(self) -> int:
        return int(self.server.process.memory_info().rss)

    def _find_source(self, member_id: str, kind: Kind) -> Sent | None:
        person = self.people.get(member_id)
        return person.caller.outgoing[kind].sent if person and person.caller in self.victims else None


Attack = Callable[[House, float], Awaitable[None]]  # for so many seconds


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the counted calls noticed of an attack. grown_bytes: the server's memory, meanwhile."""

    count: Count
    grown_bytes: int


@contextlib.asynccontextmanager
async def open_house(server: Server, *, calls: int = 1) -> AsyncIterator[House]:
    frames = await asyncio.to_thread(load_frames, FRAMES)
    async with aiohttp.ClientSession() as http:
        house = House(server, http, frames)
        try:
            for _ in range(calls):
                await house.open_call()
            yield house
        finally:
            await house.leave()


async def suffer(house: House, attack: Attack | None, seconds: float) -> Outcome:
    """Count the calls' frames under attack and a moment longer; None: in peace."""
    traffic = Traffic(house.victims)
    async with traffic.flowing():
        await asyncio.sleep(SETTLE_S)
        before = house.memory_bytes()
        async with asyncio.TaskGroup() as group:
            if attack is not None:
                group.create_task(_run(attack(house, seconds)), name="attack")
            counting = group.create_task(traffic.count(seconds + AFTERWARDS_S), name="count")
        return Outcome(counting.result(), house.memory_bytes() - before)


async def _run(attack: Awaitable[None]) -> None:
    await attack


def remote_of(person: Participant) -> Remote:
    """The server's end of somebody's connection: user name, password, addresses."""
    remote = person.caller.transport._remote
    assert remote is not None
    return remote
