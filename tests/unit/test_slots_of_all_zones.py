"""Slots in every zone of the world, most of all on the days when its clock jumps, against a slow and plain reckoning.

The plain way walks minute by minute, asks the zone what its clock shows then, and fills what is free from its start.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import event, given, settings
from hypothesis import strategies as st

from consult.availability.model import (
    ExpertRules,
    ExpertTime,
    OfferedSlot,
    free_panel_slots,
    free_slots,
    is_free_slot,
    wrong_blocks,
)
from consult.domain.ids import StaffId
from consult.domain.slots import Slot
from consult.domain.working_days import Travel, WorkingBlock

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ZONES = sorted(available_timezones())
FIRST_YEAR, LAST_YEAR = 1973, 2037  # since 1973 all clocks are whole minutes away from UTC
Minutes = dict[datetime, tuple[date, int]]


@cache
def jumping_days(name: str) -> tuple[date, ...]:
    """The local days on which a zone's clock jumps: weeks with different offsets at their ends, then hour by hour."""
    zone, found = ZoneInfo(name), []
    week_from = datetime(FIRST_YEAR, 1, 2, tzinfo=UTC)
    while week_from.year < LAST_YEAR:
        week_to = week_from + 7 * DAY
        if week_from.astimezone(zone).utcoffset() != week_to.astimezone(zone).utcoffset():
            hours = [week_from + number * HOUR for number in range(7 * 24 + 1)]
            found += [
                after.astimezone(zone).date()
                for before, after in itertools.pairwise(hours)
                if before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset()
            ]
        week_from = week_to
    return tuple(found)


def jumps(name: str) -> bool:
    looks = (datetime(year, month, 10, tzinfo=UTC) for year in range(FIRST_YEAR, LAST_YEAR) for month in (1, 7))
    return len({look.astimezone(ZoneInfo(name)).utcoffset() for look in looks}) > 1


JUMPING = [name for name in ZONES if jumps(name)]
NAMES = st.sampled_from(JUMPING) | st.sampled_from(JUMPING) | st.sampled_from(ZONES)


@st.composite
def days_in(draw: st.DrawFn, name: str) -> date:
    """A day: mostly one on which the clock jumps, or the one before."""
    if jumping_days(name) and draw(st.integers(0, 9)) < 9:
        return draw(st.sampled_from(jumping_days(name))) - draw(st.sampled_from((0, 0, 1))) * DAY
    return draw(st.dates(date(FIRST_YEAR, 1, 5), date(LAST_YEAR, 1, 1)))


@st.composite
def blocks_of(draw: st.DrawFn, weekday: int) -> list[WorkingBlock]:
    """None to three stretches of a day; they may touch, and end at midnight. Mostly by night, when clocks jump."""
    if draw(st.integers(0, 2)):
        first, last = draw(st.integers(0, 12)), draw(st.sampled_from((96, 96, 12, 40)))
        return [WorkingBlock(weekday, clock(first * 15 * MINUTE), clock(last * 15 * MINUTE))] if first < last else []
    edges = sorted(draw(st.lists(st.integers(0, 20) | st.integers(0, 96), max_size=6, unique=True)))
    late = draw(st.integers(0, 14)) * MINUTE
    pairs = zip(edges[::2], edges[1::2], strict=False)
    blocks = [
        WorkingBlock(weekday, clock(start * 15 * MINUTE + late), clock(end * 15 * MINUTE)) for start, end in pairs
    ]
    assert not wrong_blocks(blocks) or late > 0
    return blocks if not wrong_blocks(blocks) else []


def clock(since_midnight: timedelta) -> time:
    return (datetime(1970, 1, 1, tzinfo=UTC) + since_midnight).time()


@st.composite
def rules(draw: st.DrawFn) -> ExpertRules:
    if draw(st.booleans()):
        return ExpertRules()
    few, some = st.sampled_from((0, 0, 5, 10)), st.sampled_from((0, 0, 5, 20))
    return ExpertRules(
        buffer_before=draw(few) * MINUTE,
        buffer_after=draw(few) * MINUTE,
        preparation=draw(some) * MINUTE,
        preparation_per_record=draw(few) * MINUTE,
        preparation_most=draw(some) * MINUTE,
        notice=draw(st.sampled_from((0, 0, 5, 30))) * HOUR,
        horizon=draw(st.sampled_from((366, 366, 2, 3))) * DAY,
        daily_limit=draw(st.sampled_from((None, None, 1, 2))),
    )


@st.composite
def times(draw: st.DrawFn, name: str, day: date) -> ExpertTime:
    """An expert's time around a day: a week, perhaps other hours on some day, absences, a journey."""
    week = [block for weekday in range(7) for block in draw(blocks_of(weekday))]
    near = st.integers(-1, 2).map(lambda number: day + number * DAY)
    other_days = draw(st.lists(near, max_size=1))
    travels = []
    if draw(st.integers(0, 3)) == 0:
        first = draw(near)
        travels = [Travel(first, first + draw(st.integers(0, 2)) * DAY, ZoneInfo(draw(st.sampled_from(ZONES))))]
    return ExpertTime(
        StaffId(1),
        ZoneInfo(name),
        week,
        draw(rules()),
        day_hours={other: draw(blocks_of(other.weekday())) for other in other_days},
        absences=[draw(stretches(day, 600)) for _ in range(draw(st.integers(0, 2)))],
        travels=travels,
    )


