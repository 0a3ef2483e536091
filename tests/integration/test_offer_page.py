"""The page of an offer and the staff's list, over HTTP: what a link shows, what is never told, what a form keeps."""

from __future__ import annotations

import hashlib
import re
import uuid
from datetime import datetime, time, timedelta
from typing import Any

import aiohttp
import pytest

from consult.availability import service as availability
from consult.domain.clock import utc_now
from consult.domain.ids import WaitEntryId
from consult.domain.kinds import ConsultationKind
from consult.domain.slots import Slot
from consult.domain.working_days import WorkingBlock
from consult.keys import POOL
from consult.people import service as people
from consult.scheduling import service as scheduling
from consult.waiting import service as waiting
from consult.waiting.model import OfferDetails, Wishes
from tests.conftest import Server
from tests.integration.clinic import Clinic, open_case, open_clinic
from tests.integration.pages import proof, read, send, sign_in
from tests.integration.waiters import USUAL, Told, free_slots, offer, put_on_list

CLOSED = "This time is no longer kept."
YOURS = "This time is yours."


class Offered:
    """A clinic where Ana is offered a time of the next week; link: what her mail holds."""

    def __init__(self, clinic: Clinic, entry: WaitEntryId, slot: Slot, details: OfferDetails, secret: str) -> None:
        self.clinic = clinic
        self.entry = entry
        self.slot = slot
        self.details = details
        self.secret = secret


async def _offered(server: Server, *, email: str | None = None) -> Offered:
    now, told = utc_now(), Told()
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        entry = await put_on_list(conn, clinic, "", case_id=clinic.case, now=now, email=email)
        slot = (await free_slots(conn, clinic.expert, now, days=9))[-1]
        (made,) = await waiting.offer_freed(conn, clinic.expert, slot, usual=USUAL, now=now, tell=told)
        secret = await told.secret_of(conn, made, now)
        return Offered(clinic, entry, slot, await waiting.fetch_offer(conn, made), secret)


@pytest.fixture
async def offered(server: Server) -> Offered:
    return await _offered(server)


async def press(client: aiohttp.ClientSession, path: str, **fields: str) -> tuple[int, str]:
    status, text, _where = await send(client, path, fields, page="/offer")
    return status, text


def without_proofs(page: str) -> str:
    return re.sub(r'(content|value)="[\w-]{20,}"', "", page)


async def test_bots_that_open_the_link_a_hundred_times_change_nothing(
    server: Server, client: aiohttp.ClientSession, offered: Offered
) -> None:
    pages = set()
    for number in range(100):
        method = ("GET", "HEAD")[number % 2]
        async with client.request(method, f"/offer?x={number}") as answer:
            assert answer.status == 200
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert "noindex" in answer.headers["X-Robots-Tag"]
            pages.add(without_proofs(await answer.text()))
    assert len(pages) == 2  # that of GET, and nothing for HEAD
    status, text = await press(client, "/offer", secret=offered.secret)
    assert status == 200
    assert "Dr Sabine Brandt" in text


async def test_the_page_says_who_when_in_the_readers_zone_and_until_when(
    server: Server, client: aiohttp.ClientSession, offered: Offered
) -> None:
    for _ in range(3):  # looking consumes nothing
        status, text = await press(client, "/offer", secret=offered.secret, time_zone="Asia/Tokyo")
        assert status == 200
    assert "Tokyo time" in text
    tokyo = offered.slot.starts_at + timedelta(hours=9)
    assert f"{tokyo:%H:%M}" in text
    assert "We keep it for you until" in text
    status, text = await press(client, "/offer", secret=offered.secret, time_zone="Mars/Base")
    assert status == 200
    assert "Berlin time" in text  # the expert's, as long as nobody knows better


