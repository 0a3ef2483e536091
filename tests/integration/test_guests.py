"""Somebody besides the patient comes by a link of their own, and sees no more than they should (SECURITY 9)."""

from __future__ import annotations

import io
import json
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from html import unescape
from typing import Any

import aiohttp
import pytest
from PIL import Image

from consult.consultations import service as consultations
from consult.domain.clock import utc_now
from consult.keys import BUS, POOL, STORE
from consult.records import service as records
from consult.records.model import Record, UploadedBy
from consult.scheduling.model import Appointment
from signaling.events import MemberJoined, MemberLeft, RoomCommand, RoomEvent, ViewShown
from tests.conftest import Server
from tests.integration import pages
from tests.integration.clinic import book_one, open_clinic
from tests.integration.test_join import press_join


@dataclass(frozen=True, slots=True)
class Booked:
    appointment: Appointment
    record: Record

    @property
    def path(self) -> str:
        return f"/appointments/{self.appointment.id}"


@pytest.fixture
async def booked(server: Server, client: aiohttp.ClientSession) -> Booked:
    """A call in ten minutes with one record; the client has signed in as its scheduler."""
    now = utc_now()
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(out, "PNG")

    async def chunks() -> AsyncIterator[bytes]:
        yield out.getvalue()

    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        appointment, _ = await book_one(conn, clinic, now + timedelta(minutes=10), now=now)
        record = await records.add_record(
            conn, server.app[STORE], clinic.case, file_name="secret diagnosis.png", chunks=chunks(),
            uploaded_by=UploadedBy.PATIENT, now=now,
        )  # fmt: skip
    await pages.sign_in(client, "noor@clinic.example")
    return Booked(appointment, record)


async def invite(
    client: aiohttp.ClientSession, booked: Booked, name: str = "Rui Interpreter", role: str = "interpreter"
) -> str:
    """Invite somebody as the scheduler does; return the page that shows the link."""
    data = {"guest_name": name, "guest_role": role}
    status, text, _ = await pages.send(client, f"{booked.path}/guests", data, page=booked.path, follow=True)
    assert status == 200, text
    return text


def secret_in(text: str) -> str:
    found = re.search(r"/join#([\w-]+)", unescape(text))
    assert found is not None
    return found.group(1)


@pytest.fixture
async def guest(server: Server, client: aiohttp.ClientSession, booked: Booked) -> AsyncIterator[aiohttp.ClientSession]:
    """Another browser, which came in by a guest's link."""
    secret = secret_in(await invite(client, booked))
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(server.url, cookie_jar=jar, headers={"Accept": "text/html"}) as other:
        assert (await press_join(other, secret=secret))[0] == 200
        yield other


async def test_a_guest_is_invited_listed_and_withdrawn(
    server: Server, client: aiohttp.ClientSession, booked: Booked, guest: aiohttp.ClientSession
) -> None:
    text = await pages.read(client, booked.path)
    assert "Rui Interpreter" in text and "Interpreter, has opened the link" in text
    assert "/join#" not in text, "a link is shown once"
    withdraw = re.search(r'action="([^"]+/withdraw)"', text)
    assert withdraw is not None
    orders: list[RoomCommand] = []
    order = server.app[BUS].order

    async def note(command: RoomCommand) -> None:
        orders.append(command)
        await order(command)

    server.app[BUS].order = note  # type: ignore[method-assign]
    status, _, _ = await pages.send(client, withdraw.group(1), {}, page=booked.path)
    assert status == 303
    assert [command.person_id for command in orders if hasattr(command, "person_id")]
    await pages.read(guest, "/visit/when", status=303)
    assert "Nobody else is invited." in await pages.read(client, booked.path)


async def test_withdrawing_the_patients_links_leaves_the_guests_be(
    client: aiohttp.ClientSession, booked: Booked, guest: aiohttp.ClientSession
) -> None:
    await pages.send(client, f"{booked.path}/link", {"withdraw": "1"}, page=booked.path)
    await pages.read(guest, "/visit/when")