@st.composite
def stretches(draw: st.DrawFn, day: date, most: int) -> Slot:
    starts_at = datetime.combine(day, time(), UTC) + draw(st.integers(-2 * 24 * 60, 3 * 24 * 60)) * MINUTE
    return Slot(starts_at, starts_at + draw(st.integers(1, most)) * MINUTE)


@st.composite
def taken_near(draw: st.DrawFn, day: date) -> list[OfferedSlot]:
    """Booked times with what they block; none overlaps, which the database holds."""
    taken: list[OfferedSlot] = []
    for _ in range(draw(st.integers(0, 3))):
        during = draw(stretches(day, 120))
        blocked = Slot(during.starts_at - draw(st.integers(0, 20)) * MINUTE, during.ends_at)
        if not any(blocked.overlaps(other.blocked) for other in taken):
            taken.append(OfferedSlot(during, blocked))
    return taken


def working_minutes(expert: ExpertTime, day_from: date, day_to: date) -> Minutes:
    """The minutes of the expert's hours, each with its day and the number of its block."""
    found: Minutes = {}
    for number in range(-2, (day_to - day_from).days + 1):
        day = day_from + number * DAY
        zone = expert.zone_on(day)
        blocks = expert.day_hours.get(day, [block for block in expert.week if block.weekday == day.weekday()])
        at = datetime.combine(day, time(), UTC) - 16 * HOUR
        while at < datetime.combine(day, time(), UTC) + 40 * HOUR:
            wall = at.astimezone(zone)
            second = wall.hour * 3600 + wall.minute * 60
            for place, block in enumerate(blocks):
                if wall.date() == day and block.starts_s <= second < block.ends_s:
                    found.setdefault(at, (day, place))
            at += MINUTE
    return {at: (day, place) for at, (day, place) in found.items() if day >= day_from}


def free_runs(expert: ExpertTime, taken: Sequence[OfferedSlot], minutes: Minutes) -> list[tuple[date, list[datetime]]]:
    """Minutes that follow each other in one block of a day, absences and what is taken left out."""
    out = [*expert.absences, *(one.blocked for one in taken)]
    runs: list[tuple[date, list[datetime]]] = []
    last: tuple[datetime, tuple[date, int]] | None = None
    for at, owner in sorted(minutes.items()):
        if any(one.starts_at <= at < one.ends_at for one in out):
            continue
        if last != (at - MINUTE, owner):
            runs.append((owner[0], []))
        runs[-1][1].append(at)
        last = at, owner
    limit = expert.rules.daily_limit
    if limit is None:
        return runs
    return [
        (day, run)
        for day, run in runs
        if sum(one.during.starts_at.astimezone(expert.zone_on(day)).date() == day for one in taken) < limit
    ]


def starts_allowed(
    expert: ExpertTime, day: date, run: list[datetime], before: timedelta, rest: timedelta
) -> list[datetime]:
    """Where a call may begin in a run so that all it takes fits, and not when the clock repeats itself."""
    return [
        at
        for at in run
        if at - before >= run[0] and at + rest <= run[-1] + MINUTE and not at.astimezone(expert.zone_on(day)).fold
    ]


def plainly(
    expert: ExpertTime, taken: Sequence[OfferedSlot], day_from: date, day_to: date, length: timedelta,
    record_count: int, now: datetime,
) -> list[Slot]:  # fmt: skip
    rule = expert.rules
    before, rest = rule.buffer_before + rule.preparation_for(record_count), length + rule.buffer_after
    found: list[Slot] = []
    for day, run in free_runs(expert, taken, working_minutes(expert, day_from, day_to)):
        following = None
        for at in starts_allowed(expert, day, run, before, rest):
            if following is None or at >= following:
                following = at + before + rest
                found.append(Slot(at, at + length))
    return sorted(
        slot for slot in found if now < slot.starts_at and now + rule.notice <= slot.starts_at <= now + rule.horizon
    )


NOWS = st.integers(-3 * 24 * 60, 24 * 60)


