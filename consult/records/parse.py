"""Opens one file of unknown origin and says how many pages and points it has. Run as a process of its own.

`python -m consult.records.parse TYPE PATH` prints one line of JSON: {"page_count", "width_px", "height_px"} or
{"refused": CODE} with CODE one of broken, encrypted, too_many_pages, too_many_pixels. It limits its own CPU time,
memory and files, and cuts itself off the network where the system lets it, before it reads a byte.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from consult.records.model import MAX_PAGES, MAX_PIXELS, MediaType

if TYPE_CHECKING:
    from PIL import Image

CPU_S = 10
MEMORY_BYTES = 2 * 1024**3
MAX_SIDE_PT = 200_000  # of a page; the format itself ends at 14,400 without a unit of its own
TAIL_BYTES = 2048
ORIENTATION = 0x0112
QUARTER_TURNS = (5, 6, 7, 8)
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000


class Refused(Exception):
    pass


def limit_process() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    leave_network()


def leave_network() -> bool:
    """Move into a network namespace of one's own, without any interface. False where the system does not permit it."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None, use_errno=True)
        return bool(libc.unshare(CLONE_NEWNET) == 0 or libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0)
    return False


def measure(media_type: MediaType, path: Path) -> dict[str, int]:
    if media_type is MediaType.PDF:
        return measure_pdf(path)
    return measure_picture(media_type, path)


def measure_pdf(path: Path) -> dict[str, int]:
    import pypdfium2
    import pypdfium2.raw as pdfium

    if not is_whole_pdf(path):
        raise Refused("broken")
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        needs_password = getattr(error, "err_code", None) == pdfium.FPDF_ERR_PASSWORD
        raise Refused("encrypted" if needs_password else "broken") from None
    page_count = len(document)
    if page_count == 0:
        raise Refused("broken")
    if page_count > MAX_PAGES:
        raise Refused("too_many_pages")
    try:
        sizes = [document.get_page_size(number) for number in range(page_count)]
    except pypdfium2.PdfiumError:
        raise Refused("broken") from None
    if any(not 0 < side <= MAX_SIDE_PT for size in sizes for side in size):
        raise Refused("broken")
    width, height = sizes[0]
    return {"page_count": page_count, "width_px": max(round(width), 1), "height_px": max(round(height), 1)}


def is_whole_pdf(path: Path) -> bool:
    """Whether the end of a PDF is there. The library would mend a cut one silently and show fewer pages."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - TAIL_BYTES, 0))
        return b"%%EOF" in file.read()


def measure_picture(media_type: MediaType, path: Path) -> dict[str, int]:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # the limit below is ours, and exact
    kind = {MediaType.PNG: "PNG", MediaType.JPEG: "JPEG", MediaType.WEBP: "WEBP"}[media_type]
    try:
        with Image.open(path, formats=[kind]) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise Refused("too_many_pixels")
            picture.load()  # decodes to the last row: a truncated file fails here
            if media_type is not MediaType.PNG and is_turned(picture):
                width, height = height, width
    except (OSError, ValueError, SyntaxError, EOFError):
        raise Refused("broken") from None
    return {"page_count": 1, "width_px": width, "height_px": height}


def is_turned(picture: Image.Image) -> bool:
    """Whether a phone was held upright: its note (EXIF) says that browsers show the picture turned by a quarter."""
    try:
        return picture.getexif().get(ORIENTATION) in QUARTER_TURNS
    except Exception:  # a note that cannot be read turns nothing, and the picture itself is whole
        return False


def main() -> int:
    limit_process()
    try:
        found: dict[str, int] | dict[str, str] = dict(measure(MediaType(sys.argv[1]), Path(sys.argv[2])))
    except Refused as refused:
        found = {"refused": str(refused)}
    except MemoryError:
        found = {"refused": "broken"}
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
