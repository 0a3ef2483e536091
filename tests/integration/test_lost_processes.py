"""What a call loses when a process or Redis dies under it: real processes, a real Redis, two people with aiortc."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import aiohttp
import psutil
import pytest
from redis.asyncio import Redis

from consult.consultations import service as consultations
from consult.consultations.model import Segment
from consult.storage import open_store
from signaling.events import CloseRoom
from signaling.redis_bus import ROOM_KEY, RedisBus
from tests.browser.call_page import Arranged, arrange_in
from tests.browser.processes import Consult
from tests.conftest import Database
from tests.integration.browsers import loopback
from tests.integration.people_in_calls import WITHIN_S, PersonInCall, call_of_two
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("loopback")]
__all__ = ["loopback"]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    try:
        yield server
    finally:
        server.kill()


async def arrange(database: Database, home: Path) -> Arranged:
    return await arrange_in(database.pool, open_store((home / "files").as_uri()))


async def node_of(redis: RedisServer, call: Arranged) -> str:
    """Who holds the call's room, as the directory says."""
    client = Redis.from_url(redis.url)
    try:
        async with asyncio.timeout(WITHIN_S):
            while (node := await client.get(ROOM_KEY + call.appointment_id)) is None:
                await asyncio.sleep(0.05)
        return str(node, "utf-8")
    finally:
        await client.aclose()


async def filed_segments(database: Database, call: Arranged, *, count: int) -> list[Segment]:
    deadline = time.monotonic() + WITHIN_S
    while True:
        async with database.pool.acquire() as conn:
            consultation = await consultations.find_consultation_of(conn, UUID(call.appointment_id))
            filed = await consultations.list_segments(conn, consultation.id) if consultation else []
        if len(filed) >= count:
            return filed
        assert time.monotonic() < deadline, f"{len(filed)} of {count} segments were filed"
        await asyncio.sleep(0.2)


async def test_a_killed_media_process_costs_seconds_of_the_call_and_nobodys_seat(
    database: Database, redis: RedisServer, tmp_path: Path
) -> None:
    consult = Consult(database.url, tmp_path / "home", REDIS_URL=redis.url)
    call = await arrange(database, tmp_path / "home")
    try:
        consult.start("web", "media", "worker")
        async with call_of_two(consult.url, call) as (expert, patient):
            await asyncio.sleep(2)
            for kills in (1, 2):
                node = await node_of(redis, call)
                knocks = len(expert.of("knock"))
                consult.node_process(node).kill()
                for person in (expert, patient):
                    await person.hears("welcome", after=kills)
                    await person.perceives("audio")
                    await person.perceives("video")
                    await person.is_recorded()
                assert len(expert.of("knock")) == knocks, "nobody had to be admitted again"
                await asyncio.sleep(2)
                consult.wait_for_node(node)
            # Found by those who live, while the call goes on.
            segments = await filed_segments(database, call, count=4)
            await expert.say(type="end")
            await patient.hears("ended")
        segments = await filed_segments(database, call, count=6)
        for member in {one.member_id for one in segments}:
            own = [one for one in segments if one.member_id == member]
            assert len(own) == 3
            assert all(one.has_audio and one.has_video for one in own)
            assert all(a.end_ms <= b.offset_ms for a, b in itertools.pairwise(own)), "one clock"
        async with database.pool.acquire() as conn:
            consents = await consultations.list_consents(conn, UUID(call.appointment_id))
        assert len(consents) == 2
    finally:
        consult.stop()


async def test_a_media_process_that_hangs_is_ended_and_its_calls_go_on(
    database: Database, redis: RedisServer, tmp_path: Path
) -> None:
    hanging = ("tests.integration.hanging_media",)
    consult = Consult(database.url, tmp_path / "home", media=hanging, REDIS_URL=redis.url)
    call = await arrange(database, tmp_path / "home")
    try:
        consult.start("web", "media", "worker")
        async with call_of_two(consult.url, call) as (expert, patient), aiohttp.ClientSession() as client:
            await asyncio.sleep(2)  # something to be recorded
            node = await node_of(redis, call)
            hung = consult.node_process(node)
            with contextlib.suppress(aiohttp.ClientError):
                await client.get(f"{node}/hang")
            for person in (expert, patient):
                await person.hears("welcome", after=1)
                await person.perceives("audio")
                await person.is_recorded()
            assert not hung.is_running() or hung.status() == psutil.STATUS_ZOMBIE
            assert "in hang" in consult.log("media").read_text(), "it said where it stood"
            consult.wait_for_node(node)
            await expert.say(type="end")
            await patient.hears("ended")
        assert len(await filed_segments(database, call, count=4)) == 4
    finally:
        consult.stop()


