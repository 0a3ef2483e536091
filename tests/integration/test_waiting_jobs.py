"""The wait list with the real queue: freed, offered by mail, unanswered, offered on, taken; a worker that is killed."""

from __future__ import annotations

import asyncio
import email
import email.policy
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from consult.domain.clock import utc_now
from consult.jobs import Jobs
from consult.notices import service as notices
from consult.scheduling import service as scheduling
from consult.settings import Settings
from consult.waiting import service as waiting
from tests.conftest import Database
from tests.integration.clinic import open_case, open_clinic
from tests.integration.waiters import free_slots, put_on_list

ROOT = Path(__file__).parents[2]

WORKER = """
import asyncio, sys
from datetime import timedelta
from consult.db.pool import create_pool
from consult.domain.clock import utc_now
from consult.jobs import Jobs
from consult.settings import read_settings
from consult.waiting import service as waiting

async def main():
    pool = await create_pool(sys.argv[1], max_size=6)
    settings = read_settings(database_url=sys.argv[1], secret_key="x" * 40, public_url="http://localhost:1")
    async def tell(conn, offer_id, now):
        print("offering", flush=True)
        await asyncio.sleep(float(sys.argv[2]))
    jobs = Jobs(heartbeat_timeout=timedelta(seconds=1), look_every=timedelta(milliseconds=200))
    waiting.register_jobs(jobs, pool, settings, utc_now, tell=tell)
    await jobs.run(pool, asyncio.Event())

asyncio.run(main())
"""


@asynccontextmanager
async def working(database: Database, settings: Settings, count: int = 2) -> AsyncIterator[None]:
    """Workers that do what `consult worker` does for the wait list and its mails."""
    stop = asyncio.Event()
    running = []
    for _ in range(count):
        jobs = Jobs(look_every=timedelta(milliseconds=200))
        notices.register_jobs(jobs, pool=database.pool, settings=settings, find_offer=waiting.tell_of_offer)
        waiting.register_jobs(jobs, database.pool, settings, utc_now, tell=notices.queue_offer)
        running.append(asyncio.create_task(jobs.run(database.pool, stop)))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(*running), 20)


async def until(check: Callable[[], Any], within_s: float = 30) -> Any:
    async with asyncio.timeout(within_s):
        while not (found := await check()):
            await asyncio.sleep(0.05)
    return found


def links_to(settings: Settings, address: str) -> list[str]:
    """The secrets of the offers that were mailed to an address."""
    found = []
    for path in sorted(settings.outbox.glob("[!.]*.eml"), key=lambda one: one.stat().st_mtime):
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        body = message.get_body(preferencelist=("plain",))
        if str(message["To"]) == address and body is not None:
            text = str(body.get_content())
            found += re.findall(r"/offer#([\w-]{43})", text)
            assert not re.search("Okafor|Brandt|Lung|Neuro|oncology", text), "a mail is a postcard"
    return found


async def end_of_offer_comes(database: Database, name: str) -> None:
    """Let the end of an offer that stands for a day, and the job that is planned for then, come now.

    A short offer might be over before a slow machine has sent its mail.
    """
    offer_id = await database.pool.fetchval(
        """update wait_offers o set expires_at = $2 from patients p
           where p.id = o.patient_id and p.name = $1 and o.ended_at is null returning o.id""",
        name, utc_now(),
    )  # fmt: skip
    planned = await database.pool.fetch(
        """update pgqueuer set execute_after = now() where entrypoint = 'end_offer' and execute_after > now()
             and convert_from(payload, 'utf8') like '%' || $1 || '%' returning id""",
        str(offer_id),
    )
    assert len(planned) == 1


