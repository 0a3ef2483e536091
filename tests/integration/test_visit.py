"""The patient's steps over HTTP, without scripts: times, records, questions, and where one is led."""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from PIL import Image

from consult.cases import service as cases
from consult.cases.model import AskedBy
from consult.domain.clock import utc_now
from consult.keys import POOL
from consult.records import service as records
from consult.scheduling.model import Appointment
from tests.conftest import Server
from tests.integration.clinic import book_one, open_case, open_clinic
from tests.integration.test_join import JSON, press_join, proof

CALL_ENDED = """
insert into consultations (id, appointment_id, started_at, ended_at, end_reason) values ($1, $2, $3, $3, 'ended')
"""
STEPS = ("when", "records", "devices", "recording")


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(out, "PNG")
    return out.getvalue()


@pytest.fixture
async def appointment(server: Server, client: aiohttp.ClientSession) -> AsyncIterator[Appointment]:
    """A call in two days; the client has opened its link."""
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        booked, link = await book_one(conn, await open_clinic(conn, now=now), now + timedelta(days=2), now=now)
    assert (await press_join(client, secret=link.secret))[0] == 200
    yield booked


async def get(client: aiohttp.ClientSession, path: str) -> str:
    async with client.get(path) as page:
        assert page.status == 200, path
        return await page.text()


