"""Links against real PostgreSQL (SECURITY 1 to 5)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consult.domain.errors import LinkNotUsable
from consult.scheduling import service as scheduling
from consult.scheduling.links import CODE_ALPHABET
from consult.scheduling.model import IssuedLink
from tests.conftest import Database
from tests.integration.clinic import NOW, Clinic, book_one, open_clinic

START = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)
END = START + timedelta(minutes=45)


async def booked(conn: Any) -> tuple[Clinic, IssuedLink]:
    clinic = await open_clinic(conn)
    _appointment, link = await book_one(conn, clinic, START)
    return clinic, link


def other_code(code: str) -> str:
    return "".join(CODE_ALPHABET[(CODE_ALPHABET.index(letter) + 1) % len(CODE_ALPHABET)] for letter in code)


async def test_the_database_holds_neither_secret_nor_code_nor_cookie(conn: Any) -> None:
    _clinic, link = await booked(conn)
    opened = await scheduling.open_invitation(conn, secret=link.secret, now=NOW)
    dump = ""
    for table in ("invitations", "visits", "mails", "appointments"):
        dump += "".join(str(dict(row)) for row in await conn.fetch(f"select {table}::text as row from {table}"))
    for hidden in (link.secret, link.code, opened.token):
        assert hidden not in dump
        assert hidden.encode().hex() not in dump


async def test_a_link_opens_again_and_again_and_gives_each_device_a_visit(conn: Any) -> None:
    clinic, link = await booked(conn)
    first = await scheduling.open_invitation(conn, secret=link.secret, now=NOW)
    second = await scheduling.open_invitation(conn, secret=link.secret, now=NOW)
    assert first.visit_id != second.visit_id
    visit = await scheduling.find_visit(conn, first.token, NOW)
    other = await scheduling.find_visit(conn, second.token, NOW)
    assert visit is not None
    assert other is not None
    assert visit.person_id == other.person_id
    assert (visit.id, visit.case_id, visit.name, visit.role) == (first.visit_id, clinic.case, "Ana Ribeiro", "patient")
    assert (visit.starts_at, visit.ends_at, visit.expert_name) == (START, END, "Dr Sabine Brandt")


async def test_the_same_device_keeps_its_visit_under_a_new_cookie(conn: Any) -> None:
    _clinic, link = await booked(conn)
    first = await scheduling.open_invitation(conn, secret=link.secret, now=NOW)
    again = await scheduling.open_invitation(conn, secret=link.secret, now=NOW, earlier_token=first.token)
    assert again.same_device
    assert again.visit_id == first.visit_id
    assert again.token != first.token
    assert await scheduling.find_visit(conn, first.token, NOW) is None
    assert await scheduling.find_visit(conn, again.token, NOW) is not None


async def test_a_further_link_of_the_same_person_keeps_the_visit_and_its_revocation_counts(conn: Any) -> None:
    _clinic, link = await booked(conn)
    first = await scheduling.open_invitation(conn, secret=link.secret, now=NOW)
    further = await scheduling.issue_link(conn, link.appointment_id, now=NOW)
    again = await scheduling.open_invitation(conn, secret=further.secret, now=NOW, earlier_token=first.token)
    assert again.visit_id == first.visit_id
    await scheduling.revoke_links(conn, link.appointment_id, now=NOW)
    assert await scheduling.find_visit(conn, again.token, NOW) is None


async def test_a_cookie_of_another_appointment_ends_and_a_new_visit_begins(conn: Any) -> None:
    clinic, link = await booked(conn)
    _appointment, other = await book_one(conn, clinic, START + timedelta(hours=3))
    first = await scheduling.open_invitation(conn, secret=link.secret, now=NOW)
    second = await scheduling.open_invitation(conn, secret=other.secret, now=NOW, earlier_token=first.token)
    assert not second.same_device
    assert second.visit_id != first.visit_id
    assert await scheduling.find_visit(conn, first.token, NOW) is None


async def test_expired_revoked_unknown_and_malformed_links_get_the_same_answer(conn: Any) -> None:
    _clinic, link = await booked(conn)
    over = END + timedelta(hours=2)
    answers = []

    async def refused(**how: Any) -> None:
        with pytest.raises(LinkNotUsable) as error:
            await scheduling.open_invitation(conn, **{"now": NOW, **how})
        answers.append((error.value.code, error.value.status, error.value.message, str(error.value)))

    await refused(secret=link.secret, now=over)
    await refused(secret="A" * 43)
    await refused(secret="not a secret")
    await refused(number="999999", code=link.code)
    await refused(number=str(link.number), code=other_code(link.code))
    await refused(number=str(link.number), code="short")
    await refused(number="", code="")
    await refused()
    await scheduling.revoke_links(conn, link.appointment_id, now=NOW)
    await refused(secret=link.secret)
    await refused(number=str(link.number), code=link.code)
    assert len(set(answers)) == 1


async def test_a_link_and_its_visit_live_until_two_hours_after_the_end(conn: Any) -> None:
    _clinic, link = await booked(conn)
    last = END + timedelta(hours=2, seconds=-1)
    opened = await scheduling.open_invitation(conn, secret=link.secret, now=last)
    assert await scheduling.find_visit(conn, opened.token, last) is not None
    assert await scheduling.find_visit(conn, opened.token, last + timedelta(seconds=1)) is None


async def test_number_and_code_open_the_same_person_as_the_link(conn: Any) -> None:
    _clinic, link = await booked(conn)
    by_code = await scheduling.open_invitation(conn, number=f" {link.number} ", code=link.code_to_read.lower(), now=NOW)
    by_link = await scheduling.open_invitation(conn, secret=link.secret, now=NOW, earlier_token=by_code.token)
    assert by_link.visit_id == by_code.visit_id


async def test_a_code_dies_after_five_wrong_tries_but_the_link_lives(conn: Any) -> None:
    _clinic, link = await booked(conn)
    for _ in range(5):
        with pytest.raises(LinkNotUsable):
            await scheduling.open_invitation(conn, number=str(link.number), code=other_code(link.code), now=NOW)
    with pytest.raises(LinkNotUsable):
        await scheduling.open_invitation(conn, number=str(link.number), code=link.code, now=NOW)
    assert await scheduling.open_invitation(conn, secret=link.secret, now=NOW)
    fresh = await scheduling.issue_link(conn, link.appointment_id, now=NOW)
    assert await scheduling.open_invitation(conn, number=str(link.number), code=fresh.code, now=NOW)


async def test_a_slip_that_cannot_be_a_code_costs_no_try(conn: Any) -> None:
    _clinic, link = await booked(conn)
    for _ in range(9):
        with pytest.raises(LinkNotUsable):
            await scheduling.open_invitation(conn, number=str(link.number), code="ABC", now=NOW)
    assert await scheduling.open_invitation(conn, number=str(link.number), code=link.code, now=NOW)


async def test_twenty_guesses_at_once_have_five_tries_together(database: Database) -> None:
    async with database.pool.acquire() as conn:
        _clinic, link = await booked(conn)
    wrong = other_code(link.code)

    async def guess() -> None:
        async with database.pool.acquire() as conn:
            with pytest.raises(LinkNotUsable):
                await scheduling.open_invitation(conn, number=str(link.number), code=wrong, now=NOW)

    await asyncio.gather(*(guess() for _ in range(20)))
    assert await database.pool.fetchval("select code_tries from invitations") == 5


async def test_revoking_one_person_leaves_the_others(conn: Any) -> None:
    import uuid

    _clinic, link = await booked(conn)
    guest = scheduling.Guest("Inês Ribeiro", "caregiver", uuid.uuid4())
    guest_link = await scheduling.issue_link(conn, link.appointment_id, now=NOW, guest=guest)
    opened = await scheduling.open_invitation(conn, secret=guest_link.secret, now=NOW)
    patient = await scheduling.open_invitation(conn, secret=link.secret, now=NOW)
    assert await scheduling.revoke_links(conn, link.appointment_id, now=NOW, person_id=guest.person_id) == [
        str(guest.person_id)
    ]
    assert await scheduling.find_visit(conn, opened.token, NOW) is None
    visit = await scheduling.find_visit(conn, patient.token, NOW)
    assert visit is not None
    assert visit.name == "Ana Ribeiro"


async def test_an_ended_visit_is_no_visit(conn: Any) -> None:
    _clinic, link = await booked(conn)
    opened = await scheduling.open_invitation(conn, secret=link.secret, now=NOW)
    await scheduling.end_visit(conn, opened.token, NOW)
    assert await scheduling.find_visit(conn, opened.token, NOW) is None
    assert await scheduling.find_visit(conn, "nonsense", NOW) is None
