"""Whatever bytes come in, every parser gives an answer that it documents."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import nearly
from tests.fuzz.targets import CORPUS, TARGETS, seeds

EXAMPLES = {"recording": 60, "spool": 60}  # those that write files
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_nearly_right_gets_an_answer(name: str) -> None:
    @settings(max_examples=EXAMPLES.get(name, 400), suppress_health_check=SLOW)
    @given(nearly(name))
    def attack(data: bytes) -> None:
        TARGETS[name](data)

    attack()


@pytest.mark.parametrize("name", TARGETS)
def test_anything_at_all_gets_an_answer(name: str) -> None:
    @settings(max_examples=EXAMPLES.get(name, 200), suppress_health_check=SLOW)
    @given(st.binary(max_size=400))
    def attack(data: bytes) -> None:
        TARGETS[name](data)

    attack()


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_corpus_gets_its_answers(path: Path) -> None:
    """Real examples, and what a fuzzer once found."""
    TARGETS[path.parent.name](path.read_bytes())


def test_every_target_has_a_corpus_and_every_corpus_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert all(seeds(name) for name in TARGETS)
