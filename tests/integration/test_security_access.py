"""Who may do what: every route of the router, asked by everybody there is (SECURITY 8 and 20, 22 on the way)."""

from __future__ import annotations

import re
import uuid
from typing import Any

import aiohttp
import pytest

from consult.keys import POOL
from tests.conftest import Database, Server
from tests.integration.personas import (
    ADMINISTRATOR,
    EXPERT,
    GUEST,
    NOBODY,
    OTHER_EXPERT,
    PATIENT,
    SCHEDULER,
    STRANGER,
    Town,
    settle,
)
from tests.integration.test_csrf import row_counts

EVERYBODY = {NOBODY, PATIENT, GUEST, STRANGER, SCHEDULER, EXPERT, OTHER_EXPERT, ADMINISTRATOR}
VISITORS, PATIENTS = {PATIENT, GUEST, STRANGER}, {PATIENT, STRANGER}
OF_THE_CASE = {SCHEDULER, EXPERT}

# Whom each route serves, in the case of this town. Whoever is not named gets nothing and changes nothing.
SERVES: dict[str, set[str]] = {
    "GET /": EVERYBODY,
    "GET /healthz": EVERYBODY,
    "GET /readyz": EVERYBODY,
    "GET /static/{path}": EVERYBODY,
    "GET /words/{language}.json": EVERYBODY,
    "POST /language": EVERYBODY,
    "GET /sign-in": EVERYBODY,
    "POST /sign-in": EVERYBODY,
    "POST /sign-out": EVERYBODY,
    "GET /join": EVERYBODY,
    "POST /join": EVERYBODY,
    "GET /join/new-link": EVERYBODY,
    "POST /join/new-link": EVERYBODY,
    "GET /socket": set(),  # its proof is an Origin and a ticket: test_security_socket
    "GET /visit": VISITORS,
    "GET /visit/when": VISITORS,
    "GET /visit/devices": VISITORS,
    "GET /visit/recording": VISITORS,
    "GET /visit/call": VISITORS,
    "GET /visit/chat": VISITORS,
    "GET /visit/after": VISITORS,
    "GET /visit/records": PATIENTS,
    "GET /visit/change": PATIENTS,
    "GET /visit/move": PATIENTS,
    "POST /visit/move": PATIENTS,
    "GET /visit/move/{hold}": PATIENTS,
    "POST /visit/move/{hold}": PATIENTS,
    "POST /visit/move/{hold}/release": PATIENTS,
    "GET /visit/moved": PATIENTS,
    "GET /visit/cancel": PATIENTS,
    "POST /visit/cancel": PATIENTS,
    "GET /visit/cancelled": VISITORS,
    "POST /visit/cancelled": VISITORS,
    "GET /visit/needs": PATIENTS,
    "POST /visit/needs": PATIENTS,
    "GET /visit/language": VISITORS,
    "POST /visit/language": VISITORS,
    "GET /visit/link": PATIENTS,
    "POST /visit/link": PATIENTS,
    "GET /visit/people": PATIENTS,
    "POST /visit/people": PATIENTS,
    "POST /visit/people/{person}/link": {PATIENT},
    "POST /visit/people/{person}/withdraw": {PATIENT},
    "POST /visit/steps/{step}": VISITORS,
    "POST /visit/time-zone": VISITORS,
    "POST /visit/seat": VISITORS,
    "POST /visit/questions": PATIENTS,
    "POST /visit/questions/{id}/remove": {PATIENT},
    "POST /visit/records": PATIENTS,
    "POST /visit/records/{id}/remove": {PATIENT},
    "GET /records/{id}/content": OF_THE_CASE | {PATIENT},
    "GET /records/{id}/download": OF_THE_CASE | {PATIENT},
    "GET /segments/{id}/media": OF_THE_CASE,
    "GET /consultations/{id}/video": OF_THE_CASE,
    "GET /today": {EXPERT, OTHER_EXPERT},
    "GET /board": {SCHEDULER},
    "GET /board/events": {SCHEDULER, EXPERT, OTHER_EXPERT},
    "GET /board/moves/{id}": {SCHEDULER},
    "GET /board/moves/{id}/to": {SCHEDULER},
    "GET /cases": {SCHEDULER, EXPERT, OTHER_EXPERT},
    "GET /cases/new": {SCHEDULER},
    "POST /cases/new": {SCHEDULER},
    "GET /cases/{id}": OF_THE_CASE,
    "GET /cases/{id}/progress": OF_THE_CASE,
    "POST /cases/{id}/questions": OF_THE_CASE,
    "POST /cases/{id}/questions/{question}/remove": OF_THE_CASE,
    "POST /cases/{id}/records": OF_THE_CASE,
    "POST /cases/{id}/records/{record}/remove": OF_THE_CASE,
    "POST /cases/{id}/transcripts/{segment}/again": OF_THE_CASE,
    "POST /cases/{id}/consultations/{consultation}/video": OF_THE_CASE,
    "GET /cases/{id}/book": {SCHEDULER},
    "POST /cases/{id}/book": {SCHEDULER},
    "GET /appointments/{id}": {SCHEDULER},
    "GET /appointments/{id}/cancel": {SCHEDULER},
    "POST /appointments/{id}/cancel": {SCHEDULER},
    "GET /appointments/{id}/move": {SCHEDULER},
    "POST /appointments/{id}/move": {SCHEDULER},
    "POST /appointments/{id}/needs": {SCHEDULER},
    "POST /appointments/{id}/link": {SCHEDULER},
    "POST /appointments/{id}/guests": {SCHEDULER},
    "POST /appointments/{id}/guests/{person}/link": {SCHEDULER},
    "POST /appointments/{id}/guests/{person}/withdraw": {SCHEDULER},
    "GET /appointments/{id}/call": {EXPERT},
    "POST /appointments/{id}/seat": {EXPERT},
    "GET /cases/{id}/waiting": {SCHEDULER},
    "POST /cases/{id}/waiting": {SCHEDULER},
    "GET /waiting": {SCHEDULER},
    "POST /waiting/look": {SCHEDULER},
    "POST /waiting/{id}/place": {SCHEDULER},
    "POST /waiting/{id}/urgent": {SCHEDULER},
    "POST /waiting/{id}/again": {SCHEDULER},
    "POST /waiting/{id}/remove": {SCHEDULER},
    "POST /waiting/{id}/offer": {SCHEDULER},
    "GET /offer": EVERYBODY,  # its proof is the link's secret: test_offer_page
    "POST /offer": EVERYBODY,
    "POST /offer/answer": EVERYBODY,
    "GET /experts": {SCHEDULER, ADMINISTRATOR},
    "GET /conditions": {SCHEDULER},
    "POST /conditions": {SCHEDULER},
    "GET /cases/{id}/profile": {SCHEDULER},
    "POST /cases/{id}/profile": {SCHEDULER},
    "GET /cases/{id}/experts": {SCHEDULER},
    "POST /cases/{id}/experts": {SCHEDULER},
    "GET /experts/{id}/profile": OF_THE_CASE,
    "POST /experts/{id}/profile": OF_THE_CASE,
    "GET /experts/{id}/hours": OF_THE_CASE,
    "POST /experts/{id}/hours": OF_THE_CASE,
    "GET /experts/{id}/days": OF_THE_CASE,
    "POST /experts/{id}/days": OF_THE_CASE,
    "GET /experts/{id}/absences": OF_THE_CASE,
    "POST /experts/{id}/absences": OF_THE_CASE,
    "GET /experts/{id}/travel": OF_THE_CASE,
    "POST /experts/{id}/travel": OF_THE_CASE,
    "GET /experts/{id}/rules": OF_THE_CASE,
    "POST /experts/{id}/rules": OF_THE_CASE,
    "GET /experts/{id}/kinds": OF_THE_CASE,
    "POST /experts/{id}/kinds": OF_THE_CASE,
    "GET /messages": {SCHEDULER, ADMINISTRATOR},
    "GET /messages/{id}/again": {SCHEDULER},
    "POST /messages/{id}/again": {SCHEDULER},
    "GET /calendar": {EXPERT, OTHER_EXPERT},
    "POST /calendar": {EXPERT, OTHER_EXPERT},
    "POST /calendar/withdraw": {EXPERT, OTHER_EXPERT},
    "GET /calendar/{secret}.ics": set(),  # its proof is the secret: test_calendars
    "GET /visit/calendar.ics": VISITORS,
    "GET /outbox": {SCHEDULER, ADMINISTRATOR},
    "GET /outbox/{name}": {SCHEDULER, ADMINISTRATOR},
}
REFUSALS = {401, 403, 404}


