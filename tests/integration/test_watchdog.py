"""The watchdog, on a small program of its own process: what ends it, and what does not."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from consult.watchdog import EXIT_CODE

ROOT = Path(__file__).parents[2]
WITHIN_S = 90
LIMIT_S = 1.5


@contextmanager
def running(what: str, limit_s: float = LIMIT_S) -> Iterator[subprocess.Popen[str]]:
    """The program, once its loop has begun with what it does."""
    command = [sys.executable, "-m", "tests.integration.watched_program", str(limit_s), what]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            assert process.stdout.readline() == "running\n"
            yield process
        finally:
            process.kill()


def test_a_loop_that_stands_still_ends_the_process_and_says_where() -> None:
    with running("sleep") as process:
        _, said = process.communicate(timeout=WITHIN_S)
        assert process.returncode == EXIT_CODE
    assert '"event": "loop.stands_still"' in said
    assert "in sleep" in said, said


def test_a_loop_that_does_nothing_but_compute_ends_the_process_too() -> None:
    with running("spin") as process:
        _, said = process.communicate(timeout=WITHIN_S)
        assert process.returncode in (EXIT_CODE, -signal.SIGPROF), "whichever of the two comes first"
    assert "in spin" in said, said


def test_code_that_keeps_pythons_lock_ends_the_process_too() -> None:
    with running("match") as process:
        _, said = process.communicate(timeout=WITHIN_S)
        assert process.returncode == -signal.SIGPROF
    assert "in match" in said, said


def test_a_process_that_was_stopped_as_a_whole_goes_on() -> None:
    with running("nothing") as process:
        for _ in range(2):
            process.send_signal(signal.SIGSTOP)
            time.sleep(2 * LIMIT_S)
            process.send_signal(signal.SIGCONT)
        _, said = process.communicate(timeout=WITHIN_S)
        assert (process.returncode, said) == (0, "")


def test_somebody_at_a_debuggers_prompt_has_all_the_time() -> None:
    with running("debug") as process:
        time.sleep(3 * LIMIT_S)
        assert process.poll() is None
        process.communicate("continue\n", timeout=WITHIN_S)
        assert process.returncode == 0


def test_it_can_be_turned_off() -> None:
    with running("sleep", limit_s=0) as process:
        time.sleep(2 * LIMIT_S)
        assert process.poll() is None
