"""From the recorder's spool to the words on the page: real files, real database, real engine, no browser."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import pytest

from consult import storage, worker
from consult.consultations import service as consultations
from consult.settings import Settings
from consult.transcripts import playback
from consult.transcripts import service as transcripts
from signaling import events
from signaling.local_bus import LocalBus
from tests.browser.sentences import SENTENCES
from tests.conftest import Database
from tests.rows import Booked, book
from tests.speech import Speech, say, word_error_rate, write_webm

START = datetime(2026, 3, 12, 11, 35, tzinfo=UTC)


def finished(
    booked: Booked, who: dict[str, str], path: str, offset_ms: int, speech: Speech
) -> events.RecordingFinished:
    return events.RecordingFinished(
        event_id=str(uuid.uuid4()), room_id=str(booked.appointment_id), at_ms=90_000, happened_at=START.isoformat(),
        **who, segment_id=str(uuid.uuid4()), path=path, offset_ms=offset_ms,
        duration_ms=len(speech.sound) // 16, has_audio=True, has_video=True, started_at=START.isoformat(),
    )  # fmt: skip


EXPERT = {"member_id": "s2-a", "person_id": "staff:2", "name": "Dr Helen Okafor", "role": "expert"}
PATIENT = {"member_id": "v1", "person_id": "person:1", "name": "Ana Ribeiro", "role": "patient"}


@pytest.mark.timeout(180)
async def test_two_voices_become_turns_under_the_right_names_at_the_right_times(
    database: Database, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings()
    async with database.pool.acquire() as conn:
        booked = await book(conn, START)
    spool, room = settings.spool, str(booked.appointment_id)
    told: list[events.RecordingFinished] = []
    speeches: dict[str, tuple[int, Speech]] = {}
    # They speak in turn: every second sentence's pause leaves room for the other.
    for who, voice, offset_ms, before_s in ((EXPERT, "rms", 2_000, 1.0), (PATIENT, "awb", 2_400, 4.4)):
        speech = say(voice, SENTENCES[voice][:3], tmp_path, before_s=before_s, pause_s=4.5)
        path = f"{room}/{who['member_id']}.webm"
        write_webm(spool / path, speech.sound)
        (spool / room / f"{who['member_id']}.json").write_text("{}")
        told.append(finished(booked, who, path, offset_ms, speech))
        speeches[who["person_id"]] = (offset_ms, speech)

    bus, stop = LocalBus(), asyncio.Event()
    store = storage.open_store(settings.storage)
    working = asyncio.create_task(worker.run_worker(settings, database.pool, store, bus, stop))
    try:
        common = {"room_id": room, "happened_at": START.isoformat()}
        await bus.publish(events.RoomOpened(event_id=str(uuid.uuid4()), at_ms=0, **common))
        for event in (*told, *told):  # everything may come twice
            await bus.publish(event)
        await bus.publish(events.RoomClosed(event_id=str(uuid.uuid4()), at_ms=95_000, reason="ended", **common))
        page = await wait_for_text(database, booked, within_s=120)
    finally:
        stop.set()
        await asyncio.wait_for(working, 20)
        await bus.close()

    assert [segment.duration_ms for segment in page.segments] == pytest.approx(
        [len(speech.sound) / 16 for _, speech in speeches.values()], abs=120
    )
    turns = [line.turn for line in page.lines if line.turn]
    assert [turn.start_ms for turn in turns] == sorted(turn.start_ms for turn in turns)
    for person, voice in (("staff:2", "rms"), ("person:1", "awb")):
        offset_ms, speech = speeches[person]
        own = [turn for turn in turns if turn.person_id == person]
        assert word_error_rate(SENTENCES[voice][:3], [turn.text for turn in own]) <= 0.2
        assert len(own) == 3
        for turn, start_ms in zip(own, speech.starts_ms, strict=True):
            assert abs(turn.start_ms - (offset_ms + start_ms)) < 500
    assert {turn.name for turn in turns} == {"Dr Helen Okafor", "Ana Ribeiro"}
    assert page.consultation.end_reason == "ended"
    assert not list(spool.rglob("*.*")), "the spool is empty once everything is filed"
    await assert_plays_from_first_to_last(store, page.segments[0].blob_key, tmp_path)


async def wait_for_text(database: Database, booked: Booked, *, within_s: float) -> playback.ConsultationPage:
    """Return the page once both texts are ready."""
    async with asyncio.timeout(within_s):
        while True:
            await asyncio.sleep(0.2)
            async with database.pool.acquire() as conn:
                pages = await playback.list_for_page(conn, booked.case_id, {})
                done = pages and pages[0].consultation.ended_at and len(pages[0].segments) == 2
                if done and pages[0].text.state is playback.TextState.READY:
                    return pages[0]
                assert not pages or pages[0].text.state is not playback.TextState.FAILED


async def assert_plays_from_first_to_last(store: storage.BlobStore, key: str, tmp_path: Path) -> None:
    path = tmp_path / "filed.webm"
    with path.open("wb") as file:
        async for chunk in store.open_range(key):
            file.write(chunk)
    with av.open(str(path)) as container:
        assert container.duration is not None
        assert sum(1 for _ in container.decode(video=0)) > 100
        container.seek(container.duration // 2)
        assert next(container.decode(audio=0)).time == pytest.approx(container.duration / 2_000_000, abs=6)


async def test_a_language_without_an_engine_is_a_fact_and_not_a_failure(
    database: Database, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings()
    store = storage.open_store(settings.storage)
    async with database.pool.acquire() as conn:
        booked = await book(conn, START, language="es")
        speech = say("rms", SENTENCES["rms"][:1], tmp_path)
        event = finished(booked, EXPERT, "one.webm", 0, speech)
        write_webm(settings.spool / "one.webm", speech.sound)
        queued = await apply(conn, event)
    await file_and_hear(settings, database, store, queued[0])
    async with database.pool.acquire() as conn:
        page = (await playback.list_for_page(conn, booked.case_id, {}))[0]
    assert page.text.state is playback.TextState.NO_ENGINE
    assert len(page.segments) == 1


async def test_a_recording_that_cannot_be_read_is_kept_as_it_is(
    database: Database, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings()
    store = storage.open_store(settings.storage)
    torn = b"not a recording at all" * 100
    settings.spool.mkdir(parents=True)
    (settings.spool / "torn.webm").write_bytes(torn)
    async with database.pool.acquire() as conn:
        booked = await book(conn, START)
        speech = say("rms", SENTENCES["rms"][:1], tmp_path)
        queued = await apply(conn, finished(booked, EXPERT, "torn.webm", 0, speech))
    await file_and_hear(settings, database, store, queued[0])
    async with database.pool.acquire() as conn:
        page = (await playback.list_for_page(conn, booked.case_id, {}))[0]
    kept = b"".join([chunk async for chunk in store.open_range(page.segments[0].blob_key)])
    assert kept == torn
    assert not page.data()["segments"]


async def test_a_store_that_fails_leaves_the_recording_in_the_spool(
    database: Database, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    class FullStore(storage.ObjectStore):
        async def put(self, key: str, chunks: Any) -> int:
            raise OSError(28, "No space left on device")

    settings = make_settings()
    async with database.pool.acquire() as conn:
        booked = await book(conn, START)
        speech = say("rms", SENTENCES["rms"][:1], tmp_path)
        write_webm(settings.spool / "one.webm", speech.sound)
        queued = await apply(conn, finished(booked, EXPERT, "one.webm", 0, speech))
    real = storage.open_store(settings.storage)
    with pytest.raises(OSError, match="No space"):
        await file_and_hear(settings, database, FullStore(None), queued[0])
    assert [path.name for path in settings.spool.iterdir()] == ["one.webm"]
    async with database.pool.acquire() as conn:
        assert await consultations.count_unfiled(conn, booked.appointment_id) == 1
    await file_and_hear(settings, database, real, queued[0])
    await file_and_hear(settings, database, real, queued[0])  # once more changes nothing
    assert not list(settings.spool.iterdir())
    async with database.pool.acquire() as conn:
        page = (await playback.list_for_page(conn, booked.case_id, {}))[0]
        assert [turn.name for turn in await transcripts.list_turns(conn, page.consultation.id)] == ["Dr Helen Okafor"]


async def apply(conn: Any, event: events.RoomEvent) -> list[dict[str, Any]]:
    """Write an event down; return the payloads of the jobs that it queued."""
    queued: list[dict[str, Any]] = []

    async def enqueue(_conn: Any, _kind: str, payload: dict[str, Any], *, key: str, priority: int = 0) -> None:
        queued.append(payload)

    async with conn.transaction():
        await consultations.apply_event(conn, event, START + timedelta(hours=1), enqueue=enqueue)
    return queued


async def file_and_hear(
    settings: Settings, database: Database, store: storage.BlobStore, payload: dict[str, Any]
) -> None:
    """Do the two jobs of a segment one after the other, here."""
    handlers: dict[str, Any] = {}

    class Collect:
        def handle(self, kind: str, handler: Any, **_how: Any) -> None:
            handlers[kind] = handler

    engine = worker.choose_engine(settings)
    worker.register_jobs(Collect(), settings, database.pool, store, engine, lambda: START)  # type: ignore[arg-type]
    await handlers[consultations.FILE_SEGMENT](payload)
    await handlers[transcripts.TRANSCRIBE_SEGMENT](payload)