async def test_a_cancelled_time_goes_from_one_to_the_next_until_somebody_takes_it(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    settings, now = make_settings(), utc_now()
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        slots = await free_slots(conn, clinic.expert, now, days=12)
        freed, late = slots[-5], slots[-1]
        booked, _link = await scheduling.book(
            conn, clinic.case, clinic.expert, freed.starts_at, booked_by=clinic.scheduler, now=now
        )
        await put_on_list(conn, clinic, "Silent", now=now)
        has_one = await open_case(conn, clinic.scheduler, name="Early Bird", email="bird@example.org", now=now)
        held, _link = await scheduling.book(
            conn, has_one, clinic.expert, late.starts_at, booked_by=clinic.scheduler, now=now
        )
        await put_on_list(conn, clinic, "", case_id=has_one, appointment_id=held.id, now=now)
        await put_on_list(conn, clinic, "Third", now=now)

    async def outcome_of(name: str) -> str | None:
        found: str | None = await database.pool.fetchval(
            "select o.outcome from wait_offers o join patients p on p.id = o.patient_id where p.name = $1", name
        )
        return found

    async def mail_to(address: str) -> list[str]:
        return links_to(settings, address)

    async with working(database, settings):
        async with database.pool.acquire() as conn, conn.transaction():
            await scheduling.cancel(conn, booked.id, now, by=clinic.scheduler)
            await waiting.queue_time_of(conn, booked, now)
        await until(lambda: mail_to("silent@example.org"))
        assert not await mail_to("bird@example.org")
        await end_of_offer_comes(database, "Silent")
        await until(lambda: outcome_of("Silent"))
        (secret,) = await until(lambda: mail_to("bird@example.org"))
        assert not await mail_to("third@example.org")
        async with database.pool.acquire() as conn, conn.transaction():
            answered = await waiting.answer_link(conn, secret, waiting.Answer.TAKE, utc_now())
            await notices.queue_change(conn, held.id, utc_now())
        assert answered.is_move

        async def mailed_twice() -> bool:
            return len(await mail_to("silent@example.org")) == 2

        await until(mailed_twice)  # the time that was given up goes on, to who is first again
        assert not await mail_to("third@example.org")
        await end_of_offer_comes(database, "Silent")
        (secret,) = await until(lambda: mail_to("third@example.org"))

        async with database.pool.acquire() as conn:
            third = await waiting.look_at(conn, secret, utc_now())
            assert third.offer.during == late
            moved = (await scheduling.fetch_appointment(conn, held.id)).appointment
            assert moved.starts_at == freed.starts_at
            assert [line.patient_name for line in await waiting.list_entries(conn, utc_now())] == ["Silent", "Third"]
        assert await outcome_of("Silent") == "unanswered"
        assert await outcome_of("Early Bird") == "taken"
        await end_of_offer_comes(database, "Third")
        await until(lambda: outcome_of("Third"))
    overlaps = await database.pool.fetchval(
        """select count(*) from busy_times one join busy_times other on one.id < other.id
             and one.expert_id = other.expert_id and one.blocked && other.blocked"""
    )
    assert overlaps == 0


async def test_a_worker_killed_while_it_offers_leaves_the_offer_to_the_next(database: Database) -> None:
    now = utc_now()
    async with database.pool.acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        slot = (await free_slots(conn, clinic.expert, now, days=12))[-1]
        await put_on_list(conn, clinic, "Ana", now=now)
        await waiting.queue_freed(conn, clinic.expert, slot, now)

    def start(sleep_s: float) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", WORKER, database.url, str(sleep_s)]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def line_of(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return next((line.strip() for line in process.stdout if line.strip() == "offering"), "")

    first = start(60)
    try:
        assert await asyncio.wait_for(asyncio.to_thread(line_of, first), 60) == "offering"
    finally:
        os.kill(first.pid, signal.SIGKILL)
        await asyncio.to_thread(first.communicate)
    assert await database.pool.fetchval("select count(*) from wait_offers") == 0
    second = start(0)
    try:
        assert await asyncio.wait_for(asyncio.to_thread(line_of, second), 60) == "offering"

        async def offered() -> int:
            return int(await database.pool.fetchval("select count(*) from wait_offers where ended_at is null"))

        assert await until(offered) == 1
    finally:
        second.terminate()
        await asyncio.to_thread(second.communicate)
    assert await database.pool.fetchval("select count(*) from busy_times where hold_id is not null") == 1
