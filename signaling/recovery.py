"""Finishes what killed processes left in the spool, in a process of its own: reading an hour of video takes seconds,
and those belong to the calls of the process that looks.

    python -m signaling.recovery SPOOL
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from signaling.media import SegmentFinished
from signaling.spool import finished_segments, recover_spool, waits_for_recovery

UNTOUCHED_S = 2.0  # recorders write several times a second, and hold a lock while they do
LIMIT_S = 120  # what is not finished by then is gone on with the next time
NICE = 10
TOP = Path(__file__).parents[1]


def recover_apart(spool: Path) -> list[SegmentFinished]:
    """Return what waits in the spool to be filed, after finishing what nobody writes any more. Blocks; for a thread."""
    if waits_for_recovery(spool, untouched_s=UNTOUCHED_S):
        command = [sys.executable, "-m", "signaling.recovery", str(spool)]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(command, stdin=subprocess.DEVNULL, timeout=LIMIT_S, check=False, cwd=TOP)
    return finished_segments(spool)


if __name__ == "__main__":
    os.nice(NICE)
    recover_spool(Path(sys.argv[1]), untouched_s=UNTOUCHED_S)
