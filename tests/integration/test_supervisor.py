"""The supervisor of media processes, with small processes of a test's own."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).parents[2]
WITHIN_S = 90


class Supervised:
    """Two processes under a supervisor. pids: of those that live, by place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder.with_suffix(".log")
        command = [sys.executable, "-m", "tests.integration.supervised", "2", str(folder)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stderr=log)

    def pids(self, prefix: str = "") -> dict[int, int]:
        found = {}
        for path in self.folder.glob(f"{prefix}[0-9]*-*"):
            place, pid = (int(part) for part in path.name.removeprefix(prefix).split("-"))
            if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found[place] = pid
        return found

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == name]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not condition():
                await asyncio.sleep(0.05)

    async def ended(self) -> int:
        return await asyncio.wait_for(asyncio.to_thread(self.process.wait), WITHIN_S)


@pytest.fixture
async def supervised(tmp_path: Path) -> AsyncIterator[Supervised]:
    folder = tmp_path / "pids"
    folder.mkdir()
    started = Supervised(folder)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait(10)
        await started.until(lambda: not started.pids())


async def test_a_process_that_dies_is_started_again_and_the_other_lives_on(supervised: Supervised) -> None:
    await supervised.until(lambda: len(supervised.pids()) == 2)
    before = supervised.pids()
    psutil.Process(before[0]).kill()
    await supervised.until(lambda: supervised.pids().get(0, before[0]) != before[0])
    assert supervised.pids()[1] == before[1]
    (died,) = supervised.events("process.died")
    assert (died["place"], died["pid"], died["code"]) == (0, before[0], -signal.SIGKILL)


async def test_one_that_keeps_failing_is_tried_at_longer_and_longer_intervals(supervised: Supervised) -> None:
    await supervised.until(lambda: len(supervised.pids()) == 2)
    (supervised.folder / "broken").touch()
    psutil.Process(supervised.pids()[0]).kill()
    await supervised.until(lambda: len(supervised.events("process.died")) >= 4)
    pauses = [one["again_in_s"] for one in supervised.events("process.died")]
    assert all(later == 2 * earlier for earlier, later in itertools.pairwise(pauses))
    (supervised.folder / "broken").unlink()
    await supervised.until(lambda: len(supervised.pids()) == 2)


async def test_sigterm_is_passed_on_and_a_second_one_too(supervised: Supervised) -> None:
    await supervised.until(lambda: len(supervised.pids()) == 2)
    supervised.process.send_signal(signal.SIGTERM)
    await supervised.until(lambda: len(supervised.pids("drains-")) == 2)
    await asyncio.sleep(1.5)
    assert len(supervised.pids()) == 2, "they go when they have drained"
    assert supervised.process.poll() is None
    supervised.process.send_signal(signal.SIGTERM)
    assert await supervised.ended() == 0
    assert supervised.pids() == {}


async def test_a_manager_that_signals_everybody_at_once_still_lets_them_drain(supervised: Supervised) -> None:
    await supervised.until(lambda: len(supervised.pids()) == 2)
    for pid in (*supervised.pids().values(), supervised.process.pid):
        psutil.Process(pid).send_signal(signal.SIGTERM)
    await supervised.until(lambda: len(supervised.pids("drains-")) == 2)
    await asyncio.sleep(0.5)
    assert len(supervised.pids()) == 2


async def test_one_that_dies_while_all_drain_is_not_started_again(supervised: Supervised) -> None:
    await supervised.until(lambda: len(supervised.pids()) == 2)
    supervised.process.send_signal(signal.SIGTERM)
    await supervised.until(lambda: len(supervised.pids("drains-")) == 2)
    psutil.Process(supervised.pids()[0]).kill()
    await supervised.until(lambda: supervised.events("process.ended"))
    await asyncio.sleep(0.5)
    assert set(supervised.pids()) == {1}
    supervised.process.send_signal(signal.SIGINT)
    assert await supervised.ended() == 1, "not all went well"


async def test_sigint_ends_all(supervised: Supervised) -> None:
    await supervised.until(lambda: len(supervised.pids()) == 2)
    supervised.process.send_signal(signal.SIGINT)
    assert await supervised.ended() == 0
    assert supervised.pids() == {}


async def test_no_process_outlives_a_supervisor_that_was_killed(supervised: Supervised) -> None:
    await supervised.until(lambda: len(supervised.pids()) == 2)
    supervised.process.kill()
    await supervised.until(lambda: not supervised.pids())
