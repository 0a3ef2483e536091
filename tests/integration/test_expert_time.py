"""What differs from an expert's week, and their rules: entered, kept, obeyed by what is offered."""

from __future__ import annotations

import gettext
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from consult.availability import changes
from consult.availability import service as availability
from consult.availability.changes import AbsenceWish
from consult.availability.collisions import Conflict
from consult.availability.model import ExpertRules, ExpertTime
from consult.availability.zone_names import find_zone
from consult.domain.errors import InvalidInput, NotFound
from consult.domain.ids import StaffId
from consult.domain.kinds import USUAL_LENGTHS, ConsultationKind
from consult.domain.slots import Slot
from consult.domain.working_days import Travel, WorkingBlock
from consult.scheduling import service as scheduling
from consult.scheduling.offers_web import list_offers
from consult.web.words import Words
from tests.integration.clinic import NOW, Clinic, book_one, open_clinic

LENGTH = timedelta(minutes=45)
TUESDAY = date(2026, 3, 10)
NINE = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)  # 09:00 in Berlin
BERLIN = ZoneInfo("Europe/Berlin")


async def time_of(conn: Any, expert_id: StaffId) -> ExpertTime:
    expert = await availability.fetch_expert(conn, expert_id)
    return (await availability.fetch_times(conn, [expert]))[expert_id]


async def offered(conn: Any, clinic: Clinic, day: date = TUESDAY) -> list[str]:
    slots = await scheduling.free_slots(conn, clinic.expert, day, day, LENGTH, now=NOW)
    return [f"{slot.starts_at.astimezone(BERLIN):%H:%M}" for slot in slots]


async def test_what_is_entered_comes_back_and_midnight_ends_a_day(conn: Any) -> None:
    clinic = await open_clinic(conn)
    before = await time_of(conn, clinic.expert)
    assert before.rules == ExpertRules()
    assert before.lengths == USUAL_LENGTHS
    rules = ExpertRules(
        buffer_before=timedelta(minutes=5),
        buffer_after=timedelta(minutes=10),
        preparation=timedelta(minutes=15),
        preparation_per_record=timedelta(minutes=2),
        preparation_most=timedelta(minutes=60),
        notice=timedelta(hours=24),
        horizon=timedelta(days=90),
        daily_limit=3,
        changes_until=timedelta(hours=48),
    )
    lengths = {ConsultationKind.PANEL: timedelta(minutes=90)}
    late = [WorkingBlock(2, time(20), time()), WorkingBlock(2, time(8), time(9))]
    travel = Travel(date(2026, 4, 1), date(2026, 4, 3), ZoneInfo("Asia/Tokyo"))
    await changes.set_rules(conn, clinic.expert, rules)
    await changes.set_rules(conn, clinic.expert, rules)
    await changes.set_lengths(conn, clinic.expert, lengths)
    await changes.set_day(conn, clinic.expert, date(2026, 3, 11), late, today=NOW.date())
    await changes.set_day(conn, clinic.expert, date(2026, 3, 12), [], today=NOW.date())
    await changes.add_travel(conn, clinic.expert, travel, today=NOW.date())
    during = await changes.add_absence(conn, before, AbsenceWish(TUESDAY, time(10), TUESDAY, None, "Congress"), now=NOW)
    assert during == Slot(NINE + timedelta(hours=1), NINE + timedelta(hours=15))
    after = await time_of(conn, clinic.expert)
    assert (after.rules, after.lengths) == (rules, lengths)
    assert after.day_hours == {date(2026, 3, 11): [late[1], late[0]], date(2026, 3, 12): []}
    assert list(after.travels) == [travel]
    assert list(after.absences) == [during]
    (absence,) = await availability.list_absences(conn, clinic.expert, now=NOW)
    assert absence.note == "Congress"
    await changes.remove_absence(conn, clinic.other_expert, absence.id)  # not theirs
    assert len(await availability.list_absences(conn, clinic.expert, now=NOW)) == 1
    await changes.remove_absence(conn, clinic.expert, absence.id)
    await changes.remove_travel(conn, clinic.expert, travel.day_from)
    await changes.forget_day(conn, clinic.expert, date(2026, 3, 11))
    last = await time_of(conn, clinic.expert)
    assert (list(last.absences), list(last.travels), list(last.day_hours)) == ([], [], [date(2026, 3, 12)])


