"""The wait list on a real database: who is offered what, in which order, and that nothing is offered twice."""

from __future__ import annotations

import asyncio
import itertools
import random
from datetime import date, datetime, time, timedelta
from typing import Any

import asyncpg
import pytest

from consult.availability import service as availability
from consult.domain.errors import HoldExpired, InvalidInput, NotFound, OfferNotOpen
from consult.domain.ids import CaseId, StaffId
from consult.domain.kinds import ConsultationKind
from consult.domain.slots import Slot
from consult.domain.working_days import WorkingBlock
from consult.scheduling import service as scheduling
from consult.scheduling import visit_changes
from consult.waiting import service as waiting
from consult.waiting.model import MAX_UNANSWERED, Wishes
from consult.waiting.service import Answer
from tests.conftest import Database
from tests.integration.clinic import NOW, Clinic, open_case, open_clinic
from tests.integration.waiters import USUAL, Told, free_slots, offer, put_on_list

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


async def outcomes(conn: Any) -> list[str]:
    return [row["outcome"] for row in await conn.fetch("select outcome from wait_offers order by offered_at, id")]


async def jobs_of(conn: Any, kind: str) -> int:
    return int(await conn.fetchval("select count(*) from pgqueuer where entrypoint = $1", kind))


async def first_slot(conn: Any, clinic: Clinic, place: int = 4) -> Slot:
    """A slot of Tuesday, so that there is a day to answer."""
    return (await free_slots(conn, clinic.expert))[place]


async def test_the_first_on_the_list_is_offered_a_freed_slot_and_nobody_else(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    ana = await put_on_list(conn, clinic, "Ana")
    await put_on_list(conn, clinic, "Bo")
    slot = await first_slot(conn, clinic)
    (made,) = await offer(conn, clinic, slot, told)
    assert (made.offer.entry_id, made.offer.during, made.patient_name) == (ana, slot, "Ana")
    assert made.offer.is_open(NOW)
    assert told.order == [made.offer.id]
    assert slot not in await free_slots(conn, clinic.expert)  # kept: nobody can book it
    assert await jobs_of(conn, waiting.END_OFFER) == 1
    assert await offer(conn, clinic, slot, told) == []  # the same job once more


async def test_urgent_ones_go_first_and_the_scheduler_can_change_the_order(conn: Any) -> None:
    clinic = await open_clinic(conn)
    ids = {name: await put_on_list(conn, clinic, name) for name in ("Ana", "Bo", "Cai", "Dot")}

    async def order() -> str:
        return "".join(line.patient_name[0] for line in await waiting.list_entries(conn, NOW))

    assert await order() == "ABCD"
    await waiting.mark_urgent(conn, ids["Cai"], True, NOW)
    assert await order() == "CABD"
    await waiting.move_in_list(conn, ids["Dot"], up=True, now=NOW)
    assert await order() == "CADB"
    await waiting.move_in_list(conn, ids["Ana"], up=True, now=NOW)  # not before who is urgent
    assert await order() == "CADB"
    await waiting.move_in_list(conn, ids["Ana"], up=False, now=NOW)
    assert await order() == "CDAB"
    await waiting.mark_urgent(conn, ids["Cai"], False, NOW)
    await waiting.remove(conn, ids["Dot"], NOW)
    assert await order() == "ACB"


async def test_two_who_reorder_at_once_leave_a_list_with_everybody_in_it(database: Database) -> None:
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn)
        ids = [await put_on_list(conn, clinic, name) for name in ("Ana", "Bo", "Cai", "Dot", "Eve")]

    async def shuffle(seed: int) -> None:
        chance = random.Random(seed)
        async with database.pool.acquire() as conn:
            for _ in range(15):
                if chance.random() < 0.3:
                    await waiting.mark_urgent(conn, chance.choice(ids), chance.random() < 0.5, NOW)
                else:
                    await waiting.move_in_list(conn, chance.choice(ids), up=chance.random() < 0.5, now=NOW)

    await asyncio.gather(*(shuffle(seed) for seed in range(4)))
    async with database.pool.acquire() as conn:
        entries = [line.entry for line in await waiting.list_entries(conn, NOW)]
    assert sorted(one.id for one in entries) == sorted(ids)
    assert len({one.position for one in entries}) == 5


