"""Records real pictures though no file of it may grow past 200 kB. Argument: the spool. Prints what is told."""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

from signaling.disk import DiskWatch
from signaling.media import SpoolFailed
from tests.integration.browsers import until
from tests.integration.real_pictures import STEP_MS
from tests.integration.studio import MEMBER, Studio

LIMIT_BYTES = 200_000


async def main(spool: Path) -> None:
    studio = Studio(spool, disk=DiskWatch(spool, keep_free_bytes=0, warn_below_bytes=0))
    segment = studio.recorder.begin(MEMBER, studio.publications, 0)
    for at_ms in range(0, 8_000, 20):
        studio.say(at_ms)
        if at_ms % STEP_MS == 0:
            studio.show(at_ms)
    studio.run()
    await until(lambda: bool(studio.events), 60)
    studio.recorder.finish(segment)
    await studio.finished()
    for event in studio.events:
        name = type(event).__name__
        sys.stdout.write(f"{name} {event.reason}\n" if isinstance(event, SpoolFailed) else f"{name}\n")


if __name__ == "__main__":
    # Python ignores SIGXFSZ, so that a write past the limit fails with EFBIG.
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, LIMIT_BYTES))
    asyncio.run(main(Path(sys.argv[1])))
