"""Any sequence of booking, holding, moving, cancelling, absences and changed rules, compared with a model of it.

Whatever happens in whatever order: no expert's time overlaps, no appointment is lost, what is offered can be booked,
and what was refused changed nothing. The database is real.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any, TypeVar

import asyncpg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from consult.availability import service as availability
from consult.availability.model import WorkingBlock
from consult.db import embedded
from consult.db.pool import prepare_connection
from consult.domain.errors import (
    AppointmentStarted,
    HoldExpired,
    InvalidInput,
    MovedMeanwhile,
    SlotInPast,
    SlotOutsideHours,
    SlotTaken,
)
from consult.domain.ids import AppointmentId, CaseId, HoldId, StaffId
from consult.domain.kinds import ConsultationKind
from consult.domain.slots import Slot
from consult.people import service as people
from consult.scheduling import service as scheduling
from tests.integration.clinic import NOW, open_clinic

Result = TypeVar("Result")
MINUTE = timedelta(minutes=1)
REFUSALS = (SlotTaken, SlotOutsideHours, SlotInPast)
DAYS = 3
FIRST = datetime(2026, 3, 10, 7, 0, tzinfo=UTC)
EMPTY = "truncate busy_times, holds, panel_experts, appointment_changes, absences, expert_rules, appointments cascade"
OVERLAPS = """
select count(*) from busy_times a join busy_times b
on a.id < b.id and a.expert_id = b.expert_id and a.blocked && b.blocked
"""

starts = st.builds(
    lambda day, quarter: FIRST + timedelta(days=day, minutes=15 * quarter), st.integers(0, DAYS - 1), st.integers(0, 23)
)
lengths = st.sampled_from([timedelta(minutes=30), timedelta(minutes=45), timedelta(minutes=60)])
places = st.integers(0, 30)


@dataclass(frozen=True)
class Known:
    """What the model knows of an appointment."""

    experts: tuple[StaffId, ...]
    slot: Slot
    sequence: int = 0
    cancelled: bool = False


@dataclass(frozen=True)
class Kept:
    experts: tuple[StaffId, ...]
    slot: Slot
    expires_at: datetime
    moving: AppointmentId | None = None
    ended: bool = False


class Schedule(RuleBasedStateMachine):
    """Two experts, one case, a clock that the rules move on."""

    def __init__(self, runner: asyncio.Runner, conn: asyncpg.Connection, case: CaseId, scheduler: StaffId,
                 experts: tuple[StaffId, StaffId]) -> None:  # fmt: skip
        super().__init__()
        self.runner, self.conn, self.case, self.scheduler, self.experts = runner, conn, case, scheduler, experts
        self.now = NOW
        self.appointments: dict[AppointmentId, Known] = {}
        self.holds: dict[HoldId, Kept] = {}
        self.do(conn.execute(EMPTY))
        self.do(self.set_week(experts[0], 9, 12))
        self.do(self.set_week(experts[1], 10, 13))

    def do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(work)

    async def set_week(self, expert: StaffId, first: int, last: int) -> None:
        blocks = [WorkingBlock(weekday, time(first), time(last)) for weekday in range(7)]
        await availability.set_working_hours(self.conn, expert, blocks)

    def who(self, place: int) -> tuple[StaffId, ...]:
        first, second = self.experts
        return [(first,), (second,), (first, second), (second, first)][place % 4]

    def collides(self, experts: tuple[StaffId, ...], slot: Slot, *, apart_from: object = None) -> bool:
        calls = [
            one for key, one in self.appointments.items()
            if not one.cancelled and key != apart_from
        ]  # fmt: skip
        kept = [one for one in self.holds.values() if not one.ended and one.expires_at > self.now]
        return any(
            (set(one.experts) & set(experts) and one.slot.overlaps(slot) and not isinstance(one, Kept))
            or (isinstance(one, Kept) and one.moving is None and set(one.experts) & set(experts)
            and one.slot.overlaps(slot))
            for one in [*calls, *kept]
        )  # fmt: skip

    @rule(place=places, at=starts, length=lengths)
    def book_among_the_hours(self, place: int, at: datetime, length: timedelta) -> None:
        self.try_to_book(self.who(place), at, length, outside=False)

    @rule(place=places, at=starts, length=lengths)
    def book_what_was_arranged(self, place: int, at: datetime, length: timedelta) -> None:
        experts, slot = self.who(place), Slot(at, at + length)
        can = at > self.now and not self.collides(experts, slot)
        booked = self.try_to_book(experts, at, length, outside=True)
        moving_holds = any(
            one.moving and not one.ended and one.expires_at > self.now and one.slot.overlaps(slot)
            for one in self.holds.values()
        )
        if not moving_holds:  # what those take depends on the appointment that they would move
            assert booked == can

    def try_to_book(self, experts: tuple[StaffId, ...], at: datetime, length: timedelta, *, outside: bool) -> bool:
        lead, *others = experts
        try:
            appointment, _link = self.do(
                scheduling.book(
                    self.conn, self.case, lead, at, length,
                    others=others, booked_by=self.scheduler, now=self.now, outside_hours=outside,
                )
            )  # fmt: skip
        except REFUSALS:
            return False
        self.appointments[appointment.id] = Known(experts, Slot(at, at + length))
        return True

    @rule(place=places, length=lengths, which=places)
    def book_what_is_offered(self, place: int, length: timedelta, which: int) -> None:
        experts = self.who(place)
        offered = self.do(self.offers(experts, length))
        if offered:
            slot = offered[which % len(offered)]
            assert self.try_to_book(experts, slot.starts_at, length, outside=False)

    async def offers(self, experts: tuple[StaffId, ...], length: timedelta) -> list[Slot]:
        staff = [await people.fetch_staff(self.conn, one) for one in experts]
        day = FIRST.date()
        return await scheduling.list_panel_slots(
            self.conn, staff, day, day + timedelta(days=DAYS), length, now=self.now
        )

    @rule(place=places, at=starts, length=lengths, minutes=st.integers(1, 20))
    def hold(self, place: int, at: datetime, length: timedelta, minutes: int) -> None:
        experts = self.who(place)
        self.try_to_hold(experts, at, length, self.now + minutes * MINUTE, None)

    @precondition(lambda self: self.appointments)
    @rule(which=places, at=starts, minutes=st.integers(1, 20))
    def hold_for_a_move(self, which: int, at: datetime, minutes: int) -> None:
        key = self.any_appointment(which)
        known = self.appointments[key]
        length = known.slot.ends_at - known.slot.starts_at
        self.try_to_hold(known.experts, at, length, self.now + minutes * MINUTE, key)

    def try_to_hold(
        self,
        experts: tuple[StaffId, ...],
        at: datetime,
        length: timedelta,
        until: datetime,
        moving: AppointmentId | None,
    ) -> None:
        try:
            kept = self.do(
                scheduling.hold(
                    self.conn, self.case, experts, at, length,
                    kind=ConsultationKind.FIRST_REVIEW, expires_at=until, now=self.now, moving=moving,
                )
            )  # fmt: skip
        except REFUSALS:
            return
        assert not self.collides(experts, kept.slot, apart_from=moving)
        self.holds[kept.id] = Kept(experts, kept.slot, until, moving)

    @precondition(lambda self: self.holds)
    @rule(which=places)
    def take_a_hold(self, which: int) -> None:
        key = list(self.holds)[which % len(self.holds)]
        kept = self.holds[key]
        length = kept.slot.ends_at - kept.slot.starts_at
        lead, *others = kept.experts
        try:
            if kept.moving is None:
                appointment, _link = self.do(
                    scheduling.book(
                        self.conn, self.case, lead, kept.slot.starts_at, length,
                        others=others, booked_by=self.scheduler, now=self.now, hold_id=key,
                    )
                )  # fmt: skip
                self.appointments[appointment.id] = Known(kept.experts, kept.slot)
            else:
                self.move_it(kept.moving, kept.slot.starts_at, hold_id=key)
        except HoldExpired:
            assert kept.ended or kept.expires_at <= self.now or self.appointments[kept.moving].experts != kept.experts  # type: ignore[index]
            return
        except (*REFUSALS, InvalidInput, AppointmentStarted):
            return  # an absence or changed rules came between
        assert not kept.ended
        assert kept.expires_at > self.now
        self.holds[key] = replace(kept, ended=True)

    @precondition(lambda self: self.holds)
    @rule(which=places)
    def release(self, which: int) -> None:
        key = list(self.holds)[which % len(self.holds)]
        given_back = self.do(scheduling.release(self.conn, key, self.now))
        assert given_back == (not self.holds[key].ended)
        self.holds[key] = replace(self.holds[key], ended=True)

    @rule(minutes=st.integers(1, 60))
    def time_goes_by(self, minutes: int) -> None:
        self.now += minutes * MINUTE

    @rule()
    def tidy(self) -> None:
        self.do(scheduling.tidy_holds(self.conn, self.now))

    def any_appointment(self, which: int) -> AppointmentId:
        return list(self.appointments)[which % len(self.appointments)]

    @precondition(lambda self: self.appointments)
    @rule(which=places, at=starts, outside=st.booleans(), stale=st.integers(0, 9))
    def move(self, which: int, at: datetime, outside: bool, stale: int) -> None:
        key = self.any_appointment(which)
        known = self.appointments[key]
        if known.cancelled:
            return
        sequence = known.sequence - 1 if stale == 0 else known.sequence
        try:
            self.move_it(key, at, sequence=sequence, outside=outside)
        except MovedMeanwhile:
            assert stale == 0
        except (*REFUSALS, InvalidInput, AppointmentStarted):
            return
        else:
            assert stale != 0

    def move_it(
        self, key: AppointmentId, at: datetime, *, sequence: int | None = None, outside: bool = False,
        hold_id: HoldId | None = None,
    ) -> None:  # fmt: skip
        known = self.appointments[key]
        if known.cancelled:
            raise SlotTaken
        moved = self.do(
            scheduling.move(
                self.conn, key, at, sequence=known.sequence if sequence is None else sequence, by=self.scheduler,
                now=self.now, outside_hours=outside, hold_id=hold_id,
            )
        )  # fmt: skip
        self.appointments[key] = replace(known, slot=moved.appointment.slot, sequence=known.sequence + 1)

    @precondition(lambda self: self.appointments)
    @rule(which=places)
    def cancel(self, which: int) -> None:
        key = self.any_appointment(which)
        known = self.appointments[key]
        self.do(scheduling.cancel(self.conn, key, self.now, by=self.scheduler))
        if not known.cancelled:
            self.appointments[key] = replace(known, cancelled=True, sequence=known.sequence + 1)

    @rule(place=st.integers(0, 1), at=starts, hours=st.integers(1, 30))
    def absence(self, place: int, at: datetime, hours: int) -> None:
        self.do(
            self.conn.execute(
                "insert into absences values ($1, $2, tstzrange($3, $4), '', $5)",
                uuid.uuid4(), self.experts[place], at, at + timedelta(hours=hours), self.now,
            )
        )  # fmt: skip

    @rule(place=st.integers(0, 1), before=st.sampled_from([0, 5, 15]), after=st.sampled_from([0, 10]),
          notice=st.sampled_from([0, 2]), limit=st.sampled_from([None, 1, 3]))  # fmt: skip
    def change_rules(self, place: int, before: int, after: int, notice: int, limit: int | None) -> None:
        self.do(
            self.conn.execute(
                """insert into expert_rules values ($1, $2, $3, 0, 0, 0, $4, 366, $5, 24)
                   on conflict (expert_id) do update set buffer_before_min = $2, buffer_after_min = $3, notice_h = $4,
                   daily_limit = $5""",
                self.experts[place], before, after, notice, limit,
            )
        )  # fmt: skip

    @rule(place=st.integers(0, 1), first=st.integers(7, 12), long=st.integers(1, 5))
    def change_hours(self, place: int, first: int, long: int) -> None:
        self.do(self.set_week(self.experts[place], first, first + long))

    @invariant()
    def nothing_overlaps(self) -> None:
        assert self.do(self.conn.fetchval(OVERLAPS)) == 0

    @invariant()
    def no_appointment_is_lost_or_altered(self) -> None:
        rows = self.do(
            self.conn.fetch(
                """select a.id, lower(a.during) as starts_at, upper(a.during) as ends_at, a.sequence,
                          a.cancelled_at is not null as cancelled,
                          a.expert_id || array(select x.expert_id from panel_experts x where x.appointment_id = a.id)
                            as experts,
                          array(select b.expert_id from busy_times b where b.appointment_id = a.id) as busy
                   from appointments a"""
            )
        )
        found = {
            row["id"]: Known(tuple(row["experts"]), Slot(row["starts_at"], row["ends_at"]), row["sequence"],
                             row["cancelled"])
            for row in rows
        }  # fmt: skip
        assert found == self.appointments
        for row in rows:
            assert sorted(row["busy"]) == ([] if row["cancelled"] else sorted(row["experts"]))

    @invariant()
    def what_is_kept_is_kept(self) -> None:
        rows = self.do(self.conn.fetch("select hold_id, expert_id from busy_times where hold_id is not null"))
        busy = {(row["hold_id"], row["expert_id"]) for row in rows}
        for key, kept in self.holds.items():
            if kept.moving is None and not kept.ended and kept.expires_at > self.now:
                assert {(key, one) for one in kept.experts} <= busy
            if kept.ended:
                assert not any((key, one) in busy for one in kept.experts)


def test_any_sequence_of_changes_leaves_no_overlap_and_loses_nothing(
    postgres: embedded.EmbeddedPostgres, template_database: str
) -> None:
    name = f"t{uuid.uuid4().hex}"

    async def open_database() -> tuple[asyncpg.Connection, Any, tuple[StaffId, StaffId]]:
        admin = await asyncpg.connect(postgres.url())
        await admin.execute(f"create database {name} template {template_database} strategy file_copy")
        await admin.close()
        conn = await asyncpg.connect(postgres.url(name))
        await prepare_connection(conn)
        clinic = await open_clinic(conn)
        await conn.execute("update staff set time_zone = 'Europe/Berlin'")
        return conn, clinic, (clinic.expert, clinic.other_expert)

    async def drop_database(conn: asyncpg.Connection) -> None:
        await conn.close()
        admin = await asyncpg.connect(postgres.url())
        await admin.execute(f"drop database {name} with (force)")
        await admin.close()

    with asyncio.Runner() as runner:
        conn, clinic, experts = runner.run(open_database())
        try:
            run_state_machine_as_test(
                lambda: Schedule(runner, conn, clinic.case, clinic.scheduler, experts),
                settings=settings(
                    max_examples=30, stateful_step_count=40,
                    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
                ),
            )  # fmt: skip
        finally:
            runner.run(drop_database(conn))
