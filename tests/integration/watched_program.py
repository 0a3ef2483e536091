"""A program under the watchdog, for tests: `python -m tests.integration.watched_program LIMIT_S WHAT`.

Prints "running", does WHAT on its event loop, and ends with 0 a second after that.
"""

from __future__ import annotations

import asyncio
import pdb
import re
import sys
import time

from consult.watchdog import watched

LONG_S = 30


def sleep() -> None:
    time.sleep(LONG_S)


def spin() -> None:
    until_s = time.monotonic() + LONG_S
    while time.monotonic() < until_s:
        pass


def match() -> None:
    """A regular expression that goes on for ever, and keeps Python's lock."""
    re.match(r"(a+)+$", "a" * 60 + "b")


def debug() -> None:
    pdb.Pdb(nosigint=True).set_trace()


def nothing() -> None:
    pass


async def main(limit_s: float, what: str) -> None:
    async with watched(limit_s):
        await asyncio.sleep(0.3)
        print("running", flush=True)
        {one.__name__: one for one in (sleep, spin, match, debug, nothing)}[what]()
        await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), sys.argv[2]))