@settings(max_examples=60)
@given(data=st.data(), name=NAMES, minutes=st.integers(10, 120), record_count=st.integers(0, 4))
def test_offers_are_those_of_the_plain_reckoning_and_keep_every_rule(
    data: st.DataObject, name: str, minutes: int, record_count: int
) -> None:
    day = data.draw(days_in(name))
    expert, taken = data.draw(times(name, day)), data.draw(taken_near(day))
    now = datetime.combine(day, time(), UTC) + data.draw(NOWS) * MINUTE
    length = minutes * MINUTE
    offers = free_slots(expert, taken, day, day + DAY, length, record_count=record_count, now=now)
    event("offers" if offers else "none")
    assert [offer.during for offer in offers] == plainly(expert, taken, day, day + DAY, length, record_count, now)
    walls = [offer.during.starts_at.astimezone(ZoneInfo(name)).replace(tzinfo=None) for offer in offers]
    if not expert.travels:
        assert len(set(walls)) == len(walls)
    for offer, following in itertools.pairwise(offers):
        assert offer.blocked.ends_at <= following.blocked.starts_at
    for offer in offers:
        assert offer.during.ends_at - offer.during.starts_at == length
        assert offer.blocked == expert.parts(length, record_count).blocked(offer.during)
        assert not any(offer.blocked.overlaps(one) for one in (*expert.absences, *(one.blocked for one in taken)))


@settings(max_examples=25)
@given(data=st.data(), name=NAMES, minutes=st.integers(10, 120), record_count=st.integers(0, 4))
def test_a_slot_is_free_if_it_is_among_the_offers_and_only_then(
    data: st.DataObject, name: str, minutes: int, record_count: int
) -> None:
    day = data.draw(days_in(name))
    expert, taken = data.draw(times(name, day)), data.draw(taken_near(day))
    now = datetime.combine(day, time(), UTC) + data.draw(NOWS) * MINUTE
    length = minutes * MINUTE
    offers = free_slots(expert, taken, day - 2 * DAY, day + 4 * DAY, length, record_count=record_count, now=now)
    event("offers" if offers else "none")
    first = datetime.combine(day, time(), UTC) - 18 * HOUR
    slots = [Slot(at, at + length) for at in (first + number * MINUTE for number in range(84 * 60))]
    assert [offer.during for offer in offers if slots[0] <= offer.during <= slots[-1]] == [
        slot for slot in slots if is_free_slot(expert, taken, slot, record_count=record_count, now=now)
    ]


@settings(max_examples=25)
@given(data=st.data(), name=NAMES, minutes=st.integers(10, 120))
def test_booking_one_offer_takes_no_other_away(data: st.DataObject, name: str, minutes: int) -> None:
    day = data.draw(days_in(name))
    expert, taken = data.draw(times(name, day)), data.draw(taken_near(day))
    now = datetime.combine(day, time(), UTC) - 3 * DAY
    if expert.rules.daily_limit is not None:
        return

    def offers_with(booked: list[OfferedSlot]) -> list[OfferedSlot]:
        return free_slots(expert, booked, day, day + DAY, minutes * MINUTE, record_count=2, now=now)

    before = offers_with(taken)
    for offer in before:
        assert offers_with([*taken, offer]) == [other for other in before if other != offer]


@settings(max_examples=25)
@given(data=st.data(), name=NAMES, minutes=st.integers(10, 120))
def test_the_days_asked_for_decide_what_is_listed_but_not_what_is_offered(
    data: st.DataObject, name: str, minutes: int
) -> None:
    day = data.draw(days_in(name))
    expert, taken = data.draw(times(name, day)), data.draw(taken_near(day))
    now = datetime.combine(day, time(), UTC) - 3 * DAY

    def offers_of(day_from: date, day_to: date) -> list[OfferedSlot]:
        return free_slots(expert, taken, day_from, day_to, minutes * MINUTE, record_count=0, now=now)

    each = [offer for number in range(4) for offer in offers_of(day + number * DAY, day + number * DAY)]
    assert sorted(each, key=lambda offer: offer.during) == offers_of(day, day + 3 * DAY)


@settings(max_examples=25)
@given(data=st.data(), names=st.lists(NAMES, min_size=2, max_size=3), minutes=st.integers(10, 90))
def test_a_panel_meets_when_all_of_it_are_free(data: st.DataObject, names: list[str], minutes: int) -> None:
    day = data.draw(days_in(names[0]))
    panel = [(data.draw(times(name, day)), data.draw(taken_near(day))) for name in names]
    now, length = datetime.combine(day, time(), UTC) - 2 * DAY, minutes * MINUTE
    slots = free_panel_slots(panel, day, day + DAY, length, record_count=1, now=now)
    event("slots" if slots else "none")
    assert slots == sorted(slots)
    assert all(one.ends_at <= other.starts_at for one, other in itertools.pairwise(slots))
    allowed = []
    for place, (expert, taken) in enumerate(panel):
        rule, around = expert.rules, DAY if place else timedelta()
        before, rest = rule.buffer_before + rule.preparation_for(1), length + rule.buffer_after
        runs = free_runs(expert, taken, working_minutes(expert, day - around, day + DAY + around))
        starts = {at for day_of_run, run in runs for at in starts_allowed(expert, day_of_run, run, before, rest)}
        in_reach = (max(now + MINUTE, now + rule.notice), now + rule.horizon)
        allowed.append({at for at in starts if in_reach[0] <= at <= in_reach[1]})
    together = set.intersection(*allowed)
    assert {slot.starts_at for slot in slots} <= together
    if all(not expert.rules.notice and expert.rules.horizon > 9 * DAY for expert, _taken in panel):
        assert bool(slots) == bool(together)
