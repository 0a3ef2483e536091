"""The worker: writes down what rooms tell, files recordings, makes transcripts, sends mail.

Owns which job is done by whom, and what happens to an event that cannot be written down. An event is acknowledged after
its transaction; one that can never fit is set aside in a file of its own: it neither blocks the others nor is lost.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from uuid import UUID

import asyncpg
import structlog

from consult import jobs as queue
from consult.consultations import service as consultations
from consult.consultations.errors import EventRefused
from consult.consultations.model import Segment
from consult.db.pool import Connection, Pool
from consult.domain.clock import utc_now
from consult.jobs import Jobs, Payload
from consult.log import facts_of
from consult.notices import service as notices
from consult.records import service as records
from consult.settings import Settings
from consult.storage import BlobStore
from consult.transcripts import service as transcripts
from consult.transcripts.speech import SpeechToText, choose_engine
from consult.waiting import service as waiting
from signaling.bus import Bus, Delivery
from signaling.events import RecordingFinished, to_json
from signaling.ticket import is_load_test

log = structlog.get_logger()

CONSUMER = "worker"
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 20.0
MOST_TRIES = 6  # of an event whose failure we do not understand
REFILE_EVERY_S = 600.0

# The event itself does not fit, now or ever.
_UNFIT = (EventRefused, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, KeyError, ValueError, TypeError)
# The world does not answer; the event is fine.
_AWAY = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.TooManyConnectionsError,
         asyncpg.CannotConnectNowError, asyncpg.QueryCanceledError)  # fmt: skip


async def run_worker(
    settings: Settings,
    pool: Pool,
    store: BlobStore,
    bus: Bus | None,
    stop: asyncio.Event,
    *,
    engine: SpeechToText | None = None,
    clock: Callable[[], datetime] = utc_now,
    jobs: Jobs | None = None,
) -> None:
    """Work until stop is set; what was begun then is begun again by the next worker.

    bus: where events come from; None if the process with the rooms writes them down. engine: by SPEECH_ENGINE if None.
    """
    jobs = jobs or Jobs()
    register_jobs(jobs, settings, pool, store, engine or choose_engine(settings), clock)
    async with asyncio.TaskGroup() as group:
        helpers = [
            group.create_task(_refile(pool), name="worker-refile"),
            group.create_task(notices.keep_reminding(pool, settings, clock=clock), name="worker-reminders"),
            group.create_task(waiting.keep_list(pool, clock), name="worker-wait-list"),
        ]
        if bus is not None:
            helpers.append(group.create_task(write_down(settings, pool, bus, clock), name="worker-events"))
        try:
            await jobs.run(pool, stop)
        finally:
            for helper in helpers:
                helper.cancel()


def register_jobs(
    jobs: Jobs, settings: Settings, pool: Pool, store: BlobStore, engine: SpeechToText, clock: Callable[[], datetime]
) -> None:
    """Say who does which job."""
    desk = transcripts.Desk(pool, store, engine, work=settings.home / "work", clock=clock)

    async def when_filed(conn: Connection, segment: Segment, now: datetime) -> None:
        await transcripts.queue_transcript(conn, segment, now, enqueue=queue.enqueue)

    async def file_segment(payload: Payload) -> None:
        segment_id = UUID(payload["segment_id"])
        await consultations.keep_recording(pool, store, settings.spool, segment_id, clock(), when_filed=when_filed)
        async with pool.acquire() as conn, conn.transaction():
            consultation_id = (await consultations.fetch_segment(conn, segment_id)).consultation_id
            await consultations.queue_videos(conn, clock(), enqueue=queue.enqueue, consultation_id=consultation_id)

    studio = consultations.Studio(pool, store, work=settings.home / "work", clock=clock)

    async def make_video(payload: Payload) -> None:
        await consultations.make_video(studio, UUID(payload["consultation_id"]))

    async def transcribe_segment(payload: Payload) -> None:
        await transcripts.transcribe_segment(desk, UUID(payload["segment_id"]))

    jobs.handle(consultations.FILE_SEGMENT, file_segment)
    jobs.handle(consultations.MAKE_VIDEO, make_video, most_at_once=1)
    notices.register_jobs(jobs, pool=pool, settings=settings, find_offer=waiting.tell_of_offer)
    waiting.register_jobs(jobs, pool, settings, clock, tell=notices.queue_offer)
    records.register_jobs(jobs, pool, store)
    # One core is left to calls: recognition of a second segment waits.
    jobs.handle(transcripts.TRANSCRIBE_SEGMENT, transcribe_segment, most_at_once=max(1, (os.cpu_count() or 2) // 2))


async def write_down(settings: Settings, pool: Pool, bus: Bus, clock: Callable[[], datetime]) -> None:
    """Take events from the bus for as long as we live; a bus that breaks is asked again."""
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            async for delivery in bus.deliveries(CONSUMER):
                if is_load_test(delivery.event.room_id):
                    await forget(settings.spool, delivery)
                else:
                    await take(settings.home / "set-aside", pool, delivery, clock)
                pause_s = FIRST_PAUSE_S
            return  # the bus was closed
        except Exception as error:
            log.error("events.bus_lost", **facts_of(error))
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


async def forget(spool: Path, delivery: Delivery) -> None:
    """Write nothing down of a load test's rooms, and take away what they recorded."""
    if isinstance(delivery.event, RecordingFinished):
        try:
            await asyncio.to_thread(consultations.discard_recording, spool, delivery.event.path)
        except (OSError, EventRefused) as error:
            log.warning("load_test.recording_stays", event_id=delivery.event.event_id, **facts_of(error))
    await delivery.acknowledge()


async def take(aside: Path, pool: Pool, delivery: Delivery, clock: Callable[[], datetime]) -> None:
    """Write one event down and acknowledge it, or set it aside. aside: the folder for events that fit nowhere."""
    tries, pause_s = 0, FIRST_PAUSE_S
    while True:
        tries += 1
        try:
            async with pool.acquire() as conn, conn.transaction():
                await consultations.apply_event(conn, delivery.event, clock(), enqueue=queue.enqueue)
            break
        except _AWAY as error:
            log.warning("event.waits", event_id=delivery.event.event_id, tries=tries, **facts_of(error))
        except Exception as error:
            log.error("event.failed", event_id=delivery.event.event_id, tries=tries, **facts_of(error))
            if isinstance(error, _UNFIT) or tries >= MOST_TRIES:
                await asyncio.to_thread(_set_aside, aside, delivery)
                break
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
    await delivery.acknowledge()


def _set_aside(folder: Path, delivery: Delivery) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = "".join(letter for letter in delivery.event.event_id if letter.isalnum() or letter == "-")[:64]
    descriptor = os.open(folder / f"{name or 'nameless'}.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(to_json(delivery.event))


async def _refile(pool: Pool) -> None:
    """At the start and then regularly: what a job was given up for, on a full disk perhaps, is tried again."""
    while True:
        try:
            async with pool.acquire() as conn, conn.transaction():
                unfiled = await consultations.queue_unfiled(conn, enqueue=queue.enqueue)
                await consultations.queue_videos(conn, utc_now(), enqueue=queue.enqueue)
            if unfiled:
                log.info("recordings.unfiled", count=unfiled)
        except Exception as error:
            log.error("recordings.refile_failed", **facts_of(error))
        await asyncio.sleep(REFILE_EVERY_S)
