"""One consultation by Consult and by MediaRelay + MediaRecorder, for some seconds: does everything still fit together?

`make bench-media-smoke`; `make bench-media` measures. Writes build/bench/media-smoke.json.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import uvloop

from consult.load_test.frames import load_frames
from tests.bench.joining import Load
from tests.bench.measure import own_address
from tests.bench.media import BUILD, Bench, summarise

SECONDS = 10


async def main(folder: Path) -> None:
    bench = Bench(Load(load_frames(BUILD), own_address()), folder, SECONDS)
    await bench.run("consult", 1)
    await bench.run("naive", 1)
    figures = summarise(bench, 1, 1)
    (BUILD / "media-smoke.json").write_text(json.dumps([asdict(result) for result in bench.measured], indent=1))
    print(f"media-smoke ratio_naive={figures['ratio_naive']:g} lost={figures['lost']}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="consult-bench-") as name:
        Path(name).chmod(0o755)
        uvloop.run(main(Path(name)))