async def test_what_is_offered_obeys_what_was_entered(conn: Any) -> None:
    clinic = await open_clinic(conn)
    assert await offered(conn, clinic) == ["09:00", "09:45", "10:30", "11:15"]
    expert_time = await time_of(conn, clinic.expert)
    await changes.add_absence(conn, expert_time, AbsenceWish(TUESDAY, time(9), TUESDAY, time(9, 50)), now=NOW)
    assert await offered(conn, clinic) == ["09:50", "10:35"]
    await changes.set_day(conn, clinic.expert, TUESDAY, [WorkingBlock(1, time(22), time())], today=NOW.date())
    assert await offered(conn, clinic) == ["22:00", "22:45"]
    await changes.set_rules(conn, clinic.expert, ExpertRules(daily_limit=1, buffer_after=timedelta(minutes=15)))
    assert await offered(conn, clinic) == ["22:00", "23:00"]
    await scheduling.book(
        conn, clinic.case, clinic.expert, NINE + timedelta(hours=13), LENGTH, booked_by=clinic.scheduler, now=NOW
    )
    assert await offered(conn, clinic) == []
    await changes.add_travel(conn, clinic.expert, Travel(TUESDAY, TUESDAY, ZoneInfo("Asia/Tokyo")), today=NOW.date())
    assert await offered(conn, clinic) == [
        "14:00",
        "15:00",
    ]  # 22:00 in Tokyo; the booked call is on the day after there


async def test_appointments_over_an_absence_or_outside_new_hours_stay_and_are_named(conn: Any) -> None:
    clinic = await open_clinic(conn)
    first, _link = await book_one(conn, clinic, NINE)
    second, _link = await book_one(conn, clinic, NINE + timedelta(days=1))
    assert await availability.list_collisions(conn, await time_of(conn, clinic.expert), now=NOW) == []
    await changes.add_absence(
        conn, await time_of(conn, clinic.expert), AbsenceWish(TUESDAY, None, TUESDAY, None), now=NOW
    )
    await changes.set_day(conn, clinic.expert, TUESDAY + timedelta(days=1), [], today=NOW.date())
    collisions = await availability.list_collisions(conn, await time_of(conn, clinic.expert), now=NOW)
    assert [(one.booked.id, one.conflict) for one in collisions] == [
        (first.id, Conflict.ABSENT),
        (second.id, Conflict.OUTSIDE_HOURS),
    ]
    assert collisions[0].booked.patient_name == "Ana Ribeiro"
    await scheduling.fetch_appointment(conn, first.id)
    later = NINE + timedelta(days=3)
    assert await availability.list_collisions(conn, await time_of(conn, clinic.expert), now=later) == []


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (AbsenceWish(TUESDAY, time(12), TUESDAY, time(11)), "time_to"),
        (AbsenceWish(TUESDAY, time(12), TUESDAY, time(12)), "time_to"),
        (AbsenceWish(TUESDAY, None, TUESDAY, time()), "time_to"),
        (AbsenceWish(TUESDAY, None, TUESDAY - timedelta(days=1), None), "day_to"),
        (AbsenceWish(TUESDAY, None, date(2126, 3, 10), None), "day_to"),
        (AbsenceWish(date(9999, 12, 31), None, date(9999, 12, 31), None), "day_from"),
        (AbsenceWish(date(1, 1, 1), None, TUESDAY, None), "day_from"),
        (AbsenceWish(date(2026, 3, 1), None, date(2026, 3, 2), None), "day_to"),
    ],
)
async def test_an_absence_that_cannot_be_is_named_and_changes_nothing(conn: Any, wish: AbsenceWish, field: str) -> None:
    clinic = await open_clinic(conn)
    with pytest.raises(InvalidInput) as wrong:
        await changes.add_absence(conn, await time_of(conn, clinic.expert), wish, now=NOW)
    assert set(wrong.value.fields) == {field}
    assert await availability.list_absences(conn, clinic.expert, now=NOW) == []


