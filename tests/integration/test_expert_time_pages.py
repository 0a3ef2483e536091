"""The pages of an expert's time, read and sent as a browser without scripts does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from html import unescape
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from consult.domain.clock import utc_now
from tests.conftest import Database, Server
from tests.integration.clinic import Clinic, book_one, open_clinic
from tests.integration.pages import read, send, sign_in

BERLIN = ZoneInfo("Europe/Berlin")
RULES = {
    "preparation": "15", "preparation_per_record": "5", "preparation_most": "60", "buffer_before": "0",
    "buffer_after": "10", "notice": "24", "horizon": "90", "daily_limit": "4", "changes_until": "48",
}  # fmt: skip


@pytest.fixture
async def clinic(server: Server, database: Database) -> Clinic:
    async with database.pool.acquire() as conn:
        return await open_clinic(conn, now=utc_now())


@pytest.fixture
async def expert(clinic: Clinic, client: aiohttp.ClientSession) -> AsyncIterator[aiohttp.ClientSession]:
    await sign_in(client, "brandt@clinic.example")
    yield client


def day_after(days: int) -> str:
    return (utc_now().astimezone(BERLIN).date() + timedelta(days=days)).isoformat()


async def test_an_absence_over_a_booked_call_is_kept_and_names_the_call(
    expert: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    starts_at = datetime.combine(utc_now().date() + timedelta(days=3), datetime.min.time(), BERLIN) + timedelta(
        hours=30
    )
    async with database.pool.acquire() as conn:
        appointment, _link = await book_one(conn, clinic, starts_at, now=utc_now())
    page = f"/experts/{clinic.expert}/absences"
    form = {"day_from": day_after(2), "day_to": day_after(5), "note": "Congress in Vienna"}
    status, _text, place = await send(expert, page, form, page=page)
    assert status == 303
    text = await read(expert, place)
    first, last = (date.fromisoformat(form[name]) for name in ("day_from", "day_to"))
    assert f"{first.day} {first:%b} {first.year} to {last.day} {last:%b} {last.year}" in text.replace("Sept ", "Sep ")
    for words in ("Congress in Vienna", "1 appointment lies at a time without working hours", "Ana Ribeiro", "Absent"):
        assert words in text
    assert f'href="/cases/{clinic.case}"' in text
    assert await database.pool.fetchval("select cancelled_at from appointments where id = $1", appointment.id) is None
    absence = await database.pool.fetchval("select id from absences")
    await send(expert, page, {"remove": str(absence)}, page=page)
    assert "No absences are entered." in await read(expert, page)
    await send(expert, page, {"remove": "nonsense"}, page=page)


@pytest.mark.parametrize(
    ("part", "form", "field", "sentence"),
    [
        ("absences", {"day_from": "2027-02-29", "day_to": "2027-03-02"}, "day_from", "There is no such day"),
        ("absences", {"day_from": "soon", "day_to": ""}, "day_from", "Please enter a date"),
        ("absences", {"day_from": "+5", "day_to": "+2"}, "day_to", "The absence ends before it begins"),
        ("absences", {"day_from": "+5", "time_from": "25:00", "day_to": "+6"}, "time_from", "Please enter a time"),
        ("absences", {"day_from": "+5", "day_to": "9999-12-31"}, "day_to", "within the next three years"),
        ("travel", {"day_from": "+5", "day_to": "+6", "zone": "Europe/Atlantis"}, "zone", "no time zone of this name"),
        ("travel", {"day_from": "+6", "day_to": "+5", "zone": "Tokyo"}, "day_to", "before the first day"),
        ("days", {"day": "+5"}, "block-0", "tick that there are none"),
        ("days", {"day": "+5", "none": "1", "starts": "09:00", "ends": "10:00"}, "none", "There are hours below"),
        ("days", {"day": "+5", "starts": "22:00", "ends": "02:00"}, "block-0", "across midnight"),
        ("days", {"day": "+5", "starts": "22:00", "ends": ""}, "block-0", "Enter a start and an end"),
        ("days", {"day": "+5", "starts": "08:00", "ends": "08:00"}, "block-0", "must be later than the start"),
        ("days", {"day": "2027-02-29", "none": "1"}, "day", "only in leap years"),
        ("days", {"day": "2001-02-01", "none": "1"}, "day", "This day is over"),
        ("hours", {"weekday": "1", "starts": "22:00", "ends": "02:00"}, "row-0", "across midnight"),
        ("rules", RULES | {"buffer_after": "121"}, "buffer_after", "from 0 to 120"),
        ("rules", RULES | {"notice": "-1"}, "notice", "from 0 to 720"),
        ("rules", RULES | {"horizon": "0"}, "horizon", "from 1 to 366"),
        ("rules", RULES | {"daily_limit": "none"}, "daily_limit", "whole number"),
        ("rules", RULES | {"preparation_most": "10"}, "preparation_most", "cannot be less"),
        ("kinds", {"length-panel": "60"}, "kinds", "at least one kind"),
        ("kinds", {"panel": "1", "length-panel": "5"}, "length-panel", "from 10 to 180"),
    ],
)
async def test_what_cannot_be_is_said_at_its_field_and_the_form_keeps_what_was_typed(
    expert: aiohttp.ClientSession, clinic: Clinic, part: str, form: dict[str, str], field: str, sentence: str
) -> None:
    page = f"/experts/{clinic.expert}/{part}"
    typed = {name: day_after(int(value)) if name.startswith("day") and value.startswith("+") else value
             for name, value in form.items()}  # fmt: skip
    status, text, _place = await send(expert, page, typed, page=page)
    assert status == 422
    assert sentence in unescape(text)
    assert f'id="{field}-wrong"' in text
    for name, value in typed.items():
        if value and name not in ("none", "panel", "weekday"):
            assert f'value="{value}"' in text, name


async def test_everything_that_is_entered_is_shown_again_and_can_be_taken_back(
    expert: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    base = f"/experts/{clinic.expert}"
    day = day_after(9)
    two = [("day", day), ("starts", "08:00"), ("ends", "10:30"), ("starts", "20:00"), ("ends", "00:00")]
    for part, form in (
        ("days", two),
        ("travel", {"day_from": day, "day_to": day_after(12), "zone": "tokyo"}),
        ("rules", RULES),
        ("kinds", {"follow_up": "1", "length-follow_up": "25"}),
    ):
        status, text, place = await send(expert, f"{base}/{part}", form, page=f"{base}/{part}")
        assert status == 303, text
        assert "This is saved." in await read(expert, place)
    text = await read(expert, f"{base}/days?day={day}")
    assert "08:00–10:30, 20:00–24:00" in text
    assert 'value="20:00"' in text
    assert "Asia/Tokyo" in await read(expert, f"{base}/travel")
    assert "For a case with 12 records, 60 minutes are kept" in await read(expert, f"{base}/rules")
    text = await read(expert, f"{base}/kinds")
    assert 'value="25"' in text
    assert text.count(" checked") == 1
    await send(expert, f"{base}/days", {"remove": day}, page=f"{base}/days")
    await send(expert, f"{base}/travel", {"remove": day}, page=f"{base}/travel")
    assert "Every day is as in the week." in await read(expert, f"{base}/days")
    assert "No journeys are entered." in await read(expert, f"{base}/travel")


async def test_the_schedulers_link_leads_to_the_appointment_and_an_expert_sees_no_other_expert(
    client: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    async with database.pool.acquire() as conn:
        appointment, _link = await book_one(conn, clinic, utc_now() + timedelta(hours=3), now=utc_now())
    await sign_in(client, "noor@clinic.example")
    page = f"/experts/{clinic.expert}/hours"
    await send(client, page, [("weekday", "0"), ("starts", ""), ("ends", "")], page=page)
    assert f'href="/appointments/{appointment.id}"' in await read(client, page)
    await send(client, "/sign-out", {})
    await sign_in(client, "okafor@clinic.example")
    for part in ("hours", "days", "absences", "travel", "rules", "kinds"):
        await read(client, f"/experts/{clinic.expert}/{part}", 404)
        await read(client, f"/experts/{clinic.other_expert}/{part}")


async def test_the_summary_names_the_fields_whose_sentences_do_not(
    expert: aiohttp.ClientSession, clinic: Clinic
) -> None:
    page, wrong = f"/experts/{clinic.expert}/rules", RULES | {"preparation": "-5", "buffer_after": "121"}
    status, text, _ = await send(expert, page, wrong, page=page)
    assert status == 422
    for label, most in (("Minutes for every call", 240), ("Minutes free after", 120)):
        assert f"{label}: Please enter a number from 0 to {most}.</a>" in text
