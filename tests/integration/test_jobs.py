"""Jobs: in the caller's transaction, at least once, capped, and done although their worker was killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from consult.jobs import Jobs, Payload, enqueue
from tests.conftest import Database

ROOT = Path(__file__).parents[2]

WORKER = """
import asyncio, os, sys
from datetime import timedelta
from consult.db.pool import create_pool
from consult.jobs import Jobs

async def main():
    pool = await create_pool(sys.argv[1], max_size=6)
    async def note(payload):
        print("begun", flush=True)
        await asyncio.sleep(float(sys.argv[2]))
        await pool.execute("insert into done (name) values ($1) on conflict do nothing", payload["name"])
        print("done", flush=True)
    jobs = Jobs(heartbeat_timeout=timedelta(seconds=1))
    jobs.handle("note", note)
    await jobs.run(pool, asyncio.Event())

asyncio.run(main())
"""


async def queued(database: Database) -> list[str]:
    return [row["status"] for row in await database.pool.fetch("select status::text from pgqueuer order by id")]


async def run_until(jobs: Jobs, database: Database, finished: asyncio.Event, within_s: float = 30) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(jobs.run(database.pool, stop))
    try:
        async with asyncio.timeout(within_s):
            await finished.wait()
    finally:
        stop.set()
        await asyncio.wait_for(running, 10)


async def test_a_job_exists_exactly_if_its_transaction_does(database: Database) -> None:
    class Undone(Exception):
        pass

    async with database.pool.acquire() as conn:
        try:
            async with conn.transaction():
                await enqueue(conn, "note", {"name": "never"})
                raise Undone
        except Undone:
            pass
        async with conn.transaction():
            await enqueue(conn, "note", {"name": "once"}, key="note:once")
            await enqueue(conn, "note", {"name": "once"}, key="note:once")
    assert await queued(database) == ["queued"]


async def test_a_failing_job_is_tried_again_and_then_held(database: Database) -> None:
    tries: list[Payload] = []
    enough = asyncio.Event()

    async def fail(payload: Payload) -> None:
        tries.append(payload)
        if len(tries) == 2:
            enough.set()
        raise ValueError("Ana Ribeiro")

    jobs = Jobs(max_pick_ups=2, first_pause=timedelta(milliseconds=50), look_every=timedelta(milliseconds=100))
    jobs.handle("fail", fail)
    async with database.pool.acquire() as conn:
        await enqueue(conn, "fail", {"id": 7})
    await run_until(jobs, database, enough)
    assert tries == [{"id": 7}] * 2
    assert await queued(database) == ["failed"]
    kept = await database.pool.fetch("select traceback::text from pgqueuer_log where traceback is not null")
    assert kept
    assert not any("Ribeiro" in row["traceback"] for row in kept)


async def test_a_stopping_worker_gives_its_job_back(database: Database) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def long_work(payload: Payload) -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    jobs = Jobs()
    jobs.handle("long", long_work)
    async with database.pool.acquire() as conn:
        await enqueue(conn, "long", {})
    await run_until(jobs, database, begun)
    assert ended.is_set()
    assert await queued(database) == ["queued"]


async def test_a_job_whose_worker_was_killed_is_done_once_in_effect(database: Database) -> None:
    await database.pool.execute("create table done (name text primary key)")
    async with database.pool.acquire() as conn:
        await enqueue(conn, "note", {"name": "survivor"})

    def start(sleep_s: float) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", WORKER, database.url, str(sleep_s)]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def line_of(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()

    first = start(60)
    try:
        assert await asyncio.wait_for(asyncio.to_thread(line_of, first), 60) == "begun"
    finally:
        os.kill(first.pid, signal.SIGKILL)
        await asyncio.to_thread(first.communicate)
    second = start(0)
    try:
        assert await asyncio.wait_for(asyncio.to_thread(line_of, second), 60) == "begun"
        assert await asyncio.wait_for(asyncio.to_thread(line_of, second), 30) == "done"
    finally:
        second.terminate()
        await asyncio.to_thread(second.communicate)
    assert await database.pool.fetchval("select count(*) from done") == 1


async def test_a_job_that_kills_every_worker_is_given_up(database: Database) -> None:
    begun = asyncio.Event()

    async def never(payload: Payload) -> None:
        begun.set()

    async with database.pool.acquire() as conn:
        await enqueue(conn, "deadly", {})
    job = await database.pool.fetchrow("select id, priority, entrypoint from pgqueuer")
    assert job is not None
    for _ in range(3):  # what three killed workers left behind
        await database.pool.execute(
            "insert into pgqueuer_log (job_id, status, entrypoint, priority) values ($1, 'picked', $2, $3)",
            job["id"], job["entrypoint"], job["priority"],
        )  # fmt: skip
    jobs = Jobs(max_pick_ups=3)
    jobs.handle("deadly", never)
    stop = asyncio.Event()
    running = asyncio.create_task(jobs.run(database.pool, stop))
    async with asyncio.timeout(30):
        while await queued(database) != ["failed"]:
            await asyncio.sleep(0.05)
    stop.set()
    await asyncio.wait_for(running, 10)
    assert not begun.is_set()
