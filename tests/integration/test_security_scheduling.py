"""What somebody tries with a link of theirs, or without one, on the pages of scheduling (SECURITY 2 to 8, 10)."""

from __future__ import annotations

import asyncio
import itertools
import re
from datetime import timedelta

import aiohttp

from consult.keys import POOL
from consult.scheduling import service as scheduling
from signaling.events import RemovePerson, RoomCommand
from tests.conftest import Server
from tests.integration.pages import proof, read, send, sign_in
from tests.integration.test_visit_changes import (
    MOVE,
    Booked,
    booked,
    choices_in,
    count_holds,
    first_day,
    orders,
    sequence_in,
)

__all__ = ["booked", "orders"]

PEOPLE = "/visit/people"


async def send_all(client: aiohttp.ClientSession, path: str, forms: list[dict[str, str]], *, page: str) -> list[int]:
    """Send forms at the same moment. Returns their statuses."""
    given = await proof(client, page)

    async def send_one(form: dict[str, str]) -> int:
        async with client.post(path, data=form | {"csrf": given}, allow_redirects=False) as answer:
            await answer.read()
            return answer.status

    return list(await asyncio.gather(*(send_one(form) for form in forms)))


async def test_one_link_keeps_one_time_however_many_are_asked_for_at_once(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    day = await first_day(client)
    text = await read(client, day)
    forms = [{"time": time, "sequence": sequence_in(text)} for time in choices_in(text)]
    assert len(forms) > 2
    statuses = await send_all(client, MOVE, forms, page=day)
    assert 303 in statuses
    assert await count_holds(server) == 1


async def test_four_companions_are_four_however_many_are_brought_at_once(
    client: aiohttp.ClientSession, server: Server, booked: Booked
) -> None:
    forms = [{"guest_name": f"Guest {number}", "guest_role": "caregiver"} for number in range(10)]
    await send_all(client, PEOPLE, forms, page=PEOPLE)
    async with server.app[POOL].acquire() as conn:
        invited = await scheduling.list_invited(conn, booked.appointment.id)
    assert sum(one.is_guest for one in invited) == 4


async def test_an_expert_who_is_replaced_is_sent_out_of_the_room(
    server: Server, client: aiohttp.ClientSession, booked: Booked, orders: list[RoomCommand]
) -> None:
    clinic, appointment = booked.clinic, booked.appointment
    await sign_in(client, "noor@clinic.example")
    at = (appointment.starts_at + timedelta(days=1)).astimezone()
    data = {
        "expert": str(clinic.other_expert), "outside_hours": "1", "sequence": str(appointment.sequence),
        "date": at.date().isoformat(), "time": "10:00",
    }  # fmt: skip
    page = f"/appointments/{appointment.id}/move"
    status, text, _ = await send(client, page, data, page=page)
    assert status == 303, text
    gone = RemovePerson(str(appointment.id), f"staff:{clinic.expert}", "expired")
    assert gone in orders


async def test_one_link_fills_no_history(client: aiohttp.ClientSession, server: Server, booked: Booked) -> None:
    given = await proof(client, "/visit/needs")
    statuses = []
    for number in range(45):
        form = {"csrf": given, "needs": "captions", "needs_note": f"note {number}"}
        async with client.post("/visit/needs", data=form, allow_redirects=False) as answer:
            statuses.append(answer.status)
            text = await answer.text()
    assert statuses == [303] * 40 + [422] * 5
    assert "note 44" in text, "what was typed stays"
    written = await server.app[POOL].fetchval("select count(*) from appointment_changes where change = 'needs'")
    assert written == 40


STRANGE = (b"\xff\xfe", "é".encode(), b"a" * 6000, b"\xed\xa0\x80", b'"quoted"', b"a=b;c", b"\xff.1.\xff.\xff.\xff")
COOKIES = (b"consult_visit", b"consult_staff", b"consult_form", b"consult_steps", b"consult_link", b"language")
ASKED = (b"GET /visit/when", b"GET /visit/people", b"GET /join", b"GET /cases", b"POST /join", b"POST /visit/move")


async def test_cookies_and_proofs_of_any_bytes_are_answered_calmly(
    server: Server, client: aiohttp.ClientSession, booked: Booked
) -> None:
    """On one line, so that an answer that breaks it off is noticed too."""
    host = server.url.removeprefix("http://")
    visit = next(cookie.value for cookie in client.cookie_jar if cookie.key == "consult_visit").encode()
    for name, strange in itertools.product(COOKIES, STRANGE):
        reader, writer = await asyncio.open_connection(*host.split(":"))
        kept = b"" if name == b"consult_visit" else b"consult_visit=" + visit + b"; "
        for asked in ASKED:
            head = asked + b" HTTP/1.1\r\nHost: " + host.encode() + b"\r\nContent-Length: 0\r\n"
            writer.write(head + b"X-CSRF: " + strange + b"\r\nCookie: " + kept + name + b"=" + strange + b"\r\n\r\n")
            answer = await reader.readuntil(b"\r\n\r\n")
            assert int(answer.split(b" ")[1]) < 500, (name, strange[:20], asked)
            size = re.search(rb"(?i)content-length: (\d+)", answer)
            assert size is not None
            await reader.readexactly(int(size[1]))
            if b"connection: close" in answer.lower():
                break
        writer.close()
        await writer.wait_closed()
