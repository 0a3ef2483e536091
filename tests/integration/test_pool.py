"""The pool lends its connections in the order of asking."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from consult.db.pool import Pool, create_pool

LENT = 3


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = await create_pool(database_url, min_size=LENT, max_size=LENT)
    try:
        yield pool
    finally:
        await asyncio.wait_for(pool.close(), 10)


async def test_who_waits_is_served_before_whoever_asks_just_when_a_connection_comes_back(pool: Pool) -> None:
    lent: list[str] = []

    async def take(name: str) -> None:
        async with pool.acquire():
            lent.append(name)

    held = [await pool.acquire() for _ in range(LENT)]
    async with asyncio.TaskGroup() as group:
        group.create_task(take("waiting"))
        await asyncio.sleep(0)
        group.create_task(pool.release(held.pop()))
        for _ in range(20):  # one of them asks between the return and the moment in which who waits is awake
            await asyncio.sleep(0)
            group.create_task(take("later"))
    for conn in held:
        await pool.release(conn)
    assert lent[0] == "waiting"


async def test_who_gives_up_waiting_takes_no_place_away(pool: Pool) -> None:
    for _ in range(LENT + 1):
        held = [await pool.acquire() for _ in range(LENT)]
        with pytest.raises(TimeoutError):
            await pool.acquire(timeout=0.01)
        leaving = asyncio.create_task(pool.fetchval("select 1"))
        staying = asyncio.create_task(pool.fetchval("select 2"))
        await asyncio.sleep(0)
        leaving.cancel()
        for conn in held:
            await pool.release(conn)
        assert await asyncio.wait_for(staying, 10) == 2
        with pytest.raises(asyncio.CancelledError):
            await leaving


async def test_a_connection_that_breaks_off_leaves_its_place_to_the_next(pool: Pool) -> None:
    for _ in range(LENT + 1):
        with pytest.raises(asyncpg.PostgresError):
            await pool.execute("select pg_terminate_backend(pg_backend_pid())")
    assert await asyncio.wait_for(pool.fetchval("select 1"), 10) == 1
