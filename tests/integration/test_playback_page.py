"""The call on the case page, over HTTP: files with ranges, progress, trying again, and who may not see any of it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from consult.consultations import service as consultations
from consult.domain.ids import CaseId, StaffId
from consult.keys import STORE
from consult.people import service as people
from consult.transcripts import playback
from consult.transcripts.playback import TextState
from tests.conftest import Database, Server
from tests.rows import Booked, book

START = datetime(2026, 3, 12, 11, 35, tzinfo=UTC)
BYTES = bytes(range(256)) * 40


@dataclass(frozen=True, slots=True)
class Call:
    booked: Booked
    consultation_id: uuid.UUID
    segment_id: uuid.UUID


async def signed_in(server: Server, conn: Any, staff_id: int) -> dict[str, str]:
    """Return the cookie of a member of staff."""
    token = await people.start_session(conn, StaffId(staff_id), datetime.now(UTC))
    return {"consult_staff": token}


@pytest.fixture
async def call(server: Server, database: Database) -> Call:
    """A consultation with one filed segment whose text failed."""

    async def chunks() -> Any:
        yield BYTES

    await server.app[STORE].put("recordings/one.webm", chunks())
    async with database.pool.acquire() as conn:
        booked = await book(conn, START)
        made = Call(booked, uuid.uuid4(), uuid.uuid4())
        await conn.execute(
            "insert into consultations (id, appointment_id, started_at) values ($1, $2, $3)",
            made.consultation_id, booked.appointment_id, START,
        )  # fmt: skip
        await conn.execute(
            """insert into segments (id, consultation_id, member_id, person_id, name, role, offset_ms, duration_ms,
                 has_audio, has_video, media_type, size_bytes, blob_key, filed_at)
               values ($1, $2, 'm', 'person:1', 'Ana Ribeiro', 'patient', 4000, 60000, true, true, 'video/webm', $3,
                 'recordings/one.webm', $4)""",
            made.segment_id, made.consultation_id, len(BYTES), START,
        )  # fmt: skip
        await conn.execute(
            """insert into transcripts (segment_id, language, engine, queued_at, started_at, failed_at, failure)
               values ($1, 'en', '', $2, $2, $2, 'engine')""",
            made.segment_id, START,
        )  # fmt: skip
    return made


async def test_a_recording_is_served_in_ranges_and_never_sniffed(
    server: Server, database: Database, call: Call
) -> None:
    async with database.pool.acquire() as conn:
        cookies = await signed_in(server, conn, call.booked.expert_id)
    async with aiohttp.ClientSession(server.url, cookies=cookies) as session:
        path = f"/segments/{call.segment_id}/media"
        async with session.get(path) as answer:
            assert (answer.status, await answer.read()) == (200, BYTES)
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Type"] == "video/webm"
        for asked, start, end in (
            ("bytes=0-9", 0, 10),
            ("bytes=100-", 100, len(BYTES)),
            ("bytes=-5", len(BYTES) - 5, len(BYTES)),
        ):
            async with session.get(path, headers={"Range": asked}) as answer:
                assert (answer.status, await answer.read()) == (206, BYTES[start:end])
                assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(BYTES)}"
        async with session.get(path, headers={"Range": f"bytes={len(BYTES)}-"}) as answer:
            assert answer.status == 416


async def test_nobody_else_sees_a_recording_or_how_far_its_text_is(
    server: Server, database: Database, call: Call
) -> None:
    async with database.pool.acquire() as conn:
        stranger = await book(conn, START + timedelta(days=1))
        cookies = await signed_in(server, conn, stranger.expert_id)
    paths = (f"/segments/{call.segment_id}/media", f"/cases/{call.booked.case_id}/progress")
    async with aiohttp.ClientSession(server.url, cookies=cookies) as session:
        for path in paths:
            async with session.get(path) as answer:
                assert answer.status == 404
    async with aiohttp.ClientSession(server.url) as session:
        for path in paths:
            async with session.get(path, allow_redirects=False, headers={"Accept": "application/json"}) as answer:
                assert answer.status == 401


async def test_a_failed_text_says_so_and_can_be_tried_again(server: Server, database: Database, call: Call) -> None:
    async with database.pool.acquire() as conn:
        cookies = await signed_in(server, conn, call.booked.scheduler_id)
    case = call.booked.case_id
    async with aiohttp.ClientSession(server.url, cookies=cookies, headers={"Accept": "text/html"}) as session:
        page = await (await session.get(f"/cases/{case}")).text()
        assert "The recording is safe." in page
        assert "Try again" in page
        proof = re.search(r'name="csrf" (?:content|value)="([^"]+)"', page)
        assert proof is not None
        async with session.post(
            f"/cases/{case}/transcripts/{call.segment_id}/again",
            data={"csrf": proof[1]},
            headers={"Origin": server.url},
        ) as answer:
            assert answer.status == 200
            assert answer.url.path == f"/cases/{case}"
        progress = await (await session.get(f"/cases/{case}/progress")).json()
    assert progress["consultations"][0]["state"] == "waiting"
    assert progress["consultations"][0]["all_ms"] == 60_000
    async with database.pool.acquire() as conn:
        assert await conn.fetchval("select count(*) from pgqueuer where entrypoint = 'transcribe_segment'") == 1


class Interrupted:
    """A connection in which something happens before one of its statements. count: how many there were."""

    def __init__(self, conn: Any, at: int, happens: Callable[[], Awaitable[None]]) -> None:
        self._conn, self._at, self._happens, self.count = conn, at, happens, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._conn, name)
        if name not in ("fetch", "fetchrow", "fetchval", "execute"):
            return found

        async def ask(*asked: Any) -> Any:
            if self.count == self._at:
                await self._happens()
            self.count += 1
            return await found(*asked)

        return ask


async def test_a_page_that_says_ready_has_the_words_at_whatever_moment_they_came(
    database: Database, call: Call
) -> None:
    async def come() -> None:
        async with database.pool.acquire() as worker, worker.transaction():
            await worker.execute(
                "insert into turns values (gen_random_uuid(), $1, 5000, 6000, 'I have a question.', '[]')",
                call.segment_id,
            )
            await worker.execute("update transcripts set failed_at = null, finished_at = now(), done_ms = 60000")

    said: list[tuple[TextState, bool]] = []
    at, statements = 0, 1
    async with database.pool.acquire() as conn:
        (consultation,) = await consultations.list_consultations(conn, CaseId(call.booked.case_id))
        while at < statements:
            await conn.execute("delete from turns")
            await conn.execute("update transcripts set finished_at = null, failed_at = null, done_ms = 0")
            interrupted: Any = Interrupted(conn, at, come)
            page = await playback.read(interrupted, consultation, {})
            said.append((page.text.state, any(line.turn for line in page.lines)))
            at, statements = at + 1, interrupted.count
    assert len(said) > 5
    assert (TextState.READY, False) not in said
    assert said[0] == (TextState.READY, True)
