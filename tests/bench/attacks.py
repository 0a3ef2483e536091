"""What others notice of attacks: frames lost, and how much later the slowest in a hundred arrive than in peace.

`python -m tests.bench.attacks [name …]`; writes build/bench/attacks.json. Everything runs on one machine, the attackers
too: what they take of its cores is part of the figures.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from consult.load_test.traffic import percentile
from tests.attacks.attacks import CONNECTIONS, DATAGRAMS, SOCKETS, Run
from tests.attacks.house import Outcome, Server, open_house, run_server, suffer

SECONDS = 5
ROUNDS = 3
BUILD = Path("build/bench")
ATTACKS = {**DATAGRAMS, **CONNECTIONS, **SOCKETS}


@dataclass(frozen=True, slots=True)
class Noticed:
    """added_p99_ms: the middle of the rounds, each against peace just before. late_ms: how late the load was itself."""

    attack: str
    expected: int
    lost: int
    peace_p99_ms: float
    added_p99_ms: float
    late_ms: float
    grown_mb: float


async def measure(server: Server, name: str, run: Run) -> Noticed:
    rounds = [(await _suffer(server, None), await _suffer(server, run)) for _ in range(ROUNDS)]
    return Noticed(
        attack=name,
        expected=sum(war.count.expected for _, war in rounds),
        lost=sum(war.count.lost for _, war in rounds),
        peace_p99_ms=round(median(percentile(peace.count.latencies_ms, 0.99) for peace, _ in rounds), 2),
        added_p99_ms=round(
            median(
                percentile(war.count.latencies_ms, 0.99) - percentile(peace.count.latencies_ms, 0.99)
                for peace, war in rounds
            ),
            2,
        ),
        late_ms=round(max(war.count.late_ms for _, war in rounds), 1),
        grown_mb=round(max(war.grown_bytes for _, war in rounds) / 1e6, 1),
    )


async def _suffer(server: Server, run: Run | None) -> Outcome:
    async with open_house(server) as house:
        return await suffer(house, run, SECONDS)


async def main(names: list[str]) -> None:
    found = []
    with tempfile.TemporaryDirectory(prefix="consult-bench-") as folder, run_server(Path(folder)) as server:
        for name in names or ATTACKS:
            noticed = await measure(server, name, ATTACKS[name])
            found.append(noticed)
            print(
                f"{noticed.attack:26} {noticed.lost:4} of {noticed.expected:5} frames lost,"
                f" p99 {noticed.peace_p99_ms:6.1f} ms {noticed.added_p99_ms:+6.1f} ms,"
                f" load late {noticed.late_ms:.0f} ms",
                flush=True,
            )
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "attacks.json").write_text(json.dumps([asdict(one) for one in found], indent=2) + "\n")
    worst_ms = max(one.added_p99_ms for one in found)
    print(f"attacks lost={sum(one.lost for one in found)} worst_added_p99_ms={worst_ms:.1f}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
