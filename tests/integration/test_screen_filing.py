"""A shared screen on its way from the spool to the case page: a segment of its own, beside its owner's face."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from consult import storage
from consult.consultations import service as consultations
from consult.settings import Settings
from consult.transcripts import playback
from tests.conftest import Database
from tests.integration.test_playback_journey import EXPERT, START, apply, file_and_hear, finished
from tests.rows import book
from tests.speech import Speech, write_webm


async def test_a_screen_is_filed_beside_the_face_and_shown_in_a_place_of_its_own(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    settings = make_settings()
    store = storage.open_store(settings.storage)
    silence = Speech(np.zeros(2 * 16_000, np.int16), ())
    async with database.pool.acquire() as conn:
        booked = await book(conn, START)
        for name, source in (("face.webm", "camera"), ("screen.webm", "screen")):
            write_webm(settings.spool / name, None, seconds=2)
            event = dataclasses.replace(finished(booked, EXPERT, name, 1_000, silence), source=source)
            (queued,) = await apply(conn, event)
            await file_and_hear(settings, database, store, queued)
    async with database.pool.acquire() as conn:
        page = (await playback.list_for_page(conn, booked.case_id, {}))[0]
        assert await consultations.count_unfiled(conn, booked.appointment_id) == 0
    assert sorted(segment.source for segment in page.segments) == ["camera", "screen"]
    assert sorted(one["person"] for one in page.data()["segments"]) == ["screen", "staff:2"]
    assert [who.person_id for who in page.people] == ["staff:2"], "a screen is nobody"
    assert page.has_screens
