"""What boards read from the database: days of a zone, who waits, panels, kept times."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from consult.boards import service as boards
from tests.integration.clinic import NOW, book_one, open_clinic

TUESDAY = date(2026, 3, 10)
NINE = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)  # 09:00 in Berlin
BERLIN = ZoneInfo("Europe/Berlin")


async def test_a_board_lists_a_day_of_a_zone_with_what_is_ready(conn: Any) -> None:
    clinic = await open_clinic(conn)
    late = datetime(2026, 3, 10, 22, 30, tzinfo=UTC)  # 23:30 in Berlin
    for starts_at in (NINE, late):
        await book_one(conn, clinic, starts_at)
    lines = await boards.list_lines(conn, TUESDAY, TUESDAY, BERLIN)
    assert [line.starts_at for line in lines] == [NINE, late]
    assert (lines[0].patient_name, lines[0].record_count, lines[0].question_count) == ("Ana Ribeiro", 0, 1)
    assert lines[0].waiting_since is None
    assert not lines[0].link_opened
    tomorrow = await boards.list_lines(conn, date(2026, 3, 11), date(2026, 3, 12), BERLIN)
    assert [line.starts_at for line in tomorrow] == [late]  # it goes on past midnight
    counts = await boards.count_by_day(conn, date(2026, 3, 9), date(2026, 3, 15), BERLIN)
    assert counts == {TUESDAY: 2}


async def test_somebody_in_the_lobby_is_seen_until_let_in(conn: Any) -> None:
    clinic = await open_clinic(conn)
    appointment, _link = await book_one(conn, clinic, NINE)

    async def tell(kind: str, minute: int) -> None:
        await conn.execute(
            "insert into room_events values (gen_random_uuid(), $1, $2, 0, $3, $4)",
            appointment.id, kind, NINE + timedelta(minutes=minute), {"member_id": "m1"},
        )  # fmt: skip

    async def waiting_since() -> datetime | None:
        (line,) = await boards.list_lines(conn, TUESDAY, TUESDAY, BERLIN)
        return line.waiting_since

    await tell("MemberWaiting", -6)
    assert await waiting_since() == NINE - timedelta(minutes=6)
    await tell("MemberAdmitted", 1)
    assert await waiting_since() is None


async def test_every_expert_of_a_panel_has_it_on_their_board(conn: Any) -> None:
    clinic = await open_clinic(conn)
    appointment, _link = await book_one(conn, clinic, NINE)
    assert await boards.list_lines(conn, TUESDAY, TUESDAY, BERLIN, expert_id=clinic.other_expert) == []
    await conn.execute("insert into panel_experts values ($1, $2)", appointment.id, clinic.other_expert)
    for expert_id in (clinic.expert, clinic.other_expert):
        (line,) = await boards.list_lines(conn, TUESDAY, TUESDAY, BERLIN, expert_id=expert_id)
        assert line.expert_ids == (clinic.expert, clinic.other_expert)
        assert await boards.count_by_day(conn, TUESDAY, TUESDAY, BERLIN, expert_id=expert_id) == {TUESDAY: 1}


async def test_a_kept_time_is_shown_until_it_ends_or_expires(conn: Any) -> None:
    clinic = await open_clinic(conn)
    hold, until = uuid.uuid4(), NOW + timedelta(minutes=15)
    await conn.execute(
        """insert into holds (id, case_id, kind, during, held_at, expires_at)
           values ($1, $2, 'first_review', tstzrange($3, $4), $5, $6)""",
        hold, clinic.case, NINE, NINE + timedelta(minutes=45), NOW, until,
    )  # fmt: skip
    await conn.execute(
        """insert into busy_times (id, expert_id, during, blocked, hold_id)
           select gen_random_uuid(), $2, during, during, id from holds where id = $1""",
        hold, clinic.expert,
    )  # fmt: skip
    bounds = boards.bounds_of(TUESDAY, TUESDAY, BERLIN)

    async def kept(now: datetime) -> list[str]:
        return [one.patient_name for one in await boards.list_kept(conn, [clinic.expert], bounds, now=now)]

    assert await kept(NOW) == ["Ana Ribeiro"]
    assert await kept(until) == []
    await conn.execute("update holds set ended_at = $2 where id = $1", hold, NOW)
    assert await kept(NOW) == []
