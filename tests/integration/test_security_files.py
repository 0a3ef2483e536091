"""Files that are two things at once, or far more than they seem, and ranges that make no sense (SECURITY 14 to 16)."""

from __future__ import annotations

import asyncio
import io
import struct
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from PIL import Image

from consult.domain.errors import FileBroken, FileRefused
from consult.keys import POOL
from consult.records import parse, uploads
from consult.records.model import MediaType
from tests.conftest import Server
from tests.integration.personas import PATIENT, Town, in_chunks, picture, proof_of, settle

HTML = b"<!doctype html><script>alert(document.domain)</script>"


@pytest.fixture
async def town(server: Server) -> Town:
    async with server.app[POOL].acquire() as conn:
        return await settle(server, conn)


def pdf(*, content: bytes = b"", filters: str = "", before: bytes = b"") -> bytes:
    """A PDF of one page with a table of objects that fits."""
    parts = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 100 100] /Contents 4 0 R >>",
        f"<< /Length {len(content)} {filters} >>\nstream\n".encode() + content + b"\nendstream",
    ]
    out, places = bytearray(b"%PDF-1.4\n" + before), []
    for number, part in enumerate(parts, 1):
        places.append(len(out))
        out += b"%d 0 obj\n" % number + part + b"\nendobj\n"
    table = len(out)
    out += b"xref\n0 5\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer << /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % table
    return bytes(out)


def empty_png(width: int, height: int) -> bytes:
    """The head of a PNG of any size, with next to no data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + packed + chunk(b"IEND", b"")


def saved(kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (60, 40), "teal").save(out, kind, **options)
    return out.getvalue()


async def measured(data: bytes) -> MediaType:
    async with uploads.receive(in_chunks(data)) as upload:
        return upload.media_type


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(HTML, id="a page"),
        pytest.param(b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', id="SVG"),
        pytest.param(b"\n" + HTML + pdf(), id="a page before a PDF"),
        pytest.param(b"%PDF-1.4\n" + HTML + b"%%EOF", id="a page that begins like a PDF"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + HTML, id="a page that begins like a PNG"),
        pytest.param(b"GIF89a" + HTML, id="GIF"),
        pytest.param(b"PK\x03\x04" + bytes(100), id="zip"),
        pytest.param(empty_png(50_000, 50_000), id="2.5 gigapixels"),
        pytest.param(empty_png(2**31 - 1, 2**31 - 1), id="as many pixels as a PNG can claim"),
        pytest.param(empty_png(9_000, 9_000), id="a picture whose data is missing"),
        pytest.param(saved("JPEG")[:-200], id="a cut JPEG"),
        pytest.param(saved("WEBP")[:-20], id="a cut WebP"),
    ],
)
async def test_what_is_not_one_whole_document_or_picture_is_refused_soon(data: bytes) -> None:
    started_s = time.monotonic()
    with pytest.raises(FileRefused):
        await measured(data)
    assert time.monotonic() - started_s < uploads.PARSER_WALL_S


async def test_a_small_pdf_that_unpacks_to_a_gigabyte_harms_nobody() -> None:
    packer, packed = zlib.compressobj(9), bytearray()
    for _ in range(1024):
        packed += packer.compress(bytes(1024 * 1024))
    packed += packer.flush()
    bomb = pdf(content=bytes(packed), filters="/Filter /FlateDecode")
    assert await measured(bomb) is MediaType.PDF, "its page is counted, nothing of it is unpacked"


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        pytest.param(picture() + HTML, "image/png", id="PNG with a page behind it"),
        pytest.param(pdf(before=b"% " + HTML + b"\n"), "application/pdf", id="PDF with a page in it"),
        pytest.param(
            saved("WEBP", save_all=True, append_images=[Image.new("RGB", (60, 40), "red")] * 3), "image/webp",
            id="a WebP that moves",
        ),
    ],
)  # fmt: skip
async def test_a_file_of_two_kinds_is_served_as_the_one_that_was_found(
    server: Server, town: Town, data: bytes, media_type: str
) -> None:
    form = aiohttp.FormData()
    form.add_field("csrf", proof_of(town.tokens[PATIENT], server.settings))
    form.add_field("file", data, filename="../../x.html", content_type="text/html")
    headers = town.cookie_of(PATIENT) | {"Accept": "application/json"}
    async with aiohttp.ClientSession(server.url, cookie_jar=aiohttp.DummyCookieJar()) as client:
        async with client.post("/visit/records", data=form, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            record_id = (await answer.json())["id"]
        for path, disposition in (("content", "inline"), ("download", "attachment")):
            async with client.get(f"/records/{record_id}/{path}", headers=headers) as answer:
                assert answer.headers["Content-Type"] == media_type
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert "sandbox" in answer.headers["Content-Security-Policy"]
                assert answer.headers["Content-Disposition"].startswith(f'{disposition}; filename="record-')
                assert "Set-Cookie" not in answer.headers
                assert await answer.read() == data


@pytest.mark.parametrize(
    ("asked", "statuses"),
    [
        ("bytes=" + ",".join(f"{n}-{n}" for n in range(1000)), {200}),
        ("bytes=0-" + "9" * 5000, {200, 206, 416}),
        ("bytes=" + "9" * 5000 + "-", {200, 416}),
        ("bytes=5-2", {200, 416}),
        ("bytes=-0", {200, 416}),
        ("bytes=--5", {200}),
        ("bytes=١-٢", {200}),
        ("lines=0-1", {200}),
    ],
)
async def test_odd_ranges_cost_one_answer(server: Server, town: Town, asked: str, statuses: set[int]) -> None:
    from tests.integration.personas import SCHEDULER

    headers = town.cookie_of(SCHEDULER) | {"Range": asked}
    async with aiohttp.ClientSession(server.url, cookie_jar=aiohttp.DummyCookieJar()) as client:
        for path in (f"/records/{town.record_id}/content", f"/segments/{town.segment_id}/media"):
            async with client.get(path, headers=headers) as answer:
                assert answer.status in statuses, path
                assert len(await answer.read()) <= 3000


# The parser's walls -------------------------------------------------------------------------------------------------

WALLS = """
import json, resource, socket, sys
from consult.records import parse
parse.limit_process()
found = {name: resource.getrlimit(getattr(resource, name))[0] for name in ("RLIMIT_CPU", "RLIMIT_AS", "RLIMIT_FSIZE")}
try:
    bytearray(3 * 1024 ** 3); found["memory"] = "given"
