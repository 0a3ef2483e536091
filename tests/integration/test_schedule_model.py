"""Any sequence of booking, holding, moving, cancelling, absences and changed rules, compared with a model of it.

Whatever happens in whatever order, and by two at once: no expert's time overlaps, no appointment is lost, what is
offered can be booked, every rule of the experts holds, and what was refused changed nothing. The database is real; the
model reckons by itself, without the product's own arithmetic.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import asyncpg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from consult.availability import service as availability
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
from consult.domain.working_days import WorkingBlock
from consult.people import service as people
from consult.scheduling import service as scheduling
from tests.integration.clinic import open_clinic

Result = TypeVar("Result")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
BERLIN = ZoneInfo("Europe/Berlin")
REFUSALS = (SlotTaken, SlotOutsideHours, SlotInPast)
DAYS = 3
FIRST = datetime(2026, 3, 10, 7, 0, tzinfo=UTC)
EMPTY = "truncate busy_times, holds, panel_experts, appointment_changes, absences, expert_rules, appointments cascade"
GRACE = timedelta(minutes=5)  # what was arranged may have begun a moment ago
OVERLAPS = """
select count(*) from busy_times a join busy_times b
on a.id < b.id and a.expert_id = b.expert_id and a.blocked && b.blocked
"""

starts = st.builds(
    lambda day, quarter: FIRST + timedelta(days=day, minutes=15 * quarter), st.integers(0, DAYS - 1), st.integers(0, 23)
)
times = st.one_of(starts, st.integers(0, 99))  # one like any other, or the place of one that is offered
lengths = st.sampled_from([timedelta(minutes=30), timedelta(minutes=45), timedelta(minutes=60)])
places = st.integers(0, 30)


@dataclass(frozen=True)
class Known:
    """What the model knows of an appointment."""

    experts: tuple[StaffId, ...]
    slot: Slot
    sequence: int = 0
    cancelled: bool = False
    blocked: dict[StaffId, Slot] = field(default_factory=dict, compare=False)  # at least; less where nothing is known


@dataclass(frozen=True)
class Kept:
    experts: tuple[StaffId, ...]
    slot: Slot
    expires_at: datetime
    moving: AppointmentId | None = None
    ended: bool = False
    blocked: dict[StaffId, Slot] = field(default_factory=dict, compare=False)


@dataclass
class Rules:
    """What the model knows of an expert's time. first, last: their hours on every day, in Berlin."""

    first: int
    last: int
    before: int = 0
    after: int = 0
    notice: int = 0
    limit: int | None = None


def meets(one: Slot, other: Slot) -> bool:
    """Whether two stretches share time; an end and a beginning at one instant do not."""
    return one.starts_at < other.ends_at and other.starts_at < one.ends_at


def cut(blocked: Slot, call: Slot, other: Slot) -> Slot:
    """Return what stays blocked around a call beside another call."""
    if not meets(blocked, other):
        return blocked
    if other.starts_at < call.starts_at:
        return Slot(max(blocked.starts_at, other.ends_at), blocked.ends_at)
    return Slot(blocked.starts_at, min(blocked.ends_at, other.starts_at))


def day_of(instant: datetime) -> date:
    return instant.astimezone(BERLIN).date()