@pytest.fixture
async def town(server: Server) -> Town:
    async with server.app[POOL].acquire() as conn:
        return await settle(server, conn)


def routes_of(server: Server) -> list[tuple[str, str]]:
    """Method and pattern of every route."""
    found = {(one.method, one.resource.canonical) for one in server.app.router.routes() if one.resource is not None}
    return sorted(pair for pair in found if pair[0] != "HEAD")


def address(town: Town, pattern: str) -> str:
    """The pattern filled with what belongs to the town's case."""

    def fill(part: re.Match[str]) -> str:
        name = part[1]
        if name == "id":
            first = pattern.split("/")[1]
            second = pattern.split("/")[2]
            ids: dict[str, object] = {
                "cases": town.clinic.case, "appointments": town.appointment_id, "experts": town.clinic.expert,
                "board": town.appointment_id,
                "records": town.record_id, "segments": town.segment_id,
                "consultations": town.consultation_id,
                "messages": town.mail_id, "waiting": town.wait_entry_id,
                "visit": town.question_id if second == "questions" else town.record_id,
            }  # fmt: skip
            return str(ids[first])
        others: dict[str, object] = {
            "record": town.record_id, "question": town.question_id, "segment": town.segment_id,
            "consultation": town.consultation_id,
            "step": "when", "hold": uuid.uuid4(),
            "language": "en", "path": "css/base.css", "secret": "x" * 43,
            "person": uuid.uuid4(), "name": f"{uuid.uuid4()}.eml",
        }  # fmt: skip
        return str(others[name])

    return re.sub(r"\{(\w+)\}", fill, pattern)


