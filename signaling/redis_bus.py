"""Bus and RoomDirectory between processes, through Redis: the only file here that imports redis.

Events go through one stream with a consumer group per consumer; what a crashed process had in hand is claimed by
another one. Commands go by publish and subscribe. A claim on a room is a key that lapses.

A Redis that comes back empty is noticed by its epoch, a key that goes with the rest: what was published lately is
published again (consumers know repeated events), and no free room is placed before every process had time to claim
its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from signaling.bus import Delivery
from signaling.events import RoomCommand, RoomEvent, command_from_json, event_from_json, to_json
from signaling.ticket import RoomId

STREAM = "consult:events"
CHANNEL = "consult:commands"
ROOM_KEY = "consult:room:"
NODES_KEY = "consult:nodes"
LOADS_KEY = "consult:loads"
BEGUN_KEY = "consult:nodes:begun"
EPOCH_KEY = "consult:epoch"
MAX_STREAM = 100_000  # events; a worker that was away for longer than these misses the oldest
REDELIVER_AFTER_S = 30.0
BLOCK_S = 1.0
PAUSE_S = 0.5  # after a lost connection
SOCKET_S = 5.0
LEASE_S = 3.0
SETTLE_S = 2.0  # a directory that begins anew hears of every lease within this
SOCKETS_OF_A_CALL = 2  # what a room that was just placed will add to its node's load
RETELL_S = 300.0
MAX_RETOLD = 2_000

# Each returns what it decided, in one step that no other process can come between.
CLAIM = """
local holder = redis.call('get', KEYS[1])
if holder and holder ~= ARGV[1] then return holder end
redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
return ARGV[1]
"""
RENEW = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('pexpire', KEYS[1], ARGV[2])
"""
RELEASE = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('del', KEYS[1])
"""
_NOW = """
local time = redis.call('time')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
"""
ANNOUNCE = (
    _NOW
    + """
for _, gone in ipairs(redis.call('zrangebyscore', KEYS[1], '-inf', now_ms)) do redis.call('hdel', KEYS[2], gone) end
redis.call('zremrangebyscore', KEYS[1], '-inf', now_ms)
redis.call('zadd', KEYS[1], now_ms + ARGV[2], ARGV[1])
redis.call('hset', KEYS[2], ARGV[1], ARGV[3])
redis.call('setnx', KEYS[3], now_ms)
return 1
"""
)
NODES = (
    _NOW
    + """
return redis.call('zrangebyscore', KEYS[1], now_ms + 1, '+inf')
"""
)
PLACE = (
    _NOW
    + """
local holder = redis.call('get', KEYS[4])
if holder then return holder end
local begun_ms = redis.call('get', KEYS[3])
if not begun_ms or now_ms - begun_ms < tonumber(ARGV[2]) then return false end
local best, least
for _, node in ipairs(redis.call('zrangebyscore', KEYS[1], now_ms + 1, '+inf')) do
  local load = tonumber(redis.call('hget', KEYS[2], node) or 0)
  if not least or load < least then best, least = node, load end
end
if not best then return false end
redis.call('hincrby', KEYS[2], best, ARGV[3])
redis.call('set', KEYS[4], best, 'px', ARGV[1])
return best
"""
)
EPOCH = """
redis.call('setnx', KEYS[1], ARGV[1])
return redis.call('get', KEYS[1])
"""
PUBLISH = """
if redis.call('get', KEYS[2]) ~= ARGV[1] then return false end
return redis.call('xadd', KEYS[1], 'maxlen', '~', ARGV[2], '*', 'event', ARGV[3])
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RedisDelivery:
    event: RoomEvent
    _redis: Redis
    _group: str
    _entry_id: bytes

    async def acknowledge(self) -> None:
        await self._redis.xack(STREAM, self._group, self._entry_id)


