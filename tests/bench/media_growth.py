"""How the cost of a call grows with participants, with consultations and with lost packets.

`make bench-media-growth`: measures Consult alone, writes build/bench/media-growth.json, the plot
docs/pictures/media-growth.svg and the table in docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import uvloop

from consult.load_test.frames import load_frames
from tests.bench import document
from tests.bench.joining import Load
from tests.bench.measure import Measured, measure, own_address
from tests.bench.media import BUILD, BUSY_CORES, MOST_LATE_MS, line
from tests.bench.plot import Panel, draw

CONSULTATIONS = (1, 2, 5, 10, 20, 40, 60, 80)
PARTICIPANTS = (2, 3, 4, 6)  # a room holds six
LOSSES = (0.0, 0.01, 0.05)
BESIDE = 10  # consultations while participants and loss are varied
PLOT = Path("docs/pictures/media-growth.svg")


@dataclass(frozen=True, slots=True)
class Point:
    what: str
    label: str
    result: Measured


class Growth:
    def __init__(self, load: Load, folder: Path, seconds: float) -> None:
        self._load = load
        self._folder = folder
        self._seconds = seconds
        self.points: list[Point] = []

    async def measure(
        self, what: str, label: str, *, consultations: int, participants: int = 2, loss: float = 0
    ) -> Measured:
        folder = self._folder / f"{len(self.points)}"
        result = await measure(
            "consult",
            replace(self._load, loss=loss),
            folder,
            consultations=consultations,
            participants=participants,
            seconds=self._seconds,
        )
        shutil.rmtree(folder)
        self.points.append(Point(what, label, result))
        print(f"{participants} people, {loss:.0%} loss  {line(result)}", flush=True)
        return result

    def of(self, what: str) -> list[Point]:
        return [point for point in self.points if point.what == what]


async def measure_growth(growth: Growth, most: int) -> None:
    for consultations in CONSULTATIONS:
        if consultations > most:
            break
        result = await growth.measure("consultations", str(consultations), consultations=consultations)
        if result.late_ms > MOST_LATE_MS and result.load_cpu > BUSY_CORES:
            print("This machine plays no more.")
            growth.points.pop()
            break
    beside = min(BESIDE, most)
    for participants in PARTICIPANTS:
        await growth.measure("participants", str(participants), consultations=beside, participants=participants)
    for loss in LOSSES:
        await growth.measure("loss", f"{loss:.0%}", consultations=beside, loss=loss)


def write_table(growth: Growth, load_average: float) -> str:
    lines = [
        document.circumstances(load_average),
        "",
        "| varied | | CPU s, raw | norm | calls per core | p50 / p99 ms | frames lost | MB each |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for point in growth.points:
        result = point.result
        lines.append(
            f"| {point.what} | {point.label} | {result.cpu_s:.2f} | {result.norm_s:.2f} | {result.per_core:.0f}"
            f" | {result.p50_ms:.2f} / {result.p99_ms:.2f} | {result.lost} of {result.expected} | {result.rss_mb:.1f} |"
        )
    lines += [
        "",
        f"Participants and loss were varied with {growth.of('loss')[0].result.consultations} consultations; a room"
        " holds six. Loss is of datagrams, in both directions, and repaired by NACK; lost are frames that did not"
        " arrive whole within a second. What a room forwards grows with participants × (participants − 1).",
        "",
        f"![CPU per consultation-minute over consultations, participants and loss](pictures/{PLOT.name})",
    ]
    return "\n".join(lines)


def write_down(growth: Growth, load_average: float) -> None:
    titles = {
        "consultations": ("two people each", "consultations"),
        "participants": ("more people", "participants"),
        "loss": ("a bad line", "datagrams lost, each way"),
    }
    panels = [
        Panel(title, below, [(point.label, point.result.norm_s) for point in growth.of(what)])
        for what, (title, below) in titles.items()
    ]
    PLOT.write_text(draw(panels, title="CPU per consultation-minute", unit="s (norm)"))
    document.replace("growth", write_table(growth, load_average))


async def main(given: argparse.Namespace, folder: Path) -> None:
    load_average = os.getloadavg()[0]
    growth = Growth(Load(load_frames(BUILD), own_address()), folder, given.seconds)
    await measure_growth(growth, given.most)
    (BUILD / "media-growth.json").write_text(json.dumps([asdict(point) for point in growth.points], indent=1))
    if not given.dry:
        write_down(growth, load_average)
    most = growth.of("consultations")[-1].result
    loss = growth.of("loss")[-1].result
    print(
        f"media-growth most_consultations={most.consultations} norm_s_at_most={most.norm_s:.3f}"
        f" norm_s_with_6={growth.of('participants')[-1].result.norm_s:.3f} norm_s_at_5_percent_loss={loss.norm_s:.3f}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.media_growth")
    parser.add_argument("--seconds", type=float, default=15, help="of each measurement (default 15)")
    parser.add_argument("--most", type=int, default=CONSULTATIONS[-1], help="consultations at once (default 80)")
    parser.add_argument("--dry", action="store_true", help="leave docs/ as it is")
    with tempfile.TemporaryDirectory(prefix="consult-bench-") as name:
        Path(name).chmod(0o755)
        uvloop.run(main(parser.parse_args(), Path(name)))
