"""The open sockets of this process by session, so that signing out closes them (SECURITY 6)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

Closer = Callable[[], Awaitable[object]]


class OpenSockets:
    def __init__(self) -> None:
        self._closers: dict[str, dict[int, Closer]] = {}
        self._active: dict[int, str] = {}  # sockets that a person is at, and their sessions
        self._next = 0

    @contextmanager
    def kept(self, session: str, close: Closer, *, is_activity: bool = True) -> Iterator[None]:
        """Remember a socket while it is open. session: `staff:…` or `visit:…`, see web/session.py.

        is_activity: while it is open its session is not idle.
        """
        self._next += 1
        number = self._next
        self._closers.setdefault(session, {})[number] = close
        if is_activity:
            self._active[number] = session
        try:
            yield
        finally:
            self._active.pop(number, None)
            closers = self._closers.get(session, {})
            closers.pop(number, None)
            if not closers:
                self._closers.pop(session, None)

    async def close(self, session: str) -> None:
        """Close every socket of a session."""
        closers = list(self._closers.get(session, {}).values())
        async with asyncio.timeout(5):
            await asyncio.gather(*(close() for close in closers), return_exceptions=True)

    def all_sessions(self) -> frozenset[str]:
        """Sessions with any open socket."""
        return frozenset(self._closers)

    def sessions(self) -> frozenset[str]:
        """Sessions with an open socket that a person is at: they are not idle."""
        return frozenset(self._active.values())