async def test_an_offered_panel_is_named_with_all_its_experts_everywhere(
    server: Server, client: aiohttp.ClientSession
) -> None:
    now, told = utc_now(), Told()
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        for expert in (clinic.expert, clinic.other_expert):
            blocks = [WorkingBlock(weekday, time(0), time(23)) for weekday in range(7)]
            await availability.set_working_hours(conn, expert, blocks)
        panel = Wishes(kind=ConsultationKind.PANEL, expert_ids=(clinic.other_expert, clinic.expert))
        await put_on_list(conn, clinic, "", case_id=clinic.case, wishes=panel, now=now)
        (made,) = await offer(conn, clinic, Slot(now, now + timedelta(days=5)), told, now=now)
        secret = await told.secret_of(conn, made.offer.id, now)
    both = "Dr Helen Okafor, Dr Sabine Brandt"
    _, text = await press(client, "/offer", secret=secret)
    assert text.index("Dr Helen Okafor") < text.index("Dr Sabine Brandt")
    await sign_in(client, "noor@clinic.example")
    assert f"</b>, {both}" in await read(client, "/waiting")
    status, text = await press(client, "/offer/answer", secret=secret, answer="take")
    assert status == 200 and YOURS in text and both.replace(", ", "<br>") in text
    assert f"<b>{both}</b>, <b>" in await read(client, f"/cases/{clinic.case}"), "what is next"
    assert both in await read(client, "/cases")


async def test_yes_books_and_leads_on_to_the_call(
    server: Server, client: aiohttp.ClientSession, offered: Offered
) -> None:
    status, text = await press(client, "/offer/answer", secret=offered.secret, answer="take", time_zone="Europe/Lisbon")
    assert status == 200
    assert YOURS in text
    link = re.search(r'href="[^"]+/join#([\w-]{43})"', text)
    assert link is not None
    async with server.app[POOL].acquire() as conn:
        (booked,) = await scheduling.list_appointments(conn, offered.clinic.case)
        assert booked.appointment.starts_at == offered.slot.starts_at
        assert booked.patient_time_zone == "Europe/Lisbon"
        opened = await scheduling.open_invitation(conn, now=utc_now(), secret=link[1])
        assert opened.appointment_id == booked.appointment.id
        assert await conn.fetchval("select kind from mails") == "invitation"
    status, text = await press(client, "/offer/answer", secret=offered.secret, answer="take")
    assert (status, YOURS in text) == (200, True)  # pressed twice
    assert "/join#" not in text
    status, text = await press(client, "/offer", secret=offered.secret)
    assert (status, CLOSED in text) == (410, True)


@pytest.mark.parametrize(("said", "words"), [("decline", "You stay on the list"), ("leave", "You are off the list.")])
async def test_no_gives_the_time_back(
    server: Server, client: aiohttp.ClientSession, offered: Offered, said: str, words: str
) -> None:
    status, text = await press(client, "/offer/answer", secret=offered.secret, answer=said)
    assert (status, words in text) == (200, True)
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        assert offered.slot in await free_slots(conn, offered.clinic.expert, now, days=9)
        assert len(await waiting.list_entries(conn, now)) == (1 if said == "decline" else 0)


async def test_unknown_expired_withdrawn_and_answered_links_read_the_same(
    server: Server, client: aiohttp.ClientSession, offered: Offered
) -> None:
    async def both(secret: str) -> set[str]:
        found = set()
        for path, more in (
            ("/offer", {}),
            ("/offer/answer", {"answer": "take"}),
            ("/offer/answer", {"answer": "leave"}),
        ):
            status, text = await press(client, path, secret=secret, **more)
            assert status == 410, text
            found.add(without_proofs(text).replace("/offer/answer", "/offer"))
        return found

    said = await both("x" * 43)
    for nonsense in ("nothing", "https://consult.example/join#" + "y" * 43, "🩻" * 20, "x" * 499):
        said |= await both(nonsense)
    async with server.app[POOL].acquire() as conn:
        await conn.execute("update wait_offers set offered_at = $1, expires_at = $2", *_long_ago())
    said |= await both(offered.secret)
    async with server.app[POOL].acquire() as conn:
        await conn.execute("update wait_offers set ended_at = $1, outcome = 'withdrawn'", utc_now())
    said |= await both(offered.secret)
    assert len(said) == 1
    assert CLOSED in said.pop()