async def ask(server: Server, town: Town, persona: str, method: str, pattern: str) -> tuple[int, str, Any]:
    headers = town.headers_of(persona, server.settings) | {"Accept": "application/json"}
    jar = aiohttp.DummyCookieJar()
    async with (
        aiohttp.ClientSession(server.url, cookie_jar=jar) as client,
        client.request(method, address(town, pattern), headers=headers, allow_redirects=False) as answer,
    ):
        endless = answer.content_type == "text/event-stream"
        return answer.status, "" if endless else await answer.text(errors="replace"), answer.headers


async def test_the_table_names_every_route(server: Server) -> None:
    assert {f"{method} {pattern}" for method, pattern in routes_of(server)} == set(SERVES)


async def test_nobody_reads_or_changes_what_is_not_theirs(server: Server, database: Database, town: Town) -> None:
    before = await row_counts(database)
    for method, pattern in routes_of(server):
        for persona in sorted(EVERYBODY - SERVES[f"{method} {pattern}"]):
            status, text, headers = await ask(server, town, persona, method, pattern)
            if persona == GUEST and headers.get("Location") == "/visit":
                continue  # a step that is not theirs leads them to one that is
            assert status in REFUSALS, (persona, method, pattern, status)
            assert headers["Content-Type"].startswith("application/problem+json"), (persona, pattern)
            for secret in ("Ribeiro", "Lung cancer", "scan", "May I drive"):
                assert secret not in text, (persona, pattern)
    assert await row_counts(database) == before


async def test_everybody_reads_what_is_theirs_with_safe_headers(server: Server, town: Town) -> None:
    for method, pattern in routes_of(server):
        if method != "GET" or pattern in ("/socket", "/outbox/{name}"):
            continue
        for persona in sorted(SERVES[f"{method} {pattern}"]):
            status, _text, headers = await ask(server, town, persona, method, pattern)
            assert status in (200, 303), (persona, pattern, status)
            check_headers(pattern, headers)


def check_headers(pattern: str, headers: Any) -> None:
    csp = headers["Content-Security-Policy"]
    assert "unsafe" not in csp, pattern
    assert "default-src 'self'" in csp or "default-src 'none'" in csp, pattern
    assert "frame-ancestors 'none'" in csp, pattern
    assert ("sandbox" in csp) is pattern.startswith(("/records", "/segments", "/consultations")), pattern
    assert headers["X-Content-Type-Options"] == "nosniff", pattern
    assert headers["Referrer-Policy"] == "no-referrer", pattern
    assert headers["X-Frame-Options"] == "DENY", pattern
    assert "Server" not in headers, pattern
    kept = headers["Cache-Control"]
    assert "public" not in kept or pattern.startswith("/static"), pattern
    if not pattern.startswith(("/static", "/words", "/records")):
        assert "no-store" in kept, pattern


