"""What rooms tell becomes facts, once; and a seat remembers them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consult.consultations import service
from consult.consultations.errors import ConsultationOver, EventRefused
from consult.domain.access import StaffRole
from consult.domain.errors import NotAllowed
from consult.domain.ids import StaffId
from consult.people.model import Staff
from signaling import events
from signaling.ticket import Grant
from tests.conftest import Database
from tests.integration.test_playback_journey import apply
from tests.rows import Booked, book

START = datetime(2026, 3, 12, 11, 35, tzinfo=UTC)


def told(booked: Booked, at_ms: int) -> dict[str, Any]:
    happened_at = (START + timedelta(milliseconds=at_ms)).isoformat()
    return {
        "event_id": str(uuid.uuid4()),
        "room_id": str(booked.appointment_id),
        "at_ms": at_ms,
        "happened_at": happened_at,
    }


def expert(booked: Booked, role: StaffRole = StaffRole.EXPERT, staff_id: int | None = None) -> Staff:
    return Staff(StaffId(staff_id or booked.expert_id), "e@example.org", "Dr Helen Okafor", role, "", "UTC", "en")


async def test_a_seat_remembers_consent_and_the_start_until_the_call_is_over(database: Database) -> None:
    async with database.pool.acquire() as conn:
        booked = await book(conn, START)
        seat = await service.issue_seat_for_staff(conn, expert(booked), booked.appointment_id, START, device="a")
        assert (seat.admitted, seat.consented, seat.started_at_ms) == (True, False, None)
        assert Grant.HOST in seat.grants
        who = {"member_id": seat.member_id, "person_id": seat.person_id, "name": seat.name, "role": seat.role.value}
        opened = events.RoomOpened(**told(booked, 0))
        yes = events.ConsentGiven(**told(booked, 900), **who, wording="recording-1")
        for event in (opened, yes, opened, yes):
            await apply(conn, event)
        other = await service.issue_seat_for_staff(conn, expert(booked), booked.appointment_id, START, device="b")
        assert (other.consented, other.started_at_ms) == (True, int(START.timestamp() * 1000))
        assert other.member_id != seat.member_id
        assert not other.paused
        await apply(conn, events.RecordingSwitched(**told(booked, 2000), state="paused", by_host=True))
        again = await service.issue_seat_for_staff(conn, expert(booked), booked.appointment_id, START, device="b")
        assert again.paused, "a host's pause outlives the server"
        await apply(conn, events.RoomClosed(**told(booked, 5000), reason="ended"))
        with pytest.raises(ConsultationOver):
            await service.issue_seat_for_staff(
                conn, expert(booked), booked.appointment_id, START + timedelta(minutes=1), device="a"
            )


async def test_nobody_else_of_the_staff_may_sit_in(database: Database) -> None:
    async with database.pool.acquire() as conn:
        booked = await book(conn, START)
        scheduler = expert(booked, StaffRole.SCHEDULER, booked.scheduler_id)
        with pytest.raises(NotAllowed):
            await service.issue_seat_for_staff(conn, scheduler, booked.appointment_id, START, device="a")


async def test_an_attendance_is_opened_and_closed_once_and_survives_a_lost_room(database: Database) -> None:
    who = {"member_id": "v", "person_id": "person:1", "name": "Ana", "role": "patient"}
    async with database.pool.acquire() as conn:
        booked = await book(conn, START)
        joined = events.MemberJoined(**told(booked, 1000), **who)
        again = events.MemberJoined(**told(booked, 9000), **who)  # the room in between was lost
        left = events.MemberLeft(**told(booked, 12_000), **who, reason="left")
        for event in (joined, joined, again, left, left):
            await apply(conn, event)
        stays = [(one.joined_ms, one.left_ms, one.left_reason) for one in await service.list_attendances(
            conn, booked.appointment_id
        )]  # fmt: skip
    assert stays == [(1000, 9000, "lost"), (9000, 12_000, "left")]


async def test_an_event_of_an_unknown_appointment_is_refused(database: Database) -> None:
    async with database.pool.acquire() as conn:
        booked = await book(conn, START)
        stray = {**told(booked, 0), "room_id": str(uuid.uuid4())}
        with pytest.raises(EventRefused):
            await apply(conn, events.RoomOpened(**stray))


async def test_what_was_written_is_read_again_by_those_who_were_let_in_alone(database: Database) -> None:
    ana = {"member_id": "v", "person_id": "person:1", "name": "Ana", "role": "patient"}
    async with database.pool.acquire() as conn:
        booked = await book(conn, START)
        await apply(conn, events.MemberWaiting(**told(booked, 0), **(ana | {"member_id": "other"})))
        await apply(conn, events.MemberAdmitted(**told(booked, 0), **ana, by="h"))
        for at_ms in (900, 1900):  # sent again after a lost line
            await apply(conn, events.ChatSaid(**told(booked, at_ms), **ana, line_id="a", text="Here I am."))
        for member_id, hosts, lines in (("v", False, 1), ("other", False, 0), ("nobody", False, 0), ("", True, 1)):
            assert len(await service.list_chat(conn, booked.appointment_id, member_id, hosts=hosts)) == lines
