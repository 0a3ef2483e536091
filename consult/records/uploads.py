"""Takes a file from the network to a temporary place, and learns what it is before anybody keeps it.

Owns limits of size and type and the run of the parser. No database here: a slow phone must not hold a connection.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from consult.domain.errors import FileBroken, FileRefused, FileTooLarge, FileTypeRefused
from consult.domain.words import N_
from consult.gate import Gate
from consult.records.model import HEAD_BYTES, MAX_FILE_BYTES, Measured, MediaType, is_phone_photo, media_type_of

WRITE_BYTES = 256 * 1024
PARSER_WALL_S = 10.0
_parsers = Gate(2)  # up to 2 GiB each
PACKAGES = Path(__file__).resolve().parents[2]

EMPTY = N_("This file is empty. Please choose it again, or save it again first.")
LOCKED = N_("This PDF is locked with a password. Please save it without one and upload the new file.")
TOO_MANY_PAGES = N_("This PDF has more than 2,000 pages. Please split it and upload the parts.")
TOO_MANY_PIXELS = N_("This picture has more than 100 megapixels. Please save a smaller one and upload that.")
PHONE_PHOTO = N_(
    "This photo is in a format that only some phones can show (HEIC). Please send it as JPEG: take a screenshot of it, "
    "or choose “Most compatible” in the camera's settings and take it again."
)
TOO_LARGE = N_("This file is larger than 50 MB. Please choose a smaller one or split it.")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that may be kept. path: temporary, gone when the `receive` block ends."""

    path: Path
    media_type: MediaType
    size_bytes: int
    sha256: bytes
    measured: Measured


@asynccontextmanager
async def receive(chunks: AsyncIterator[bytes]) -> AsyncIterator[Upload]:
    """Give an Upload for a stream of bytes. Raises FileTooLarge, FileTypeRefused, FileBroken; leaves nothing behind."""
    with tempfile.NamedTemporaryFile(prefix="consult-upload-") as file:
        digest = hashlib.sha256()
        size_bytes = 0
        head = b""
        waiting = bytearray()
        async for chunk in chunks:
            size_bytes += len(chunk)
            if size_bytes > MAX_FILE_BYTES:
                raise FileTooLarge(f"size>{MAX_FILE_BYTES}", message=TOO_LARGE)
            if len(head) < HEAD_BYTES:
                head += chunk[: HEAD_BYTES - len(head)]
                if len(head) >= 16 and media_type_of(head) is None:
                    raise _wrong_type(head)  # nobody has to send 50 MB to hear that
            waiting += chunk
            if len(waiting) >= WRITE_BYTES:
                part, waiting = bytes(waiting), bytearray()
                digest.update(part)
                await asyncio.to_thread(file.write, part)
        digest.update(waiting)
        file.write(waiting)
        file.flush()
        if size_bytes == 0:
            raise FileBroken("empty", message=EMPTY)
        media_type = media_type_of(head)
        if media_type is None:
            raise _wrong_type(head)
        path = Path(file.name)
        measured = await measure(media_type, path)
        yield Upload(path, media_type, size_bytes, digest.digest(), measured)


async def measure(media_type: MediaType, path: Path) -> Measured:
    """Return what the parser finds, in a process of its own (SECURITY 15). Its crash is an answer: FileBroken."""
    async with _parsers():
        return await _measure(media_type, path)


async def _measure(media_type: MediaType, path: Path) -> Measured:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "consult.records.parse",
        media_type.value,
        str(path),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PYTHONPATH": str(PACKAGES), "PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tempfile.gettempdir(),
    )
    try:
        async with asyncio.timeout(PARSER_WALL_S):
            output, _ = await process.communicate()
    except TimeoutError:
        raise FileBroken("parser took too long") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise FileBroken(f"parser ended with {process.returncode}")
    return _read_answer(output)


def _wrong_type(head: bytes) -> FileTypeRefused:
    return FileTypeRefused("heic", message=PHONE_PHOTO) if is_phone_photo(head) else FileTypeRefused("magic")


def _read_answer(output: bytes) -> Measured:
    try:
        found = json.loads(output)
        if "refused" not in found:
            return Measured(int(found["page_count"]), int(found["width_px"]), int(found["height_px"]))
    except (ValueError, KeyError, TypeError):
        raise FileBroken("parser answer") from None
    raise _refusal(str(found["refused"]))


def _refusal(code: str) -> FileRefused:
    if code == "encrypted":
        return FileBroken(code, message=LOCKED)
    if code == "too_many_pages":
        return FileTooLarge(code, message=TOO_MANY_PAGES)
    if code == "too_many_pixels":
        return FileTooLarge(code, message=TOO_MANY_PIXELS)
    return FileBroken(code)
