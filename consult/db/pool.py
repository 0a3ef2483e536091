"""Connections to PostgreSQL, the same way everywhere: UTC, jsonb as Python values, a limit on every statement.

They are lent in the order of asking.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, TypeAlias

import asyncpg
import asyncpg.pool

# A connection of its own or one lent by the pool: functions in queries.py and service.py take either.
Connection: TypeAlias = "asyncpg.Connection | asyncpg.pool.PoolConnectionProxy"
Pool: TypeAlias = "asyncpg.Pool"
STATEMENT_TIMEOUT_S = 30
IDLE_S = 300.0  # after which a connection that nobody needs is closed
QUERIES = 50_000  # after which a connection is replaced


class OrderlyPool(asyncpg.Pool):  # type: ignore[misc]  # asyncpg has no types
    """asyncpg's pool, with a line before it: who waits longest for a connection gets the next one.

    Its own queue wakes up whoever waits longest, but somebody who asks before that one runs takes the connection, and
    who was woken in vain stands last again. Under load some wait for seconds while others do not wait at all.
    """

    __slots__ = ("_line",)

    def __init__(self, *arguments: Any, max_size: int, **settings: Any) -> None:
        super().__init__(*arguments, max_size=max_size, **settings)
        self._line = asyncio.Semaphore(max_size)

    async def _acquire(self, timeout: float | None) -> asyncpg.pool.PoolConnectionProxy:
        async with asyncio.timeout(timeout):
            await self._line.acquire()
            try:
                return await super()._acquire(None)
            except BaseException:
                self._line.release()
                raise

    async def release(self, connection: asyncpg.pool.PoolConnectionProxy, *, timeout: float | None = None) -> None:
        try:
            await super().release(connection, timeout=timeout)
        finally:
            self._line.release()


async def create_pool(
    database_url: str, *, min_size: int = 1, max_size: int = 10, room_capacity: int | None = None
) -> Pool:
    """Return an open pool. Raises OSError or asyncpg.PostgresError if the database cannot be reached.

    room_capacity: how many calls there may be at once; the statements that book read it from their connection.
    """
    settings = {"application_name": "consult", "timezone": "UTC"}
    if room_capacity is not None:
        settings["consult.room_capacity"] = str(room_capacity)
    return await OrderlyPool(
        database_url,
        min_size=min_size,
        max_size=max_size,
        max_queries=QUERIES,
        max_inactive_connection_lifetime=IDLE_S,
        setup=None,
        init=prepare_connection,
        reset=_leave_as_it_is,
        loop=None,
        connection_class=asyncpg.Connection,
        record_class=asyncpg.Record,
        timeout=10,
        command_timeout=STATEMENT_TIMEOUT_S,
        server_settings=settings,
    )


async def prepare_connection(connection: asyncpg.Connection) -> None:
    """Teach a new connection that jsonb is a Python value."""
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


async def _leave_as_it_is(_connection: asyncpg.Connection) -> None:
    """An open transaction is ended before. Nothing else of ours outlives one: no session settings, locks or cursors.

    asyncpg's own way costs another round trip whenever a connection is given back.
    """
