"""Bringing a database to the newest schema."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest

from consult.db.embedded import EmbeddedPostgres
from consult.db.migrate import migrate
from consult.db.schema import is_current


@pytest.fixture
async def empty_database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    name = f"e{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres.url())
    await admin.execute(f"create database {name}")
    yield postgres.url(name)
    await admin.execute(f"drop database {name} with (force)")
    await admin.close()


async def test_an_empty_database_becomes_current_and_a_second_run_changes_nothing(empty_database: str) -> None:
    conn = await asyncpg.connect(empty_database)
    assert not await is_current(conn)
    await migrate(empty_database)
    assert await is_current(conn)
    before = await conn.fetch("select xmin::text, version_num from alembic_version")
    await migrate(empty_database)
    assert await conn.fetch("select xmin::text, version_num from alembic_version") == before
    await conn.close()


async def test_three_processes_that_migrate_at_once_do_it_once(empty_database: str) -> None:
    await asyncio.gather(*(migrate(empty_database) for _ in range(3)))
    conn = await asyncpg.connect(empty_database)
    assert await is_current(conn)
    assert await conn.fetchval("select count(*) from alembic_version") == 1
    await conn.close()


async def test_a_database_of_a_newer_program_is_left_alone(empty_database: str) -> None:
    await migrate(empty_database)
    conn = await asyncpg.connect(empty_database)
    await conn.execute("update alembic_version set version_num = '9999_from_the_future'")
    with pytest.raises(Exception, match="9999_from_the_future"):
        await migrate(empty_database)
    assert await conn.fetchval("select version_num from alembic_version") == "9999_from_the_future"
    await conn.close()
