"""What every RoomDirectory keeps, within one process and through a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from signaling.bus import RoomDirectory
from signaling.local_bus import LocalDirectory
from signaling.redis_bus import RedisDirectory
from signaling.ticket import RoomId

LEASE_S = 0.4
ROOM = RoomId("room")
HERE, THERE = "http://127.0.0.1:1001", "http://127.0.0.1:1002"


@pytest.fixture(params=["local", "redis"])
async def directory(request: pytest.FixtureRequest) -> AsyncIterator[RoomDirectory]:
    made: RoomDirectory
    if request.param == "local":
        made = LocalDirectory(lease_s=LEASE_S)
    else:
        made = RedisDirectory(request.getfixturevalue("redis_url"), lease_s=LEASE_S, settle_s=0)
    yield made
    await made.close()


async def test_the_first_to_claim_a_room_holds_it(directory: RoomDirectory) -> None:
    assert await directory.find(ROOM) is None
    assert await directory.claim(ROOM, HERE) == HERE
    assert await directory.claim(ROOM, THERE) == HERE
    assert await directory.claim(ROOM, HERE) == HERE
    assert await directory.find(ROOM) == HERE
    assert await directory.find(RoomId("another")) is None


async def test_of_many_who_claim_at_once_one_holds_the_room(directory: RoomDirectory) -> None:
    holders = await asyncio.gather(*(directory.claim(ROOM, f"http://127.0.0.1:{port}") for port in range(20)))
    assert len(set(holders)) == 1


async def test_a_renewed_lease_stays_and_one_that_is_not_lapses(directory: RoomDirectory) -> None:
    await directory.claim(ROOM, HERE)
    for _ in range(3):
        await asyncio.sleep(LEASE_S / 2)
        assert await directory.renew(ROOM, HERE)
    assert await directory.find(ROOM) == HERE
    await asyncio.sleep(LEASE_S * 1.5)
    assert await directory.find(ROOM) is None
    assert not await directory.renew(ROOM, HERE)
    assert await directory.claim(ROOM, THERE) == THERE


async def test_only_the_holder_renews_and_releases(directory: RoomDirectory) -> None:
    await directory.claim(ROOM, HERE)
    assert not await directory.renew(ROOM, THERE)
    await directory.release(ROOM, THERE)
    assert await directory.find(ROOM) == HERE
    await directory.release(ROOM, HERE)
    assert await directory.find(ROOM) is None


async def test_nodes_are_those_announced_lately(directory: RoomDirectory) -> None:
    assert await directory.nodes() == []
    await directory.announce(THERE)
    await directory.announce(HERE)
    assert await directory.nodes() == [HERE, THERE]
    await directory.withdraw(HERE)
    assert await directory.nodes() == [THERE]
    await asyncio.sleep(LEASE_S * 1.5)
    assert await directory.nodes() == []


async def test_a_free_room_is_placed_where_there_is_least_to_do(directory: RoomDirectory) -> None:
    assert await directory.place(ROOM) is None, "nobody is announced"
    await directory.announce(HERE, 5)
    await directory.announce(THERE, 0)
    placed = [await directory.place(RoomId(f"room {number}")) for number in range(5)]
    assert placed == [THERE, THERE, THERE, HERE, THERE], "what was placed counts before the next announcement"
    assert await directory.place(RoomId("room 0")) == THERE, "a room that has a node keeps it"
    assert await directory.find(RoomId("room 3")) == HERE
    await directory.announce(THERE, 9)
    assert await directory.place(ROOM) == HERE
    await directory.withdraw(HERE)
    assert await directory.place(RoomId("one more")) == THERE


async def test_of_many_who_place_a_room_at_once_all_hear_the_same(directory: RoomDirectory) -> None:
    for port in range(8):
        await directory.announce(f"http://127.0.0.1:{port}")
    assert len(set(await asyncio.gather(*(directory.place(ROOM) for _ in range(20))))) == 1


async def test_a_redis_that_begins_anew_places_no_room_before_it_heard_of_those_that_live(redis_url: str) -> None:
    directory = RedisDirectory(redis_url, settle_s=0.4)
    try:
        await directory.announce(HERE)
        assert await directory.place(ROOM) is None
        assert await directory.claim(ROOM, THERE) == THERE, "who holds a room says so"
        await asyncio.sleep(0.5)
        assert await directory.place(ROOM) == THERE
        assert await directory.place(RoomId("another")) == HERE
    finally:
        await directory.close()
