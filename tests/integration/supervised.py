"""A program under the supervisor, for tests: `python -m tests.integration.supervised COUNT FOLDER`.

Each of its processes writes its pid into FOLDER and lives until it is told to go or its lifeline closes; while a file
`broken` is in FOLDER it fails at once.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from consult.log import set_up_log
from consult.signals import hear_orders
from consult.supervisor import supervise


def main(count: int, folder: Path) -> int:
    async def live(place: int, lifeline: int) -> None:
        orders = hear_orders(lifeline)
        (folder / f"{place}-{os.getpid()}").touch()
        await orders.drain.wait()
        (folder / f"drains-{place}-{os.getpid()}").touch()
        await orders.stop.wait()

    def run(place: int, lifeline: int) -> int:
        if (folder / "broken").exists():
            return 3
        asyncio.run(live(place, lifeline))
        return 0

    set_up_log("json")
    return supervise(count, run)


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), Path(sys.argv[2])))