MARKUP = "\"'><img src=x onerror=alert(1)>"
WRITTEN_BY_PEOPLE = (
    ("patients", "name"), ("staff", "name"), ("staff", "specialty"), ("cases", "diagnosis"), ("cases", "plan"),
    ("cases", "history"), ("cases", "referring_physician"), ("questions", "text"), ("records", "title"),
    ("invitations", "name"), ("segments", "name"), ("wait_entries", "note"), ("appointments", "needs_note"),
    ("appointment_changes", "reason"),
)  # fmt: skip
BOARDS = ("GET /board?view=week", "GET /board?view=month", "GET /today?view=week")


async def test_what_people_write_is_words_on_every_page(server: Server, database: Database, town: Town) -> None:
    for table, column in WRITTEN_BY_PEOPLE:
        await database.pool.execute(f"update {table} set {column} = $1", MARKUP)
    await database.pool.execute(
        "insert into conditions (code, name, specialty) select 'markup', $1, min(code) from specialties", MARKUP
    )
    views = {f"{method} {pattern}" for method, pattern in routes_of(server) if method == "GET"}
    said_by: set[str] = set()
    async with aiohttp.ClientSession(server.url, cookie_jar=aiohttp.DummyCookieJar()) as client:
        for view in sorted(views - {"GET /socket", "GET /board/events", "GET /outbox/{name}"} | set(BOARDS)):
            pattern = view.removeprefix("GET ")
            for persona in sorted(SERVES[view.partition("?")[0]]):
                headers = town.headers_of(persona, server.settings) | {"Accept": "text/html"}
                async with client.get(address(town, pattern), headers=headers, allow_redirects=False) as answer:
                    if answer.content_type != "text/html":
                        continue
                    text = await answer.text()
                assert "<img src=x" not in text, (view, persona)
                if "&lt;img src=x" in text:
                    said_by.add(view)
    assert {"GET /board", "GET /today", "GET /waiting", "GET /cases/{id}/experts", "GET /visit/people"} <= said_by


async def test_errors_and_odd_methods_have_safe_headers_too(server: Server, town: Town) -> None:
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(server.url, cookie_jar=jar) as client:
        for method, path in (
            ("GET", "/nothing"), ("PUT", "/join"), ("TRACE", "/cases"), ("POST", "/sign-in"), ("OPTIONS", "/join"),
            ("GET", f"/records/{town.record_id}/content"), ("GET", "/static/nothing.js"),
        ):  # fmt: skip
            async with client.request(method, path, allow_redirects=False) as answer:
                assert 400 <= answer.status < 500, (method, path, answer.status)
                assert "unsafe" not in answer.headers["Content-Security-Policy"]
                assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert "no-store" in answer.headers["Cache-Control"]
                assert "Server" not in answer.headers


async def test_ids_of_another_case_open_nothing_in_ones_own(server: Server, database: Database, town: Town) -> None:
    """An expert with a case of their own asks for this case's record, question and segment through it."""
    own = await database.pool.fetchval("select id from cases where id <> $1", town.clinic.case)
    headers = town.headers_of(OTHER_EXPERT, server.settings) | {"Accept": "application/json"}
    before = await row_counts(database)
    async with aiohttp.ClientSession(server.url, cookie_jar=aiohttp.DummyCookieJar()) as client:
        for path in (
            f"/cases/{own}/records/{town.record_id}/remove",
            f"/cases/{own}/questions/{town.question_id}/remove",
            f"/cases/{own}/transcripts/{town.segment_id}/again",
        ):
            async with client.post(path, headers=headers, allow_redirects=False) as answer:
                assert answer.status == 404, path
    assert await row_counts(database) == before
    assert await database.pool.fetchval("select removed_at from records where id = $1", town.record_id) is None


@pytest.mark.parametrize("odd", ["0", "-1", "1e3", "9" * 30, "%00", "%2e%2e", "1%20or%201=1", "%F0%9F%98%80", "'"])
async def test_odd_ids_are_not_found(server: Server, town: Town, odd: str) -> None:
    from yarl import URL

    headers = town.cookie_of(SCHEDULER) | {"Accept": "application/json"}
    patterns = sorted({pattern for method, pattern in routes_of(server) if method == "GET" and "{id}" in pattern})
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
        for pattern in patterns:
            url = URL(server.url + pattern.replace("{id}", odd), encoded=True)
            async with client.get(url, headers=headers, allow_redirects=False) as answer:
                assert answer.status in (400, 404, 403), (pattern, answer.status)
