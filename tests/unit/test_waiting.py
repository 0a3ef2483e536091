"""The wait list without a database: whom a slot fits, who is asked first, how long a time is kept for one person."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consult.domain.ids import CaseId, PatientId, StaffId, WaitEntryId, WaitOfferId
from consult.domain.kinds import ConsultationKind
from consult.domain.slots import Slot
from consult.waiting.model import (
    EVERY_WEEKDAY,
    LEAST_PART,
    SHORTEST_OFFER,
    OfferLink,
    WaitEntry,
    Wishes,
    choose,
    in_order,
    neighbour,
    offer_ends_at,
    wrong_wishes,
)
from consult.waiting.offers import read_secret

LISBON, BERLIN, AUCKLAND = (ZoneInfo(name) for name in ("Europe/Lisbon", "Europe/Berlin", "Pacific/Auckland"))
NOW = datetime(2026, 3, 9, 8, tzinfo=UTC)  # a Monday
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def entry(position: int = 1, *, wishes: Wishes | None = None, **more: object) -> WaitEntry:
    known = WaitEntry(
        id=WaitEntryId(uuid.UUID(int=position)),
        case_id=CaseId(position),
        patient_id=PatientId(uuid.UUID(int=position)),
        appointment_id=None,
        wishes=wishes or Wishes(),
        note="",
        is_urgent=False,
        position=position,
        added_by=StaffId(1),
        added_at=NOW,
        unanswered=0,
        set_aside_at=None,
        ended_at=None,
        earlier_than=None,
        length=None,
        is_stale=False,
        time_zone="Europe/Lisbon",
        record_count=0,
    )
    return replace(known, **more)  # type: ignore[arg-type]


def slot(starts_at: datetime, minutes: int = 45) -> Slot:
    return Slot(starts_at, starts_at + timedelta(minutes=minutes))


def local(zone: ZoneInfo, *when: int) -> datetime:
    return datetime(*when, tzinfo=zone).astimezone(UTC)  # type: ignore[arg-type, misc]


def test_a_time_of_day_is_that_of_the_patient_and_not_of_the_expert() -> None:
    mornings = entry(wishes=Wishes(time_from=time(9), time_to=time(12)))
    nine_in_berlin = slot(local(BERLIN, 2026, 3, 10, 9))
    assert not mornings.wants(nine_in_berlin, BERLIN)  # eight in Lisbon
    assert mornings.wants(slot(local(LISBON, 2026, 3, 10, 9)), BERLIN)
    assert replace(mornings, time_zone=None).wants(nine_in_berlin, BERLIN)


def test_a_call_has_to_be_over_at_the_end_of_the_time_of_day() -> None:
    wishes = Wishes(time_to=time(12))
    assert wishes.allow(slot(local(LISBON, 2026, 3, 10, 11, 15)), LISBON)
    assert not wishes.allow(slot(local(LISBON, 2026, 3, 10, 11, 16)), LISBON)
    assert not wishes.allow(slot(local(LISBON, 2026, 3, 10, 23, 30)), LISBON)  # over by noon, but of the next day


def test_the_weekday_is_that_of_the_patients_calendar() -> None:
    tuesdays = entry(wishes=Wishes(weekdays=frozenset({1})), time_zone="Pacific/Auckland")
    assert tuesdays.wants(slot(local(BERLIN, 2026, 3, 9, 15)), BERLIN)  # Monday in Berlin is Tuesday in Auckland
    assert not tuesdays.wants(slot(local(BERLIN, 2026, 3, 10, 15)), BERLIN)


def test_first_and_last_day_are_part_of_what_suits() -> None:
    wishes = Wishes(day_from=date(2026, 3, 10), day_to=date(2026, 3, 11))
    fits = [wishes.allow(slot(local(LISBON, 2026, 3, day, 10)), LISBON) for day in (9, 10, 11, 12)]
    assert fits == [False, True, True, False]


def test_who_wants_an_earlier_time_is_not_offered_a_later_one_or_the_same() -> None:
    wants = entry(earlier_than=NOW + 5 * DAY)
    assert wants.wants(slot(NOW + 4 * DAY), BERLIN)
    assert not wants.wants(slot(NOW + 5 * DAY), BERLIN)
    assert not wants.wants(slot(NOW + 6 * DAY), BERLIN)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 10_000)), max_size=12, unique_by=lambda one: one[1]))
def test_urgent_ones_come_first_and_each_group_keeps_its_order(facts: list[tuple[bool, int]]) -> None:
    ordered = in_order([entry(position, is_urgent=urgent) for urgent, position in facts])
    assert len(ordered) == len(facts)
    keys = [(not one.is_urgent, one.position) for one in ordered]
    assert keys == sorted(keys)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 99)), min_size=1, max_size=8, unique_by=lambda one: one[1]),
    st.data(),
)
def test_changing_places_with_the_neighbour_moves_an_entry_by_one(
    facts: list[tuple[bool, int]], data: st.DataObject
) -> None:
    entries = [entry(position, is_urgent=urgent) for urgent, position in facts]
    mover, up = data.draw(st.sampled_from(entries)), data.draw(st.booleans())
    beside = neighbour(entries, mover.id, up=up)
    before = [one.id for one in in_order(entries)]
    place = before.index(mover.id)
    if beside is None:
        group = [one for one in in_order(entries) if one.is_urgent is mover.is_urgent]
        assert mover == group[0 if up else -1]
        return
    swapped = {mover.id: beside.position, beside.id: mover.position}
    after = [one.id for one in in_order([replace(one, position=swapped.get(one.id, one.position)) for one in entries])]
    assert after.index(mover.id) == place + (-1 if up else 1)
    assert [one for one in after if one != mover.id] == [one for one in before if one != mover.id]
    assert next(one for one in entries if one.id == beside.id).is_urgent is mover.is_urgent


starts = st.integers(0, 40).map(lambda number: slot(NOW + number * timedelta(minutes=15)))
people = st.lists(
    st.builds(
        lambda position, urgent, aside, stale, weekdays, earlier: entry(
            position,
            wishes=Wishes(weekdays=frozenset(weekdays)),
            is_urgent=urgent,
            set_aside_at=NOW if aside else None,
            is_stale=stale,
            earlier_than=NOW + timedelta(minutes=earlier) if earlier else None,
        ),
        st.integers(1, 50), st.booleans(), st.booleans(), st.booleans(),
        st.sets(st.sampled_from([0, 1]), min_size=1), st.sampled_from([0, 60, 300]),
    ),
    max_size=6, unique_by=lambda one: one.position,
)  # fmt: skip


@given(people, st.lists(starts, max_size=8), st.lists(starts, max_size=3))
def test_the_first_whom_something_fits_is_asked_for_their_earliest(
    entries: list[WaitEntry], slots: list[Slot], before: list[Slot]
) -> None:
    free = {one.id: slots for one in entries}
    asked = {one.id: before for one in entries[:2]}

    def fitting(one: WaitEntry) -> list[Slot]:
        return [
            each for each in sorted(slots)
            if one.wants(each, BERLIN) and not any(each.overlaps(other) for other in asked.get(one.id, []))
        ]  # fmt: skip

    able = [one for one in in_order(entries) if one.can_be_asked and fitting(one)]
    found = choose(entries, free, asked, BERLIN)
    if not able:
        assert found is None
    else:
        assert found == (able[0], fitting(able[0])[0])


def test_somebody_who_said_no_to_a_time_is_not_asked_about_it_again() -> None:
    one, other = entry(1), entry(2)
    time_ = slot(NOW + DAY)
    free = {one.id: [time_], other.id: [time_]}
    assert choose([one, other], free, {}, BERLIN) == (one, time_)
    assert choose([one, other], free, {one.id: [time_]}, BERLIN) == (other, time_)
    half_of_it = slot(NOW + DAY + timedelta(minutes=30))
    assert choose([one], free, {one.id: [half_of_it]}, BERLIN) is None


@given(
    ahead_min=st.integers(0, 60 * 24 * 30),
    usual_min=st.integers(1, 60 * 168),
    notice_min=st.integers(0, 60 * 72),
    second=st.integers(0, 59_999_999),
)
def test_an_offer_is_over_before_the_notice_begins_and_never_longer_than_usual(
    ahead_min: int, usual_min: int, notice_min: int, second: int
) -> None:
    now = NOW + timedelta(microseconds=second)
    starts_at = NOW + timedelta(minutes=ahead_min)
    usual, notice = timedelta(minutes=usual_min), timedelta(minutes=notice_min)
    ends_at = offer_ends_at(starts_at, now, usual=usual, notice=notice)
    left = starts_at - notice - now
    if ends_at is None:
        assert left < SHORTEST_OFFER
        return
    assert left >= SHORTEST_OFFER
    assert now - timedelta(seconds=1) < ends_at <= starts_at - notice
    assert ends_at - now <= usual
    assert ends_at - now <= max(left / 3, min(LEAST_PART, left))


@pytest.mark.parametrize(
    ("ahead", "notice", "kept"),
    [
        (30 * DAY, DAY, 24 * HOUR),
        (72 * HOUR, 0 * HOUR, 24 * HOUR),
        (36 * HOUR, 0 * HOUR, 12 * HOUR),  # two more can be asked
        (36 * HOUR, 24 * HOUR, 4 * HOUR),
        (6 * HOUR, 0 * HOUR, 2 * HOUR),
        (HOUR, 0 * HOUR, HOUR),  # no time to ask anybody else
        (HOUR, 45 * timedelta(minutes=1), None),
        (24 * HOUR, 24 * HOUR, None),
    ],
)
def test_the_nearer_a_time_the_shorter_it_is_kept(ahead: timedelta, notice: timedelta, kept: timedelta | None) -> None:
    ends_at = offer_ends_at(NOW + ahead, NOW, usual=24 * HOUR, notice=notice)
    assert (None if ends_at is None else ends_at - NOW) == kept


@pytest.mark.parametrize(
    ("wishes", "field"),
    [
        (Wishes(day_to=date(2026, 3, 8)), "day_to"),
        (Wishes(day_from=date(2026, 4, 2), day_to=date(2026, 4, 1)), "day_to"),
        (Wishes(weekdays=frozenset()), "weekdays"),
        (Wishes(weekdays=frozenset({7})), "weekdays"),
        (Wishes(time_from=time(12), time_to=time(12)), "time_to"),
        (Wishes(time_from=time(22), time_to=time(2)), "time_to"),
        (Wishes(kind=ConsultationKind.PANEL), "experts"),
        (Wishes(kind=ConsultationKind.PANEL, expert_ids=(StaffId(1),)), "experts"),
        (Wishes(kind=ConsultationKind.PANEL, expert_ids=tuple(StaffId(one) for one in range(1, 8))), "experts"),
    ],
)
def test_wishes_that_nothing_can_fit_are_refused_with_a_sentence(wishes: Wishes, field: str) -> None:
    assert list(wrong_wishes(wishes, "", NOW.date())) == [field]


def test_wishes_that_can_stand_are_not_refused() -> None:
    leap = Wishes(day_from=date(2028, 2, 29), day_to=date(2028, 2, 29), time_from=time(0), time_to=time(23, 59))
    assert wrong_wishes(leap, "x" * 500, NOW.date()) == {}
    assert wrong_wishes(Wishes(), "x" * 501, NOW.date()).keys() == {"note"}
    assert Wishes().weekdays == EVERY_WEEKDAY


@pytest.mark.parametrize("text", ["", "#", "x" * 42, "x" * 44, "é" * 43, "https://consult.example/offer", "a/b" * 20])
def test_what_cannot_be_a_secret_is_none(text: str) -> None:
    assert read_secret(text) is None


def test_a_whole_link_that_was_pasted_gives_its_secret_and_a_link_hides_it() -> None:
    link = OfferLink(WaitOfferId(uuid.UUID(int=1)), "aB-_" * 10 + "xyz")
    assert link.url("https://consult.example/") == f"https://consult.example/offer#{link.secret}"
    assert read_secret(f"  {link.url('https://consult.example')}\n") == link.secret
    assert link.secret not in repr(link)
