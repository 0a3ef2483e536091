"""The file store: one suite for every implementation. Folders here; buckets are the same code in obstore."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consult.storage import BlobMissing, BlobStore, open_store

MEGABYTE = 1024 * 1024


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return open_store((tmp_path / "a folder").as_uri())


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(store: BlobStore, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in store.open_range(key, start, end)])


async def test_what_was_put_comes_back_whole_and_in_ranges(store: BlobStore) -> None:
    data = bytes(range(256)) * (3 * MEGABYTE // 256)
    halves = pieces(data[:MEGABYTE], b"", data[MEGABYTE:])
    assert await store.put("records/one", halves) == len(data)
    assert await store.size("records/one") == len(data)
    assert await read(store, "records/one") == data
    assert await read(store, "records/one", 1_000_000, 2_100_000) == data[1_000_000:2_100_000]
    assert await read(store, "records/one", len(data) - 5, len(data) + 100) == data[-5:]


async def test_a_source_that_breaks_leaves_no_blob(store: BlobStore) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"x" * (6 * MEGABYTE)
        raise ConnectionResetError

    with pytest.raises(Exception):  # noqa: B017 - obstore wraps what the source raised
        await store.put("records/half", breaking())
    with pytest.raises(BlobMissing):
        await store.size("records/half")


async def test_what_is_not_there_is_said_so_and_forgetting_it_twice_is_fine(store: BlobStore) -> None:
    await store.put("records/two", pieces(b"abc"))
    await store.delete("records/two")
    await store.delete("records/two")
    with pytest.raises(BlobMissing):
        await store.size("records/two")
    with pytest.raises(BlobMissing):
        await read(store, "records/two")