def _long_ago() -> tuple[datetime, datetime]:
    return utc_now() - timedelta(hours=25), utc_now() - timedelta(hours=1)


async def test_a_program_gets_a_problem_document(
    server: Server, client: aiohttp.ClientSession, offered: Offered
) -> None:
    headers = {"X-CSRF": await proof(client, "/offer"), "Accept": "application/json"}
    async with client.post("/offer", json={"secret": "x" * 43}, headers=headers) as answer:
        assert answer.status == 410
        assert (await answer.json())["code"] == "offer.not_open"


async def test_the_secret_is_nowhere_in_the_database_but_as_a_hash(server: Server, offered: Offered) -> None:
    async with server.app[POOL].acquire() as conn:
        tables = await conn.fetch("select table_name from information_schema.tables where table_schema = 'public'")
        for row in tables:
            text = await conn.fetchval(f"select string_agg(one::text, ' ') from {row['table_name']} one")
            assert offered.secret not in (text or ""), row["table_name"]
        kept = await conn.fetchval("select secret_hash from wait_offer_links")
    assert kept == hashlib.sha256(offered.secret.encode()).digest()
    assert len(offered.secret) * 6 >= 256


async def test_guessing_is_slowed_down(server: Server, client: aiohttp.ClientSession, offered: Offered) -> None:
    statuses = [(await press(client, "/offer", secret="x" * 43))[0] for _ in range(21)]
    assert statuses == [410] * 20 + [429]
    status, _text = await press(client, "/offer", secret=offered.secret)
    assert status == 200  # somebody else's tries do not close it


@pytest.mark.parametrize(
    "fields", [{}, {"secret": ""}, {"secret": "x" * 501}, {"secret": "x" * 43, "answer": "perhaps"}]
)
async def test_half_a_form_gets_a_sentence(
    server: Server, client: aiohttp.ClientSession, fields: dict[str, str]
) -> None:
    status, text = await press(client, "/offer/answer", **fields)
    assert status == 422
    assert "Please" in text


async def test_a_case_is_put_on_the_list_and_what_was_typed_stays(
    server: Server, client: aiohttp.ClientSession
) -> None:
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=now)
    await sign_in(client, "noor@clinic.example")
    path = f"/cases/{clinic.case}/waiting"
    fields = [
        ("kind", "follow_up"), ("experts", str(clinic.expert)), ("weekdays", "1"), ("weekdays", "3"),
        ("day_from", "2031-05-02"), ("day_to", "2031-05-01"), ("time_from", "09:00"), ("time_to", "08:00"),
        ("note", "<b>only by bus</b>"), ("urgent", "1"),
    ]  # fmt: skip
    status, text, _ = await send(client, path, fields)
    assert status == 422
    for words in ("The last day lies before the first one.", "The end must be later than the start."):
        assert words in text
    for kept in ('value="2031-05-02"', 'value="08:00"', "&lt;b&gt;only by bus&lt;/b&gt;"):
        assert kept in text
    assert len(re.findall(r'name="weekdays" value="[13]" checked', text)) == 2
    assert re.search(rf'name="experts" value="{clinic.expert}" checked', text)
    fields = [one for one in fields if one[0] not in ("day_to", "time_to")]
    status, text, where = await send(client, path, fields)
    assert (status, where) == (303, f"/cases/{clinic.case}#waiting")
    page = await read(client, "/waiting")
    for words in ("Ana Ribeiro", "Follow-up", "With Dr Sabine Brandt", "From 2 May 2031", "Tue, Thu",
                  "Not before 09:00", "only by bus", "Urgent"):  # fmt: skip
        assert words in page, words
    assert "only by bus" in await read(client, f"/cases/{clinic.case}")
    status, text, where = await send(client, path, [("kind", "first_review"), ("weekdays", "0")])
    assert status == 303
    page = await read(client, "/waiting")
    assert "With whichever expert is free" in page
    assert "only by bus" not in page


