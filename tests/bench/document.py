"""Puts measured figures into docs/performance.md, between two marks, with where and when they were measured."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

DOCUMENT = Path("docs/performance.md")


def replace(name: str, text: str) -> None:
    """Put text in place of what stands between the marks of that name."""
    first, last = f"<!-- {name}: written by make bench-media", f"<!-- end of {name} -->"
    before, mark, rest = DOCUMENT.read_text().partition(first)
    head, _, rest = rest.partition("\n")
    _, _, after = rest.partition(last)
    assert mark, f"{DOCUMENT} has no place for {name}"
    DOCUMENT.write_text(f"{before}{mark}{head}\n\n{text}\n\n{last}{after}")


def circumstances(load_average: float) -> str:
    """Return a sentence on when and where. load_average: of the machine before the measuring began."""
    now = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return (
        f"Measured {now} on {os.cpu_count()} cores ({platform.machine()}, {_cpu_name()}), Python"
        f" {platform.python_version()}; load average {load_average:.1f} beforehand."
    )


def _cpu_name() -> str:
    cpus = Path("/proc/cpuinfo")
    for entry in cpus.read_text().splitlines() if cpus.exists() else []:
        if entry.startswith("model name"):
            return entry.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
