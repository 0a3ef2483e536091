"""How soon a call is heard again after its media process was killed: two people in Chromium, real processes and Redis.

`python -m tests.bench.lost_process [KILLS]`; writes build/bench/lost-process.json. From the SIGKILL until sound of the
other arrives on a new connection, for each of the two. The times hold for this machine in this minute.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from consult.db import embedded
from consult.db.migrate import migrate
from consult.db.pool import create_pool
from consult.storage import open_store
from tests.bench.call_page import percentile
from tests.browser.call_page import OTHER, agree, arrange_in, let_in, open_expert, open_patient, two_browsers
from tests.browser.processes import Consult
from tests.browser.test_lost_media import kill_holder, until_heard_again
from tests.redis_server import RedisServer

KILLS = 10
BUILD = Path("build/bench")


async def run(folder: Path, database_url: str, redis: RedisServer, kills: int) -> list[float]:
    """Return the ms of each kill and person."""
    consult = Consult(database_url, folder / "home", REDIS_URL=redis.url)
    pool = await create_pool(database_url)
    found: list[float] = []
    try:
        consult.start("web", "media", "worker")
        call = await arrange_in(pool, open_store((consult.home / "files").as_uri()))
        async with two_browsers(folder) as (clinic, home):
            expert = await open_expert(clinic, consult, call)
            patient = await open_patient(home, consult, call)
            await let_in(expert, patient)
            await agree(expert, patient)
            for _ in range(kills):
                await expert.wait_for_timeout(4000)
                counts = [await page.evaluate("() => window.mediaConnections.length") for page in (expert, patient)]
                node, killed_at = await kill_holder(consult, redis.url, call.appointment_id)
                heard_at = await asyncio.gather(
                    *(until_heard_again(page, count) for page, count in zip((expert, patient), counts, strict=True))
                )
                found += [(at - killed_at) * 1000 for at in heard_at]
                print(f"{len(found) // 2}: {found[-2]:.0f} ms, {found[-1]:.0f} ms", flush=True)
                for page in (expert, patient):
                    await page.wait_for_selector(f"{OTHER}.has-picture")
                consult.wait_for_node(node)
    finally:
        consult.stop()
        await pool.close()
    return found


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    with tempfile.TemporaryDirectory(prefix="consult-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = embedded.start(folder / "postgres", log=folder / "postgres.log", fast=True)
        redis = RedisServer(folder)
        try:
            redis.start()
            asyncio.run(migrate(server.url()))
            found = asyncio.run(run(folder, server.url(), redis, kills))
        finally:
            redis.kill()
            server.stop()
    facts = {"kills": kills, "p50_ms": round(percentile(found, 0.5)), "p95_ms": round(percentile(found, 0.95)),
             "max_ms": round(max(found))}  # fmt: skip
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "lost-process.json").write_text(json.dumps({**facts, "each_ms": [round(one) for one in found]}, indent=1))
    print("lost_process", *(f"{name}={value}" for name, value in facts.items()))


if __name__ == "__main__":
    main()
