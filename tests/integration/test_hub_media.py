"""A hub with its real media: two stand-ins for browsers talk to it over real sockets, from hello to the end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from signaling import messages as wire
from signaling.endpoint import RoomEndpoint
from signaling.events import MemberLeft, RecordingFinished, RoomClosed, RoomEvent, RoomOpened
from signaling.hub import Hub
from signaling.local_bus import LocalBus, LocalDirectory
from signaling.media import MediaMember
from signaling.relay import RoomMedia
from signaling.spool import recover_spool
from signaling.ticket import Grant, MemberId, PersonId, Role, RoomId, Seat, sign
from tests.conftest import free_port
from tests.integration import browsers as stand_ins
from tests.integration.browsers import Browser, loopback, media_path, until

pytestmark = pytest.mark.usefixtures("loopback", "media_path")
__all__ = ["loopback", "media_path"]

KEY = b"a key for tests that is long enough"
WITHIN_S = 10


def seat(member_id: str, *grants: Grant) -> Seat:
    role = Role.EXPERT if Grant.HOST in grants else Role.PATIENT
    return Seat(
        RoomId("room"), MemberId(member_id), PersonId(f"person:{member_id}"), member_id.title(), role, grants,
        False, False, None, int(time.time()) + 600,
    )  # fmt: skip


EXPERT = seat("expert", Grant.HOST, Grant.PUBLISH, Grant.SHOW)
PATIENT = seat("patient", Grant.PUBLISH, Grant.SHOW)


class House:
    """A process with rooms: its spool outlives it. events: what it told, in order."""

    def __init__(self, spool: Path) -> None:
        self.events: list[RoomEvent] = []
        self._bus = LocalBus()
        directory = LocalDirectory()
        self.url = f"http://127.0.0.1:{free_port()}"
        self._hub = Hub(
            bus=self._bus, directory=directory, open_media=partial(RoomMedia, spool=spool, ice=stand_ins.LOOPBACK),
            node=self.url, recover_spool=partial(recover_spool, spool),
        )  # fmt: skip
        self._endpoint = RoomEndpoint(key=KEY, directory=directory, hub=self._hub)

    async def start(self) -> None:
        self._collecting = asyncio.create_task(self._collect(), name="events")
        await self._hub.start()
        app = web.Application()
        app.router.add_get("/socket", self._endpoint.handle)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", int(self.url.rpartition(":")[2])).start()

    async def stop(self) -> None:
        """As SIGTERM does: recordings are finished, everybody is told to come back."""
        await self._endpoint.close()
        await asyncio.sleep(0.1)
        await self._runner.cleanup()
        self._collecting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._collecting
        await self._bus.close()

    async def _collect(self) -> None:
        async for delivery in self._bus.deliveries("test"):
            self.events.append(delivery.event)
            await delivery.acknowledge()

    def told(self, kind: type[RoomEvent]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


class Line:
    """One member's socket. heard: all its messages. As the media of a stand-in browser it passes the offer on."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.heard: list[dict[str, Any]] = []
        self._socket = socket
        self._reading = asyncio.create_task(self._read(), name="line")

    async def say(self, **fields: Any) -> None:
        await self._socket.send_json(fields)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.heard if message["type"] == kind]

    async def hear(self, kind: str, **fields: Any) -> dict[str, Any]:
        """A message of this kind with these fields, heard or still to come."""

        def find() -> list[dict[str, Any]]:
            return [one for one in self.of(kind) if fields.items() <= one.items()]

        await until(lambda: bool(find()), WITHIN_S)
        return find()[-1]

    async def recording(self, state: str) -> None:
        await until(lambda: any(one["recording"]["state"] == state for one in self.of("recording")[-1:]), WITHIN_S)

    async def accept_offer(self, member: MediaMember, sdp: str, attempt: int) -> str:
        await self.say(type="offer", sdp=sdp, attempt=attempt)
        return str((await self.hear("answer", attempt=attempt))["sdp"])

    async def close(self) -> None:
        await self._socket.close()
        await self._reading

    async def _read(self) -> None:
        async for message in self._socket:
            self.heard.append(json.loads(message.data))


