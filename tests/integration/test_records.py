"""Records: what is taken, what is refused and how, what is kept, and who gets it (SECURITY 14 to 16)."""

from __future__ import annotations

import asyncio
import hashlib
import io
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pypdfium2
import pytest
from PIL import Image

from consult.domain.clock import utc_now
from consult.domain.errors import ConsultError, FileBroken, FileTooLarge, FileTypeRefused, NotFound, QuotaReached
from consult.domain.ids import CaseId
from consult.jobs import Jobs
from consult.records import service as records
from consult.records.model import MAX_CASE_BYTES, MAX_FILE_BYTES, MediaType, UploadedBy
from consult.scheduling import service as scheduling
from consult.storage import open_store
from tests.conftest import Database, Server
from tests.integration.clinic import NOW, book_one, open_case, open_clinic
from tests.integration.pages import proof, read, sign_in


def picture(kind: str = "PNG", size: tuple[int, int] = (64, 48)) -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(out, kind)
    return out.getvalue()


def pdf(pages: int = 3) -> bytes:
    document = pypdfium2.PdfDocument.new()
    for _ in range(pages):
        document.new_page(595, 842)
    out = io.BytesIO()
    document.save(out)
    document.close()
    return out.getvalue()


# A PDF whose owner locked it: the Encrypt entry alone makes a reader ask for the password.
LOCKED_PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\n"
    b"4 0 obj<</Filter/Standard/V 1/R 2/O<" + b"41" * 32 + b">/U<" + b"42" * 32 + b">/P -44>>endobj\n"
    b"trailer<</Size 5/Root 1 0 R/Encrypt 4 0 R/ID[<" + b"43" * 16 + b"><" + b"43" * 16 + b">]>>\n%%EOF\n"
)