async def test_nonsense_in_the_form_of_the_list_gets_sentences(server: Server, client: aiohttp.ClientSession) -> None:
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=utc_now())
    await sign_in(client, "noor@clinic.example")
    path = f"/cases/{clinic.case}/waiting"
    good = {"kind": "first_review", "weekdays": "1"}
    for wrong in (
        {"kind": "surgery"}, {"weekdays": "9"}, {"weekdays": ""}, {"experts": "-1"}, {"experts": "9" * 18},
        {"experts": str(clinic.scheduler)}, {"day_from": "2031-02-29"}, {"day_to": "0001-01-01"},
        {"time_from": "25:00"}, {"appointment": "x"},
        {"appointment": "00000000-0000-0000-0000-000000000000"}, {"note": "x" * 501},
        {"kind": "panel"}, {"kind": "panel", "lead": str(clinic.expert)}, {"kind": "panel", "lead": "9" * 19},
    ):  # fmt: skip
        status, text, _ = await send(client, path, good | wrong)
        assert status == 422, wrong
        assert 'class="error-summary"' in text, wrong
    await read(client, "/cases/999999/waiting", 404)


async def test_of_many_experts_those_chosen_come_first_and_none_is_dropped_in_silence(
    server: Server, client: aiohttp.ClientSession
) -> None:
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=utc_now())
        await conn.execute(
            "insert into staff (email, name, role, time_zone, language, password_hash, created_at)"
            " select 'e' || n || '@clinic.example', 'Dr Expert ' || n, 'expert', 'UTC', 'en', '', now()"
            " from generate_series(10, 57) n"
        )
        ids = [str(one.id) for one in await people.list_experts(conn)]
    await sign_in(client, "noor@clinic.example")
    path = f"/cases/{clinic.case}/waiting"

    def listed(page: str) -> list[str]:
        (many,) = re.findall(r'<div class="many">(.*?)</div>', page, re.S)
        return re.findall(r'name="experts" value="(\d+)"', many)

    assert listed(await read(client, path)) == ids, "nobody is chosen, and fifty do not push the rest out of sight"
    good = [("kind", "first_review"), ("weekdays", "1")]
    status, page, _ = await send(client, path, [*good, *(("experts", one) for one in ids[-21:])])
    assert status == 422 and "Choose twenty experts at most" in page
    assert listed(page)[:21] == ids[-21:] and page.count(" checked") == 22
    assert (await send(client, path, [*good, *(("experts", one) for one in ids[-20:])]))[0] == 303
    assert listed(await read(client, path))[:20] == ids[-20:]


async def test_an_earlier_time_of_a_panel_names_all_of_it(server: Server, client: aiohttp.ClientSession) -> None:
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        booked, _link = await scheduling.book(
            conn, clinic.case, clinic.other_expert, now + timedelta(days=9), timedelta(minutes=60),
            kind=ConsultationKind.PANEL, others=[clinic.expert], booked_by=clinic.scheduler, now=now,
            outside_hours=True,
        )  # fmt: skip
    await sign_in(client, "noor@clinic.example")
    path, names = f"/cases/{clinic.case}/waiting", "Dr Helen Okafor, Dr Sabine Brandt"
    (option,) = re.findall(rf'<option value="{booked.id}"[^>]*>([^<]*)<', await read(client, path))
    assert option.startswith("Earlier than") and option.endswith(names)
    fields = {"kind": "panel", "appointment": str(booked.id), "weekdays": "1"}
    assert (await send(client, path, fields))[0] == 303
    assert re.search(rf"Earlier than [^<]* \({names}\)", await read(client, "/waiting"))