class RedisBus:
    def __init__(self, url: str, *, redeliver_after_s: float = REDELIVER_AFTER_S) -> None:
        self._redis = _connect(url)
        self._redeliver_after_ms = round(redeliver_after_s * 1000)
        self._block_ms = round(min(BLOCK_S, redeliver_after_s) * 1000)
        self._process = uuid.uuid4().hex
        self._closed = asyncio.Event()
        self._epoch = ""  # none is known yet
        self._told: deque[tuple[float, RoomEvent]] = deque(maxlen=MAX_RETOLD)  # when, monotonic s
        self._publishing = asyncio.Lock()

    async def publish(self, event: RoomEvent) -> None:
        async with self._publishing:
            while not await self._add(event):
                await self._begin_epoch()
            self._told.append((time.monotonic(), event))

    async def deliveries(self, consumer: str) -> AsyncIterator[Delivery]:
        while not self._closed.is_set():
            try:
                await self._create_group(consumer)
                while not self._closed.is_set():
                    entry = await self._claim_overdue(consumer) or await self._read_new(consumer)
                    _pass_on_cancellation()
                    if entry is not None:
                        delivery = await self._deliver(consumer, *entry)
                        if delivery is not None:
                            yield delivery
            except (RedisError, OSError) as error:
                await self._pause("events", error)

    async def order(self, command: RoomCommand) -> None:
        await self._redis.publish(CHANNEL, to_json(command))

    async def commands(self) -> AsyncIterator[RoomCommand]:
        while not self._closed.is_set():
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as subscription:
                    await subscription.subscribe(CHANNEL)
                    await self._notice_loss()
                    while not self._closed.is_set():
                        message = await subscription.get_message(timeout=BLOCK_S)
                        _pass_on_cancellation()
                        command = _read_command(message)
                        if command is not None:
                            yield command
            except (RedisError, OSError) as error:
                await self._pause("commands", error)

    async def close(self) -> None:
        self._closed.set()
        await self._redis.aclose()

    async def _add(self, event: RoomEvent) -> bool:
        """Append to the stream; False if this is not the Redis, or not the data, that we knew."""
        return bool(await _run(self._redis, PUBLISH, [STREAM, EPOCH_KEY], self._epoch, MAX_STREAM, to_json(event)))

    async def _notice_loss(self) -> None:
        """After a connection was lost: what a Redis without its data forgot is told now, not with the next event."""
        async with self._publishing:
            if self._epoch and await self._redis.get(EPOCH_KEY) != self._epoch.encode():
                await self._begin_epoch()

    async def _begin_epoch(self) -> None:
        """Learn the epoch, beginning it if need be. If ours is over, tell again what may have been lost with it."""
        current = await _run(self._redis, EPOCH, [EPOCH_KEY], uuid.uuid4().hex)
        earlier, self._epoch = self._epoch, str(current, "utf-8")
        if not earlier:
            return
        since_s = time.monotonic() - RETELL_S
        again = [event for told_s, event in self._told if told_s >= since_s]
        log.warning("redis_forgot", told_again=len(again))
        try:
            for event in again:
                await self._add(event)
        except BaseException:
            self._epoch = earlier  # the rest is still to be told
            raise

    async def _create_group(self, consumer: str) -> None:
        try:
            await self._redis.xgroup_create(STREAM, consumer, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def _claim_overdue(self, consumer: str) -> tuple[bytes, dict[bytes, bytes]] | None:
        found: Any = await self._redis.xautoclaim(
            STREAM, consumer, self._process, min_idle_time=self._redeliver_after_ms, start_id="0-0", count=1
        )
        return found[1][0] if found[1] else None

    async def _read_new(self, consumer: str) -> tuple[bytes, dict[bytes, bytes]] | None:
        found: Any = await self._redis.xreadgroup(consumer, self._process, {STREAM: ">"}, count=1, block=self._block_ms)
        if not found:
            return None
        entries = next(iter(found.values()))[0] if isinstance(found, dict) else found[0][1]
        entry: tuple[bytes, dict[bytes, bytes]] = entries[0]
        return entry

    async def _deliver(self, consumer: str, entry_id: bytes, fields: dict[bytes, bytes]) -> RedisDelivery | None:
        try:
            event = event_from_json(fields[b"event"])
        except (KeyError, TypeError, ValueError):
            # Of another version of ours: it would come again for ever.
            log.error("event_not_understood", entry_id=entry_id.decode())
            await self._redis.xack(STREAM, consumer, entry_id)
            return None
        return RedisDelivery(event, self._redis, consumer, entry_id)

    async def _pause(self, what: str, error: Exception) -> None:
        if self._closed.is_set():
            return
        log.warning("redis_lost", what=what, error=type(error).__name__)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PAUSE_S):
                await self._closed.wait()


class RedisDirectory:
    def __init__(self, url: str, *, lease_s: float = LEASE_S, settle_s: float = SETTLE_S) -> None:
        """settle_s: for so long after the first announcement no free room is placed."""
        self._redis = _connect(url)
        self._lease_ms = round(lease_s * 1000)
        self._settle_ms = round(settle_s * 1000)

    async def claim(self, room_id: RoomId, node: str) -> str:
        holder: bytes = await self._run(CLAIM, [ROOM_KEY + room_id], node, self._lease_ms)
        return holder.decode()

    async def renew(self, room_id: RoomId, node: str) -> bool:
        return bool(await self._run(RENEW, [ROOM_KEY + room_id], node, self._lease_ms))

    async def release(self, room_id: RoomId, node: str) -> None:
        await self._run(RELEASE, [ROOM_KEY + room_id], node)

    async def find(self, room_id: RoomId) -> str | None:
        node: Any = await self._redis.get(ROOM_KEY + room_id)
        return None if node is None else str(node, "utf-8")

    async def place(self, room_id: RoomId) -> str | None:
        keys = [NODES_KEY, LOADS_KEY, BEGUN_KEY, ROOM_KEY + room_id]
        node: bytes | None = await self._run(PLACE, keys, self._lease_ms, self._settle_ms, SOCKETS_OF_A_CALL)
        return None if node is None else node.decode()

    async def announce(self, node: str, load: int = 0) -> None:
        await self._run(ANNOUNCE, [NODES_KEY, LOADS_KEY, BEGUN_KEY], node, self._lease_ms, load)

    async def withdraw(self, node: str) -> None:
        await self._redis.zrem(NODES_KEY, node)

    async def nodes(self) -> list[str]:
        return sorted(node.decode() for node in await self._run(NODES, [NODES_KEY]))

    async def close(self) -> None:
        await self._redis.aclose()

    async def _run(self, script: str, keys: list[str], *arguments: str | int) -> Any:
        return await _run(self._redis, script, keys, *arguments)


async def _run(redis: Redis, script: str, keys: list[str], *arguments: str | int) -> Any:
    answer: Any = redis.eval(script, len(keys), *keys, *(str(argument) for argument in arguments))
    return await answer


def _connect(url: str) -> Redis:
    # Who asks knows what to do without an answer; the client's own patience would only keep them waiting.
    patience = Retry(NoBackoff(), 0)
    return Redis.from_url(
        url, socket_timeout=SOCKET_S, socket_connect_timeout=SOCKET_S, health_check_interval=15, retry=patience
    )


def _pass_on_cancellation() -> None:
    """Python 3.11's wait_for, which redis uses, swallows a cancellation that comes with its result."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _read_command(message: dict[str, Any] | None) -> RoomCommand | None:
    if message is None or message.get("type") != "message":
        return None
    try:
        return command_from_json(message["data"])
    except (KeyError, TypeError, ValueError):
        log.error("command_not_understood")
        return None
