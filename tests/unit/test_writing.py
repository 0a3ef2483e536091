"""The thread that writes for all rooms, and the beat that they are looked after in."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

import pytest

from signaling.beat import TOGETHER, Beat, join_beat
from signaling.writing import take_writer


async def test_rooms_share_one_thread_which_ends_with_the_last_of_them() -> None:
    first, second = take_writer(), take_writer()
    assert first is second
    done: list[tuple[int, str]] = []
    for number in range(5):
        first.add(lambda number=number: done.append((number, threading.current_thread().name)))  # type: ignore[misc]
    assert await second.flush(5)
    assert done == [(number, "recorder") for number in range(5)], "in their order"
    await first.release()
    first.add(lambda: done.append((5, "")))
    await second.release()
    assert done[-1] == (5, ""), "what was added is done before the end"
    assert "recorder" not in [thread.name for thread in threading.enumerate()]


async def test_what_is_added_is_done_without_asking() -> None:
    writer, done, loop = take_writer(), asyncio.Event(), asyncio.get_running_loop()
    writer.add(lambda: loop.call_soon_threadsafe(done.set) and None)  # type: ignore[func-returns-value]
    await asyncio.wait_for(done.wait(), 5)
    await writer.release()


async def test_a_job_that_fails_costs_the_others_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    writer, done = take_writer(), list[int]()
    writer.add(lambda: done.append(1 // 0))
    writer.add(lambda: done.append(1))
    assert await writer.flush(5)
    assert done == [1]
    await writer.release()


async def test_a_disk_that_stands_still_is_not_waited_for_without_end() -> None:
    writer, goes_on = take_writer(), threading.Event()
    writer.add(lambda: goes_on.wait(10) and None)
    assert not await writer.flush(0.05)
    goes_on.set()
    assert await writer.flush(5)
    await writer.release()


async def test_rooms_are_called_again_and_again_until_they_leave(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    counts = [0] * (TOGETHER + 2)
    enough = asyncio.Event()

    def tick_of(number: int) -> Callable[[], None]:
        def tick() -> None:
            counts[number] += 1
            if min(counts) >= 3:
                enough.set()
            if number == 1:
                raise RuntimeError("of one room")

        return tick

    ticks = [tick_of(number) for number in range(len(counts))]
    beats: list[Beat] = [join_beat(tick) for tick in ticks]
    assert len(set(map(id, beats))) == 2, "not all together"
    await asyncio.wait_for(enough.wait(), 10)
    for beat, tick in zip(beats, ticks, strict=True):
        beat.leave(tick)
    before = list(counts)
    await asyncio.sleep(0.25)
    assert counts == before
