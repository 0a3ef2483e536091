"""Brings a database to the newest schema: alembic runs the `.sql` files of migrations/ in the order of their names.

A file runs once, in one transaction; alembic remembers it. The tables of the job queue belong to pgqueuer, which
installs and upgrades them itself. Several processes may call `migrate` at once: one works, the others wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import asyncpg
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import Script, ScriptDirectory
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.queries import Queries
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.util import await_only

from consult.db.schema import MIGRATIONS

LOCK = "select pg_advisory_lock(20260001)"


class SqlScripts(ScriptDirectory):
    """alembic's view of a folder of `.sql` files: each follows the one before it in order of names."""

    def _load_revisions(self) -> Iterator[Script]:
        earlier: str | None = None
        for path in sorted(Path(self.dir).glob("*.sql")):
            yield _script(path, earlier)
            earlier = path.stem


def _script(path: Path, earlier: str | None) -> Script:
    def upgrade(connection: Connection) -> None:
        connection.exec_driver_sql("select 1")  # begins the transaction that the file then runs in
        driver = connection.connection.driver_connection
        assert driver is not None
        await_only(driver.execute(path.read_text(encoding="utf-8")))

    module = ModuleType(path.stem)
    module.__dict__.update(revision=path.stem, down_revision=earlier, upgrade=upgrade)
    return Script(module, path.stem, path)


async def migrate(database_url: str) -> None:
    """Bring the database to the newest schema. Raises if the database is newer than this program."""
    guard = await asyncpg.connect(database_url, timeout=10)
    try:
        await guard.execute(LOCK)
        await _run_scripts(database_url)
        await _install_queue(guard)
    finally:
        await guard.close()  # gives the lock back too


async def _run_scripts(database_url: str) -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(database_url, timeout=10), poolclass=NullPool
    )
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> None:
    scripts = SqlScripts(MIGRATIONS)

    def steps(current: str, _context: MigrationContext) -> list[RevisionStep]:
        return scripts._upgrade_revs("head", current)

    context = MigrationContext.configure(connection, opts={"fn": steps, "transaction_per_migration": True})
    with context.begin_transaction():
        context.run_migrations(connection=connection)


async def _install_queue(connection: asyncpg.Connection) -> None:
    queries = Queries(AsyncpgDriver(connection))
    if await queries.schema_is_installed():
        await queries.upgrade()
    else:
        await queries.install()
