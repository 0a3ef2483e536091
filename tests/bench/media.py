"""Calls, forwarded and recorded: Consult beside Janus VideoRoom and aiortc's MediaRelay + MediaRecorder, the same load.

`make bench-media`, or `python -m tests.bench.media -n 8 --seconds 10 --rounds 1 --servers consult,janus`. Servers take
turns, so that what else this machine does hits them alike; only ratios within one run and normalised figures mean much
(calibration.py). Writes build/bench/media.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import uvloop

from consult.load_test.frames import load_frames
from tests.bench import document, janus
from tests.bench.joining import Load
from tests.bench.measure import Measured, ServerName, measure, own_address
from tests.bench.recorded import Recorded, decode_all

BUILD = Path("build/bench")
LATENCY_CONSULTATIONS = 20
NAIVE_CONSULTATIONS = 1  # it takes a core for each
MOST_LATE_MS = 50.0  # a load sent later than this is not the load that was meant
BUSY_CORES = 0.6  # above it, it is our own load that is late, not somebody else who takes the core
NAMES: tuple[ServerName, ...] = ("consult", "janus", "naive")


class Bench:
    """The rounds of one run, and what came of them."""

    def __init__(self, load: Load, folder: Path, seconds: float) -> None:
        self._load = load
        self._folder = folder
        self._seconds = seconds
        self._runs = 0
        self.measured: list[Measured] = []
        self.recorded: dict[str, Recorded] = {}

    async def run(self, server: ServerName, consultations: int) -> Measured:
        """Measure one server once, decode what it recorded, and say how it was."""
        self._runs += 1
        folder = self._folder / f"{self._runs}-{server}"
        result = await measure(server, self._load, folder, consultations=consultations, seconds=self._seconds)
        self.measured.append(result)
        self._note_recorded(server, decode_all(folder, BUILD / "broken"))
        shutil.rmtree(folder)
        print(line(result), flush=True)
        return result

    async def find_most(self, wanted: int) -> int:
        """Return how many consultations this machine can play: `wanted`, or fewer if they would be sent late."""
        consultations = wanted
        while True:
            result = await self.run("consult", consultations)
            if result.late_ms <= MOST_LATE_MS or consultations == 1:
                return consultations
            if result.load_cpu < BUSY_CORES:
                print("The load was sent late, though it took little of a core: the machine is busy with other things.")
                return consultations
            self.measured.remove(result)
            consultations = consultations * 2 // 3
            print(f"The load was sent {result.late_ms:.0f} ms late: too many to play here. Trying {consultations}.")

    def of(self, server: str, consultations: int) -> list[Measured]:
        return [result for result in self.measured if result.server == server and result.consultations == consultations]

    def _note_recorded(self, server: str, recorded: Recorded) -> None:
        before = self.recorded.get(server, Recorded(0, 0, 0, 0))
        self.recorded[server] = Recorded(
            *(a + b for a, b in zip(asdict(before).values(), asdict(recorded).values(), strict=True))
        )


def line(result: Measured) -> str:
    return (
        f"{result.server:8} n={result.consultations:<3} {result.cpu_s:7.3f} CPU s per consultation-minute"
        f" (norm {result.norm_s:7.3f}, loop {result.loop_ms:5.1f} ms)  {result.per_core:6.1f} per core"
        f"  p50/p99 {result.p50_ms:.2f}/{result.p99_ms:.2f} ms  lost {result.lost} of {result.expected}"
        f"  {result.rss_mb:.2f} MB each  (load {result.load_cpu:.2f} cores, {result.late_ms:.1f} ms late)"
    )


def median(results: Sequence[Measured], name: str) -> float:
    return statistics.median(getattr(result, name) for result in results) if results else float("nan")


def summarise(bench: Bench, consultations: int, latency_consultations: int) -> dict[str, float | int]:
    """Return the figures of the last line. A server that was not measured makes its ratio nan."""
    ours = bench.of("consult", consultations)
    cost = median(ours, "norm_s")
    everything = [result for result in bench.measured if result.server == "consult"]
    return {
        "ratio_janus": round(cost / median(bench.of("janus", consultations), "norm_s"), 3),
        "ratio_naive": round(cost / median(bench.of("naive", NAIVE_CONSULTATIONS), "norm_s"), 4),
        "per_core_norm": round(60 / cost, 1),
        "p99_added_ms": round(median(bench.of("consult", latency_consultations), "p99_ms"), 2),
        "lost": sum(result.lost for result in everything),
        "rss_mb_per_consult": round(median(ours, "rss_mb"), 2),
    }


def write_table(bench: Bench, figures: dict[str, float | int], load_average: float) -> str:
    """Return what docs/performance.md says: medians of the rounds."""
    lines = [
        f"{document.circumstances(load_average)} Medians of the rounds:",
        "",
        "| server | consultations | CPU s per consultation-minute, raw | norm | per core | p50 / p99 ms | frames lost"
        " | MB each |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for server, n in dict.fromkeys((result.server, result.consultations) for result in bench.measured):
        results = bench.of(server, n)
        expected, lost = sum(result.expected for result in results), sum(result.lost for result in results)
        compared = f"{median(results, 'p50_ms'):.2f} / {median(results, 'p99_ms'):.2f} | {lost} of {expected}"
        lines.append(
            f"| {server} | {n} | {median(results, 'cpu_s'):.2f} | {median(results, 'norm_s'):.2f}"
            f" | {60 / median(results, 'norm_s'):.0f} | {compared if expected else '– | encoded anew'}"
            f" | {median(results, 'rss_mb'):.1f} |"
        )
    decoded = ", ".join(
        f"{server} {recorded.decoded} of {recorded.frames} in {recorded.files} files"
        for server, recorded in bench.recorded.items()
    )
    lines += [
        "",
        f"Recorded frames that decode: {decoded}.",
        "",
        "`media " + " ".join(f"{name}={value:g}" for name, value in figures.items()) + "`",
    ]
    return "\n".join(lines)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.media", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("-n", type=int, default=40, help="consultations (default 40)")
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement (default 20)")
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    parser.add_argument("--servers", default=",".join(NAMES), help="of consult,janus,naive")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/performance.md")
    parser.add_argument("--host", default=own_address(), help="the address of this machine that media uses")
    given = parser.parse_args()
    given.servers = [name for name in NAMES if name in given.servers.split(",")]
    if "consult" not in given.servers or given.n < 1 or given.rounds < 1:
        parser.error("consult itself is always among the servers, and -n and --rounds are at least 1")
    return given


async def main(given: argparse.Namespace, folder: Path) -> None:
    why_not = janus.missing() if "janus" in given.servers else None
    if why_not:
        print(f"Without Janus: {why_not}.")
        given.servers.remove("janus")
    load_average = os.getloadavg()[0]
    bench = Bench(Load(load_frames(BUILD), given.host), folder, given.seconds)
    n = await bench.find_most(given.n)
    latency_n = min(n, LATENCY_CONSULTATIONS)
    for number in range(given.rounds):
        for server in given.servers:
            if server != "naive" and (server, number) != ("consult", 0):  # whose first round found n
                await bench.run(server, n)
            if server != "naive" and latency_n != n:
                await bench.run(server, latency_n)
            if server == "naive":
                await bench.run(server, NAIVE_CONSULTATIONS)
    figures = summarise(bench, n, latency_n)
    for server, recorded in bench.recorded.items():
        print(
            f"{server:8} recorded {recorded.files} files; {recorded.decoded} of {recorded.frames} frames decode,"
            f" {recorded.broken} files do not from first to last"
        )
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "media.json").write_text(
        json.dumps(
            {
                "at": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
                "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
                "load_average_before": load_average,
                "consultations": n,
                **figures,
                "runs": [asdict(result) for result in bench.measured],
                "recorded": {server: asdict(recorded) for server, recorded in bench.recorded.items()},
            },
            indent=1,
        )
    )
    if given.write:
        document.replace("media", write_table(bench, figures, load_average))
    print("media " + " ".join(f"{name}={value:g}" for name, value in figures.items()))


if __name__ == "__main__":
    arguments = read_arguments()
    with tempfile.TemporaryDirectory(prefix="consult-bench-") as name:
        Path(name).chmod(0o755)
        uvloop.run(main(arguments, Path(name)))
