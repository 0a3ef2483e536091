"""Keeps several processes of one kind running: one per core for calls.

Every process is a fork of this one, which has loaded the code and does nothing else, so that one that died is there
again in a fraction of a second. Owns starting, starting again (with pauses that grow), passing signals on, and that no
process outlives this one: each holds the end of a pipe that closes when this one is gone, however it went.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

import structlog

from consult.log import facts_of

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
STEADY_S = 30.0  # who lived for so long begins with the first pause again
LOOK_S = 0.1
ORDERS = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger()


@dataclass(slots=True)
class _Child:
    """place: 0, 1, …; the same for all processes that follow each other. pid: None while it pauses."""

    place: int
    pid: int | None = None
    started_s: float = 0.0
    start_at_s: float = 0.0
    pause_s: float = FIRST_PAUSE_S


def supervise(count: int, run: Callable[[int, int], int]) -> int:
    """Run `count` processes until SIGTERM or SIGINT, and until they followed; return the exit code, 0 if all is well.

    run(place, lifeline): what a process does, in the fork; it returns its exit code. lifeline: a pipe's end to watch.
    No other thread may be running.
    """
    return _Supervisor(count, run).run()


class _Supervisor:
    def __init__(self, count: int, run: Callable[[int, int], int]) -> None:
        self._children = [_Child(place) for place in range(count)]
        self._run_child = run
        self._lifeline, self._our_end = os.pipe()
        self._woken, self._waker = os.pipe()
        self._orders: list[int] = []
        self._ending = False
        self._failed = False

    def run(self) -> int:
        gc.collect()
        gc.freeze()  # what is loaded stays in memory that all processes share
        os.set_blocking(self._waker, False)
        os.set_blocking(self._woken, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        for number in ORDERS:
            signal.signal(number, self._hear)
        signal.signal(signal.SIGCHLD, _notice)
        while True:
            self._pass_on()
            self._bury()
            if self._ending and all(child.pid is None for child in self._children):
                return 1 if self._failed else 0
            self._start_those_due()
            self._wait()

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        self._orders.append(number)

    def _pass_on(self) -> None:
        while self._orders:
            number = self._orders.pop(0)
            self._ending = True
            for child in self._children:
                if child.pid is not None:
                    os.kill(child.pid, number)

    def _bury(self) -> None:
        for child in self._children:
            if child.pid is None:
                continue
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid == 0:
                continue
            child.pid = None
            code = os.waitstatus_to_exitcode(status)
            if self._ending:
                log.info("process.ended", place=child.place, pid=pid, code=code)
                self._failed = self._failed or code not in (0, -signal.SIGTERM, -signal.SIGINT)
                continue
            now_s = time.monotonic()
            child.pause_s = (
                FIRST_PAUSE_S if now_s - child.started_s >= STEADY_S else min(child.pause_s * 2, LONGEST_PAUSE_S)
            )
            child.start_at_s = now_s + child.pause_s
            log.error("process.died", place=child.place, pid=pid, code=code, again_in_s=child.pause_s)

    def _start_those_due(self) -> None:
        for child in self._children:
            if child.pid is None and not self._ending and child.start_at_s <= time.monotonic():
                child.started_s = time.monotonic()
                child.pid = self._fork(child.place)
                log.info("process.started", place=child.place, pid=child.pid)

    def _fork(self, place: int) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        # Until the child has forgotten our handlers, an order would be heard by the wrong one.
        signal.pthread_sigmask(signal.SIG_BLOCK, ORDERS)
        pid = os.fork()
        if pid != 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ORDERS)
            return pid
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (*ORDERS, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            for descriptor in (self._our_end, self._woken, self._waker):
                os.close(descriptor)
            os.setpgid(0, 0)  # a terminal's Ctrl-C comes through us, once
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ORDERS)
            code = self._run_child(place, self._lifeline)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except BaseException as error:
            log.critical("process.failed", place=place, **facts_of(error))
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _wait(self) -> None:
        pausing = any(child.pid is None for child in self._children) and not self._ending
        select.select([self._woken], [], [], LOOK_S if pausing else 60)
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)


def _notice(_number: int, _frame: FrameType | None) -> None:
    """A handler there must be, so that the wake-up pipe is written to."""