@contextlib.asynccontextmanager
async def lines() -> AsyncIterator[Any]:
    """Opens sockets: `line = await enter(house, seat)`; all are closed at the end."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(aiohttp.ClientSession())

        async def enter(house: House, who: Seat) -> Line:
            line = Line(await client.ws_connect(f"{house.url}/socket", headers={"Origin": house.url}))
            stack.push_async_callback(line.close)
            await line.say(type="hello", version=1, ticket=sign(who, KEY))
            return line

        yield enter


async def join(line: Line, browser: Browser, attempt: int) -> None:
    await browser.join(line, attempt=attempt)  # type: ignore[arg-type]
    await until(lambda: browser.pc.connectionState == "connected", WITHIN_S)


async def sees(viewer: Browser, line: Line, source: str) -> None:
    """Wait for some more pictures of somebody, in the section that the last `slots` names."""

    def find() -> list[str]:
        slots = [slot for message in line.of("slots")[-1:] for slot in message["slots"]]
        return [slot["mid"] for slot in slots if slot["kind"] == "video" and slot["member_id"] == source]

    await until(lambda: bool(find()), WITHIN_S)
    before = viewer.frames.get(find()[0], 0)
    await until(lambda: viewer.frames.get(find()[0], 0) >= before + 5, WITHIN_S)


async def test_a_call_over_a_lost_line_a_restart_and_to_its_end(tmp_path: Path) -> None:
    yes = {"type": "set_consent", "given": True, "wording": wire.CONSENT_WORDING}
    async with AsyncExitStack() as stack:
        enter = await stack.enter_async_context(lines())
        browsers = [Browser(name, luma=luma) for name, luma in (("expert", 60), ("patient", 180), *(
            ("expert", 60), ("patient", 180)))]  # fmt: skip
        for browser in browsers:
            stack.push_async_callback(browser.close)
        house = House(tmp_path)
        await house.start()
        expert = await enter(house, EXPERT)
        await expert.hear("welcome", media_attempt=None)
        patient = await enter(house, PATIENT)
        await expert.hear("knock")
        await patient.say(type="offer", sdp="v=0", attempt=1)
        assert (await patient.hear("error", of="offer"))["code"] == "message.out_of_order", "no media in the lobby"
        await expert.say(type="admit", member_id="patient")
        await patient.hear("welcome")
        await join(expert, browsers[0], 1)
        await join(patient, browsers[1], 1)
        await sees(browsers[0], expert, "patient")
        await sees(browsers[1], patient, "expert")
        for line in (expert, patient):
            await line.say(**yes)
        await expert.recording("on")
        await asyncio.sleep(1)

        for who, viewer in ((PATIENT, browsers[1]), (EXPERT, browsers[0])):
            lost = patient if who is PATIENT else expert
            await lost.close()
            back = await enter(house, who)
            assert (await back.hear("welcome"))["media_attempt"] == 1
            patient, expert = (back, expert) if who is PATIENT else (patient, back)
            await sees(viewer, back, "expert" if who is PATIENT else "patient")
        assert not house.told(RecordingFinished), "nothing was cut"

        await house.stop()
        assert expert.of("ended") == patient.of("ended") == [{"type": "ended", "reason": "restarting"}]
        first = house.told(RecordingFinished)
        assert sorted(one.member_id for one in first) == ["expert", "patient"]
        assert [one.reason for one in house.told(MemberLeft)] == ["lost", "lost"]
        started_at = datetime.fromisoformat(house.told(RoomOpened)[0].happened_at)

        again = House(tmp_path)
        await again.start()
        stack.push_async_callback(again.stop)
        # What the application knows of them by now is in their new seats.
        known = {"admitted": True, "consented": True, "started_at_ms": round(started_at.timestamp() * 1000)}
        patient = await enter(again, dataclasses.replace(PATIENT, **known))
        expert = await enter(again, dataclasses.replace(EXPERT, **known))
        for line in (patient, expert):
            assert (await line.hear("welcome"))["media_attempt"] is None
        await join(expert, browsers[2], 2)
        await join(patient, browsers[3], 2)
        await sees(browsers[2], expert, "patient")
        await sees(browsers[3], patient, "expert")
        await asyncio.sleep(1)
        await expert.say(type="leave")
        await patient.hear("left", member_id="expert")
        await patient.recording("off")
        expert = await enter(again, dataclasses.replace(EXPERT, **known))
        await expert.hear("welcome")
        await expert.say(type="end")
        await patient.hear("ended", reason="ended")
        await until(lambda: bool(again.told(RoomClosed)), WITHIN_S)
        segments = {one.segment_id: one for one in again.told(RecordingFinished)}
        second = [one for one in segments.values() if one.segment_id not in {old.segment_id for old in first}]
        assert {one.segment_id for one in first} <= set(segments), "what waits in the spool is told again"
        latest_ms = max(one.offset_ms + one.duration_ms for one in first)
        assert all(one.offset_ms >= latest_ms for one in second)
        # The expert's return just before the end may have recorded a few ms more, too short for a picture.
        whole = [one for one in second if one.duration_ms >= 1000]
        assert sorted(one.member_id for one in whole) == ["expert", "patient"]
        assert all(one.has_audio and one.has_video for one in whole)
        assert all(one.started_at == first[0].started_at for one in second), "the same clock"
