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


async def test_who_asks_first_is_served_first_however_many_ask_again_at_once(pool: Pool) -> None:
    asked: list[tuple[int, int]] = []
    lent: list[tuple[int, int]] = []

    async def client(number: int) -> None:
        for time in range(10):
            asked.append((number, time))
            async with pool.acquire() as conn:
                lent.append((number, time))
                await conn.fetchval("select 1")

    async with asyncio.TaskGroup() as group:
        for number in range(30):
            group.create_task(client(number))
    assert lent == asked


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