except MemoryError:
    found["memory"] = "refused"
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=2); found["network"] = "reached"
except OSError:
    found["network"] = "none"
print(json.dumps(found))
"""


async def test_the_parser_has_no_network_and_little_of_anything(server: Server) -> None:
    import json

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WALLS, str(server.settings.port), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(30):
        output, _ = await process.communicate()
    found = json.loads(output)
    assert found["RLIMIT_CPU"] == parse.CPU_S == 10
    assert found["RLIMIT_AS"] == parse.MEMORY_BYTES
    assert found["RLIMIT_FSIZE"] == 0
    assert found["memory"] == "refused"
    can_leave = await asyncio.create_subprocess_exec("unshare", "-rn", "true", stderr=asyncio.subprocess.DEVNULL)
    if await can_leave.wait() == 0:
        assert found["network"] == "none"


async def test_a_parser_that_hangs_is_ended_and_others_wait_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "PARSER_WALL_S", 1.0)
    hangs = tmp_path / "hangs"
    hangs.write_text("#!/bin/sh\nexec sleep 60\n")
    hangs.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(hangs))
    started_s = time.monotonic()
    answers = await asyncio.gather(
        *(uploads.measure(MediaType.PDF, tmp_path / "a.pdf") for _ in range(4)), return_exceptions=True
    )
    assert all(isinstance(answer, FileBroken) for answer in answers)
    assert time.monotonic() - started_s >= 2.0, "two at once"
