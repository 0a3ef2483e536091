"""Hearing what PostgreSQL notifies, on a connection of its own that is opened again whenever it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import structlog

PAUSE_S = 2.0  # before the next try
ASK_EVERY_S = 30.0  # a connection that died without a word is noticed within this
ANSWER_WITHIN_S = 10.0

log = structlog.get_logger(__name__)


async def listen(
    database_url: str, channel: str, hear: Callable[[str], None], *, on_connected: Callable[[], None] | None = None
) -> None:
    """Call hear with the payload of every notice, until cancelled.

    on_connected: called each time that listening begins, since what was said before may have been missed.
    """
    while True:
        try:
            conn = await asyncpg.connect(database_url, timeout=ANSWER_WITHIN_S)
        except (OSError, TimeoutError, asyncpg.PostgresError):
            await asyncio.sleep(PAUSE_S)
            continue
        try:
            await _listen_on(conn, channel, hear, on_connected)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            pass
        finally:
            conn.terminate()
        log.warning("listener.lost", channel=channel)


async def _listen_on(
    conn: asyncpg.Connection, channel: str, hear: Callable[[str], None], on_connected: Callable[[], None] | None
) -> None:
    """Return when the connection is lost."""
    lost = asyncio.Event()

    def pass_on(_connection: Any, _pid: int, _channel: str, payload: object) -> None:
        hear(str(payload))

    conn.add_termination_listener(lambda _connection: lost.set())
    await conn.add_listener(channel, pass_on)
    if on_connected is not None:
        on_connected()
    while not lost.is_set():
        try:
            async with asyncio.timeout(ASK_EVERY_S):
                await lost.wait()
        except TimeoutError:
            await conn.execute("select 1", timeout=ANSWER_WITHIN_S)
