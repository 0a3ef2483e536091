"""Which boards are open in this process, and telling them that something changed.

What changed is not said: a board asks again, and gets what who asks may see. Of each open board there is a flag and no
queue, so ten changes in a moment are one, and a board that does not listen costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from consult.boards.errors import TooManyBoards

CHANNEL = "schedule_changed"  # PostgreSQL's, from booking's statements and the triggers of 0011_live_boards.sql
MOST_OPEN = 500  # per process
MOST_PER_SESSION = 6  # more than a browser opens to one server; the oldest goes


class OpenBoard:
    """One stream of changes."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self._changed = False
        self.is_closed = False

    def tell(self) -> None:
        self._changed = True
        self._woken.set()

    def end(self) -> None:
        self.is_closed = True
        self._woken.set()

    async def wait(self, within_s: float) -> bool:
        """Return whether something changed since the last time, at once if so, otherwise after within_s at most."""
        try:
            async with asyncio.timeout(within_s):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()
        changed, self._changed = self._changed, False
        return changed


class LiveBoards:
    def __init__(self) -> None:
        self._open: dict[str, list[OpenBoard]] = {}
        self._is_closed = False

    @contextmanager
    def opened(self, session: str) -> Iterator[OpenBoard]:
        """Count a board as open. session: whose it is, see web/session.py. Raises TooManyBoards."""
        if self._is_closed or sum(map(len, self._open.values())) >= MOST_OPEN:
            raise TooManyBoards("open boards")
        board = OpenBoard()
        own = self._open.setdefault(session, [])
        if len(own) >= MOST_PER_SESSION:
            own.pop(0).end()
        own.append(board)
        try:
            yield board
        finally:
            if board in own:
                own.remove(board)
            if not own and self._open.get(session) is own:
                del self._open[session]

    def tell(self) -> None:
        """Let every open board know that it is no longer what it was."""
        for own in self._open.values():
            for board in own:
                board.tell()

    def close(self) -> None:
        """End every stream, and open none again."""
        self._is_closed = True
        for own in self._open.values():
            for board in own:
                board.end()


LIVE: web.AppKey[LiveBoards] = web.AppKey("live_boards", LiveBoards)
