"""Bus and RoomDirectory between processes, through Redis: the only file here that imports redis.

Events go through one stream with a consumer group per consumer; what a crashed process had in hand is claimed by
another one. Commands go by publish and subscribe. A claim on a room is a key that lapses.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from signaling.bus import Delivery
from signaling.events import RoomCommand, RoomEvent, command_from_json, event_from_json, to_json
from signaling.ticket import RoomId

STREAM = "consult:events"
CHANNEL = "consult:commands"
ROOM_KEY = "consult:room:"
NODES_KEY = "consult:nodes"
MAX_STREAM = 100_000  # events; a worker that was away for longer than these misses the oldest
REDELIVER_AFTER_S = 30.0
BLOCK_S = 1.0
PAUSE_S = 0.5  # after a lost connection
SOCKET_S = 5.0
LEASE_S = 5.0

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
ANNOUNCE = """
local now = redis.call('time')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('zremrangebyscore', KEYS[1], '-inf', now_ms)
redis.call('zadd', KEYS[1], now_ms + ARGV[2], ARGV[1])
return 1
"""
NODES = """
local now = redis.call('time')
return redis.call('zrangebyscore', KEYS[1], now[1] * 1000 + math.floor(now[2] / 1000) + 1, '+inf')
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

    async def publish(self, event: RoomEvent) -> None:
        await self._redis.xadd(STREAM, {"event": to_json(event)}, maxlen=MAX_STREAM, approximate=True)

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
    def __init__(self, url: str, *, lease_s: float = LEASE_S) -> None:
        self._redis = _connect(url)
        self._lease_ms = round(lease_s * 1000)

    async def claim(self, room_id: RoomId, node: str) -> str:
        holder: bytes = await self._run(CLAIM, ROOM_KEY + room_id, node, self._lease_ms)
        return holder.decode()

    async def renew(self, room_id: RoomId, node: str) -> bool:
        return bool(await self._run(RENEW, ROOM_KEY + room_id, node, self._lease_ms))

    async def release(self, room_id: RoomId, node: str) -> None:
        await self._run(RELEASE, ROOM_KEY + room_id, node)

    async def find(self, room_id: RoomId) -> str | None:
        node: Any = await self._redis.get(ROOM_KEY + room_id)
        return None if node is None else str(node, "utf-8")

    async def announce(self, node: str) -> None:
        await self._run(ANNOUNCE, NODES_KEY, node, self._lease_ms)

    async def withdraw(self, node: str) -> None:
        await self._redis.zrem(NODES_KEY, node)

    async def nodes(self) -> list[str]:
        return sorted(node.decode() for node in await self._run(NODES, NODES_KEY))

    async def close(self) -> None:
        await self._redis.aclose()

    async def _run(self, script: str, key: str, *arguments: str | int) -> Any:
        answer: Any = self._redis.eval(script, 1, key, *(str(argument) for argument in arguments))
        return await answer


def _connect(url: str) -> Redis:
    return Redis.from_url(url, socket_timeout=SOCKET_S, socket_connect_timeout=SOCKET_S, health_check_interval=15)


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