def test_an_absence_on_the_nights_when_the_clock_jumps_covers_all_that_was_meant() -> None:
    berlin, apia = (ExpertTime(StaffId(1), ZoneInfo(name)) for name in ("Europe/Berlin", "Pacific/Apia"))
    spring, autumn, lost = date(2026, 3, 29), date(2026, 10, 25), date(2011, 12, 30)
    gap = changes.absence_of(berlin, AbsenceWish(spring, time(2, 30), spring, time(4)), NOW)
    assert gap == Slot(datetime(2026, 3, 29, 1, 0, tzinfo=UTC), datetime(2026, 3, 29, 2, 0, tzinfo=UTC))
    fold = changes.absence_of(berlin, AbsenceWish(autumn, time(2, 15), autumn, time(2, 30)), NOW)
    assert fold == Slot(datetime(2026, 10, 25, 0, 15, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
    with pytest.raises(InvalidInput):
        changes.absence_of(berlin, AbsenceWish(autumn, time(3), autumn, time(2, 30)), NOW)
    with pytest.raises(InvalidInput) as skipped:
        changes.absence_of(berlin, AbsenceWish(spring, time(2, 15), spring, time(2, 45)), NOW)
    assert skipped.value.fields == {"time_to": changes.SKIPPED}, (
        "it does not end before it begins: there is no such time"
    )
    with pytest.raises(InvalidInput):
        changes.absence_of(apia, AbsenceWish(lost, None, lost, None), datetime(2011, 12, 1, tzinfo=UTC))


async def test_who_travels_is_offered_on_a_day_that_is_over_at_home(conn: Any) -> None:
    clinic = await open_clinic(conn)
    monday, honolulu = date(2026, 3, 9), ZoneInfo("Pacific/Honolulu")
    await availability.set_working_hours(conn, clinic.expert, [WorkingBlock(0, time(15), time(18))])
    await changes.add_travel(conn, clinic.expert, Travel(monday, monday, honolulu), today=monday)
    three = datetime(2026, 3, 10, 1, 0, tzinfo=UTC)
    offers = await list_offers(
        conn, [await availability.fetch_expert(conn, clinic.expert)], LENGTH, record_count=0,
        now=three - timedelta(minutes=90), wanted_day="", words=Words("en", gettext.NullTranslations(), {}),
    )  # fmt: skip
    assert offers["day"] == offers["today"] == TUESDAY
    assert [slot.starts_at for slot in offers["free"]] == [three + n * LENGTH for n in range(4)]


async def test_journeys_share_no_day_and_wrong_entries_are_named(conn: Any) -> None:
    clinic = await open_clinic(conn)
    tokyo, today = ZoneInfo("Asia/Tokyo"), NOW.date()
    days = date(2026, 4, 1), date(2026, 4, 3)
    await changes.add_travel(conn, clinic.expert, Travel(*days, tokyo), today=today)
    for day_from, day_to, field in (
        (days[1], days[1] + timedelta(days=4), "day_from"),
        (days[1] + timedelta(days=4), days[1] + timedelta(days=3), "day_to"),
        (date(1, 1, 1), days[1], "day_from"),
        (days[0], date(9999, 12, 31), "day_to"),
        (date(2026, 1, 1), date(2026, 1, 2), "day_to"),
    ):
        with pytest.raises(InvalidInput) as wrong:
            await changes.add_travel(conn, clinic.expert, Travel(day_from, day_to, tokyo), today=today)
        assert set(wrong.value.fields) == {field}
    with pytest.raises(InvalidInput) as wrong:
        await changes.set_rules(conn, clinic.expert, ExpertRules(preparation=timedelta(minutes=30)))
    assert set(wrong.value.fields) == {"preparation_most"}
    for lengths, field in (({}, "kinds"), ({ConsultationKind.PANEL: timedelta(minutes=5)}, "length-panel")):
        with pytest.raises(InvalidInput) as wrong:
            await changes.set_lengths(conn, clinic.expert, lengths)
        assert set(wrong.value.fields) == {field}
    with pytest.raises(InvalidInput) as wrong:
        overlapping = [WorkingBlock(1, time(9), time(12)), WorkingBlock(1, time(11), time())]
        await changes.set_day(conn, clinic.expert, TUESDAY, overlapping, today=today)
    assert set(wrong.value.fields) == {"block-1"}
    with pytest.raises(InvalidInput):
        await changes.set_day(conn, clinic.expert, date(2026, 1, 1), [], today=today)
    with pytest.raises(NotFound):
        await changes.set_day(conn, clinic.scheduler, TUESDAY, [], today=today)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Europe/Lisbon", "Europe/Lisbon"),
        (" europe/lisbon ", "Europe/Lisbon"),
        ("New York", "America/New_York"),
        ("utc", "UTC"),
        ("Lisboa", "Europe/Lisbon"),
        ("Londres", "Europe/London"),
        ("Nueva York", "America/New_York"),
        ("São Paulo", "America/Sao_Paulo"),
        ("St. John's", "America/St_Johns"),
        ("St. John’s", "America/St_Johns"),
        ("Kiev", "Europe/Kiev"),
        ("!", None),
        ("Europe/Atlantis", None),
        ("../../etc/passwd", None),
        ("", None),
        ("Factory", None),
    ],
)
def test_a_zone_is_found_by_its_name_or_its_city(typed: str, name: str | None) -> None:
    zone = find_zone(typed)
    assert (zone.key if zone else None) == name
