"""Where records and recordings lie: BlobStore, and its implementation over obstore (folder, S3, Google, Azure).

Keys are made by us and look like `records/<uuid>`; what people call their files never becomes a part of one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import obstore
from obstore.store import LocalStore, from_url

PIECE_BYTES = 5 * 1024 * 1024  # the smallest piece that S3 takes in an upload of several
READ_BYTES = 1024 * 1024


class BlobMissing(Exception):
    """There is nothing under this key."""


class BlobStore(Protocol):
    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        """Keep bytes under a key and return how many they were. All or nothing: a broken source leaves no blob."""

    def open_range(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes from start up to, not including, end. Raises BlobMissing."""

    async def size(self, key: str) -> int:
        """Return how many bytes there are. Raises BlobMissing."""

    async def delete(self, key: str) -> None:
        """Forget a blob; nothing happens if there is none."""


class ObjectStore:
    """BlobStore over an obstore store; memory stays at a few pieces, however large the blob."""

    def __init__(self, store: Any) -> None:
        self._store = store

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        total = 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal total
            async for chunk in chunks:
                if chunk:
                    total += len(chunk)
                    yield chunk

        await obstore.put_async(
            self._store, key, counted(), use_multipart=True, chunk_size=PIECE_BYTES, max_concurrency=2
        )
        return total

    async def open_range(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        size = await self.size(key)
        end = size if end is None else min(end, size)
        while start < end:
            upto = min(start + READ_BYTES, end)
            try:
                yield bytes(await obstore.get_range_async(self._store, key, start=start, end=upto))
            except (FileNotFoundError, obstore.exceptions.NotFoundError):
                raise BlobMissing(key) from None
            start = upto

    async def size(self, key: str) -> int:
        try:
            facts = await obstore.head_async(self._store, key)
        except (FileNotFoundError, obstore.exceptions.NotFoundError):
            raise BlobMissing(key) from None
        return int(facts["size"])

    async def delete(self, key: str) -> None:
        try:
            await obstore.delete_async(self._store, key)
        except (FileNotFoundError, obstore.exceptions.NotFoundError):
            return


def open_store(address: str) -> ObjectStore:
    """Return the store at STORAGE_URL: file:///folder, s3://bucket/prefix, gs://…, az://…"""
    parts = urlsplit(address)
    if parts.scheme == "file":
        folder = Path(unquote(parts.path))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return ObjectStore(LocalStore(folder))
    return ObjectStore(from_url(address))
