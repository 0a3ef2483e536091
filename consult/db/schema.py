"""Which schema this program needs, and whether a database has it. Without alembic, so that asking costs nothing."""

from __future__ import annotations

from pathlib import Path

from consult.db.pool import Connection

MIGRATIONS = Path(__file__).parent / "migrations"

HAS_VERSIONS = "select to_regclass('alembic_version') is not null and to_regclass('pgqueuer') is not null"
HAS_VERSION = "select exists (select from alembic_version where version_num = $1)"


async def is_current(conn: Connection) -> bool:
    """Whether the newest migration of this program has run."""
    newest = max(path.stem for path in MIGRATIONS.glob("*.sql"))
    return bool(await conn.fetchval(HAS_VERSIONS)) and bool(await conn.fetchval(HAS_VERSION, newest))