async def send(client: aiohttp.ClientSession, path: str, **fields: str) -> tuple[int, str]:
    form = {"csrf": await proof(client, "/visit/records"), **fields}
    async with client.post(path, data=form, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Location") or await answer.text()


async def send_files(client: aiohttp.ClientSession, *files: tuple[str, bytes]) -> tuple[int, str]:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("csrf", await proof(client, "/visit/records"))
    for name, content in files:
        form.add_field("file", content, filename=name)
    async with client.post("/visit/records", data=form, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Location") or await answer.text()


async def test_each_finished_step_leads_to_the_next_and_stands_as_done(
    client: aiohttp.ClientSession, appointment: Appointment
) -> None:
    for number, step in enumerate(STEPS):
        async with client.get("/visit", allow_redirects=False) as answer:
            assert answer.headers["Location"] == f"/visit/{step}"
        text = await get(client, f"/visit/{step}")
        assert f"Step {number + 1} of 4" in text
        assert len(re.findall(r">Look again<", text)) == number
        assert len(re.findall(r"button-main", text)) == 1, "one filled button"
        status, place = await send(client, f"/visit/steps/{step}")
        assert (status, place) == (303, f"/visit/{[*STEPS, 'call'][number + 1]}")
    async with client.get("/visit", allow_redirects=False) as answer:
        assert answer.headers["Location"] == "/visit/call"
    assert len(re.findall(r">Look again<", await get(client, "/visit/when"))) == 3


async def test_looking_at_a_step_does_not_finish_it(client: aiohttp.ClientSession, appointment: Appointment) -> None:
    for step in STEPS:
        await get(client, f"/visit/{step}")
    async with client.get("/visit", allow_redirects=False) as answer:
        assert answer.headers["Location"] == "/visit/when"


async def test_an_unknown_step_is_not_found(client: aiohttp.ClientSession, appointment: Appointment) -> None:
    assert (await send(client, "/visit/steps/lunch"))[0] == 404


async def test_time_is_the_experts_until_the_browser_says_its_zone(
    client: aiohttp.ClientSession, appointment: Appointment
) -> None:
    assert "Berlin time" in await get(client, "/visit/when")
    headers = {**JSON, "X-CSRF": await proof(client, "/visit/when")}
    body = {"time_zone": "America/Sao_Paulo"}
    async with client.post("/visit/time-zone", json=body, headers=headers) as answer:
        said = await answer.json()
    assert said["zone"] == "Sao Paulo time"
    assert said["clock"] == (appointment.starts_at - timedelta(hours=3)).strftime("%H:%M")
    text = await get(client, "/visit/when")
    assert "Sao Paulo time" in text and "Berlin time" not in text


@pytest.mark.parametrize("time_zone", ["Mars/Olympus", "", "../../etc/passwd", "x" * 500])
async def test_a_zone_that_is_none_is_refused_and_changes_nothing(
    client: aiohttp.ClientSession, appointment: Appointment, time_zone: str
) -> None:
    headers = {**JSON, "X-CSRF": await proof(client, "/visit/when")}
    async with client.post("/visit/time-zone", json={"time_zone": time_zone}, headers=headers) as answer:
        assert answer.status == 422
    assert "Berlin time" in await get(client, "/visit/when")


async def test_questions_are_written_and_taken_back_but_only_ones_own(
    client: aiohttp.ClientSession, server: Server, appointment: Appointment
) -> None:
    assert await send(client, "/visit/questions", question="Can I <b>travel</b>?") == (303, "/visit/records#questions")
    text = await get(client, "/visit/records")
    assert "Can I &lt;b&gt;travel&lt;/b&gt;?" in text
    async with server.app[POOL].acquire() as conn:
        asked = await cases.list_questions(conn, appointment.case_id)
    for question in asked:
        own = question.asked_by is AskedBy.PATIENT
        assert (await send(client, f"/visit/questions/{question.id}/remove"))[0] == (303 if own else 404)
    async with server.app[POOL].acquire() as conn:
        assert [one.asked_by for one in await cases.list_questions(conn, appointment.case_id)] == [AskedBy.STAFF]


async def test_a_question_that_cannot_be_kept_stays_as_it_was_typed(
    client: aiohttp.ClientSession, appointment: Appointment
) -> None:
    long = "why? " * 500
    status, text = await send(client, "/visit/questions", question=long)
    assert status == 422 and 'id="question-wrong"' in text and long.strip() in text
    status, text = await send(client, "/visit/questions", question="   ")
    assert status == 422 and "Write your question first." in text


async def test_a_form_keeps_the_good_files_and_says_why_the_others_did_not_arrive(
    client: aiohttp.ClientSession, server: Server, appointment: Appointment
) -> None:
    page = b"<html><body>not a PDF</body></html>"
    status, text = await send_files(client, ("one.png", picture()), ("report.pdf", page), ("two.png", picture()))
    assert status == 422
    assert "“report.pdf” did not arrive." in text and "This kind of file cannot be used." in text
    async with server.app[POOL].acquire() as conn:
        kept = await records.list_records(conn, appointment.case_id)
    assert [record.title for record in kept] == ["one", "two"]
    assert (await send_files(client, ("three.png", picture())))[0] == 303
    status, text = await send_files(client, ("", b""))  # what a browser sends when nothing was chosen
    assert status == 422 and "Please choose a file first." in text


async def test_a_script_sends_one_file_and_hears_what_became_of_it(
    client: aiohttp.ClientSession, appointment: Appointment
) -> None:
    async def upload(name: str, content: bytes) -> tuple[int, dict[str, Any]]:
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("file", content, filename=name)
        headers = {**JSON, "X-CSRF": await proof(client, "/visit/records")}
        async with client.post("/visit/records", data=form, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    status, told = await upload("../../CT_Thorax.png", picture())
    assert status == 200 and told["title"] == "CT Thorax" and told["facts"].startswith("Picture")
    status, told = await upload("virus.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    assert status == 415 and told["code"] == "file.type"
    status, told = await upload("empty.png", b"")
    assert status == 422 and told["reference"]


async def test_a_record_is_taken_back_by_who_brought_it(
    client: aiohttp.ClientSession, server: Server, appointment: Appointment
) -> None:
    await send_files(client, ("mine.png", picture()))
    async with server.app[POOL].acquire() as conn:
        [record] = await records.list_records(conn, appointment.case_id)
        await conn.execute("update records set uploaded_by = 'staff' where id = $1", record.id)
    assert (await send(client, f"/visit/records/{record.id}/remove"))[0] == 404
    async with server.app[POOL].acquire() as conn:
        await conn.execute("update records set uploaded_by = 'patient' where id = $1", record.id)
    assert (await send(client, f"/visit/records/{record.id}/remove"))[0] == 303
    assert "There are no records yet." in await get(client, "/visit/records")


async def test_nobody_reaches_into_another_case(
    client: aiohttp.ClientSession, server: Server, appointment: Appointment
) -> None:
    async with server.app[POOL].acquire() as conn:
        other = await open_case(conn, appointment.booked_by, name="Eva Horak", now=utc_now())
        question = await cases.ask_question(conn, other, "Mine alone?", AskedBy.PATIENT, utc_now())
    assert (await send(client, f"/visit/questions/{question.id}/remove"))[0] == 404
    assert "Mine alone?" not in await get(client, "/visit/records")
    assert "Eva Horak" not in await get(client, "/visit/when")


async def test_after_the_call_every_step_leads_to_what_happens_next(
    client: aiohttp.ClientSession, server: Server, appointment: Appointment
) -> None:
    async with client.get("/visit/after", allow_redirects=False) as answer:
        assert answer.headers["Location"] == "/visit"
    async with server.app[POOL].acquire() as conn:
        await conn.execute(CALL_ENDED, uuid.uuid4(), appointment.id, utc_now())
    for path in ("/visit", *(f"/visit/{step}" for step in STEPS)):
        async with client.get(path, allow_redirects=False) as answer:
            assert answer.headers.get("Location") == "/visit/after", path
    text = await get(client, "/visit/after")
    assert "The call is over." in text and "Dr Sabine Brandt writes the opinion" in text