async def test_a_call_outlives_the_web_process_that_led_to_it(
    database: Database, redis: RedisServer, tmp_path: Path
) -> None:
    consult = Consult(database.url, tmp_path / "home", REDIS_URL=redis.url)
    call = await arrange(database, tmp_path / "home")
    try:
        consult.start("web", "media", "worker")
        async with call_of_two(consult.url, call) as (expert, patient):
            consult.kill("web")
            for person in (expert, patient):
                await person.perceives("audio", frames=50)
            consult.start("web")
            for person in (expert, patient):
                welcome = await person.hears("welcome", after=1)
                assert welcome["media_attempt"] == person.attempt == 1, "the same connection"
                assert welcome["recording"]["state"] != "failed"
                await person.perceives("audio")
                await person.is_recorded()
            consult.process("web").send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(consult.process("web").wait, WITHIN_S) == 0
            consult.start("web")
            for person in (expert, patient):
                await person.hears("welcome", after=2)
                assert person.attempt == 1
            await expert.say(type="end")
            await patient.hears("ended")
        await filed_segments(database, call, count=2)
    finally:
        consult.stop()


async def test_a_redis_that_comes_back_empty_costs_nobody_anything(
    database: Database, redis: RedisServer, tmp_path: Path
) -> None:
    consult = Consult(database.url, tmp_path / "home", REDIS_URL=redis.url)
    call = await arrange(database, tmp_path / "home")
    try:
        consult.start("web", "media", "worker")
        async with call_of_two(consult.url, call) as (expert, patient):
            node, worker = await node_of(redis, call), psutil.Process(consult.process("worker").pid)
            worker.suspend()
            await say_in_chat(expert, "in Redis, but nobody took it yet")
            await patient.hears("said")
            redis.kill()
            worker.resume()
            await say_in_chat(expert, "while it is away")
            await patient.hears("said", after=1)
            assert patient._socket is not None
            await patient._socket.close()
            assert (await patient.hears("welcome", after=1))["media_attempt"] == 1, "who reloads comes back meanwhile"
            await asyncio.sleep(4)  # every lease lapses
            for person in (expert, patient):
                await person.perceives("audio", frames=50)
            redis.start()
            await until_said(database, call, ["in Redis, but nobody took it yet", "while it is away"])
            assert await node_of(redis, call) == node, "whose room it was takes it again"
            await say_in_chat(patient, "after it")
            await until_said(database, call, ["in Redis, but nobody took it yet", "while it is away", "after it"])
            for person in (expert, patient):
                await person.perceives("audio")
                await person.is_recorded()
                assert person.attempt == 1
            assert expert.welcomes == 1
            await order(redis, CloseRoom(call.appointment_id))
            for person in (expert, patient):
                await person.hears("ended")
        assert len(await filed_segments(database, call, count=2)) == 2, "uncut"
    finally:
        consult.stop()


async def say_in_chat(person: PersonInCall, text: str) -> None:
    await person.say(type="say", line_id=text, text=text)


async def until_said(database: Database, call: Arranged, texts: list[str]) -> None:
    """Wait until the lines are written down, in this order."""
    deadline = time.monotonic() + WITHIN_S
    while True:
        async with database.pool.acquire() as conn:
            lines = await consultations.list_chat(conn, UUID(call.appointment_id), "", hosts=True)
        said = [line.text for line in lines]
        if said == texts:
            return
        assert time.monotonic() < deadline, said
        await asyncio.sleep(0.1)


async def order(redis: RedisServer, command: CloseRoom) -> None:
    bus = RedisBus(redis.url)
    await bus.order(command)
    await bus.close()
