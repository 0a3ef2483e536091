"""Booking under load, free times of a whole clinic, and booking beside pgbench running the same statements.

`make bench-booking`. Everything runs on a PostgreSQL of its own that writes to the disk as in production. Writes
build/bench/booking.json; the last line is the result.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import uvloop

from consult.availability import service as availability
from consult.cases import service as cases
from consult.cases.model import NewPatient
from consult.db import embedded
from consult.db.migrate import migrate
from consult.db.pool import create_pool
from consult.domain.access import StaffRole
from consult.domain.errors import SlotOutsideHours, SlotTaken
from consult.domain.ids import CaseId, StaffId
from consult.domain.working_days import WorkingBlock
from consult.load_test.traffic import percentile
from consult.people import service as people
from consult.scheduling import booking_queries
from consult.scheduling import service as scheduling
from signaling.process import settle
from tests.bench.others import Others

EXPERTS = 50
CASES = 100
CLIENTS = 200
ATTEMPTS = 4000
DAYS = 90
SEARCHES = 40
BOOKED_A_DAY = 1.0  # calls that an expert has on a working day when times are searched
ROUNDS = 7
ROUND_S = 3.0
QUIET = 0.1  # of all processors, what others may take in a round that counts
ENOUGH = 3
CONNECTIONS = 8
LENGTH = timedelta(minutes=45)
HOUR = timedelta(hours=1)
EVERY_H = 6  # throughput: an expert has a call so often
ZONES = ("Europe/Berlin", "Europe/Lisbon", "America/Toronto", "Asia/Kolkata", "Australia/Sydney")
INSERT_EXPERT = """
insert into staff (email, name, role, time_zone, password_hash, created_at) values ($1, $2, 'expert', $3, 'x', $4)
returning id
"""
OUT = Path("build/bench/booking.json")

WANTED = {"overlaps": 0, "deadlocks": 0, "p99_ms": 350, "slots_p95_ms": 30, "ratio_pgbench": 0.7}


@dataclass
class Result:
    """p99_ms: of an attempt, from wanting to knowing.

    rates: bookings per second of each round, and ratios of them. others: what else ran took so much of the processors.
    """

    overlaps: int = -1
    deadlocks: int = -1
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    attempts_per_s: float = 0.0
    outcomes: dict[str, int] = field(default_factory=dict)
    slots_p50_ms: float = 0.0
    slots_p95_ms: float = 0.0
    slots_cold_ms: float = 0.0
    slots_found: int = 0
    appointments_searched: int = 0
    rates_consult: list[float] = field(default_factory=list)
    rates_pgbench: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    ratio_pgbench: float = 0.0
    others: list[float] = field(default_factory=list)
    quiet_rounds: int = 0
    measured: str = ""


@dataclass(frozen=True)
class Clinic:
    scheduler: StaffId
    experts: list[StaffId]
    cases: list[CaseId]
    now: datetime

    @property
    def day(self) -> date:
        return self.now.date()


async def open_clinic(conn: asyncpg.Connection, now: datetime, *, round_the_clock: bool) -> Clinic:
    """A clinic of experts in several zones. round_the_clock: whose experts have hours day and night, in UTC."""
    scheduler = await people.create_staff(
        conn, email="scheduler@clinic.example", name="Noor Aziz", role=StaffRole.SCHEDULER, time_zone="Europe/Berlin",
        password="correct horse battery staple", now=now,
    )  # fmt: skip
    blocks = [WorkingBlock(day, clock(9), clock(12)) for day in range(5)]
    blocks += [WorkingBlock(day, clock(13), clock(17)) for day in range(5)]
    always = [WorkingBlock(day, clock(0), clock(0)) for day in range(7)]
    experts: list[StaffId] = []
    for number in range(EXPERTS):
        zone = "UTC" if round_the_clock else ZONES[number % len(ZONES)]
        new_id = await conn.fetchval(INSERT_EXPERT, f"expert{number}@clinic.example", f"Dr Expert {number}", zone, now)
        expert = StaffId(new_id)
        await availability.set_working_hours(conn, expert, always if round_the_clock else blocks)
        if not round_the_clock and number % 2:
            await conn.execute("insert into expert_rules values ($1, 5, 10, 10, 2, 30, 24, 180, 6, 24)", expert)
        experts.append(expert)
    opened = [
        await cases.open_case(
            conn, NewPatient(f"Patient {number}", "", None, "en"), diagnosis="Glioma", opened_by=scheduler, now=now
        )
        for number in range(CASES)
    ]
    return Clinic(scheduler, experts, opened, now)


async def warm_up(pool: asyncpg.Pool, clinic: Clinic) -> None:
    """Let each connection book once, on another day, and be refused once: a new one prepares its statements first."""
    starts_at = datetime.combine(clinic.day + timedelta(days=14), clock(9), UTC)
    lent = [await pool.acquire() for _ in range(pool.get_max_size())]
    for expert, conn in zip(clinic.experts, lent, strict=False):
        for _ in range(2):
            with contextlib.suppress(SlotTaken):
                await scheduling.book(
                    conn, clinic.cases[0], expert, starts_at, LENGTH, booked_by=clinic.scheduler, now=clinic.now
                )
    for conn in lent:
        await pool.release(conn)


async def contend(pool: asyncpg.Pool, clinic: Clinic, result: Result) -> None:
    """200 clients want the same times: of five experts, on one day; a tenth of them for a panel, in both orders."""
    experts = clinic.experts[:5]
    day = clinic.day + timedelta(days=7)
    starts = [datetime.combine(day, clock(), UTC) + number * LENGTH for number in range(16)]
    outcomes: Counter[str] = Counter()
    took: list[float] = []
    deadlocks = 0

    async def client(number: int) -> None:
        nonlocal deadlocks
        wishes = random.Random(number)
        for _ in range(ATTEMPTS // CLIENTS):
            chosen = wishes.sample(experts, 2 if wishes.random() < 0.1 else 1)
            began = time.perf_counter()
            try:
                async with pool.acquire() as conn:
                    await scheduling.book(
                        conn, wishes.choice(clinic.cases), chosen[0], wishes.choice(starts), LENGTH,
                        others=chosen[1:], booked_by=clinic.scheduler, now=clinic.now,
                    )  # fmt: skip
                outcomes["booked"] += 1
            except (SlotTaken, SlotOutsideHours) as refused:
                outcomes[refused.code] += 1
            except asyncpg.DeadlockDetectedError:
                deadlocks += 1
            took.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    result.attempts_per_s = round(len(took) / (time.perf_counter() - began))
    took.sort()
    result.p50_ms, result.p99_ms = round(percentile(took, 0.5), 1), round(percentile(took, 0.99), 1)
    result.outcomes = dict(outcomes)
    counted = await pool.fetchval("select deadlocks from pg_stat_database where datname = current_database()")
    result.deadlocks = max(deadlocks, counted)
    result.overlaps = await pool.fetchval(
        """select count(*) from busy_times a join busy_times b
           on a.id < b.id and a.expert_id = b.expert_id and a.blocked && b.blocked"""
    )
    assert outcomes["booked"] <= len(experts) * len(starts), outcomes
    assert sum(outcomes.values()) == ATTEMPTS, outcomes


async def search(pool: asyncpg.Pool, clinic: Clinic, result: Result) -> None:
    """Find every free time of 50 experts over 90 days, as often as it takes to know how long that takes.

    Before each search one expert's time is taken. cold: the first search, before which nothing is known of them.
    """
    wishes = random.Random(5)
    async with pool.acquire() as conn:
        experts = await people.list_experts(conn)
        last = clinic.day + timedelta(days=DAYS - 1)
        began = time.perf_counter()
        offered = await scheduling.list_free_slots(conn, experts, clinic.day, last, LENGTH, now=clinic.now)
        result.slots_cold_ms = round((time.perf_counter() - began) * 1000, 1)
        for expert in experts:
            taken = wishes.sample(offered[expert.id], int(BOOKED_A_DAY * DAYS * 5 / 7))
            for slot in taken:
                await scheduling.book(
                    conn, wishes.choice(clinic.cases), expert.id, slot.starts_at, LENGTH,
                    booked_by=clinic.scheduler, now=clinic.now, outside_hours=True,
                )  # fmt: skip
        await conn.execute("analyze")
        result.appointments_searched = await conn.fetchval("select count(*) from busy_times")
        took: list[float] = []
        for number in range(SEARCHES + 2):
            now = clinic.now + timedelta(minutes=number)
            expert = experts[number % EXPERTS]
            found = await scheduling.list_free_slots(conn, [expert], clinic.day, last, LENGTH, now=now)
            await scheduling.book(
                conn, wishes.choice(clinic.cases), expert.id, wishes.choice(found[expert.id]).starts_at, LENGTH,
                booked_by=clinic.scheduler, now=now,
            )  # fmt: skip
            began = time.perf_counter()
            found = await scheduling.list_free_slots(conn, experts, clinic.day, last, LENGTH, now=now)
            took.append((time.perf_counter() - began) * 1000)
    result.slots_found = sum(map(len, found.values()))
    warm = sorted(took[2:])
    result.slots_p50_ms, result.slots_p95_ms = round(percentile(warm, 0.5), 1), round(percentile(warm, 0.95), 1)


class Throughput:
    """Bookings of times that nobody else wants, as fast as they go; ours and pgbench's never meet."""

    def __init__(self, server: embedded.EmbeddedPostgres, url: str, pool: asyncpg.Pool, clinic: Clinic) -> None:
        self._server, self._url, self._pool, self._clinic = server, url, pool, clinic
        self._next = 0
        self._pgbench_from = 0
        self._first = datetime.combine(clinic.day + timedelta(days=2), clock(), UTC)
        self._second = self._first + timedelta(days=180)

    def slot(self, number: int) -> tuple[StaffId, datetime]:
        expert = self._clinic.experts[number % EXPERTS]
        return expert, self._first + (number // EXPERTS) * EVERY_H * HOUR

    async def consult(self) -> float:
        until = time.perf_counter() + ROUND_S
        done = 0

        async def client() -> None:
            nonlocal done
            async with self._pool.acquire() as conn:
                while time.perf_counter() < until:
                    expert, starts_at = self.slot(self._next)
                    case = self._clinic.cases[self._next % CASES]
                    self._next += 1
                    await scheduling.book(
                        conn, case, expert, starts_at, HOUR, booked_by=self._clinic.scheduler, now=self._clinic.now
                    )
                    done += 1

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
        return done / (time.perf_counter() - began)

    async def pgbench(self, folder: Path) -> float:
        """Return its bookings per second, those of its first second left out: its connections are new in each round."""
        script = folder / "booking.sql"
        script.write_text(self._script())
        parts = urlsplit(self._url)
        binary = Path(embedded.installation() / "bin" / "pgbench")
        command: list[str | Path] = [
            binary, "-n", "-M", "prepared", "-c", str(CONNECTIONS), "-j", "2", "-T", str(int(ROUND_S) + 1), "-P", "1",
            "-f", script, "-D", f"n={self._pgbench_from}", "-D", f"first_expert={self._clinic.experts[0]}",
            "-D", f"first_case={self._clinic.cases[0]}", "-D", f"scheduler={self._clinic.scheduler}",
            "-D", f"begin_s={int(self._second.timestamp())}", "-D", f"now_s={int(self._clinic.now.timestamp())}",
            "-h", parse_qs(parts.query)["host"][0], "-U", str(parts.username), parts.path.lstrip("/"),
        ]  # fmt: skip
        environment = {"PGPASSWORD": str(parts.password), "LD_LIBRARY_PATH": str(binary.parents[1] / "lib")}
        ran = await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, text=True, timeout=60
        )
        each_second = re.findall(r"^progress: .* ([\d.]+) tps", ran.stderr, re.MULTILINE)
        failed = re.search(r"number of failed transactions: (\d+)", ran.stdout)
        assert ran.returncode == 0, ran.stderr[-2000:]
        assert len(each_second) >= ROUND_S, ran.stderr
        assert failed is None or failed[1] == "0", ran.stdout
        done = re.search(r"actually processed: (\d+)", ran.stdout)
        assert done is not None
        self._pgbench_from += int(done[1]) // CONNECTIONS + 200  # no client got further than that beyond the others
        return statistics.mean(float(tps) for tps in each_second[1:])

    def _script(self) -> str:
        """The statements of one booking, in their order, with pgbench's variables in place of parameters."""
        expert, case = "(:expert)", "(:case_id)"
        start, end = "to_timestamp(:start_s)", "to_timestamp(:start_s + 3600)"
        now = "to_timestamp(:now_s)"
        experts = f"array[{expert}]::bigint[]"
        appointment = "md5(:unique::text)::uuid"
        hashed = "sha256(:unique::text::bytea)"
        return "\n".join(
            [
                "\\set n :n + 1",
                f"\\set place :n * {CONNECTIONS} + :client_id",
                f"\\set expert :first_expert + :place % {EXPERTS}",
                f"\\set case_id :first_case + :place % {CASES}",
                f"\\set start_s :begin_s + (:place / {EXPERTS}) * {EVERY_H} * 3600",
                "\\set unique random(1, 9000000000000000000)",
                "begin;",
                _filled(
                    booking_queries.CLAIM_EXPERTS,
                    ["null::bigint[]", case, experts, start, end, now, "null::uuid", "null::uuid"],
                ),
                _filled(
                    booking_queries.INSERT_BOOKING,
                    [appointment, case, expert, start, end, ":scheduler", now, "'first_review'",
                     "null::timestamptz", "null::timestamptz", "null::bigint[]", "null::timestamptz[]",
                     "null::timestamptz[]", appointment, hashed, hashed],
                ),
                "commit;",
            ]
        )  # fmt: skip


