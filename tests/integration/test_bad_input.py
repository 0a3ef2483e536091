"""Every route takes whatever is sent to it, in each place, and never answers with a failure of ours (SECURITY 23)."""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from consult.domain.clock import utc_now
from consult.keys import POOL
from tests.conftest import Server
from tests.integration import pages
from tests.integration.clinic import book_one, open_clinic
from tests.integration.test_join import press_join

VALUES = {
    "nothing": b"",
    "a NUL": b"\x00a\x00",
    "broken UTF-8": b"\xff\xfe\xc3\x28",
    "half a letter": b"\xed\xa0\x80",
    "emoji": "🩻👩‍⚕️".encode() * 9,
    "right to left": "\u202eשלום \u2067مرحبا".encode(),
    "a huge number": b"9" * 5000,
    "below zero": b"-9223372036854775809",
    "a year far away": b"9999-12-31T23:59:59.999999-23:59",
    "the first year": b"0001-01-01T00:00:00+14:00",
    "markup": b"\"'><script>alert(1)</script>{{7*7}}%(name)s%s{x}",
    "a long text": b"x" * 30_000,
    "digits of another script": "٣١".encode(),
    "a path": b"../../../../etc/passwd%2f\\..",
}
FIELDS = [
    "email", "password", "name", "born_on", "language", "diagnosis", "plan", "history",
    "referring_physician", "question", "expert", "length", "slot", "date", "time", "outside_hours", "day",
    "at", "weekday", "starts", "ends", "weekday-0", "starts-0", "ends-0", "row", "rows", "add", "remove",
    "time_zone", "guest_name", "guest_role", "withdraw", "send", "secret", "number", "code", "contact",
    "back", "next", "role", "file", "search", "condition", "conditions", "specialty", "specialties", "new_specialty",
    "icd10", "languages", "licences", "other_languages", "region", "new_cases_a_week", "leads_panels", "note",
    "kind", "experts", "lead", "day_from", "day_to", "weekdays", "time_from", "time_to", "urgent", "appointment", "to",
    "answer", "zone", "none", "preparation", "preparation_per_record", "preparation_most", "buffer_before",
    "buffer_after", "notice", "horizon", "daily_limit", "changes_until", "first_review", "length-first_review",
]  # fmt: skip
NOT_WALKED = {"/socket", "/board/events", "/sign-out", "/static"}  # endless, or the walk would end
KINDS = ("scheduler", "expert", "patient", "guest", "nobody")
PARTS = 3  # thousands of requests are no single test: a slow machine would end it for its length


@dataclass(frozen=True, slots=True)
class Ids:
    """What exists, so that a request passes the door and comes to the values behind it."""

    case: str
    appointment: str
    expert: str


@pytest.fixture
async def walker(
    request: pytest.FixtureRequest, server: Server, client: aiohttp.ClientSession
) -> AsyncIterator[tuple[aiohttp.ClientSession, Ids, str]]:
    """A browser that came in as the named kind of person, and where a page gives it a proof for its forms."""
    kind, now = str(request.param), utc_now()
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        booked, link = await book_one(conn, clinic, now + timedelta(minutes=40), now=now)
    page = "/sign-in"
    if kind in ("scheduler", "guest"):
        await pages.sign_in(client, "noor@clinic.example")
        page = "/cases"
    if kind == "expert":
        await pages.sign_in(client, "brandt@clinic.example")
        page = "/cases"
    if kind == "patient":
        assert (await press_join(client, secret=link.secret))[0] == 200
        page = "/visit/when"
    if kind == "guest":
        data = {"guest_name": "Rui", "guest_role": "caregiver"}
        path = f"/appointments/{booked.id}"
        _, text, _ = await pages.send(client, f"{path}/guests", data, page=path, follow=True)
        found = re.search(r"/join#([\w-]+)", text)
        assert found is not None
        await pages.send(client, "/sign-out", {})
        assert (await press_join(client, secret=found.group(1)))[0] == 200
        page = "/visit/when"
    yield client, Ids(str(clinic.case), str(booked.id), str(clinic.expert)), page


def paths(server: Server, ids: Ids, value: bytes) -> Iterator[tuple[str, str]]:
    """Each route: once with ids that exist, once with the value in each place of its path."""
    seen: set[tuple[str, str]] = set()
    for route in server.app.router.routes():
        pattern = route.resource.canonical if route.resource is not None else ""
        if route.method == "HEAD" or any(pattern.startswith(one) for one in NOT_WALKED):
            continue
        good = ids.case if pattern.startswith("/cases") else ids.expert
        good = ids.appointment if pattern.startswith("/appointments") else good
        known = re.sub(r"\{[^}]*\}", good, pattern, count=1)
        for path in (
            re.sub(r"\{[^}]*\}", str(uuid.uuid4()), known),
            re.sub(r"\{[^}]*\}", lambda _: quote(value[:600], safe=""), pattern),
            re.sub(r"\{[^}]*\}", lambda _: quote(value[:600], safe=""), known),
        ):
            if (route.method, path) not in seen:
                seen.add((route.method, path))
                yield route.method, path


def bodies(value: bytes) -> Iterator[tuple[str, bytes]]:
    pairs = b"&".join(name.encode() + b"=" + quote(value, safe="").encode() for name in FIELDS)
    yield "application/x-www-form-urlencoded", pairs
    parts = b"".join(
        b'--cut\r\nContent-Disposition: form-data; name="' + name.encode() + b'"\r\n\r\n' + value[:4000] + b"\r\n"
        for name in FIELDS
    )
    file = (
        b'--cut\r\nContent-Disposition: form-data; name="file"; filename="' + quote(value[:300]).encode() + b'"\r\n\r\n'
    )
    yield "multipart/form-data; boundary=cut", parts + file + value + b"\r\n--cut--\r\n"
    yield "application/json", b'{"secret": "' + value + b'", "number": ' + (value[:9] or b"{}") + b"}"
    yield "application/json", b'{"number": 1e999, "code": {"a": []}, "secret": ["\\ud800"], "time_zone": "\\u0000"}'


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("walker", KINDS, indirect=True)
async def test_whatever_is_sent_to_any_route_is_answered_calmly(
    server: Server, walker: tuple[aiohttp.ClientSession, Ids, str], part: int
) -> None:
    client, ids, page = walker
    token = await pages.proof(client, page)
    failures: list[str] = []
    for name, value in list(VALUES.items())[part::PARTS]:
        query = "&".join(f"{field}={quote(value[:120], safe='')}" for field in [*FIELDS[:34:2], "day", "at", "search"])
        given = list(bodies(value))
        for number, (method, path) in enumerate(paths(server, ids, value)):
            url = URL(server.url + path + ("?" + query if method == "GET" else ""), encoded=True)
            kind, body = given[number % len(given)] if "cancel" not in path else given[0]
            headers = {} if method == "GET" else {"Content-Type": kind, "X-CSRF": token}
            headers["Accept"] = "text/html" if number % 2 else "application/json"
            async with client.request(
                method, url, data=None if method == "GET" else io.BytesIO(body), headers=headers, allow_redirects=False
            ) as answer:
                text = await answer.read()
                if answer.status >= 500:
                    failures.append(f"{name}: {method} {path[:120]} {kind} gave {answer.status} {text[-200:]!r}")
                if answer.content_type == "text/html":
                    assert b"<script>alert(1)" not in text, path
    assert failures == []
