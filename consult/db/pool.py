"""Connections to PostgreSQL, the same way everywhere: UTC, jsonb as Python values, a limit on every statement."""

from __future__ import annotations

import json
from typing import TypeAlias

import asyncpg
import asyncpg.pool

# A connection of its own or one lent by the pool: functions in queries.py and service.py take either.
Connection: TypeAlias = "asyncpg.Connection | asyncpg.pool.PoolConnectionProxy"
Pool: TypeAlias = "asyncpg.Pool"
STATEMENT_TIMEOUT_S = 30


async def create_pool(
    database_url: str, *, min_size: int = 1, max_size: int = 10, room_capacity: int | None = None
) -> Pool:
    """Return an open pool. Raises OSError or asyncpg.PostgresError if the database cannot be reached.

    room_capacity: how many calls there may be at once; the statements that book read it from their connection.
    """
    settings = {"application_name": "consult", "timezone": "UTC"}
    if room_capacity is not None:
        settings["consult.room_capacity"] = str(room_capacity)
    return await asyncpg.create_pool(
        database_url,
        min_size=min_size,
        max_size=max_size,
        init=prepare_connection,
        reset=_leave_as_it_is,
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
