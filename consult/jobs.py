"""What runs later, and how often it may fail: pgqueuer behind a narrow door.

A job is enqueued in the caller's transaction, so it exists exactly if the change it belongs to does. It is delivered at
least once (a killed worker's jobs are picked up again), so handlers are idempotent. A handler that fails is tried again
after a pause; one that failed or vanished too often is held in the queue with the status `failed`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import structlog
from pgqueuer import PgQueuer
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.errors import RetryRequested
from pgqueuer.models import Job

from consult.db.pool import Connection
from consult.log import facts_of

log = structlog.get_logger()

Payload = dict[str, Any]
Handler = Callable[[Payload], Awaitable[None]]

MAX_PICK_UPS = 5
FIRST_PAUSE = timedelta(seconds=2)  # doubled after each failure
HEARTBEAT_TIMEOUT = timedelta(seconds=20)  # a job whose worker was silent for so long is picked up by another one
LOOK_EVERY = timedelta(seconds=5)  # new jobs are announced by NOTIFY; this is for those whose pause is over

COUNT_PICK_UPS = """
select count(*) from pgqueuer_log where job_id = $1 and status = 'picked'
"""


class JobFailed(Exception):
    """A job failed for good. Its text is the kind of the cause alone: pgqueuer keeps it in a table."""


async def enqueue(
    conn: Connection,
    kind: str,
    payload: Payload,
    *,
    key: str | None = None,
    after: timedelta | None = None,
    priority: int = 0,
) -> None:
    """Put a job into the queue, in the transaction that conn is in.

    key: while a job with this key waits or runs, another one is not added. payload: ids alone, nothing a person wrote.
    priority: the greater goes first.
    """
    queries = Queries(AsyncpgDriver(conn))
    body = json.dumps(payload, separators=(",", ":")).encode()
    await queries.enqueue([kind], [body], [priority], [after], [key], on_conflict="skip")


class Jobs:
    """The handlers of a worker, and the loop that runs them."""

    def __init__(
        self,
        *,
        max_pick_ups: int = MAX_PICK_UPS,
        first_pause: timedelta = FIRST_PAUSE,
        heartbeat_timeout: timedelta = HEARTBEAT_TIMEOUT,
        look_every: timedelta = LOOK_EVERY,
    ) -> None:
        self._pauses = [first_pause * 2**number for number in range(max_pick_ups - 1)]
        self._heartbeat_timeout = heartbeat_timeout
        self._look_every = look_every
        self._handlers: dict[str, tuple[Handler, int, Sequence[timedelta]]] = {}

    def handle(
        self, kind: str, handler: Handler, *, most_at_once: int = 0, pauses: Sequence[timedelta] | None = None
    ) -> None:
        """Register who does jobs of a kind. most_at_once: over all workers; 0: as many as there are.

        pauses: how long to wait after each failure; as many further tries as there are pauses. None: as for all kinds.
        """
        self._handlers[kind] = (handler, most_at_once, self._pauses if pauses is None else pauses)

    async def run(self, pool: asyncpg.Pool, stop: asyncio.Event) -> None:
        """Do jobs until stop is set. Those under way then are given back to the queue, to be begun again later."""
        queuer = PgQueuer.from_asyncpg_pool(pool)
        for kind, (handler, most_at_once, pauses) in self._handlers.items():
            run_one = _Runner(pool, kind, handler, pauses, stop)
            queuer.entrypoint(kind, concurrency_limit=most_at_once, accepts_context=False, on_failure="hold")(run_one)
        loop = asyncio.create_task(
            queuer.qm.run(
                dequeue_timeout=self._look_every,
                batch_size=4,
                max_concurrent_tasks=8,
                heartbeat_timeout=self._heartbeat_timeout,
            ),
            name="jobs",
        )
        stopping = asyncio.create_task(stop.wait(), name="jobs-stop")
        try:
            await asyncio.wait((loop, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            queuer.shutdown.set()
            stop.set()
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)
            await loop


class _Runner:
    """Does the jobs of one kind: counts how often each was begun, and gives them back when the worker stops."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        kind: str,
        handler: Handler,
        pauses: Sequence[timedelta],
        stop: asyncio.Event,
    ) -> None:
        self._pool = pool
        self._kind = kind
        self._handler = handler
        self._pauses = pauses
        self._stop = stop

    async def __call__(self, job: Job) -> None:
        begun = await self._pool.fetchval(COUNT_PICK_UPS, job.id)
        if begun > len(self._pauses) + 1:  # a job that kills its worker does not fail; it only begins again and again
            log.error("job.given_up", kind=self._kind, job=int(job.id), begun=begun)
            raise JobFailed("begun too often")
        try:
            await self._until_stopped(json.loads(job.payload or b"{}"))
        except RetryRequested:
            raise
        except Exception as error:
            log.error("job.failed", kind=self._kind, job=int(job.id), begun=begun, **facts_of(error))
            if begun > len(self._pauses):
                raise JobFailed(type(error).__name__) from None
            raise RetryRequested(self._pauses[begun - 1], type(error).__name__) from None
        log.info("job.done", kind=self._kind, job=int(job.id), begun=begun)

    async def _until_stopped(self, payload: Payload) -> None:
        work = asyncio.ensure_future(self._handler(payload))
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise RetryRequested(timedelta(0), "worker stops")
            await work
        finally:
            for task in (work, stopping):
                task.cancel()
            await asyncio.gather(work, stopping, return_exceptions=True)