@pytest.mark.parametrize(
    ("name", "role"), [("", "interpreter"), ("Rui", "patient"), ("Rui", ""), ("R" * 500, "caregiver")]
)
async def test_a_guest_without_name_or_role_is_sent_back_with_what_was_typed(
    client: aiohttp.ClientSession, booked: Booked, name: str, role: str
) -> None:
    data = {"guest_name": name, "guest_role": role}
    status, text, _ = await pages.send(client, f"{booked.path}/guests", data, page=booked.path)
    assert status == 422
    assert "Please look at this again" in text and f'value="{name}"' in text


async def test_no_more_than_four_guests_are_invited(client: aiohttp.ClientSession, booked: Booked) -> None:
    for number in range(4):
        await invite(client, booked, f"Guest {number}", "caregiver")
    data = {"guest_name": "One too many", "guest_role": "caregiver"}
    status, text, _ = await pages.send(client, f"{booked.path}/guests", data, page=booked.path)
    assert status == 422 and "Four more people are invited already." in text


async def test_a_guest_has_three_steps_and_none_about_records(guest: aiohttp.ClientSession, booked: Booked) -> None:
    text = await pages.read(guest, "/visit/when")
    assert "Step 1 of 3" in text and "You come as the interpreter." in text and "Ana Ribeiro" in text
    assert "medicines" not in text
    for step, following in (("when", "devices"), ("devices", "recording"), ("recording", "call")):
        await pages.read(guest, f"/visit/{step}")
        _, _, place = await pages.send(guest, f"/visit/steps/{step}", {}, page="/visit/when")
        assert place == f"/visit/{following}"
    async with guest.get("/visit/records", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/visit")


async def test_a_guest_neither_reads_nor_changes_records_and_questions(
    guest: aiohttp.ClientSession, booked: Booked
) -> None:
    call = await pages.read(guest, "/visit/call")
    assert "secret diagnosis" not in call and "Is surgery possible" not in call
    for path, data in (
        ("/visit/questions", {"question": "Mine"}),
        (f"/visit/questions/{uuid.uuid4()}/remove", {}),
        (f"/visit/records/{booked.record.id}/remove", {}),
        ("/visit/records", {}),
        ("/visit/steps/records", {}),
    ):
        status, _, _ = await pages.send(guest, path, data, page="/visit/when")
        assert status == 404, path


async def test_a_guest_reads_a_record_only_while_it_is_shown(
    server: Server, guest: aiohttp.ClientSession, booked: Booked
) -> None:
    content = f"/records/{booked.record.id}/content"

    async def tell(kind: type[RoomEvent], at_ms: int, **fields: Any) -> None:
        known: dict[str, Any] = {
            "event_id": str(uuid.uuid4()), "room_id": str(booked.appointment.id), "at_ms": at_ms,
            "happened_at": utc_now().isoformat(),
        }  # fmt: skip
        async with server.app[POOL].acquire() as conn, conn.transaction():
            await consultations.apply_event(conn, kind(**known, **fields), utc_now(), enqueue=_nothing)

    async def show(record_id: str | None, at_ms: int) -> None:
        await tell(ViewShown, at_ms, by="s1", record_id=record_id, page=1, zoom=1.0, x=0.5, y=0.5, rotation=0)

    call = json.loads(unescape(re.search(r"data-call='([^']*)'", await pages.read(guest, "/visit/call")).group(1)))  # type: ignore[union-attr]
    assert [record["title"] for record in call["records"]] == ["Record"]
    async with server.app[POOL].acquire() as conn:
        person = await conn.fetchval("select person_id from invitations where role = 'interpreter'")
    member = {"member_id": "m1", "person_id": f"person:{person}", "name": "Rui", "role": "interpreter"}
    await show(str(booked.record.id), 1000)
    await pages.read(guest, content, status=404)  # in the lobby
    await tell(MemberJoined, 2000, **member)
    async with guest.get(content) as answer:
        assert answer.status == 200
    await pages.read(guest, f"/records/{uuid.uuid4()}/content", status=404)
    await show(None, 3000)
    await pages.read(guest, content, status=404)
    await show(str(booked.record.id), 4000)
    await tell(MemberLeft, 5000, **member, reason="left")
    await pages.read(guest, content, status=404)


async def _nothing(*_given: object, **_named: object) -> None:
    return None
