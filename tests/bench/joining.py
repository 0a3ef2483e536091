"""Brings consultations into a server that is measured: the same callers, three ways of signalling."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import aiohttp

from consult.load_test.caller import Caller
from consult.load_test.dtls import Identity
from consult.load_test.frames import Frames
from consult.load_test.participant import Participant
from consult.load_test.sdp import Kind, Section, read_description, write_answer, write_offer
from consult.load_test.streams import Sent
from consult.settings import TICKET_KEY, read_settings
from signaling.ticket import LIFETIME_S, Grant, MemberId, PersonId, Role, RoomId, Seat, sign
from tests.bench.janus import MAX_BPS, Janus
from tests.bench.servers import ORIGIN, SECRET_KEY

CONNECT_LIMIT_S = 30
KINDS: tuple[Kind, ...] = ("audio", "video")


@dataclass(slots=True)
class Load:
    """Who calls, and from where. loss: the part of their datagrams that is thrown away, both ways."""

    frames: dict[Kind, Frames]
    host: str
    loss: float = 0.0
    identity: Identity = field(default_factory=Identity)

    def caller(self, *, sends: bool = True) -> Caller:
        return Caller(self.identity, self.host, self.frames, sends=sends, loss=self.loss)


class Joining(Protocol):
    callers: list[Caller]

    async def join(self, consultation: int, participants: int) -> None: ...
    async def leave(self) -> None: ...


class ConsultJoining:
    def __init__(self, load: Load, http: aiohttp.ClientSession, port: int) -> None:
        settings = read_settings(database_url="postgresql://nobody/nowhere", secret_key=SECRET_KEY, public_url=ORIGIN)
        self._key = settings.key_for(TICKET_KEY)
        self._load = load
        self._http = http
        self._url = f"http://127.0.0.1:{port}/socket"
        self._participants: list[Participant] = []
        self._by_id: dict[str, Caller] = {}
        self.callers: list[Caller] = []

    async def join(self, consultation: int, participants: int) -> None:
        for number in range(participants):
            seat = Seat(
                room_id=RoomId(f"bench-{consultation}"),
                member_id=MemberId(f"m{consultation}-{number}"),
                person_id=PersonId(f"p{consultation}-{number}"),
                name=f"Person {number}",
                role=Role.PATIENT if number else Role.EXPERT,
                grants=(Grant.PUBLISH,) if number else (Grant.HOST, Grant.PUBLISH),
                admitted=True,
                consented=True,
                started_at_ms=None,
                expires_at=int(time.time()) + LIFETIME_S,
            )
            caller = self._load.caller()
            participant = Participant(caller, seat.member_id, find_source=self._find_source, record=True)
            self._by_id[seat.member_id] = caller
            self.callers.append(caller)
            self._participants.append(participant)
            await participant.join(self._http, self._url, origin=ORIGIN, ticket=sign(seat, self._key))

    async def leave(self) -> None:
        await asyncio.gather(*(participant.leave(end=True) for participant in self._participants))

    def _find_source(self, member_id: str, kind: Kind) -> Sent | None:
        caller = self._by_id.get(member_id)
        return caller.outgoing[kind].sent if caller else None


class NaiveJoining:
    def __init__(self, load: Load, http: aiohttp.ClientSession, port: int) -> None:
        self._load = load
        self._http = http
        self._url = f"http://127.0.0.1:{port}/offer"
        self.callers: list[Caller] = []

    async def join(self, consultation: int, participants: int) -> None:
        for number in range(participants):
            caller = self._load.caller()
            self.callers.append(caller)
            sections = [Section(kind, kind, "sendrecv", caller.outgoing[kind].ssrc) for kind in KINDS]
            offer = {
                "room": f"bench-{consultation}",
                "name": str(number),
                "sdp": write_offer(caller.transport.local, sections),
            }
            async with self._http.post(self._url, json=offer) as response:
                response.raise_for_status()
                answer = read_description((await response.json())["sdp"])
            for section in answer.sections:
                if section.ssrc is not None:
                    caller.listen(section.kind, section.ssrc, None)  # encoded anew: nothing to compare with
            async with asyncio.timeout(CONNECT_LIMIT_S):
                await caller.transport.connect(answer)

    async def leave(self) -> None:
        for caller in self.callers:
            await caller.close()


class JanusJoining:
    def __init__(self, load: Load, janus: Janus, records: Path) -> None:
        self._load = load
        self._janus = janus
        self._records = records
        self.callers: list[Caller] = []

    async def join(self, consultation: int, participants: int) -> None:
        room = 1000 + consultation
        publishers: list[tuple[int, Caller]] = []
        for number in range(participants):
            handle = await self._janus.attach()
            if number == 0:
                await self._janus.tell(handle, self._room(room))
            joined = await self._janus.tell(
                handle, {"request": "join", "ptype": "publisher", "room": room, "display": str(number)}
            )
            publishers.append((joined["plugindata"]["data"]["id"], await self._publish(handle)))
        for (feed, publisher), (_, viewer) in itertools.permutations(publishers, 2):
            assert viewer is not publisher
            await self._subscribe(room, feed, publisher)

    def _room(self, room: int) -> dict[str, object]:
        return {
            "request": "create", "room": room, "publishers": 6, "bitrate": MAX_BPS, "audiocodec": "opus",
            "videocodec": "vp8", "fir_freq": 10, "record": True, "rec_dir": str(self._records),
        }  # fmt: skip

    async def _publish(self, handle: int) -> Caller:
        caller = self._load.caller()
        self.callers.append(caller)
        sections = [Section(kind, kind, "sendonly", caller.outgoing[kind].ssrc) for kind in KINDS]
        offer = {"type": "offer", "sdp": write_offer(caller.transport.local, sections)}
        answer = await self._janus.tell(handle, {"request": "publish", "audio": True, "video": True}, offer)
        async with asyncio.timeout(CONNECT_LIMIT_S):
            await caller.transport.connect(read_description(answer["jsep"]["sdp"]))
        return caller

    async def _subscribe(self, room: int, feed: int, publisher: Caller) -> None:
        handle = await self._janus.attach()
        caller = self._load.caller(sends=False)
        self.callers.append(caller)
        wanted = {"request": "join", "ptype": "subscriber", "room": room, "streams": [{"feed": feed}]}
        offered = await self._janus.tell(handle, wanted)
        offer = read_description(offered["jsep"]["sdp"])
        for section in offer.sections:
            assert section.ssrc is not None
            caller.listen(section.kind, section.ssrc, publisher.outgoing[section.kind].sent)
        answer = {"type": "answer", "sdp": write_answer(caller.transport.local, offer)}
        await self._janus.tell(handle, {"request": "start"}, answer)
        async with asyncio.timeout(CONNECT_LIMIT_S):
            await caller.transport.connect(offer, offered=False)

    async def leave(self) -> None:
        for caller in self.callers:
            await caller.close()
        await self._janus.close()


def incoming_frames(callers: Sequence[Caller]) -> int:
    return sum(stream.frames for caller in callers for stream in caller.incoming.values())
