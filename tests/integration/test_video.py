"""The one video of a call: made by itself when everything is filed, made again when asked, given to readers alone."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from consult import storage, worker
from consult.cases import service as cases
from consult.consultations import service as consultations
from consult.consultations.model import Video, VideoState
from consult.domain.ids import CaseId
from consult.keys import SETTINGS, STORE
from consult.settings import Settings
from consult.transcripts import playback
from signaling import events
from signaling.local_bus import LocalBus
from tests.conftest import Database, Server
from tests.integration.test_playback_page import signed_in
from tests.integration.tracks import is_near, watch_composed, write_track
from tests.rows import Booked, book

START = datetime(2026, 3, 12, 11, 35, tzinfo=UTC)
BLUE, ORANGE, PLATE = (40, 80, 200), (220, 130, 40), (28, 28, 28)
EXPERT = {"member_id": "s2-a", "person_id": "staff:2", "name": "Dr Helen Okafor", "role": "expert"}
PATIENT = {"member_id": "v1", "person_id": "person:1", "name": "Ana Ribeiro", "role": "patient"}
LIMIT_S = 120.0
COUNT_JOBS = "select count(*) from pgqueuer where entrypoint = 'make_video'"

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True, slots=True)
class Told:
    """What the room of a booking tells."""

    booked: Booked

    def fact(self, at_ms: int) -> dict[str, Any]:
        happened_at = (START + timedelta(milliseconds=at_ms)).isoformat()
        return {
            "event_id": str(uuid.uuid4()), "room_id": str(self.booked.appointment_id), "at_ms": at_ms,
            "happened_at": happened_at,
        }  # fmt: skip

    def finished(self, who: dict[str, str], path: str, offset_ms: int, duration_ms: int) -> events.RecordingFinished:
        return events.RecordingFinished(
            **self.fact(offset_ms + duration_ms), **who, segment_id=str(uuid.uuid4()), path=path, offset_ms=offset_ms,
            duration_ms=duration_ms, has_audio=True, has_video=True, started_at=START.isoformat(),
        )  # fmt: skip


async def tell_of_a_call(settings: Settings, bus: LocalBus, booked: Booked) -> None:
    """Helen in blue, a deep tone, from 1 to 5 s; Ana in orange, a high one, from 2 to 5 s."""
    told, spool = Told(booked), settings.spool
    spool.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(write_track, spool / "helen.webm", seconds=4, colour=BLUE, tone_hz=440)
    await asyncio.to_thread(write_track, spool / "ana.webm", seconds=3, colour=ORANGE, tone_hz=1_000)
    await bus.publish(events.RoomOpened(**told.fact(0)))
    await bus.publish(told.finished(EXPERT, "helen.webm", 1_000, 4_000))
    await bus.publish(told.finished(PATIENT, "ana.webm", 2_000, 3_000))
    await bus.publish(events.RoomClosed(**told.fact(6_000), reason="ended"))


async def working(
    settings: Settings, database: Database, store: storage.BlobStore, bus: LocalBus, then: Callable[[], Awaitable[None]]
) -> None:
    """Let a worker work while something happens."""
    stop = asyncio.Event()
    at_work = asyncio.create_task(worker.run_worker(settings, database.pool, store, bus, stop))
    try:
        await then()
    finally:
        stop.set()
        await asyncio.wait_for(at_work, 30)


async def ready_video(database: Database, booked: Booked, *, after: datetime | None = None) -> Video:
    async with asyncio.timeout(LIMIT_S):
        while True:
            async with database.pool.acquire() as conn:
                for consultation in await consultations.list_consultations(conn, booked.case_id):
                    video = await consultations.fetch_video(conn, consultation.id)
                    if video is not None and video.state is VideoState.READY and video.queued_at != after:
                        return video
            await asyncio.sleep(0.2)


@pytest.fixture
async def call(server: Server, database: Database) -> AsyncIterator[tuple[Booked, Video]]:
    """A call that is over, whose video is there."""
    async with database.pool.acquire() as conn:
        booked = await book(conn, START)
    settings, bus = server.app[SETTINGS], LocalBus()
    found: list[Video] = []

    async def talk() -> None:
        await tell_of_a_call(settings, bus, booked)
        found.append(await ready_video(database, booked))

    await working(settings, database, server.app[STORE], bus, talk)
    yield booked, found[0]


async def test_the_video_is_there_after_the_call_shows_everybody_and_is_given_to_readers_alone(
    server: Server, database: Database, call: tuple[Booked, Video], tmp_path: Path
) -> None:
    booked, video = call
    path = f"/consultations/{video.consultation_id}/video"
    async with database.pool.acquire() as conn:
        cookies = await signed_in(server, conn, booked.expert_id)
        stranger = await signed_in(server, conn, (await book(conn, START + timedelta(days=1))).expert_id)
    async with aiohttp.ClientSession(server.url, cookies=cookies) as session:
        async with session.get(path) as answer:
            data = await answer.read()
            assert (answer.status, answer.headers["Content-Type"], len(data)) == (200, "video/mp4", video.size_bytes)
            disposition = answer.headers["Content-Disposition"]
            assert disposition == f'attachment; filename="consultation-{booked.case_id}-2026-03-12.mp4"'
        async with session.get(path, headers={"Range": "bytes=10-19"}) as answer:
            assert (answer.status, await answer.read()) == (206, data[10:20])
        page = await (await session.get(f"/cases/{booked.case_id}", headers={"Accept": "text/html"})).text()
        assert "Download as one video (MP4)" in page and path in page
        progress = await (await session.get(f"/cases/{booked.case_id}/progress")).json()
        assert progress["consultations"][0]["video"] == "ready"
    for who, status in ((stranger, 404), ({}, 401)):
        async with aiohttp.ClientSession(server.url, cookies=who) as session:
            async with session.get(path, headers={"Accept": "application/json"}) as answer:
                assert answer.status == status
    (tmp_path / "call.mp4").write_bytes(data)
    seen = watch_composed(tmp_path / "call.mp4")
    assert seen.duration_ms == pytest.approx(5_000, abs=150)
    assert is_near(seen.colour(500, 0.25, 0.15), PLATE)
    assert is_near(seen.colour(3_500, 0.25, 0.15), BLUE) and is_near(seen.colour(3_500, 0.75, 0.15), ORANGE)
    assert seen.tones(1_300) == {440} and seen.tones(3_500) == {440, 1_000}


async def test_the_video_is_made_again_from_the_tracks_and_the_old_one_goes_when_the_new_one_is_there(
    server: Server, database: Database, call: tuple[Booked, Video]
) -> None:
    booked, video = call
    assert video.blob_key is not None
    store: storage.BlobStore = server.app[STORE]
    async with database.pool.acquire() as conn:
        cookies = await signed_in(server, conn, booked.scheduler_id)
        before = await conn.fetchval(COUNT_JOBS)  # the one that is done may still be in the table
    async with aiohttp.ClientSession(server.url, cookies=cookies, headers={"Accept": "text/html"}) as session:
        page = await (await session.get(f"/cases/{booked.case_id}")).text()
        proof = re.search(r'name="csrf" (?:content|value)="([^"]+)"', page)
        assert proof is not None
        path = f"/cases/{booked.case_id}/consultations/{video.consultation_id}/video"
        for _ in range(2):  # pressed twice is asked once
            async with session.post(
                path, data={"csrf": proof[1]}, headers={"Origin": server.url}, allow_redirects=False
            ) as answer:
                assert answer.status == 303
        page = await (await session.get(f"/cases/{booked.case_id}")).text()
        assert "The video is next in line." in page and "Download as one video" in page
        async with session.post(
            path.replace(f"/cases/{booked.case_id}/", "/cases/999999/"), data={"csrf": proof[1]},
            headers={"Origin": server.url},
        ) as answer:  # fmt: skip
            assert answer.status == 404
    async with database.pool.acquire() as conn:
        assert await conn.fetchval(COUNT_JOBS) == before + 1
        assert await conn.fetchval("select priority from pgqueuer where entrypoint = 'make_video'") < 0
    made: list[Video] = []

    async def wait() -> None:
        made.append(await ready_video(database, booked, after=video.queued_at))

    await working(server.app[SETTINGS], database, store, LocalBus(), wait)
    assert made[0].blob_key is not None and made[0].blob_key != video.blob_key
    assert await store.size(made[0].blob_key) == made[0].size_bytes
    with pytest.raises(storage.BlobMissing):
        await store.size(video.blob_key)


async def test_a_video_that_cannot_be_made_says_so_and_can_be_tried_again(server: Server, database: Database) -> None:
    async with database.pool.acquire() as conn:
        booked = await book(conn, START)
    settings, bus, told = server.app[SETTINGS], LocalBus(), Told(booked)
    settings.spool.mkdir(parents=True, exist_ok=True)
    write_track(settings.spool / "helen.webm", seconds=1, colour=BLUE, tone_hz=440)

    async def lose_a_track() -> None:
        await bus.publish(events.RoomOpened(**told.fact(0)))
        await bus.publish(told.finished(EXPERT, "helen.webm", 0, 1_000))
        async with asyncio.timeout(LIMIT_S):
            while not (segments := await _segments(database, booked)):
                await asyncio.sleep(0.1)
        await server.app[STORE].delete(segments[0].blob_key)  # a store that lost something
        await bus.publish(events.RoomClosed(**told.fact(2_000), reason="ended"))
        async with asyncio.timeout(LIMIT_S):
            while True:
                async with database.pool.acquire() as conn:
                    page = (await playback.list_for_page(conn, booked.case_id, {}))[0]
                if page.video_state is VideoState.FAILED:
                    return
                await asyncio.sleep(0.1)

    await working(settings, database, server.app[STORE], bus, lose_a_track)
    async with database.pool.acquire() as conn:
        cookies = await signed_in(server, conn, booked.expert_id)
    async with aiohttp.ClientSession(server.url, cookies=cookies, headers={"Accept": "text/html"}) as session:
        page_text = await (await session.get(f"/cases/{booked.case_id}")).text()
    assert "The video could not be made. The recording itself is safe." in page_text
    assert "Try again" in page_text


async def test_a_call_of_which_nothing_was_recorded_is_filed_when_it_is_over_and_has_no_video(
    server: Server, database: Database
) -> None:
    async with database.pool.acquire() as conn:
        booked = await book(conn, START)
    told, bus = Told(booked), LocalBus()

    async def talk() -> None:
        await bus.publish(events.RoomOpened(**told.fact(0)))
        await bus.publish(events.RoomClosed(**told.fact(2_000), reason="ended"))
        async with asyncio.timeout(LIMIT_S):
            while True:
                async with database.pool.acquire() as conn:
                    facts = await cases.fetch_facts(conn, CaseId(booked.case_id), START + timedelta(minutes=5))
                if facts.call_ended_at is not None:
                    assert facts.filed_at == facts.call_ended_at
                    return
                await asyncio.sleep(0.1)

    await working(server.app[SETTINGS], database, server.app[STORE], bus, talk)
    async with database.pool.acquire() as conn:
        (consultation,) = await consultations.list_consultations(conn, booked.case_id)
        assert await consultations.fetch_video(conn, consultation.id) is None


async def _segments(database: Database, booked: Booked) -> Any:
    async with database.pool.acquire() as conn:
        found = await consultations.list_consultations(conn, booked.case_id)
        return await consultations.list_segments(conn, found[0].id) if found else []