async def pieces(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def add(conn: Any, folder: Path, case_id: CaseId, data: bytes, name: str = "scan.png", **more: Any) -> Any:
    return await records.add_record(
        conn, open_store(folder.as_uri()), case_id, file_name=name, chunks=pieces(data),
        uploaded_by=UploadedBy.PATIENT, now=NOW, **more,
    )  # fmt: skip


def kept(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_a_picture_is_kept_bit_for_bit_with_its_size(conn: Any, tmp_path: Path, kind: str) -> None:
    clinic = await open_clinic(conn)
    data = picture(kind)
    record = await add(conn, tmp_path / "files", clinic.case, data, "../../CT_chest.exe")
    assert (record.media_type.name, record.page_count, record.width_px, record.height_px) == (kind, 1, 64, 48)
    assert record.sha256 == hashlib.sha256(data).digest()
    assert record.title == "CT chest.exe"
    assert ".." not in record.blob_key
    assert [path.read_bytes() for path in kept(tmp_path / "files")] == [data]
    assert await records.list_records(conn, clinic.case) == [record]


async def test_a_pdf_is_kept_with_its_pages(conn: Any, tmp_path: Path) -> None:
    clinic = await open_clinic(conn)
    record = await add(conn, tmp_path / "files", clinic.case, pdf(7), "Pathology.pdf")
    assert (record.media_type, record.page_count, record.width_px, record.height_px) == (MediaType.PDF, 7, 595, 842)


@pytest.mark.parametrize(
    ("name", "data", "error", "word"),
    [
        ("nothing.pdf", b"", FileBroken, "empty"),
        ("page.pdf", b"<!doctype html><script>alert(1)</script>" * 9, FileTypeRefused, "PDF"),
        ("drawing.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", FileTypeRefused, "PDF"),
        ("tiny.png", b"\x89PNG", FileTypeRefused, "PDF"),
        ("cut.pdf", pdf(9)[:-400], FileBroken, "incomplete"),
        ("cut.png", picture("PNG", (300, 300))[:-2000], FileBroken, "incomplete"),
        ("cut.jpg", picture("JPEG", (300, 300))[:-2000], FileBroken, "incomplete"),
        ("cut.webp", picture("WEBP", (300, 300))[:-2000], FileBroken, "incomplete"),
        ("noise.pdf", b"%PDF-1.7\n" + b"\xff\x00noise" * 500 + b"%%EOF", FileBroken, "incomplete"),
        ("locked.pdf", LOCKED_PDF, FileBroken, "password"),
        ("large.png", b"\x89PNG\r\n\x1a\n" + bytes(MAX_FILE_BYTES), FileTooLarge, "50 MB"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_what_cannot_be_shown_is_refused_and_leaves_nothing(
    conn: Any, tmp_path: Path, name: str, data: bytes, error: type[ConsultError], word: str
) -> None:
    clinic = await open_clinic(conn)
    with pytest.raises(error) as refused:
        await add(conn, tmp_path / "files", clinic.case, data, name)
    assert word in refused.value.message
    assert kept(tmp_path / "files") == []
    assert await records.list_records(conn, clinic.case) == []


async def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(conn: Any, tmp_path: Path) -> None:
    clinic = await open_clinic(conn)
    out = io.BytesIO()
    Image.new("1", (11_000, 10_000)).save(out, "PNG")  # a few kB on disk, 110 megapixels in memory
    with pytest.raises(FileTooLarge, match="too_many_pixels"):
        await add(conn, tmp_path / "files", clinic.case, out.getvalue())
    assert kept(tmp_path / "files") == []


async def test_a_pdf_of_too_many_pages_is_refused(conn: Any, tmp_path: Path) -> None:
    clinic = await open_clinic(conn)
    with pytest.raises(FileTooLarge, match="too_many_pages"):
        await add(conn, tmp_path / "files", clinic.case, pdf(2001), "long.pdf")


async def test_a_case_holds_so_much_and_no_more(conn: Any, tmp_path: Path) -> None:
    clinic = await open_clinic(conn)
    await add(conn, tmp_path / "files", clinic.case, picture())
    await conn.execute("update records set size_bytes = $1", MAX_CASE_BYTES - 10)
    with pytest.raises(QuotaReached):
        await add(conn, tmp_path / "files", clinic.case, picture())
    assert len(kept(tmp_path / "files")) == 1
    other = await open_case(conn, clinic.scheduler, name="Rosa Diaz")
    await add(conn, tmp_path / "files", other, picture())


async def test_a_failure_of_the_database_takes_the_bytes_away_again(conn: Any, tmp_path: Path) -> None:
    await open_clinic(conn)
    with pytest.raises(NotFound):
        await add(conn, tmp_path / "files", CaseId(999), picture())
    clinic_case = CaseId(await conn.fetchval("select id from cases"))
    await conn.execute("alter table records add check (title <> 'Refuse')")
    with pytest.raises(Exception, match="check"):
        await add(conn, tmp_path / "files", clinic_case, picture(), title="Refuse")
    assert kept(tmp_path / "files") == []


async def test_patients_take_back_their_own_records_alone(conn: Any, tmp_path: Path) -> None:
    clinic = await open_clinic(conn)
    record = await add(conn, tmp_path / "files", clinic.case, picture())
    with pytest.raises(NotFound):
        await records.remove_record(conn, clinic.case, record.id, uploaded_by=UploadedBy.STAFF, now=NOW)
    await records.remove_record(conn, clinic.case, record.id, uploaded_by=UploadedBy.PATIENT, now=NOW)
    assert await records.list_records(conn, clinic.case) == []
    with pytest.raises(NotFound):
        await records.fetch_record(conn, record.id)


async def test_records_of_one_name_are_told_apart_and_one_without_a_name_gets_the_uploaders_word(
    conn: Any, tmp_path: Path
) -> None:
    clinic = await open_clinic(conn)
    names = ("report.pdf", "Report.PDF", "report (2).pdf", ".pdf", ".pdf")
    kept_as = [(await add(conn, tmp_path / "files", clinic.case, pdf(), name)).title for name in names]
    assert kept_as == ["report", "Report (2)", "report (2) (2)", "Record", "Record (2)"]
    other = await open_case(conn, clinic.scheduler, name="Rosa Diaz")
    assert (await add(conn, tmp_path / "files", other, pdf(), "report.pdf")).title == "report"
    first = {record.title: record for record in await records.list_records(conn, clinic.case)}["report"]
    await records.remove_record(conn, clinic.case, first.id, now=NOW)
    assert (await add(conn, tmp_path / "files", clinic.case, pdf(), "report.pdf")).title == "report"


async def test_the_bytes_of_a_removed_record_are_deleted_by_a_worker(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn)
        stays = await add(conn, folder, clinic.case, picture(), "stays.png")
        goes = await add(conn, folder, clinic.case, picture(), "goes.png")
        await records.remove_record(conn, clinic.case, goes.id, now=NOW)
    assert len(kept(folder)) == 2
    worker, stop = Jobs(), asyncio.Event()
    records.register_jobs(worker, database.pool, open_store(folder.as_uri()))
    running = asyncio.create_task(worker.run(database.pool, stop))
    async with asyncio.timeout(30):
        while len(kept(folder)) > 1:
            await asyncio.sleep(0.05)
        stop.set()
        await running
    assert [name.endswith(f"{stays.id}.png") for name in map(str, kept(folder))] == [True]


async def test_bytes_that_a_call_has_shown_stay_and_while_a_call_goes_on_nothing_is_deleted(
    database: Database, tmp_path: Path
) -> None:
    folder, store = tmp_path / "files", open_store((tmp_path / "files").as_uri())
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn)
        booked, _ = await book_one(conn, clinic, NOW + timedelta(hours=1))
        shown = await add(conn, folder, clinic.case, picture(), "shown.png")
        unseen = await add(conn, folder, clinic.case, picture(), "unseen.png")
        await conn.execute(
            "insert into consultations (id, appointment_id, started_at) values ($1, $2, $3)",
            uuid.uuid4(),
            booked.id,
            NOW,
        )
        await conn.execute(
            "insert into room_events values ($1, $2, 'ViewShown', 5, $3, $4)",
            uuid.uuid4(), booked.id, NOW, {"record_id": str(shown.id)},
        )  # fmt: skip
        for record in (shown, unseen):
            await records.remove_record(conn, clinic.case, record.id, now=NOW)
    for record in (shown, unseen):
        await records.forget_bytes(database.pool, store, record.id)
    assert len(kept(folder)) == 2, "the call goes on"
    assert await database.pool.fetchval("select count(*) from pgqueuer where execute_after > now()") == 1
    await database.pool.execute("update consultations set ended_at = started_at")
    for record in (shown, unseen, unseen):
        await records.forget_bytes(database.pool, store, record.id)
    assert [str(name).endswith(f"{shown.id}.png") for name in kept(folder)] == [True]


async def test_the_bytes_of_a_record_that_is_not_removed_are_never_deleted(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    async with database.pool.acquire() as conn:
        record = await add(conn, folder, (await open_clinic(conn)).case, picture())
    await records.forget_bytes(database.pool, open_store(folder.as_uri()), record.id)
    assert len(kept(folder)) == 1


async def upload(client: aiohttp.ClientSession, path: str, data: bytes, name: str, *, accept: str) -> tuple[int, Any]:
    form = aiohttp.FormData()
    form.add_field("csrf", await proof(client, "/cases"))
    form.add_field("file", data, filename=name, content_type="application/octet-stream")
    headers = {"Accept": accept}
    async with client.post(path, data=form, headers=headers, allow_redirects=False) as answer:
        return answer.status, await (answer.text() if "html" in accept else answer.json(content_type=None))


async def test_staff_upload_by_script_and_by_form_and_read_it_back(
    server: Server, client: aiohttp.ClientSession, database: Database
) -> None:
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn, now=utc_now())
    await sign_in(client, "noor@clinic.example")
    data = pdf(4)
    place = f"/cases/{clinic.case}/records"
    status, answer = await upload(client, place, data, "Report.pdf", accept="application/json")
    assert (status, answer["title"], answer["page_count"]) == (201, "Report", 4)
    status, problem = await upload(client, place, b"<html>" * 99, "Report.pdf", accept="application/json")
    assert (status, problem["code"]) == (415, "file.type")
    status, page = await upload(client, place, b"<html>" * 99, "Report.pdf", accept="text/html")
    assert status == 415
    assert 'id="file-wrong"' in page
    status, _page = await upload(client, place, picture(), "CT.png", accept="text/html")
    assert status == 303
    assert "CT" in await read(client, f"/cases/{clinic.case}")
    content = f"/records/{answer['id']}/content"
    async with client.get(content) as whole:
        assert (whole.status, await whole.read()) == (200, data)
        headers = whole.headers
    assert headers["Content-Type"] == "application/pdf"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]
    assert headers["Content-Disposition"] == f'inline; filename="record-{answer["id"][:8]}.pdf"'
    async with client.get(content, headers={"Range": "bytes=5-14"}) as part:
        assert (part.status, await part.read()) == (206, data[5:15])
        assert part.headers["Content-Range"] == f"bytes 5-14/{len(data)}"
    async with client.get(content, headers={"Range": "bytes=99999999-"}) as outside:
        assert outside.status == 416
    async with client.get(content, headers={"If-None-Match": headers["ETag"]}) as again:
        assert again.status == 304
    async with client.head(content) as head:
        assert (head.status, head.headers["Content-Length"]) == (200, str(len(data)))
    async with client.get(f"/records/{answer['id']}/download") as saved:
        assert saved.headers["Content-Disposition"].startswith("attachment")


async def test_a_record_is_not_there_for_other_cases(
    server: Server, client: aiohttp.ClientSession, database: Database, tmp_path: Path
) -> None:
    now = utc_now()
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        other = await open_case(conn, clinic.scheduler, name="Rosa Diaz", now=now)
        store = server.settings.storage
        own, foreign = [
            await records.add_record(
                conn, open_store(store), case_id, file_name="x.png", chunks=pieces(picture()),
                uploaded_by=UploadedBy.PATIENT, now=now,
            )
            for case_id in (clinic.case, other)
        ]  # fmt: skip
        _appointment, link = await book_one(conn, clinic, now + timedelta(hours=1), now=now)
        opened = await scheduling.open_invitation(conn, secret=link.secret, now=now)
    async with aiohttp.ClientSession(server.url, cookies={"consult_visit": opened.token}) as patient:
        for record_id, status in ((own.id, 200), (foreign.id, 404), (uuid.uuid4(), 404)):
            async with patient.get(f"/records/{record_id}/content") as answer:
                assert answer.status == status
        async with patient.get("/records/nonsense/content") as answer:
            assert answer.status == 404
    async with client.get(f"/records/{own.id}/content", headers={"Accept": "*/*"}) as answer:
        assert answer.status == 401
    await sign_in(client, "okafor@clinic.example")
    await read(client, f"/records/{own.id}/content", 404)
    await read(client, f"/records/{own.id}/download", 404)
