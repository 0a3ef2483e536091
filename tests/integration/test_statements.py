"""Every SQL constant of the house, prepared against the migrated schema."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Database

ROOT = Path(__file__).parents[2]
SQL = re.compile(r"\s*(select|insert|update|delete|with)\s", re.IGNORECASE)


def statements() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "consult").rglob("*queries.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        constants = {
            constant: value
            for constant, value in vars(importlib.import_module(name)).items()
            if constant.isupper() and isinstance(value, str) and SQL.match(value)
        }
        for constant, value in constants.items():
            if not any(other.startswith(value) and other != value for other in constants.values()):  # not a beginning
                yield f"{name}.{constant}", value


def test_there_are_statements() -> None:
    assert len(list(statements())) > 10


async def test_every_statement_fits_the_schema(database: Database) -> None:
    wrong = []
    async with database.pool.acquire() as conn:
        for name, statement in statements():
            try:
                await conn.prepare(statement)
            except Exception as error:
                wrong.append(f"{name}: {error}")
    assert wrong == []


@pytest.mark.parametrize("constant", ["select 1", "WITH a as (select 1) select 1"])
def test_the_pattern_knows_statements(constant: str) -> None:
    assert SQL.match(constant)
