from __future__ import annotations

from pathlib import Path

import pytest

from consult import cores
from consult.cores import usable_cores


@pytest.mark.parametrize(
    ("content", "expected"),
    [("max 100000\n", 8), ("200000 100000\n", 2), ("50000 100000\n", 1), ("1600000 100000", 8), ("nonsense", 8)],
)
def test_a_containers_limit_counts_like_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, expected: int
) -> None:
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)
    (tmp_path / "cpu.max").write_text(content)
    assert usable_cores(tmp_path / "cpu.max") == expected


def test_without_a_limit_the_machines_cores_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _pid: set(range(3)), raising=False)
    assert usable_cores(tmp_path / "none") == 3
