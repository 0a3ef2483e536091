"""The board without a database: states, hours, columns, what needs a hand."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from consult.boards.board import columns_of, may_move, needs_of, span_of, state_of
from consult.boards.model import BoardLine, KeptTime, LineState
from consult.domain.ids import AppointmentId, CaseId, StaffId
from consult.domain.kinds import ConsultationKind
from consult.domain.slots import Slot

DAY = Slot(datetime(2026, 3, 12, tzinfo=UTC), datetime(2026, 3, 13, tzinfo=UTC))
TEN = DAY.starts_at + timedelta(hours=10)
EXPERT = StaffId(3)
MINUTE = timedelta(minutes=1)


def line(starts_at: datetime = TEN, *, records: int = 2, others: tuple[StaffId, ...] = ()) -> BoardLine:
    return BoardLine(
        id=AppointmentId(uuid.uuid4()),
        case_id=CaseId(7),
        expert_ids=(EXPERT, *others),
        starts_at=starts_at,
        ends_at=starts_at + 45 * MINUTE,
        kind=ConsultationKind.FIRST_REVIEW,
        sequence=0,
        patient_name="Ana Ribeiro",
        patient_time_zone=None,
        diagnosis="Lung cancer",
        record_count=records,
        question_count=1,
        link_opened=False,
        waiting_since=None,
        call_started_at=None,
        call_ended_at=None,
        booked_again=False,
    )


def test_an_appointment_goes_through_its_states() -> None:
    booked = line()
    assert state_of(booked, TEN - 60 * MINUTE) is LineState.READY
    assert state_of(replace(booked, record_count=0), TEN - 60 * MINUTE) is LineState.NO_RECORDS
    assert state_of(replace(booked, record_count=0), TEN - timedelta(days=5)) is LineState.READY
    assert state_of(booked, TEN + 2 * MINUTE) is LineState.READY
    assert state_of(booked, TEN + 3 * MINUTE) is LineState.LATE
    assert state_of(replace(booked, waiting_since=TEN), TEN + 3 * MINUTE) is LineState.LOBBY
    assert state_of(replace(booked, call_started_at=TEN), TEN + 90 * MINUTE) is LineState.LIVE
    assert state_of(replace(booked, call_started_at=TEN, call_ended_at=TEN), TEN) is LineState.OVER
    assert state_of(booked, TEN + 45 * MINUTE) is LineState.MISSED


def test_who_still_waits_after_the_end_is_seen_until_the_links_close() -> None:
    waiting = replace(line(), waiting_since=TEN)
    assert state_of(waiting, TEN + 60 * MINUTE) is LineState.LOBBY
    assert state_of(waiting, TEN + timedelta(hours=3)) is LineState.MISSED


def test_a_no_show_needs_another_time_until_it_has_one() -> None:
    now = TEN + 120 * MINUTE
    missed, waiting = line(), replace(line(TEN + 60 * MINUTE), waiting_since=TEN + 50 * MINUTE)
    assert [(need.state, need.minutes) for need in needs_of([missed, waiting], now)] == [
        (LineState.LOBBY, 70),
        (LineState.MISSED, 75),
    ]
    assert needs_of([replace(missed, booked_again=True)], now) == []


def test_what_has_begun_stays_where_it_is() -> None:
    assert may_move(line(), TEN - MINUTE)
    assert not may_move(line(), TEN)
    assert not may_move(replace(line(), call_started_at=TEN - 5 * MINUTE), TEN - MINUTE)


def test_a_panel_stands_in_the_column_of_each_expert_and_a_kept_time_is_neither_free_nor_booked() -> None:
    other, panel = StaffId(4), line(others=(StaffId(4),))
    kept = KeptTime(other, Slot(TEN + 60 * MINUTE, TEN + 90 * MINUTE), "Omar Said", TEN + 15 * MINUTE)
    columns = columns_of([EXPERT, other], [panel], {}, [kept], span_of([panel.slot, kept.slot], DAY, TEN), TEN)
    assert [entry.line for entry in columns[EXPERT]] == [panel]
    assert [(entry.line, entry.kept) for entry in columns[other]] == [(panel, None), (None, kept)]


def test_of_many_experts_those_with_calls_stand_first_and_those_without_time_last() -> None:
    ids = [StaffId(number) for number in range(10, 17)]
    call, slot = replace(line(), expert_ids=(ids[5],)), Slot(TEN, TEN + 30 * MINUTE)
    free, absences, span = {ids[2]: [slot], ids[6]: [slot]}, {ids[0]: [slot]}, span_of([slot], DAY, TEN)
    assert list(columns_of(ids, [call], free, [], span, TEN, absences)) == [
        ids[5], ids[2], ids[6], ids[0], ids[1], ids[3], ids[4],
    ]  # fmt: skip
    few = ids[1:]
    assert list(columns_of(few, [call], free, [], span, TEN)) == few, "those stay where they are"


def test_who_waits_comes_before_who_is_late_and_that_before_missing_records() -> None:
    now = TEN + 10 * MINUTE
    needs = needs_of(
        [
            line(TEN + 120 * MINUTE, records=0),
            line(TEN),
            replace(line(TEN + 20 * MINUTE), waiting_since=TEN + 4 * MINUTE),
            line(TEN + 60 * MINUTE),
        ],
        now,
    )
    assert [(need.state, need.minutes) for need in needs] == [
        (LineState.LOBBY, 6),
        (LineState.LATE, 10),
        (LineState.NO_RECORDS, 0),
    ]


@pytest.mark.parametrize(
    ("from_hour", "to_hour", "shown"),
    [(9, 15, (9, 15)), (10, 11, (9, 13)), (22, 24, (20, 24)), (0, 1, (0, 4)), (7, 20, (7, 20)), (21, 22, (20, 24))],
)
def test_the_board_shows_four_hours_at_least_and_everything_booked(
    from_hour: int, to_hour: int, shown: tuple[int, int]
) -> None:
    slot = Slot(DAY.starts_at + timedelta(hours=from_hour), DAY.starts_at + timedelta(hours=to_hour))
    span = span_of([slot], DAY, DAY.starts_at - timedelta(days=1))
    assert (span.first_hour, span.last_hour) == shown


@pytest.mark.parametrize(
    ("now", "shown"),
    [
        ("12:58", (12, 18)), ("11:00", (11, 18)), ("10:59", (13, 18)), ("15:20", (13, 18)),
        ("18:00", (13, 19)), ("19:59", (13, 20)), ("20:00", (13, 18)),
    ],
)  # fmt: skip
def test_the_board_shows_now_while_it_is_near_the_days_times(now: str, shown: tuple[int, int]) -> None:
    hours, minutes = map(int, now.split(":"))
    times = Slot(DAY.starts_at + timedelta(hours=13), DAY.starts_at + timedelta(hours=18))
    span = span_of([times], DAY, DAY.starts_at + timedelta(hours=hours, minutes=minutes))
    assert (span.first_hour, span.last_hour) == shown


def test_an_empty_day_shows_the_usual_hours() -> None:
    span = span_of([], DAY, TEN)
    assert (span.first_hour, span.last_hour, len(span.marks)) == (8, 17, 9)
    assert span_of([], DAY, DAY.starts_at + timedelta(hours=7)).first_hour == 7


def test_a_column_holds_appointments_and_free_times_in_order_and_within_the_day() -> None:
    past_midnight = line(DAY.ends_at - 10 * MINUTE)
    free = Slot(TEN - 60 * MINUTE, TEN - 15 * MINUTE)
    span = span_of([free, past_midnight.slot], DAY, TEN)
    columns = columns_of([EXPERT], [past_midnight, line()], {EXPERT: [free]}, [], span, TEN)
    entries = columns[EXPERT]
    assert [entry.slot.starts_at for entry in entries] == sorted(entry.slot.starts_at for entry in entries)
    assert [entry.line is None for entry in entries] == [True, False, False]
    assert entries[1].from_min == span.minute_of(TEN)
    assert entries[2].from_min + entries[2].long_min <= (span.last_hour - span.first_hour) * 60


def test_an_absence_fills_what_the_board_shows_of_it() -> None:
    all_week = Slot(DAY.starts_at - timedelta(days=2), DAY.ends_at + timedelta(days=3))
    before = Slot(DAY.starts_at - timedelta(days=2), DAY.starts_at + timedelta(hours=1))
    span = span_of([Slot(TEN, TEN + 240 * MINUTE)], DAY, TEN)
    columns = columns_of([EXPERT], [], {}, [], span, TEN, {EXPERT: [all_week, before]})
    (away,) = columns[EXPERT]
    assert (away.is_away, away.from_min, away.long_min, away.slot) == (True, 0, 240, all_week)
