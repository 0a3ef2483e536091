"""Two people in Chromium: how long a turned page takes to the other screen, and a link to the first remote picture.

`python -m tests.bench.call_page`; writes build/bench/call-page.json. The times hold for this machine in this minute.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path

from playwright.async_api import Page

from consult.db import embedded
from consult.db.migrate import migrate
from consult.db.pool import create_pool
from consult.storage import open_store
from tests.browser.call_page import (
    OTHER,
    Arranged,
    arrange_in,
    let_in,
    open_expert,
    open_patient,
    turn_page,
    two_browsers,
)
from tests.browser.processes import Consult

TURNS = 24
RELOADS = 10
BUILD = Path("build/bench")


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


async def measure_turns(expert: Page, patient: Page, call: Arranged) -> list[float]:
    """Return the ms of each turn, forward through the report again and again."""
    await expert.click("[data-control=records]")
    await expert.click(f'[data-record-id="{call.pdf.id}"]')
    await patient.wait_for_selector(".stage[data-page='1'] canvas")
    found: list[float] = []
    while len(found) < TURNS:
        await expert.wait_for_timeout(500)  # the neighbours are being drawn, as while people talk
        found += [await turn_page(expert, patient, page) for page in (2, 3, 4, 5)]
        for page in (4, 3, 2, 1):
            await expert.click("[data-view=previous]")
            await patient.wait_for_selector(f".stage[data-page='{page}']")
    return found


async def measure_pictures(patient: Page) -> list[float]:
    """Return the ms from opening the call page (already admitted) to the expert's picture, each time."""
    found: list[float] = []
    for _ in range(RELOADS):
        began = time.monotonic()
        await patient.reload(wait_until="commit")
        await patient.wait_for_selector(f"{OTHER}.has-picture")
        found.append((time.monotonic() - began) * 1000)
        await patient.wait_for_timeout(1500)
    return found


async def run(folder: Path, database_url: str) -> dict[str, float]:
    consult = Consult(database_url, folder / "home")
    pool = await create_pool(database_url)
    consult.start("web")
    try:
        call = await arrange_in(pool, open_store((consult.home / "files").as_uri()))
        async with two_browsers(folder) as (clinic, home):
            expert = await open_expert(clinic, consult, call)
            patient = await open_patient(home, consult, call)
            await let_in(expert, patient)
            turns = await measure_turns(expert, patient, call)
            pictures = await measure_pictures(patient)
    finally:
        await pool.close()
        consult.stop()
    return {
        "turn_p50_ms": round(percentile(turns, 0.5), 1),
        "turn_p95_ms": round(percentile(turns, 0.95), 1),
        "picture_p50_ms": round(percentile(pictures, 0.5)),
        "picture_p95_ms": round(percentile(pictures, 0.95)),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = embedded.start(folder / "postgres", log=folder / "postgres.log", fast=True)
        try:
            asyncio.run(migrate(server.url()))
            result = asyncio.run(run(folder, server.url()))
        finally:
            server.stop()
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "call-page.json").write_text(json.dumps(result, indent=1))
    print("call-page " + " ".join(f"{name}={value:g}" for name, value in result.items()))


if __name__ == "__main__":
    main()
