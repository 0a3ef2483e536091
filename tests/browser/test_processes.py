"""A call over an installation of several processes: pages, rooms and jobs each in their own, Redis between them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from uuid import UUID

import pytest

from consult.consultations import service as consultations
from consult.consultations.model import Segment
from consult.storage import open_store
from consult.transcripts import service as transcripts
from consult.transcripts.model import Progress
from tests.browser.call_page import agree, arrange_in, let_in, open_expert, open_patient, two_browsers
from tests.browser.processes import Consult
from tests.conftest import Database

pytestmark = pytest.mark.timeout(240)  # two Chromium processes and four of our own

RECORDED_S = 5
FILED_WITHIN_S = 60
HEARD_WITHIN_S = 120


async def test_a_call_is_recorded_and_filed_by_processes_that_meet_in_redis(
    database: Database, redis_url: str, tmp_path: Path
) -> None:
    consult = Consult(database.url, tmp_path / "home", REDIS_URL=redis_url)
    call = await arrange_in(database.pool, open_store((tmp_path / "home" / "files").as_uri()))
    try:
        consult.start("web", "media", "worker")
        async with two_browsers(tmp_path) as (expert_browser, patient_browser):
            expert = await open_expert(expert_browser, consult, call)
            patient = await open_patient(patient_browser, consult, call)
            await let_in(expert, patient)
            await agree(expert, patient)
            await asyncio.sleep(RECORDED_S)
            await expert.click("[data-control=end]")
            await expert.click("[data-end-yes]")
            await patient.wait_for_url("**/visit/after")
        segments = await _wait_for_segments(database, call.appointment_id, count=2)
        assert {segment.name for segment in segments} == {"Dr Helen Okafor", "Ana Ruiz"}
        for segment in segments:
            assert segment.has_audio and segment.has_video
            assert segment.duration_ms >= (RECORDED_S - 1) * 1000
        assert not [path for path in (tmp_path / "home" / "spool").rglob("*") if path.is_file()]
        await _wait_for_transcripts(database, segments[0].consultation_id, count=2)
    finally:
        consult.stop()
    for command in ("web", "media", "worker"):
        assert '"level": "error"' not in consult.log(command).read_text(), consult.log(command).read_text()


async def _wait_for_segments(database: Database, appointment_id: str, *, count: int) -> list[Segment]:
    """What the worker has filed, once it is all of it."""
    deadline = time.monotonic() + FILED_WITHIN_S
    while True:
        async with database.pool.acquire() as conn:
            consultation = await consultations.find_consultation_of(conn, UUID(appointment_id))
            filed = await consultations.list_segments(conn, consultation.id) if consultation else []
        if len(filed) >= count:
            return filed
        assert time.monotonic() < deadline, f"{len(filed)} of {count} recordings were filed"
        await asyncio.sleep(0.2)


async def _wait_for_transcripts(database: Database, consultation_id: UUID, *, count: int) -> None:
    """Both were listened to; there was nothing to be understood in Chromium's beeps."""
    deadline = time.monotonic() + HEARD_WITHIN_S
    while True:
        async with database.pool.acquire() as conn:
            states = [one.progress for one in await transcripts.list_transcripts(conn, consultation_id)]
        if states == [Progress.READY] * count:
            return
        assert Progress.FAILED not in states
        assert time.monotonic() < deadline, states
        await asyncio.sleep(0.3)