async def test_a_slot_goes_past_whom_it_does_not_fit(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    slot = await first_slot(conn, clinic)  # Tuesday 10 March, 09:45 in Berlin
    await put_on_list(conn, clinic, "Other", wishes=Wishes(expert_ids=(clinic.other_expert,)))
    await put_on_list(conn, clinic, "Friday", wishes=Wishes(weekdays=frozenset({4})))
    await put_on_list(conn, clinic, "Afternoon", wishes=Wishes(time_from=time(14)))
    await put_on_list(conn, clinic, "Later", wishes=Wishes(day_from=date(2026, 3, 11)))
    fits = await put_on_list(conn, clinic, "Fits", wishes=Wishes(expert_ids=(clinic.expert,), time_to=time(11)))
    (made,) = await offer(conn, clinic, slot, told)
    assert made.offer.entry_id == fits


async def test_a_stretch_of_new_hours_is_offered_to_as_many_as_fit(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    for name in ("Ana", "Bo", "Cai"):
        await put_on_list(conn, clinic, name, wishes=Wishes(kind=ConsultationKind.FOLLOW_UP))
    tuesday = Slot(datetime(2026, 3, 10, tzinfo=NOW.tzinfo), datetime(2026, 3, 11, tzinfo=NOW.tzinfo))
    made = await offer(conn, clinic, tuesday, told)
    assert [one.patient_name for one in made] == ["Ana", "Bo", "Cai"]
    lengths = {one.offer.during.ends_at - one.offer.during.starts_at for one in made}
    assert lengths == {timedelta(minutes=30)}  # that of a follow-up, not of what became free
    starts = sorted(one.offer.during for one in made)
    assert not any(one.overlaps(other) for one, other in itertools.pairwise(starts))


async def test_who_says_no_stays_and_the_next_one_is_asked_about_the_same_slot(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    ana = await put_on_list(conn, clinic, "Ana")
    bo = await put_on_list(conn, clinic, "Bo")
    slot = await first_slot(conn, clinic)
    (made,) = await offer(conn, clinic, slot, told)
    secret = await told.secret_of(conn, made.offer.id, NOW)
    async with conn.transaction():
        answered = await waiting.answer_link(conn, secret, Answer.DECLINE, NOW)
    assert answered.appointment is None
    assert await jobs_of(conn, waiting.OFFER_FREED) == 1
    (second,) = await offer(conn, clinic, slot, told)
    assert second.offer.entry_id == bo
    assert {line.entry.id for line in await waiting.list_entries(conn, NOW)} == {ana, bo}
    other = (await free_slots(conn, clinic.expert))[8]
    (third,) = await offer(conn, clinic, other, told)  # another time: Ana is the first again
    assert third.offer.entry_id == ana


async def test_who_leaves_is_off_the_list(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    await put_on_list(conn, clinic, "Ana")
    slot = await first_slot(conn, clinic)
    (made,) = await offer(conn, clinic, slot, told)
    async with conn.transaction():
        await waiting.answer_link(conn, await told.secret_of(conn, made.offer.id, NOW), Answer.LEAVE, NOW)
    assert await waiting.list_entries(conn, NOW) == []
    assert await outcomes(conn) == ["left"]
    assert slot in await free_slots(conn, clinic.expert)


async def test_a_yes_books_the_time_that_was_kept(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    entry = await put_on_list(conn, clinic, "Ana")
    slot = await first_slot(conn, clinic)
    (made,) = await offer(conn, clinic, slot, told)
    secret = await told.secret_of(conn, made.offer.id, NOW)
    async with conn.transaction():
        answered = await waiting.answer_link(conn, secret, Answer.TAKE, NOW + HOUR)
    assert answered.appointment is not None
    assert answered.link is not None
    assert not answered.is_move
    (booked,) = await scheduling.list_appointments(conn, made.offer.case_id)
    assert (booked.appointment.starts_at, booked.appointment.expert_id) == (slot.starts_at, clinic.expert)
    assert booked.appointment.booked_by == clinic.scheduler
    with pytest.raises(NotFound):
        await waiting.fetch_entry(conn, entry, NOW)
    async with conn.transaction():  # pressed twice
        again = await waiting.answer_link(conn, secret, Answer.TAKE, NOW + HOUR)
    assert again.appointment is None
    for said, at in ((Answer.DECLINE, NOW + HOUR), (Answer.TAKE, NOW + 2 * HOUR)):
        with pytest.raises(OfferNotOpen):
            async with conn.transaction():
                await waiting.answer_link(conn, secret, said, at)
    assert len(await scheduling.list_appointments(conn, made.offer.case_id)) == 1


async def test_an_earlier_time_moves_the_appointment_and_frees_the_old_one(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    slots = await free_slots(conn, clinic.expert)
    early, late = slots[4], slots[12]
    booked, _link = await scheduling.book(
        conn, clinic.case, clinic.expert, late.starts_at, booked_by=clinic.scheduler, now=NOW
    )
    await put_on_list(conn, clinic, "", case_id=clinic.case, appointment_id=booked.id)
    (made,) = await offer(conn, clinic, early, told)
    assert made.earlier_than == late.starts_at
    async with conn.transaction():
        answered = await waiting.answer_link(conn, await told.secret_of(conn, made.offer.id, NOW), Answer.TAKE, NOW)
    assert answered.is_move
    assert answered.appointment is not None
    assert (answered.appointment.id, answered.appointment.starts_at) == (booked.id, early.starts_at)
    assert answered.appointment.sequence == 1
    assert answered.people_out  # the old link is no good any more
    payload = await conn.fetchval("select payload from pgqueuer where entrypoint = $1", waiting.OFFER_FREED)
    assert late.starts_at.isoformat() in payload.decode()
    assert late in await free_slots(conn, clinic.expert)


async def test_a_later_time_is_not_offered_to_who_wants_an_earlier_one(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    slots = await free_slots(conn, clinic.expert)
    booked, _link = await scheduling.book(
        conn, clinic.case, clinic.expert, slots[4].starts_at, booked_by=clinic.scheduler, now=NOW
    )
    await put_on_list(conn, clinic, "", case_id=clinic.case, appointment_id=booked.id)
    assert await offer(conn, clinic, slots[8], told) == []
    await scheduling.cancel(conn, booked.id, NOW, by=clinic.scheduler)
    assert await offer(conn, clinic, slots[2], told) == []  # there is nothing to be earlier than
    (line,) = await waiting.list_entries(conn, NOW)
    assert line.entry.is_stale


async def test_without_an_answer_the_entry_stays_and_after_the_third_it_is_set_aside(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    entry = await put_on_list(conn, clinic, "Ana")
    slots, now = await free_slots(conn, clinic.expert, days=10), NOW
    for number in range(MAX_UNANSWERED):
        (made,) = await offer(conn, clinic, slots[-1 - number], told, now=now)
        now = made.offer.expires_at
        assert await waiting.end_offer_when_due(conn, made.offer.id, now - timedelta(seconds=1)) is not None
        assert await waiting.end_offer_when_due(conn, made.offer.id, now) is None
        assert await waiting.end_offer_when_due(conn, made.offer.id, now) is None  # the job came twice
        line = await waiting.fetch_entry(conn, entry, now)
        assert line.entry.unanswered == number + 1
    assert line.entry.set_aside_at == now
    assert await offer(conn, clinic, slots[-6], told, now=now) == []
    await waiting.take_up_again(conn, entry, now)
    (again,) = await offer(conn, clinic, slots[-6], told, now=now)
    assert again.offer.entry_id == entry
    assert await outcomes(conn) == ["unanswered"] * 3 + [None]


async def test_an_answer_counts_and_earlier_silence_is_forgotten(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    entry = await put_on_list(conn, clinic, "Ana")
    slots = await free_slots(conn, clinic.expert, days=10)
    (made,) = await offer(conn, clinic, slots[-1], told)
    await waiting.end_offer_when_due(conn, made.offer.id, made.offer.expires_at)
    (second,) = await offer(conn, clinic, slots[-2], told)
    async with conn.transaction():
        await waiting.answer_link(conn, await told.secret_of(conn, second.offer.id, NOW), Answer.DECLINE, NOW)
    assert (await waiting.fetch_entry(conn, entry, NOW)).entry.unanswered == 0


async def test_nobody_is_asked_when_there_is_no_time_to_answer(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    await put_on_list(conn, clinic, "Ana")
    slot = await first_slot(conn, clinic)
    assert await offer(conn, clinic, slot, told, now=slot.starts_at - timedelta(minutes=20)) == []
    (made,) = await offer(conn, clinic, slot, told, now=slot.starts_at - timedelta(minutes=90))
    assert made.offer.expires_at == slot.starts_at


async def test_a_link_answers_alike_when_unknown_expired_withdrawn_or_ended(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    entry = await put_on_list(conn, clinic, "Ana")
    slot = await first_slot(conn, clinic)
    (made,) = await offer(conn, clinic, slot, told)
    secret = await told.secret_of(conn, made.offer.id, NOW)
    assert (await waiting.look_at(conn, secret, NOW)).offer.id == made.offer.id

    async def refused(text: str, now: datetime) -> str:
        said = set()
        with pytest.raises(OfferNotOpen) as looked:
            await waiting.look_at(conn, text, now)
        said.add(str(looked.value))
        for each in Answer:
            with pytest.raises(OfferNotOpen) as answered:
                async with conn.transaction():
                    await waiting.answer_link(conn, text, each, now)
            said.add(str(answered.value))
        (same,) = said
        return same

    unknown = await refused("x" * 43, NOW)
    assert await refused("", NOW) == unknown
    assert await refused(secret, made.offer.expires_at) == unknown
    async with conn.transaction():
        await waiting.withdraw(conn, entry, NOW)
    assert await refused(secret, NOW) == unknown
    assert await waiting.issue_link(conn, made.offer.id, NOW) is None  # a mail that comes too late holds no link


async def test_a_withdrawn_time_may_be_offered_to_the_same_person_again(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    entry = await put_on_list(conn, clinic, "Ana")
    slot = await first_slot(conn, clinic)
    await offer(conn, clinic, slot, told)
    async with conn.transaction():
        await waiting.withdraw(conn, entry, NOW)
    (again,) = await offer(conn, clinic, slot, told)
    assert again.offer.entry_id == entry


async def test_who_got_a_time_by_hand_waits_no_longer_and_the_offer_goes_on(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    await put_on_list(conn, clinic, "", case_id=clinic.case)
    bo = await put_on_list(conn, clinic, "Bo")
    slot = await first_slot(conn, clinic)
    await offer(conn, clinic, slot, told)
    await waiting.end_for_booking(conn, clinic.case, NOW)
    assert [line.entry.id for line in await waiting.list_entries(conn, NOW)] == [bo]
    (made,) = await offer(conn, clinic, slot, told)
    assert made.offer.entry_id == bo


async def test_a_panel_is_offered_when_all_of_it_are_free(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    blocks = [WorkingBlock(1, time(4), time(6))]  # Tuesday 04:00 in Toronto: 09:00 in Berlin, in that week
    await availability.set_working_hours(conn, clinic.other_expert, blocks)
    panel = Wishes(kind=ConsultationKind.PANEL, expert_ids=(clinic.other_expert, clinic.expert))
    await put_on_list(conn, clinic, "Ana", wishes=panel)
    week = Slot(NOW, NOW + 5 * DAY)
    (made,) = await offer(conn, clinic, week, told)
    assert (made.offer.expert_id, made.offer.others) == (clinic.other_expert, (clinic.expert,))
    assert made.offer.during.ends_at - made.offer.during.starts_at == HOUR
    async with conn.transaction():
        answered = await waiting.answer_link(conn, await told.secret_of(conn, made.offer.id, NOW), Answer.TAKE, NOW)
    assert answered.appointment is not None
    assert answered.appointment.expert_ids == (clinic.other_expert, clinic.expert)


async def test_a_case_is_on_the_list_once_and_only_for_what_can_be(conn: Any) -> None:
    clinic = await open_clinic(conn)
    await put_on_list(conn, clinic, "", case_id=clinic.case)
    with pytest.raises(InvalidInput):
        await put_on_list(conn, clinic, "", case_id=clinic.case)
    with pytest.raises(NotFound):
        await put_on_list(conn, clinic, "", case_id=CaseId(9_999))
    case = await open_case(conn, clinic.scheduler, name="Bo")
    for wishes in (Wishes(expert_ids=(clinic.scheduler,)), Wishes(expert_ids=(StaffId(2**62),))):
        with pytest.raises(InvalidInput) as refused:
            await put_on_list(conn, clinic, "", case_id=case, wishes=wishes)
        assert list(refused.value.fields) == ["experts"]
    slot = (await free_slots(conn, clinic.expert))[4]
    foreign, _link = await scheduling.book(
        conn, clinic.case, clinic.expert, slot.starts_at, booked_by=clinic.scheduler, now=NOW
    )
    with pytest.raises(InvalidInput) as refused:
        await put_on_list(conn, clinic, "", case_id=case, appointment_id=foreign.id)
    assert list(refused.value.fields) == ["appointment"]


async def test_the_database_itself_lets_neither_a_slot_nor_a_person_have_two_offers(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    await put_on_list(conn, clinic, "Ana")
    await put_on_list(conn, clinic, "Bo")
    slots = await free_slots(conn, clinic.expert)
    (one,) = await offer(conn, clinic, slots[4], told)
    (other,) = await offer(conn, clinic, slots[8], told)
    copy = """
      insert into wait_offers (id, entry_id, patient_id, expert_id, during, hold_id, offered_at, expires_at)
      select gen_random_uuid(), entry_id, patient_id, expert_id, during, hold_id, offered_at, expires_at
      from wait_offers where id = $1
    """
    with pytest.raises(asyncpg.UniqueViolationError):  # the hold, and with it the slot
        await conn.execute(copy, one.offer.id)
    with pytest.raises(asyncpg.UniqueViolationError, match="wait_offers_one_per_person"):
        await conn.execute(
            "update wait_offers set patient_id = $2, entry_id = $3 where id = $1",
            other.offer.id, one.offer.patient_id, one.offer.entry_id,
        )  # fmt: skip
    with pytest.raises(asyncpg.ForeignKeyViolationError):  # somebody else's entry
        await conn.execute(
            "update wait_offers set patient_id = (select patient_id from cases where id = $2) where id = $1",
            one.offer.id, clinic.case,
        )  # fmt: skip


async def test_many_workers_at_once_offer_each_slot_and_ask_each_person_once(database: Database) -> None:
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn)
        for number in range(6):
            await put_on_list(conn, clinic, f"P{number}")
        slots = (await free_slots(conn, clinic.expert))[4:8]
    told = Told()

    async def work(slot: Slot) -> None:
        async with database.pool.acquire() as conn:
            await waiting.offer_freed(conn, clinic.expert, slot, usual=USUAL, now=NOW, tell=told)

    await asyncio.gather(*(work(slot) for slot in slots for _ in range(3)))
    async with database.pool.acquire() as conn:
        made = await waiting.list_open_offers(conn)
    assert sorted(one.offer.during for one in made) == slots
    assert len({one.offer.patient_id for one in made}) == len(slots)
    assert {one.patient_name for one in made} == {"P0", "P1", "P2", "P3"}  # the first of the list


@pytest.mark.parametrize("seed", range(3))
async def test_a_yes_in_the_moment_when_the_offer_ends_is_one_or_the_other(database: Database, seed: int) -> None:
    """Who answers with a clock just before the end, who ends it just after: the appointment is there or it is not."""
    async with database.pool.acquire() as conn:
        clinic, told = await open_clinic(conn), Told()
        slots = (await free_slots(conn, clinic.expert))[4:8]
        for number in range(len(slots)):
            await put_on_list(conn, clinic, f"P{number}")
        made = [(await offer(conn, clinic, slot, told))[0] for slot in slots]
        secrets = [await told.secret_of(conn, one.offer.id, NOW) for one in made]
    chance = random.Random(seed)

    async def say_yes(secret: str, at: datetime) -> bool:
        await asyncio.sleep(chance.random() * 0.02)
        async with database.pool.acquire() as conn, conn.transaction():
            try:
                answered = await waiting.answer_link(conn, secret, Answer.TAKE, at)
            except OfferNotOpen:
                return False
            return answered.appointment is not None

    async def end(offer_id: Any, at: datetime) -> None:
        await asyncio.sleep(chance.random() * 0.02)
        async with database.pool.acquire() as conn:
            await waiting.end_offer_when_due(conn, offer_id, at)

    tasks = []
    for one, secret in zip(made, secrets, strict=True):
        tasks += [say_yes(secret, one.offer.expires_at - timedelta(seconds=1)), say_yes(secret, one.offer.expires_at)]
        tasks += [end(one.offer.id, one.offer.expires_at)]
    said = await asyncio.gather(*tasks)
    taken = sum(said[place] is True for place in range(len(said)) if place % 3 != 2)
    async with database.pool.acquire() as conn:
        results = await outcomes(conn)
        booked = await conn.fetchval("select count(*) from appointments where cancelled_at is null")
        entries = await waiting.list_entries(conn, NOW)
    assert set(results) <= {"taken", "unanswered"}
    assert results.count("taken") == booked == taken
    assert len(entries) == results.count("unanswered")


async def test_a_worker_that_breaks_down_while_offering_leaves_nothing_behind(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    await put_on_list(conn, clinic, "Ana")
    slot = await first_slot(conn, clinic)

    async def breaks(conn: Any, offer_id: Any, now: datetime) -> None:
        raise OSError("the mail server is gone")

    with pytest.raises(OSError):
        await waiting.offer_freed(conn, clinic.expert, slot, usual=USUAL, now=NOW, tell=breaks)
    assert await conn.fetchval("select count(*) from wait_offers") == 0
    assert await conn.fetchval("select count(*) from busy_times") == 0
    assert await jobs_of(conn, waiting.END_OFFER) == 0
    assert len(await offer(conn, clinic, slot, told)) == 1


async def test_a_time_that_was_lost_after_all_is_told_so_and_nothing_else_changes(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    entry = await put_on_list(conn, clinic, "Ana")
    slot = await first_slot(conn, clinic)
    (made,) = await offer(conn, clinic, slot, told)
    await scheduling.release(conn, made.offer.hold_id, NOW)  # somebody cleared the day by hand
    secret = await told.secret_of(conn, made.offer.id, NOW)
    async with conn.transaction():
        answered = await waiting.answer_link(conn, secret, Answer.TAKE, NOW)
    assert answered.is_lost
    assert await outcomes(conn) == ["withdrawn"]
    assert (await waiting.fetch_entry(conn, entry, NOW)).entry.can_be_asked
    assert await scheduling.list_appointments(conn, made.offer.case_id) == []


async def test_offers_whose_end_was_lost_are_found_again(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    await put_on_list(conn, clinic, "Ana")
    (made,) = await offer(conn, clinic, await first_slot(conn, clinic), told)
    await conn.execute("delete from pgqueuer")
    assert await waiting.queue_overdue(conn, made.offer.expires_at) == 0
    late = made.offer.expires_at + timedelta(minutes=5)
    assert await waiting.queue_overdue(conn, late) == 1
    assert await waiting.queue_overdue(conn, late) == 1
    assert await jobs_of(conn, waiting.END_OFFER) == 1


async def test_a_time_stays_for_the_next_one_while_the_job_that_ends_an_offer_is_late(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    await put_on_list(conn, clinic, "Ana")
    bo = await put_on_list(conn, clinic, "Bo")
    slot = await first_slot(conn, clinic)
    (made,) = await offer(conn, clinic, slot, told)
    late = made.offer.expires_at + timedelta(minutes=1)
    assert slot not in await free_slots(conn, clinic.expert, late)
    await waiting.end_offer_when_due(conn, made.offer.id, late)
    (second,) = await offer(conn, clinic, slot, told, now=late)
    assert second.offer.entry_id == bo


async def test_a_time_that_somebody_kept_and_did_not_take_is_offered_on(database: Database) -> None:
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn)
        slot = await first_slot(conn, clinic)
        await scheduling.hold(
            conn, clinic.case, [clinic.expert], slot.starts_at, timedelta(minutes=45),
            kind=ConsultationKind.FIRST_REVIEW, expires_at=NOW + timedelta(minutes=10), now=NOW,
        )  # fmt: skip
    keeping = asyncio.create_task(waiting.keep_list(database.pool, lambda: NOW + timedelta(minutes=11)))
    try:
        async with asyncio.timeout(20):
            while not await jobs_of(database.pool, waiting.OFFER_FREED):
                await asyncio.sleep(0.02)
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    assert await jobs_of(database.pool, waiting.OFFER_FREED) == 1


async def test_neither_is_offered_what_is_past_nor_what_is_far_ahead(conn: Any) -> None:
    clinic = await open_clinic(conn)
    await waiting.queue_freed(conn, clinic.expert, Slot(NOW - DAY, NOW), NOW)
    await waiting.queue_freed(conn, clinic.expert, Slot(NOW + 200 * DAY, NOW + 201 * DAY), NOW)
    assert await jobs_of(conn, waiting.OFFER_FREED) == 0


async def test_what_is_kept_for_an_appointment_ends_with_it_or_when_it_is_earlier_already(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    slots = await free_slots(conn, clinic.expert)
    booked, _link = await scheduling.book(
        conn, clinic.case, clinic.expert, slots[12].starts_at, booked_by=clinic.scheduler, now=NOW
    )
    entry = await put_on_list(conn, clinic, "", case_id=clinic.case, appointment_id=booked.id)
    await offer(conn, clinic, slots[6], told)

    async def move_to(slot: Slot) -> None:
        before = (await scheduling.fetch_appointment(conn, booked.id)).appointment
        async with conn.transaction():
            moved = await scheduling.move(
                conn, booked.id, slot.starts_at, sequence=before.sequence, by=clinic.scheduler, now=NOW
            )
            await waiting.follow_moved(conn, before, moved.appointment, NOW)

    await move_to(slots[9])
    assert await waiting.find_offer(conn, entry) is not None  # still the earlier one
    await move_to(slots[4])
    assert await outcomes(conn) == ["withdrawn"]
    await offer(conn, clinic, slots[2], told)
    before = (await scheduling.fetch_appointment(conn, booked.id)).appointment
    async with conn.transaction():
        await scheduling.cancel(conn, booked.id, NOW, by=clinic.scheduler)
        await waiting.follow_cancelled(conn, before, NOW)
    assert sorted(await outcomes(conn)) == ["withdrawn", "withdrawn"]
    free = await free_slots(conn, clinic.expert)
    assert {slots[place] for place in (2, 4, 6, 9, 12)} <= set(free)


async def test_a_time_that_a_full_day_kept_from_being_booked_is_offered_when_the_day_has_room(conn: Any) -> None:
    """With a daily limit, one cancelled call frees every other time of that day."""
    clinic, told = await open_clinic(conn), Told()
    await conn.execute(
        """insert into expert_rules (expert_id, buffer_before_min, buffer_after_min, preparation_min,
             preparation_per_record_min, preparation_most_min, notice_h, horizon_days, daily_limit, changes_until_h)
           values ($1, 0, 0, 0, 0, 0, 0, 366, 1, 0)""", clinic.expert,
    )  # fmt: skip
    tuesday = [slot for slot in await free_slots(conn, clinic.expert) if slot.starts_at.date() == date(2026, 3, 10)]
    booked, _link = await scheduling.book(
        conn, clinic.case, clinic.expert, tuesday[0].starts_at, booked_by=clinic.scheduler, now=NOW
    )
    wishes = Wishes(time_from=time(10), day_to=date(2026, 3, 10))  # in Berlin: not the time that was booked
    ana = await put_on_list(conn, clinic, "Ana", wishes=wishes)
    assert await offer(conn, clinic, tuesday[-1], told) == []
    await scheduling.cancel(conn, booked.id, NOW, by=clinic.scheduler)
    (made,) = await offer(conn, clinic, booked.slot, told)
    assert made.offer.entry_id == ana
    assert made.offer.during in tuesday[1:]


async def test_what_is_kept_by_the_list_stays_while_the_patient_looks_for_another_time_themselves(conn: Any) -> None:
    clinic, told = await open_clinic(conn), Told()
    slots = await free_slots(conn, clinic.expert)
    booked, _link = await scheduling.book(
        conn, clinic.case, clinic.expert, slots[12].starts_at, booked_by=clinic.scheduler, now=NOW
    )
    await put_on_list(conn, clinic, "", case_id=clinic.case, appointment_id=booked.id)
    (made,) = await offer(conn, clinic, slots[6], told)
    own = await visit_changes.hold_time(conn, booked, slots[9].starts_at, now=NOW)
    await visit_changes.give_back(conn, booked.id, NOW)
    with pytest.raises(HoldExpired):
        await scheduling.fetch_hold(conn, own.id, NOW)
    assert (await scheduling.fetch_hold(conn, made.offer.hold_id, NOW)).slot == slots[6]
    async with conn.transaction():
        secret = await told.secret_of(conn, made.offer.id, NOW)
        assert not (await waiting.answer_link(conn, secret, Answer.TAKE, NOW)).is_lost