async def test_a_scheduler_answers_for_somebody_on_the_telephone(
    server: Server, client: aiohttp.ClientSession, offered: Offered
) -> None:
    await sign_in(client, "noor@clinic.example")
    page = await read(client, "/waiting")
    assert "Offered now:" in page
    assert "Kept until" in page
    path = f"/waiting/{offered.entry}/offer"
    assert (await send(client, path, {"answer": "perhaps"}))[0] == 422
    status, _text, where = await send(client, path, {"answer": "take"})
    assert status == 303
    assert where.startswith("/appointments/")
    status, text, _ = await send(client, path, {"answer": "take"})
    assert status == 410
    assert "This offer is over." in text
    assert "Nobody waits for a time." in text


async def test_the_scheduler_withdraws_marks_moves_and_removes(
    server: Server, client: aiohttp.ClientSession, offered: Offered
) -> None:
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        case = await open_case(conn, offered.clinic.scheduler, name="Bo Berg", now=now)
        bo = await put_on_list(conn, offered.clinic, "", case_id=case, now=now)
    await sign_in(client, "noor@clinic.example")

    async def names() -> list[str]:
        return re.findall(r"<b>(Ana Ribeiro|Bo Berg)</b>", await read(client, "/waiting"))

    assert await names() == ["Ana Ribeiro", "Bo Berg"]
    assert (await send(client, f"/waiting/{bo}/place", {"to": "up"}))[0] == 303
    assert await names() == ["Bo Berg", "Ana Ribeiro"]
    assert (await send(client, f"/waiting/{offered.entry}/urgent", {"urgent": "1"}))[0] == 303
    assert await names() == ["Ana Ribeiro", "Bo Berg"]
    assert (await send(client, f"/waiting/{bo}/place", {"to": "sideways"}))[0] == 422
    assert (await send(client, f"/waiting/{offered.entry}/offer", {"answer": "withdraw"}))[0] == 303
    assert "Offered now:" not in await read(client, "/waiting")
    assert (await press(client, "/offer", secret=offered.secret))[0] == 410
    assert (await send(client, f"/waiting/{bo}/remove", {}))[0] == 303
    assert await names() == ["Ana Ribeiro"]
    assert (await send(client, f"/waiting/{bo}/place", {"to": "up"}))[0] == 404
    assert (await send(client, "/waiting/look", {}))[0] == 303


async def test_what_is_freed_on_the_pages_is_offered_on(server: Server, client: aiohttp.ClientSession) -> None:
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        slots = await free_slots(conn, clinic.expert, now, days=9)
        booked, _link = await scheduling.book(
            conn, clinic.case, clinic.expert, slots[-1].starts_at, booked_by=clinic.scheduler, now=now
        )
    await sign_in(client, "noor@clinic.example")

    async def queued() -> list[dict[str, Any]]:
        import json

        async with server.app[POOL].acquire() as conn:
            rows = await conn.fetch("select payload from pgqueuer where entrypoint = 'offer_freed' order by id")
        return [json.loads(row["payload"]) for row in rows]

    assert (await send(client, f"/appointments/{booked.id}/cancel", {"reason": "ill"}))[0] == 303
    (first,) = await queued()
    assert first["expert_id"] == clinic.expert
    assert datetime.fromisoformat(first["starts_at"]) == slots[-1].starts_at
    await send(client, f"/appointments/{booked.id}/cancel", {"reason": "ill"})
    assert len(await queued()) == 1  # cancelled twice, freed once
    path = f"/experts/{clinic.expert}"
    hours = [("weekday", "5"), ("starts", "09:00"), ("ends", "12:00")]
    assert (await send(client, f"{path}/hours", hours, page=f"{path}/hours"))[0] == 303
    assert (await send(client, f"{path}/absences", {"remove": str(uuid.uuid4())}))[0] == 303
    assert (await send(client, f"{path}/days", {"remove": "2031-05-02"}))[0] == 303
    assert (await send(client, f"{path}/travel", {"remove": "2031-05-02"}))[0] == 303
    stretches = await queued()
    assert len(stretches) == 5
    ahead = [datetime.fromisoformat(one["ends_at"]) - now for one in stretches[1:]]
    assert min(ahead) > timedelta(days=100)  # whatever is free in the next months