async def compare(both: Throughput, server: embedded.EmbeddedPostgres, folder: Path, result: Result) -> None:
    """Let both book, round by round in turns, and compare the rounds that are side by side.

    Neither is always the first, and how quick the machine is changes less from one round to the next than in a minute.
    Rounds beside which something else ran are left out, if there are enough without.
    """
    for number in range(ROUNDS):
        others = Others(server.pid)
        rates: dict[str, float] = {}
        for who in ("consult", "pgbench") if number % 2 == 0 else ("pgbench", "consult"):
            rates[who] = await (both.consult() if who == "consult" else both.pgbench(folder))
        result.rates_consult.append(round(rates["consult"], 1))
        result.rates_pgbench.append(round(rates["pgbench"], 1))
        result.ratios.append(round(rates["consult"] / rates["pgbench"], 3))
        result.others.append(round(others.share(), 2))
    quiet = [ratio for ratio, share in zip(result.ratios, result.others, strict=True) if share <= QUIET]
    result.quiet_rounds = len(quiet)
    result.ratio_pgbench = round(statistics.median(quiet if len(quiet) >= ENOUGH else result.ratios), 2)


def _filled(statement: str, values: list[str]) -> str:
    """Return a statement on one line, with values in place of $1, $2, …"""
    text = re.sub(r"\$(\d+)", lambda found: f"({values[int(found[1]) - 1]})", statement)
    return " ".join(text.split()) + ";"


