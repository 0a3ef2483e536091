"""What every Bus keeps, within one process and through a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest

from signaling.bus import Bus, Delivery
from signaling.events import ChatSaid, CloseRoom, RemovePerson, RoomClosed, RoomEvent
from signaling.local_bus import LocalBus
from signaling.redis_bus import STREAM, RedisBus

REDELIVER_S = 0.3
WITHIN_S = 5

MakeBus = Callable[[], Bus]


@pytest.fixture(params=["local", "redis"])
async def make_bus(request: pytest.FixtureRequest) -> AsyncIterator[MakeBus]:
    """Makes the bus as one more process would see it; within one process there is only one."""
    buses: list[Bus] = []

    def make() -> Bus:
        if request.param == "local":
            if not buses:
                buses.append(LocalBus(redeliver_after_s=REDELIVER_S))
            return buses[0]
        buses.append(RedisBus(request.getfixturevalue("redis_url"), redeliver_after_s=REDELIVER_S))
        return buses[-1]

    if request.param == "redis":
        request.getfixturevalue("redis_url")
    yield make
    for bus in buses:
        await bus.close()


def _closed(number: int) -> RoomEvent:
    return RoomClosed(f"event-{number}", "room", number, "2026-01-01T00:00:00.000+00:00", "ended")


async def _take(bus: Bus, count: int, *, consumer: str = "worker", acknowledge: bool = True) -> list[RoomEvent]:
    taken: list[RoomEvent] = []
    async with asyncio.timeout(WITHIN_S), aclosing(bus.deliveries(consumer)) as deliveries:  # type: ignore[type-var]
        async for delivery in deliveries:
            taken.append(delivery.event)
            if acknowledge:
                await delivery.acknowledge()
            if len(taken) == count:
                break
    return taken


async def test_events_come_in_order_and_unchanged(make_bus: MakeBus) -> None:
    bus = make_bus()
    said = ChatSaid(
        "e", "room", 5, "2026-01-01T00:00:00.000+00:00", "m", "p", "Ana Núñez", "patient", "line", 'a "word" – ✓'
    )
    for event in (*map(_closed, range(5)), said):
        await bus.publish(event)
    assert await _take(bus, 6) == [*map(_closed, range(5)), said]


async def test_a_consumer_that_comes_later_hears_what_was_said_before(make_bus: MakeBus) -> None:
    bus = make_bus()
    await bus.publish(_closed(1))
    assert await _take(bus, 1) == [_closed(1)]
    await bus.publish(_closed(2))
    assert await _take(bus, 2, consumer="other") == [_closed(1), _closed(2)]


async def test_an_acknowledged_event_does_not_come_again(make_bus: MakeBus) -> None:
    bus = make_bus()
    await bus.publish(_closed(1))
    await _take(bus, 1)
    await asyncio.sleep(REDELIVER_S * 1.5)
    await bus.publish(_closed(2))
    assert await _take(bus, 1) == [_closed(2)]


async def test_an_event_that_nobody_acknowledged_comes_again_even_to_another_process(make_bus: MakeBus) -> None:
    await make_bus().publish(_closed(1))
    assert await _take(make_bus(), 1, acknowledge=False) == [_closed(1)]
    assert await _take(make_bus(), 1) == [_closed(1)]


async def test_two_processes_with_one_consumer_name_share_the_events(make_bus: MakeBus) -> None:
    taken: list[str] = []
    done = asyncio.Event()

    async def work(bus: Bus) -> None:
        delivery: Delivery
        async with aclosing(bus.deliveries("worker")) as deliveries:  # type: ignore[type-var]
            async for delivery in deliveries:
                await delivery.acknowledge()
                taken.append(delivery.event.event_id)
                if len(taken) == 20:
                    done.set()

    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as tasks:
        workers = [tasks.create_task(work(make_bus())) for _ in range(2)]
        publisher = make_bus()
        for number in range(20):
            await publisher.publish(_closed(number))
        await done.wait()
        for worker in workers:
            worker.cancel()
    assert sorted(taken) == sorted(f"event-{number}" for number in range(20))


async def test_a_command_reaches_every_process_that_listens(make_bus: MakeBus) -> None:
    heard: list[set[object]] = [set(), set()]
    wanted = {CloseRoom("room"), RemovePerson("room", "person:1", "expired")}

    async def listen(bus: Bus, into: set[object]) -> None:
        async for command in bus.commands():
            into.add(command)

    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as tasks:
        listeners = [tasks.create_task(listen(make_bus(), into)) for into in heard]
        orderer = make_bus()
        while not all(into == wanted for into in heard):
            for command in wanted:
                await orderer.order(command)
            await asyncio.sleep(0.05)
        for listener in listeners:
            listener.cancel()


async def test_closing_ends_those_who_wait(make_bus: MakeBus) -> None:
    bus = make_bus()

    async def wait_for_events() -> None:
        async for _ in bus.deliveries("worker"):
            pass

    async def wait_for_commands() -> None:
        async for _ in bus.commands():
            pass

    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(wait_for_events())
        tasks.create_task(wait_for_commands())
        await asyncio.sleep(0.1)
        await bus.close()


async def test_whoever_closes_a_bus_of_one_process_waits_until_all_is_taken() -> None:
    bus = LocalBus()
    assert await bus.until_taken("worker", 0), "there is nothing"
    await bus.publish(_closed(1))
    await bus.publish(_closed(2))
    assert not await bus.until_taken("worker", 0.05), "nobody takes it"
    assert not await bus.until_taken("who has not come yet", 0.05)
    waiting = asyncio.create_task(bus.until_taken("worker", WITHIN_S))
    assert await _take(bus, 1, acknowledge=False) == [_closed(1)]
    assert not waiting.done()
    assert await _take(bus, 1) == [_closed(2)]
    assert not waiting.done(), "one is not acknowledged"
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    lost = LocalBus(redeliver_after_s=REDELIVER_S)
    await lost.publish(_closed(1))
    await _take(lost, 1, acknowledge=False)
    await _take(lost, 1)
    assert await lost.until_taken("worker", WITHIN_S), "what came again was taken"


async def test_redis_forgetting_everything_stops_nobody(redis_url: str) -> None:
    bus = RedisBus(redis_url, redeliver_after_s=REDELIVER_S)
    try:
        await bus.publish(_closed(1))
        async with asyncio.timeout(WITHIN_S), aclosing(bus.deliveries("worker")) as deliveries:  # type: ignore[type-var]
            first = await anext(deliveries)
            await first.acknowledge()
            await bus._redis.delete(STREAM)
            await bus.publish(_closed(2))
            assert (await anext(deliveries)).event == _closed(2)
    finally:
        await bus.close()


async def test_an_entry_that_is_not_understood_is_passed_over(redis_url: str) -> None:
    bus = RedisBus(redis_url, redeliver_after_s=REDELIVER_S)
    try:
        await bus._redis.xadd(STREAM, {"event": '{"kind":"FromTheFuture"}'})
        await bus.publish(_closed(2))
        assert await _take(bus, 1) == [_closed(2)]
    finally:
        await bus.close()
