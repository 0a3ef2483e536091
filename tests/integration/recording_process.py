"""A process that records two members until it is killed. Argument: the spool. Prints `recording` once it does."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import aioice.ice

from signaling.media import MediaEvent
from signaling.relay import RoomMedia
from tests.integration.browsers import LOOPBACK, Browser, until


async def main(spool: Path) -> None:
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    started_s = time.time()
    events: list[MediaEvent] = []
    media = RoomMedia(
        "room-1",
        clock=lambda: int((time.time() - started_s) * 1000),
        spool=spool,
        ice=LOOPBACK,
        tell=events.append,
        started_at=str(started_s),
    )
    browsers = [Browser("one"), Browser("two")]
    for browser in browsers:
        await browser.join(media)
    await until(lambda: all(sum(browser.frames.values()) > 30 for browser in browsers))
    media.set_recording(True)
    sys.stdout.write("recording\n")
    sys.stdout.flush()
    await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
