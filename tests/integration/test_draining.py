"""SIGTERM while a call runs: it goes on to its end, and nobody new is taken. Real processes, two people with aiortc."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.browser.processes import Consult
from tests.conftest import Database
from tests.integration.browsers import loopback
from tests.integration.people_in_calls import WITHIN_S, PersonInCall, call_of_two
from tests.integration.test_lost_processes import arrange, filed_segments, node_of
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("loopback")]
__all__ = ["loopback"]

LONG_S = "600"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    try:
        yield server
    finally:
        server.kill()


async def status(url: str) -> int:
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        return answer.status


async def until_status(url: str, wanted: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        while await status(url) != wanted:
            await asyncio.sleep(0.1)


async def reload(person: PersonInCall) -> None:
    """As a page that is opened again: a new socket, to the same call."""
    before = person.welcomes
    assert person._socket is not None
    await person._socket.close()
    await person.hears("welcome", after=before)
    await person.perceives("audio")


async def ended(consult: Consult, command: str) -> int:
    return await asyncio.to_thread(consult.process(command).wait, WITHIN_S)


async def test_media_processes_drain(database: Database, redis: RedisServer, tmp_path: Path) -> None:
    consult = Consult(database.url, tmp_path / "home", REDIS_URL=redis.url, DRAIN_S=LONG_S)
    call = await arrange(database, tmp_path / "home")
    try:
        consult.start("web", "media", "worker")
        async with call_of_two(consult.url, call) as (expert, patient):
            busy = await node_of(redis, call)
            consult.process("media").send_signal(signal.SIGTERM)
            await until_status(f"{busy}/readyz", 503)
            for person in (expert, patient):
                await person.perceives("audio", frames=100)
            await reload(patient)
            assert patient.attempt == 1, "the same connection"
            await patient.is_recorded()
            assert consult.process("media").poll() is None
            await expert.say(type="end")
            await patient.hears("ended")
            assert await ended(consult, "media") == 0
        assert len(await filed_segments(database, call, count=2)) == 2, "uncut"
    finally:
        consult.stop()


async def test_a_web_process_with_rooms_drains(database: Database, tmp_path: Path) -> None:
    consult = Consult(database.url, tmp_path / "home", DRAIN_S=LONG_S)
    call = await arrange(database, tmp_path / "home")
    try:
        consult.start("web", "worker")
        async with call_of_two(consult.url, call) as (expert, patient):
            assert await status(f"{consult.url}/readyz") == 200
            consult.process("web").send_signal(signal.SIGTERM)
            await until_status(f"{consult.url}/readyz", 503)
            assert await status(f"{consult.url}/healthz") == 200
            await reload(patient)
            assert patient.attempt == 1
            await patient.is_recorded()
            await expert.say(type="end")
            await patient.hears("ended")
            assert await ended(consult, "web") == 0
        assert len(await filed_segments(database, call, count=2)) == 2
    finally:
        consult.stop()


async def test_who_cannot_wait_signals_twice_and_loses_nothing_of_the_recording(
    database: Database, redis: RedisServer, tmp_path: Path
) -> None:
    consult = Consult(database.url, tmp_path / "home", REDIS_URL=redis.url, DRAIN_S=LONG_S)
    call = await arrange(database, tmp_path / "home")
    try:
        consult.start("web", "media", "worker")
        async with call_of_two(consult.url, call) as (expert, patient):
            await asyncio.sleep(2)
            media = consult.process("media")
            media.send_signal(signal.SIGTERM)
            await asyncio.sleep(1.5)
            media.send_signal(signal.SIGTERM)
            for person in (expert, patient):
                assert (await person.hears("ended"))["reason"] == "restarting"
            assert await ended(consult, "media") == 0
            assert len(await filed_segments(database, call, count=2)) == 2
            consult.start("media")
            for person in (expert, patient):
                await person.hears("welcome", after=1)
                await person.perceives("audio")
                await person.is_recorded()
            assert len(expert.of("knock")) == 1
    finally:
        consult.process("media").send_signal(signal.SIGINT)
        consult.stop()


async def test_a_call_that_does_not_end_holds_nobody_up_for_ever(
    database: Database, redis: RedisServer, tmp_path: Path
) -> None:
    consult = Consult(database.url, tmp_path / "home", REDIS_URL=redis.url, DRAIN_S="2")
    call = await arrange(database, tmp_path / "home")
    try:
        consult.start("web", "media", "worker")
        async with call_of_two(consult.url, call) as (expert, patient):
            consult.process("media").send_signal(signal.SIGTERM)
            for person in (expert, patient):
                assert (await person.hears("ended"))["reason"] == "restarting"
            assert await ended(consult, "media") == 0
    finally:
        consult.stop()
