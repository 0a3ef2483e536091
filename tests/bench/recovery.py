"""How soon two people in Chromium hear each other again: after a dead way, a killed server, a reload.

`python -m tests.bench.recovery [RUNS]`; writes build/bench/recovery.json. Seconds from the blow until both hear again,
of a killed server its start included. The times hold for this machine in this minute.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from playwright.async_api import BrowserContext, Page

from consult.db import embedded
from consult.db.migrate import migrate
from consult.db.pool import create_pool
from consult.storage import open_store
from tests.browser import hearing
from tests.browser.call_page import agree, arrange_in, let_in, open_expert, open_patient, two_browsers
from tests.browser.processes import Consult
from tests.impairment import PATCH_PAGE, Relay, Way

RUNS = 10
CALM_S = 4.0  # between one blow and the next
HEARING_AGAIN_S = 60
BUILD = Path("build/bench")

# How many packets of sound the page's newest connection has got, if it is not one of the first `connections`, else 0.
# Loudness of what is played would come later, and on a busy machine from a queue.
SOUND = """async (connections) => {
  if (window.mediaConnections.length <= connections) return 0;
  let packets = 0;
  for (const one of (await window.mediaConnections.at(-1).getStats()).values())
    if (one.type === "inbound-rtp" && one.kind === "audio") packets += one.packetsReceived;
  return packets;
}"""
ENOUGH_PACKETS = 5  # a tenth of a second


async def count_connections(page: Page) -> int:
    return int(await page.evaluate("() => window.mediaConnections.length"))


async def hears(page: Page, *, connections: int = 0, packets: int = 0) -> None:
    """Wait until a page gets more sound than these packets, on a connection after the first ones."""
    async with asyncio.timeout(HEARING_AGAIN_S):
        while await page.evaluate(SOUND, connections) < packets + ENOUGH_PACKETS:
            await asyncio.sleep(0.05)


class Call:
    """Two people who hear each other, and what may befall them. Each blow returns the s until both hear again.

    starts_s: how long a killed server took to start.
    """

    def __init__(self, consult: Consult, expert: Page, patient: Page, relay: Relay) -> None:
        self.starts_s: list[float] = []
        self._consult = consult
        self._expert, self._patient = expert, patient
        self._relay = relay

    async def lose_way(self) -> float:
        """The patient's way dies for good; the expert's stays, and falls silent."""
        connections = await count_connections(self._patient)
        self._relay.cut()
        began_s = time.monotonic()
        await asyncio.sleep(0.5)  # what was under way has arrived
        packets = int(await self._expert.evaluate(SOUND, 0))
        await asyncio.gather(hears(self._patient, connections=connections), hears(self._expert, packets=packets))
        return time.monotonic() - began_s

    async def lose_server(self) -> float:
        """A process is killed, and whoever watches over it starts another."""
        pages = (self._expert, self._patient)
        connections = [await count_connections(page) for page in pages]
        self._consult.kill("web")
        began_s = time.monotonic()
        await asyncio.to_thread(self._consult.start, "web")
        self.starts_s.append(round(time.monotonic() - began_s, 2))
        await asyncio.gather(*(hears(page, connections=one) for page, one in zip(pages, connections, strict=True)))
        return time.monotonic() - began_s

    async def reload(self) -> float:
        began_s = time.monotonic()
        await self._patient.reload(wait_until="commit")
        await hears(self._patient)
        return time.monotonic() - began_s


async def run(folder: Path, database_url: str, runs: int) -> dict[str, list[float]]:
    consult = Consult(database_url, folder / "home")
    pool = await create_pool(database_url)
    relay = Relay(Way(), Way())

    async def prepare_patient(context: BrowserContext) -> None:
        await hearing.prepare(context)
        await context.expose_function("throughLine", relay.rewrite)
        await context.add_init_script(PATCH_PAGE)

    consult.start("web")
    found: dict[str, list[float]] = {"network": [], "reload": [], "server": []}
    try:
        arranged = await arrange_in(pool, open_store((consult.home / "files").as_uri()))
        async with AsyncExitStack() as stack:
            clinic, home = await stack.enter_async_context(two_browsers(folder))
            expert = await open_expert(clinic, consult, arranged, prepare=hearing.prepare)
            patient = await open_patient(home, consult, arranged, prepare=prepare_patient)
            await let_in(expert, patient)
            await agree(expert, patient)
            call = Call(consult, expert, patient, relay)
            blows = {"network": call.lose_way, "reload": call.reload, "server": call.lose_server}
            for name, blow in blows.items():
                for _ in range(runs):
                    await asyncio.sleep(CALM_S)
                    found[name].append(round(await blow(), 2))
            found["server_start"] = call.starts_s
    finally:
        await relay.close()
        await pool.close()
        consult.stop()
    return found


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = embedded.start(folder / "postgres", log=folder / "postgres.log", fast=True)
        try:
            asyncio.run(migrate(server.url()))
            found = asyncio.run(run(folder, server.url(), runs))
        finally:
            server.stop()
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "recovery.json").write_text(json.dumps(found, indent=1))
    for name, values in found.items():
        print(f"{name:8} {' '.join(f'{value:.2f}' for value in values)}")
    print(
        "recovery "
        + " ".join(f"{name}_p95_s={percentile(found[name], 0.95):g}" for name in ("network", "server", "reload"))
    )


if __name__ == "__main__":
    main()
