"""What phones really send: turned photos, formats of their own, odd names, connections that break in the middle."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import aiohttp
import pypdfium2
import pypdfium2.raw as pdfium
import pytest
from PIL import Image

from consult.domain.errors import FileBroken, FileTooLarge, FileTypeRefused
from consult.keys import POOL
from consult.records.model import MAX_PIXELS, title_from
from consult.scheduling.model import Appointment
from consult.web.session import VISIT_COOKIE
from tests.conftest import Server
from tests.integration.clinic import open_clinic
from tests.integration.test_join import proof
from tests.integration.test_records import add, kept, picture
from tests.integration.test_visit import appointment, send_files

__all__ = ["appointment"]

HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(4000)


def turned(orientation: int, kind: str = "JPEG", size: tuple[int, int] = (60, 40)) -> bytes:
    image = Image.new("RGB", size, "teal")
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    image.save(out, kind, exif=exif.tobytes())
    return out.getvalue()


@pytest.mark.parametrize(("orientation", "size"), [(1, (60, 40)), (3, (60, 40)), (6, (40, 60)), (8, (40, 60))])
async def test_a_photo_has_the_size_in_which_it_is_seen(
    conn: Any, tmp_path: Path, orientation: int, size: tuple[int, int]
) -> None:
    clinic = await open_clinic(conn)
    for kind in ("JPEG", "WEBP"):
        record = await add(conn, tmp_path / "files", clinic.case, turned(orientation, kind), "photo")
        assert (record.width_px, record.height_px) == size, kind


async def test_a_pdf_with_turned_pages_has_the_size_in_which_it_is_seen(conn: Any, tmp_path: Path) -> None:
    document = pypdfium2.PdfDocument.new()
    page = document.new_page(595, 842)
    pdfium.FPDFPage_SetRotation(page, 1)
    page.close()
    out = io.BytesIO()
    document.save(out)
    document.close()
    clinic = await open_clinic(conn)
    record = await add(conn, tmp_path / "files", clinic.case, out.getvalue(), "scan.pdf")
    assert (record.width_px, record.height_px) == (842, 595)


async def test_a_photo_in_the_phones_own_format_is_refused_with_what_to_do(conn: Any, tmp_path: Path) -> None:
    clinic = await open_clinic(conn)
    with pytest.raises(FileTypeRefused) as refused:
        await add(conn, tmp_path / "files", clinic.case, HEIC, "IMG_0001.HEIC")
    assert "Most compatible" in refused.value.message
    assert kept(tmp_path / "files") == []


async def test_a_picture_of_too_many_points_is_refused_before_it_is_decoded(conn: Any, tmp_path: Path) -> None:
    clinic = await open_clinic(conn)
    out = io.BytesIO()
    Image.new("1", (20_000, MAX_PIXELS // 20_000 + 1)).save(out, "PNG")
    with pytest.raises(FileTooLarge):
        await add(conn, tmp_path / "files", clinic.case, out.getvalue(), "wall.png")


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("../../etc/passwd.png", "passwd"),
        ("C:\\Users\\Ana\\x ray.jpg", "x ray"),
        ("\u202egnp.exe.png", "gnp.exe"),
        ("תוצאות בדיקה.pdf", "תוצאות בדיקה"),
        ("🩻 lungs.png", "🩻 lungs"),
        ("a\x00b\nc.png", "a b c"),
        ("...", ""),
        ("", ""),
        ("x" * 500 + ".png", "x" * 120),
        ('"><img src=x>.png', '"><img src=x>'),
    ],
)
def test_whatever_a_file_is_called_it_gets_a_title_to_read(name: str, title: str) -> None:
    assert title_from(name) == title


async def test_two_files_of_one_name_are_both_kept(client: aiohttp.ClientSession, appointment: Appointment) -> None:
    status, place = await send_files(client, ("image.jpg", picture("JPEG")), ("image.jpg", picture("JPEG", (30, 30))))
    assert (status, place) == (303, "/visit/records#records")
    async with client.get("/visit/records") as page:
        assert (await page.text()).count('class="record-title"') == 2


async def test_an_empty_file_says_so(client: aiohttp.ClientSession, appointment: Appointment) -> None:
    status, text = await send_files(client, ("empty.pdf", b""))
    assert status == 422 and "This file is empty." in text
    assert FileBroken.status == 422


async def test_an_upload_that_breaks_off_leaves_nothing(
    server: Server, client: aiohttp.ClientSession, appointment: Appointment
) -> None:
    token = await proof(client, "/visit/records")
    cookies = "; ".join(f"{one.key}={one.value}" for one in client.cookie_jar)
    assert VISIT_COOKIE.removeprefix("__Host-") in cookies
    data = picture("PNG", (900, 900))
    head = b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    port = server.settings.port
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        (
            f"POST /visit/records HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: {server.url}\r\nCookie: {cookies}\r\n"
            f"X-CSRF: {token}\r\nAccept: application/json\r\nContent-Type: multipart/form-data; boundary=cut\r\n"
            f"Content-Length: {len(head) + len(data) + 9}\r\n\r\n"
        ).encode()
        + head
        + data[: len(data) // 2]
    )
    await writer.drain()
    await asyncio.sleep(0.5)
    writer.close()
    await asyncio.sleep(0.5)
    async with server.app[POOL].acquire() as conn:
        assert await conn.fetchval("select count(*) from records") == 0
    files = server.settings.consult_home / "files"
    assert not files.exists() or kept(files) == []
