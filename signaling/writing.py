"""The thread that writes what is recorded: one for all rooms of an event loop.

Waking a thread and waiting for the interpreter's lock cost as much as writing what one room says in 200 ms, and the
same work for forty rooms in a row costs a fraction of what it costs one by one, between other things. So what rooms
have to write is collected, and handed to the thread ten times a second.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Final

import structlog

HAND_OVER_S: Final = 0.1
END_LIMIT_S: Final = 20

Job = Callable[[], None]

log = structlog.get_logger(__name__)


class Writer:
    """Does jobs in the order in which they were added. All methods are called on the event loop.

    It takes what it is given: who adds jobs sees to it that not too many of theirs wait.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.users = 0
        self._jobs: list[Job] = []
        self._timer: asyncio.TimerHandle | None = None
        self._handed: queue.SimpleQueue[list[Job] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=_work, args=(self._handed,), name="recorder", daemon=True)
        self._thread.start()

    def add(self, job: Job) -> None:
        """Have something done soon."""
        self._jobs.append(job)
        if self._timer is None:
            self._timer = self.loop.call_later(HAND_OVER_S, self._hand_over)

    async def flush(self, limit_s: float) -> bool:
        """Wait until what was added is done; return whether it was in time."""
        done = asyncio.Event()
        self.add(lambda: _tell(self.loop, done.set))
        self._hand_over()
        try:
            async with asyncio.timeout(limit_s):
                await done.wait()
        except TimeoutError:
            return False
        return True

    async def release(self) -> None:
        """One user less; with the last one ends the thread."""
        self.users -= 1
        if self.users == 0:
            _writers.remove(self)
            self._hand_over()
            self._handed.put(None)
            await asyncio.to_thread(self._thread.join, END_LIMIT_S)

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        jobs, self._jobs = self._jobs, []
        self._handed.put(jobs)


def _work(handed: queue.SimpleQueue[list[Job] | None]) -> None:
    """The thread, until None comes. What was written is not held until more comes."""
    while _do(handed.get()):
        pass


def _do(jobs: list[Job] | None) -> bool:
    for job in jobs or ():
        try:
            job()
        except Exception:  # of one room; the others' are done
            log.exception("job_failed")
    return jobs is not None


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(what)


_writers: list[Writer] = []


def take_writer() -> Writer:
    """Return the event loop's writer, begun if there is none. Pair with release()."""
    loop = asyncio.get_running_loop()
    writer = next((writer for writer in _writers if writer.loop is loop), None)
    if writer is None:
        writer = Writer()
        _writers.append(writer)
    writer.users += 1
    return writer
