"""Two consultations, forwarded and recorded, by Consult and by MediaRelay + MediaRecorder: CPU seconds of both servers.

`python -m tests.bench.media_smoke`; writes build/bench/media-smoke.json. Only ratios within one run mean anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp
import av
import psutil

from tests.bench.load import Frames, Load, make_frames

CONSULTATIONS = 2
SECONDS = 10
SETTLE_S = 4  # at least one keyframe has come
START_LIMIT_S = 30
STOP_LIMIT_S = 60
BUILD = Path("build/bench")


@dataclass(frozen=True, slots=True)
class Result:
    """cpu_s: per consultation-minute. frames: sent while measured; lost: of them, not received bit by bit (a server
    that encodes anew loses them all). recorded_frames: pictures in the recordings that decode."""

    server: str
    cpu_s: float
    frames: int
    lost: int
    recorded_frames: int
    rss_mb: float


async def measure(server: str, frames: Frames, folder: Path) -> Result:
    """Run one server under load."""
    folder.mkdir()
    command = [sys.executable, "-m", "tests.bench.servers", server, str(folder)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        port = int(await asyncio.wait_for(process.stdout.readline(), START_LIMIT_S))
        watched = psutil.Process(process.pid)
        load = Load(frames, slots=server == "consult")
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(STOP_LIMIT_S)) as http:
            await load.connect(http, f"http://127.0.0.1:{port}", CONSULTATIONS)
            await asyncio.sleep(SETTLE_S)
            before, began_s = watched.cpu_times(), time.monotonic()
            sent, lost = await load.run(SECONDS)
            after, ended_s = watched.cpu_times(), time.monotonic()
            rss_mb = watched.memory_info().rss / 1e6
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                await http.post(f"http://127.0.0.1:{port}/stop")
            await load.close()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    used_s = after.user + after.system - before.user - before.system
    cpu_s = used_s / (ended_s - began_s) * 60 / CONSULTATIONS
    recorded = await asyncio.to_thread(_count_recorded, folder)
    return Result(server, round(cpu_s, 3), sent, lost, recorded, round(rss_mb, 1))


def _count_recorded(folder: Path) -> int:
    pictures = 0
    for path in [*folder.glob("*/*.webm"), *folder.glob("*.mp4")]:
        with contextlib.suppress(av.FFmpegError), av.open(str(path)) as file:
            pictures += sum(1 for _ in file.decode(video=0))
    return pictures


async def main() -> None:
    frames = make_frames(BUILD)
    folder = Path(tempfile.mkdtemp(prefix="consult-bench-"))
    try:
        ours = await measure("consult", frames, folder / "consult")
        naive = await measure("naive", frames, folder / "naive")
    finally:
        shutil.rmtree(folder)
    results = {"consultations": CONSULTATIONS, "seconds": SECONDS, "servers": [asdict(ours), asdict(naive)]}
    (BUILD / "media-smoke.json").write_text(json.dumps(results, indent=2) + "\n")
    for result in (ours, naive):
        print(
            f"{result.server:8} {result.cpu_s:8.2f} CPU s per consultation-minute, {result.recorded_frames} pictures"
            f" recorded, {result.rss_mb:.0f} MB"
        )
    print(f"media-smoke ratio_naive={ours.cpu_s / naive.cpu_s:.4f} lost={ours.lost}")


if __name__ == "__main__":
    asyncio.run(main())
