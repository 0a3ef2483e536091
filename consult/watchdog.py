"""Ends a process whose event loop stands still: its calls are frozen, and only a new process can take them.

A thread looks whether the loop still turns. Code that keeps Python's own lock (a regular expression that does not end)
stops that thread too; against it there is a timer of the operating system that counts the CPU time we use between two
turns. Both say on standard error where every thread stood. Time in which the process was stopped (a suspended machine,
SIGSTOP, a debugger) or got no core (others on the machine are busy) does not count: a new process would fare no better.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import json
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import FrameType

LOOKS_PER_LIMIT = 8
EXIT_CODE = 70  # EX_SOFTWARE
SAY_S = 1.0  # for saying it: whoever reads our standard error may stand still as well
DEBUGGERS = ("pdb", "bdb", "pydevd", "debugpy", "_pydevd_bundle", "IPython")


@contextlib.asynccontextmanager
async def watched(limit_s: float) -> AsyncIterator[None]:
    """While open, the process ends if the running loop stands still for limit_s. 0: nobody looks."""
    if limit_s <= 0:
        yield
        return
    watch = _Watch(limit_s)
    watch.start()
    try:
        yield
    finally:
        watch.stop()


class _Watch:
    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._look_every_s = limit_s / LOOKS_PER_LIMIT
        # Other threads of ours use CPU time as well, at most that of all cores between two turns.
        self._cpu_limit_s = limit_s + self._look_every_s * (os.cpu_count() or 1)
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._turns = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watchdog", daemon=True)

    def start(self) -> None:
        faulthandler.register(signal.SIGPROF, all_threads=True, chain=True)  # then its default: the process ends
        self._turn()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()
        signal.setitimer(signal.ITIMER_PROF, 0)
        self._thread.join()
        faulthandler.unregister(signal.SIGPROF)

    def _turn(self) -> None:
        """On the loop, again and again."""
        self._turns += 1
        signal.setitimer(signal.ITIMER_PROF, self._cpu_limit_s)
        self._timer = self._loop.call_later(self._look_every_s, self._turn)

    def _look(self) -> None:
        """In the thread."""
        seen, still_s, used_s = 0, 0.0, time.process_time()
        while not self._stopped.wait(self._look_every_s):
            # A look counts once, however late it comes: what kept this thread waiting kept the loop waiting as well.
            now_used_s = time.process_time()
            wants_core = any(_wants_core(thread) for thread in threading.enumerate())
            still_s += now_used_s - used_s if wants_core else self._look_every_s
            used_s = now_used_s
            if self._turns != seen or self._is_debugged():
                seen, still_s = self._turns, 0.0
            elif still_s >= self._limit_s:
                _end(still_s)

    def _is_debugged(self) -> bool:
        frame: FrameType | None = sys._current_frames().get(self._loop_thread)
        while frame is not None:
            if str(frame.f_globals.get("__name__", "")).partition(".")[0] in DEBUGGERS:
                return True
            frame = frame.f_back
        return _is_traced()


def _wants_core(thread: threading.Thread) -> bool:
    """Whether another thread of ours runs, or would if it got a core (Linux tells)."""
    if thread is threading.current_thread():
        return False
    try:
        state = Path(f"/proc/self/task/{thread.native_id}/stat").read_text()
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] == "R"


def _is_traced() -> bool:
    """Whether a debugger of another process holds us (Linux tells)."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("TracerPid:"):
                return line.split()[1] != "0"
    return False


def _end(still_s: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, SAY_S)  # its default: the process ends
    said = {"event": "loop.stands_still", "level": "critical", "still_s": round(still_s, 1), "pid": os.getpid()}
    os.write(2, json.dumps(said).encode() + b"\n")
    faulthandler.dump_traceback(2, all_threads=True)
    os._exit(EXIT_CODE)