async def new_database(server: embedded.EmbeddedPostgres, name: str) -> str:
    admin = await asyncpg.connect(server.url())
    await admin.execute(f"create database {name}")
    await admin.close()
    url = server.url(name)
    await migrate(url)
    return url


async def run(server: embedded.EmbeddedPostgres, folder: Path, parts: set[str]) -> Result:
    result = Result(measured=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))
    now = datetime.now(UTC).replace(microsecond=0)
    url = await new_database(server, "contention")
    pool = await create_pool(url, min_size=10)
    try:
        async with pool.acquire() as conn:
            clinic = await open_clinic(conn, now, round_the_clock=True)
        if "contend" in parts:
            await warm_up(pool, clinic)
            await contend(pool, clinic, result)
    finally:
        await pool.close()
    print(f"attempts: p50 {result.p50_ms} ms, p99 {result.p99_ms} ms, {result.attempts_per_s}/s, {result.outcomes}")
    if "throughput" in parts:
        url = await new_database(server, "throughput")
        pool = await create_pool(url, min_size=CONNECTIONS, max_size=CONNECTIONS)
        try:
            async with pool.acquire() as conn:
                clinic = await open_clinic(conn, now, round_the_clock=True)
            both = Throughput(server, url, pool, clinic)
            await compare(both, server, folder, result)
        finally:
            await pool.close()
    if "search" in parts:
        url = await new_database(server, "search")
        pool = await create_pool(url)
        try:
            async with pool.acquire() as conn:
                clinic = await open_clinic(conn, now, round_the_clock=False)
            await search(pool, clinic, result)
        finally:
            await pool.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["contend", "throughput", "search"])
    only = parser.parse_args().only
    parts = {only} if only else {"contend", "throughput", "search"}
    folder = Path(tempfile.mkdtemp(prefix="consult-bench-"))
    folder.chmod(0o755)
    settle()  # as the web process does
    server = embedded.start(folder / "postgres", log=folder / "postgres.log")
    try:
        result = uvloop.run(run(server, folder, parts))
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"wanted": WANTED, **asdict(result)}, indent=2) + "\n")
    print(json.dumps(asdict(result), indent=2))
    print(
        f"booking overlaps={result.overlaps} deadlocks={result.deadlocks} p99_ms={result.p99_ms:.0f}"
        f" slots_p95_ms={result.slots_p95_ms:.1f} ratio_pgbench={result.ratio_pgbench:.2f}"
    )


if __name__ == "__main__":
    sys.exit(main())