class Schedule(RuleBasedStateMachine):
    """Two experts, one case, two who book at once, a clock that the rules move on."""

    def __init__(self, runner: asyncio.Runner, conn: asyncpg.Connection, second: asyncpg.Connection, case: CaseId,
                 scheduler: StaffId, experts: tuple[StaffId, StaffId]) -> None:  # fmt: skip
        super().__init__()
        self.runner, self.conn, self.case, self.scheduler, self.experts = runner, conn, case, scheduler, experts
        self.second = second
        self.now = FIRST - 2 * HOUR
        self.wants = {experts[0]: Rules(9, 12), experts[1]: Rules(10, 13)}
        self.away: dict[StaffId, list[Slot]] = {one: [] for one in experts}
        self.appointments: dict[AppointmentId, Known] = {}
        self.holds: dict[HoldId, Kept] = {}
        self.do(conn.execute(EMPTY))
        self.do(self.set_week(experts[0], 9, 12))
        self.do(self.set_week(experts[1], 10, 13))
        self.do(self.set_rules(experts[0], after=10))
        self.do(self.set_rules(experts[1], before=5))

    def do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(work)

    async def set_week(self, expert: StaffId, first: int, last: int) -> None:
        blocks = [WorkingBlock(weekday, time(first), time(last)) for weekday in range(7)]
        await availability.set_working_hours(self.conn, expert, blocks)

    def who(self, place: int) -> tuple[StaffId, ...]:
        first, second = self.experts
        return [(first,), (second,), (first, second), (second, first)][place % 4]

    def pick(self, slots: list[Slot], place: int) -> Slot | None:
        return slots[place % len(slots)] if slots else None

    def instant(self, experts: tuple[StaffId, ...], length: timedelta, at: datetime | int) -> datetime:
        if isinstance(at, datetime):
            return at
        offered = self.do(self.offers(experts, length))
        return offered[at % len(offered)].starts_at if offered else FIRST

    def collides(self, experts: tuple[StaffId, ...], slot: Slot, *, apart_from: object = None) -> bool:
        calls = [
            one for key, one in self.appointments.items()
            if not one.cancelled and key != apart_from
        ]  # fmt: skip
        kept = [one for one in self.holds.values() if not one.ended and one.expires_at > self.now]
        return any(
            (set(one.experts) & set(experts) and meets(one.slot, slot) and not isinstance(one, Kept))
            or (isinstance(one, Kept) and one.moving is None and set(one.experts) & set(experts)
            and meets(one.slot, slot))
            for one in [*calls, *kept]
        )  # fmt: skip

    def calls_of(self, expert: StaffId, *, own: AppointmentId | None = None) -> list[Known | Kept]:
        """An expert's calls but their own, and the times that are kept for new ones."""
        calls: list[Known | Kept] = [
            one for key, one in self.appointments.items()
            if expert in one.experts and not one.cancelled and key != own
        ]  # fmt: skip
        return calls + [
            one for one in self.holds.values()
            if expert in one.experts and not one.ended and one.expires_at > self.now and one.moving is None
        ]  # fmt: skip

    def calls_on(self, expert: StaffId, day: date, *, own: AppointmentId | None = None) -> list[Known | Kept]:
        return [one for one in self.calls_of(expert, own=own) if day_of(one.slot.starts_at) == day]

    def expect_allowed(
        self, experts: tuple[StaffId, ...], slot: Slot, *, own: AppointmentId | None = None
    ) -> dict[StaffId, Slot]:
        """Return what the time takes of each expert; fail unless their hours, absences and rules leave it."""
        taken: dict[StaffId, Slot] = {}
        for one in experts:
            wants, day = self.wants[one], day_of(slot.starts_at)
            blocked = Slot(slot.starts_at - wants.before * MINUTE, slot.ends_at + wants.after * MINUTE)
            midnight = datetime.combine(day, time(), tzinfo=BERLIN)
            assert midnight + wants.first * HOUR <= blocked.starts_at, "before the hours"
            assert blocked.ends_at <= midnight + wants.last * HOUR, "after the hours"
            assert slot.starts_at >= self.now + wants.notice * HOUR, "too soon"
            assert not any(meets(away, blocked) for away in self.away[one]), "absent"
            others = [other.blocked.get(one, other.slot) for other in self.calls_of(one, own=own)]
            assert not any(meets(other, blocked) for other in others), "without the time around calls"
            assert wants.limit is None or len(self.calls_on(one, day, own=own)) < wants.limit, "one more than they take"
            taken[one] = blocked
        return taken

    def give_way(self, experts: tuple[StaffId, ...], slot: Slot) -> None:
        """What is blocked around other calls gives way to one that was arranged."""
        for known in self.appointments.values():
            for one in set(experts) & set(known.blocked):
                known.blocked[one] = cut(known.blocked[one], known.slot, slot)
        for kept in self.holds.values():
            for one in set(experts) & set(kept.blocked):
                kept.blocked[one] = cut(kept.blocked[one], kept.slot, slot)

    @rule(place=places, at=times, length=lengths)
    def book_among_the_hours(self, place: int, at: datetime | int, length: timedelta) -> None:
        experts = self.who(place)
        self.try_to_book(experts, self.instant(experts, length, at), length, outside=False)

    @rule(place=places, at=starts, length=lengths)
    def book_what_was_arranged(self, place: int, at: datetime, length: timedelta) -> None:
        self.book_arranged(self.who(place), at, length)

    @precondition(lambda self: self.holds)
    @rule(which=places)
    def book_where_a_time_was_kept(self, which: int) -> None:
        """Nobody else has it while it is kept; then anybody."""
        kept = list(self.holds.values())[which % len(self.holds)]
        self.book_arranged(kept.experts, kept.slot.starts_at, kept.slot.ends_at - kept.slot.starts_at)

    def book_arranged(self, experts: tuple[StaffId, ...], at: datetime, length: timedelta) -> None:
        slot = Slot(at, at + length)
        is_absent = any(meets(away, slot) for one in experts for away in self.away[one])
        can = at > self.now - GRACE and not self.collides(experts, slot) and not is_absent
        booked = self.try_to_book(experts, at, length, outside=True)
        moving_holds = any(
            one.moving and not one.ended and one.expires_at > self.now and meets(one.slot, slot)
            for one in self.holds.values()
        )
        if not moving_holds:  # what those take depends on the appointment that they would move
            assert booked == can

    def try_to_book(self, experts: tuple[StaffId, ...], at: datetime, length: timedelta, *, outside: bool) -> bool:
        booked = self.do(self.book_on(self.conn, experts, at, length, outside=outside))
        if booked is not None:
            self.note(booked, experts, Slot(at, at + length), outside=outside)
        return booked is not None

    @precondition(lambda self: self.appointments)
    @rule(which=places, place=places, length=lengths, before=st.booleans(), outside=st.booleans())
    def book_right_beside_a_call(self, which: int, place: int, length: timedelta, before: bool, outside: bool) -> None:
        """Where a call ends another may begin, unless the time around it is kept free."""
        call = self.appointments[self.any_appointment(which)].slot
        at = call.starts_at - length if before else call.ends_at
        if outside:
            self.book_arranged(self.who(place), at, length)
        else:
            self.try_to_book(self.who(place), at, length, outside=False)

    def note(self, booked: AppointmentId, experts: tuple[StaffId, ...], slot: Slot, *, outside: bool) -> None:
        blocked = {} if outside else self.expect_allowed(experts, slot)
        if outside:
            self.give_way(experts, slot)
        self.appointments[booked] = Known(experts, slot, blocked=blocked)

    async def book_on(
        self, conn: asyncpg.Connection, experts: tuple[StaffId, ...], at: datetime, length: timedelta, *, outside: bool
    ) -> AppointmentId | None:
        lead, *others = experts
        try:
            appointment, _link = await scheduling.book(
                conn, self.case, lead, at, length,
                others=others, booked_by=self.scheduler, now=self.now, outside_hours=outside,
            )  # fmt: skip
        except REFUSALS:
            return None
        return appointment.id

    @rule(
        places=st.tuples(places, places),
        which=st.tuples(places, places),
        length=lengths,
        scarce=st.sampled_from([True, True, False]),
    )
    def two_book_what_is_offered_at_once(
        self, places: tuple[int, int], which: tuple[int, int], length: timedelta, scarce: bool
    ) -> None:
        """Whoever comes second finds what the first one left: both hold to every rule, as if one after the other.

        scarce: on one day, on which whoever is wanted by both takes only one call more.
        """
        one, other = self.who(places[0]), self.who(places[1])
        first = self.pick(self.do(self.offers(one, length)), which[0])
        if first is None:
            return
        day = day_of(first.starts_at)
        if scarce:
            other = other if set(one) & set(other) else one
            for expert in set(one) & set(other):
                self.do(self.set_rules(expert, limit=len(self.calls_on(expert, day)) + 1))
            if first not in self.do(self.offers(one, length)):
                return
        offered = [slot for slot in self.do(self.offers(other, length)) if not scarce or day_of(slot.starts_at) == day]
        apart = [slot for slot in offered if not meets(slot, first)]
        second = self.pick(apart if scarce and apart else offered, which[1])
        if second is None:
            return
        wanted = [(one, first), (other, second)]

        async def both() -> list[AppointmentId | None]:
            return await asyncio.gather(*(
                self.book_on(conn, experts, slot.starts_at, length, outside=False)
                for conn, (experts, slot) in zip((self.conn, self.second), wanted, strict=True)
            ))  # fmt: skip

        results = self.do(both())
        assert any(results), "one of them comes first, and was offered this"
        for booked, (experts, slot) in zip(results, wanted, strict=True):
            if booked is not None:
                self.note(booked, experts, slot, outside=False)

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

    @rule(place=places, at=times, length=lengths, minutes=st.integers(1, 20))
    def hold(self, place: int, at: datetime | int, length: timedelta, minutes: int) -> None:
        experts = self.who(place)
        self.try_to_hold(experts, self.instant(experts, length, at), length, self.now + minutes * MINUTE, None)

    @precondition(lambda self: self.appointments)
    @rule(which=places, at=times, minutes=st.integers(1, 20))
    def hold_for_a_move(self, which: int, at: datetime | int, minutes: int) -> None:
        key = self.any_appointment(which)
        known = self.appointments[key]
        length = known.slot.ends_at - known.slot.starts_at
        self.try_to_hold(
            known.experts, self.instant(known.experts, length, at), length, self.now + minutes * MINUTE, key
        )

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
        blocked = self.expect_allowed(experts, kept.slot, own=moving)
        self.holds[kept.id] = Kept(experts, kept.slot, until, moving, blocked=blocked if moving is None else {})

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
    @rule(which=places, when=times, outside=st.booleans(), stale=st.integers(0, 9))
    def move(self, which: int, when: datetime | int, outside: bool, stale: int) -> None:
        key = self.any_appointment(which)
        known = self.appointments[key]
        if known.cancelled:
            return
        at = self.instant(known.experts, known.slot.ends_at - known.slot.starts_at, when)
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
        slot, blocked = moved.appointment.slot, {}
        if outside:
            self.give_way(known.experts, slot)
        elif hold_id is None:
            blocked = self.expect_allowed(known.experts, slot, own=key)
        self.appointments[key] = replace(known, slot=slot, sequence=known.sequence + 1, blocked=blocked)

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
        self.away[self.experts[place]].append(Slot(at, at + hours * HOUR))
        self.do(
            self.conn.execute(
                "insert into absences values ($1, $2, tstzrange($3, $4), '', $5)",
                uuid.uuid4(), self.experts[place], at, at + timedelta(hours=hours), self.now,
            )
        )  # fmt: skip

    @rule(place=st.integers(0, 1), before=st.sampled_from([0, 5, 15]), after=st.sampled_from([0, 10]),
          notice=st.sampled_from([0, 2, 6]), limit=st.sampled_from([None, 1, 3]))  # fmt: skip
    def change_rules(self, place: int, before: int, after: int, notice: int, limit: int | None) -> None:
        expert = self.experts[place]
        self.do(self.set_rules(expert, before=before, after=after, notice=notice, limit=limit))

    async def set_rules(self, expert: StaffId, **changed: int | None) -> None:
        wants = self.wants[expert] = replace(self.wants[expert], **changed)  # type: ignore[arg-type]
        await self.conn.execute(
            """insert into expert_rules values ($1, $2, $3, 0, 0, 0, $4, 366, $5, 24)
               on conflict (expert_id) do update set buffer_before_min = $2, buffer_after_min = $3, notice_h = $4,
               daily_limit = $5""",
            expert, wants.before, wants.after, wants.notice, wants.limit,
        )  # fmt: skip

    @rule(place=st.integers(0, 1), first=st.integers(7, 12), long=st.integers(1, 5))
    def change_hours(self, place: int, first: int, long: int) -> None:
        self.wants[self.experts[place]] = replace(self.wants[self.experts[place]], first=first, last=first + long)
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

    async def open_database() -> tuple[list[asyncpg.Connection], Any, tuple[StaffId, StaffId]]:
        admin = await asyncpg.connect(postgres.url())
        await admin.execute(f"create database {name} template {template_database} strategy file_copy")
        await admin.close()
        conns = [await asyncpg.connect(postgres.url(name)) for _ in range(2)]
        for conn in conns:
            await prepare_connection(conn)
        clinic = await open_clinic(conns[0])
        await conns[0].execute("update staff set time_zone = 'Europe/Berlin'")
        return conns, clinic, (clinic.expert, clinic.other_expert)

    async def drop_database(conns: list[asyncpg.Connection]) -> None:
        for conn in conns:
            await conn.close()
        admin = await asyncpg.connect(postgres.url())
        await admin.execute(f"drop database {name} with (force)")
        await admin.close()

    with asyncio.Runner() as runner:
        conns, clinic, experts = runner.run(open_database())
        try:
            run_state_machine_as_test(
                lambda: Schedule(runner, *conns, clinic.case, clinic.scheduler, experts),
                settings=settings(
                    max_examples=30, stateful_step_count=40,
                    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
                ),
            )  # fmt: skip
        finally:
            runner.run(drop_database(conns))
