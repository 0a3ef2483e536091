"""What a record is: one document or picture of a case, and what may become one.

Pure. The type of a file is read from its first bytes, never from its name or from what the browser says.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from consult.domain.ids import CaseId, RecordId
from consult.domain.words import N_

MAX_FILE_BYTES = 50 * 1024 * 1024
MAX_CASE_BYTES = 500 * 1024 * 1024
MAX_PIXELS = 100_000_000
MAX_PAGES = 2000
MAX_TITLE_CHARS = 120
HEAD_BYTES = 1024  # enough of a file to know its type
UNNAMED = N_("Record")


class MediaType(StrEnum):
    PDF = "application/pdf"
    PNG = "image/png"
    JPEG = "image/jpeg"
    WEBP = "image/webp"

    @property
    def extension(self) -> str:
        return {"application/pdf": "pdf", "image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}[self.value]


class UploadedBy(StrEnum):
    PATIENT = "patient"
    STAFF = "staff"


@dataclass(frozen=True, slots=True)
class Measured:
    """What the parser found. Pictures have one page; a PDF's size is its first page's in points."""

    page_count: int
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class Record:
    id: RecordId
    case_id: CaseId
    title: str
    media_type: MediaType
    size_bytes: int
    sha256: bytes
    page_count: int
    width_px: int | None
    height_px: int | None
    blob_key: str
    uploaded_by: UploadedBy
    uploaded_at: datetime

    @property
    def is_picture(self) -> bool:
        return self.media_type is not MediaType.PDF

    @property
    def safe_name(self) -> str:
        """A name for saving the file that never came from outside: `record-1f2e3d4c.pdf`."""
        return f"record-{self.id.hex[:8]}.{self.media_type.extension}"


def media_type_of(head: bytes) -> MediaType | None:
    """Return the type that a file's first bytes show, or None if it is not one of those allowed."""
    if head.startswith(b"%PDF-"):
        return MediaType.PDF
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return MediaType.PNG
    if head.startswith(b"\xff\xd8\xff"):
        return MediaType.JPEG
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return MediaType.WEBP
    return None


def is_phone_photo(head: bytes) -> bool:
    """Whether a file is a photo as newer phones keep it: HEIC, HEIF or AVIF. Browsers cannot show most of them."""
    return head[4:8] == b"ftyp" and head[8:12] in _PHONE_PHOTOS


_PHONE_PHOTOS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis"})
_SPACES = re.compile(r"\s+")
_ENDING = re.compile(r"\.(pdf|png|jpe?g|webp)$", re.IGNORECASE)


def title_from(file_name: str) -> str:
    """Return a title to read, made from a file's name: no path, no ending, no control characters, not too long.

    Empty if nothing of the name is left.
    """
    name = file_name.replace("\\", "/").rpartition("/")[2]
    name = "".join(letter if letter.isprintable() else " " for letter in name)
    name = _ENDING.sub("", _SPACES.sub(" ", name).strip())
    name = _SPACES.sub(" ", name.replace("_", " ")).strip(" .")
    return name[:MAX_TITLE_CHARS].rstrip()


def distinct_title(title: str, taken: Collection[str]) -> str:
    """Return the title, with the next free number behind it if a record of the case has it: `report (2)`."""
    known = {other.casefold() for other in taken}
    number, wish = 1, title
    while wish.casefold() in known:
        number += 1
        ending = f" ({number})"
        wish = title[: MAX_TITLE_CHARS - len(ending)].rstrip() + ending
    return wish


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes start to end of a file; end is not part of it."""

    start: int
    end: int


def range_of(header: str | None, size_bytes: int) -> ByteRange | None:
    """Return the one range that a Range header asks for, or None to send everything.

    Raises ValueError if the range lies outside the file (RFC 9110 §14.1.2). Several ranges at once get everything.
    """
    if header is None or not header.startswith("bytes=") or "," in header:
        return None
    first, dash, last = header.removeprefix("bytes=").strip().partition("-")
    if not dash or not (first or last) or not all(part.isascii() and part.isdigit() for part in (first, last) if part):
        return None
    if not first:
        start, end = max(size_bytes - int(last), 0), size_bytes
    else:
        start, end = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
    if start >= size_bytes or end <= start:
        raise ValueError("range outside the file")
    return ByteRange(start, end)
