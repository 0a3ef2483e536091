"""docs/protocol.md has every message of the registry, with an example that is one."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from signaling import messages as wire
from signaling.connection import close_code
from signaling.errors import SignalingError
from tests.unit.test_messages import FROM_BROWSER_SAMPLES, TO_BROWSER_SAMPLES

DOCUMENT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
ENTRY = re.compile(r"^### `(\w+)` – (from|to) the browser\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
EXAMPLES = {
    (name, direction): json.loads(re.search(r"```json\n(.*?)\n```", text, re.DOTALL)[1])  # type: ignore[index]
    for name, direction, text in ENTRY.findall(DOCUMENT)
}


def _names(direction: str) -> set[str]:
    return {name for name, its in EXAMPLES if its == direction}


def test_document_registry_and_round_trips_hold_the_same_messages() -> None:
    assert _names("from") == set(wire.FROM_BROWSER) == {wire.type_name(one) for one in FROM_BROWSER_SAMPLES}
    assert _names("to") == set(wire.TO_BROWSER.values()) == {wire.TO_BROWSER[type(one)] for one in TO_BROWSER_SAMPLES}


@pytest.mark.parametrize("name", sorted(_names("from")))
def test_an_example_from_a_browser_is_understood(name: str) -> None:
    example = EXAMPLES[name, "from"]
    assert wire.type_name(wire.decode(json.dumps(example))) == name
    assert set(example) - {"type"} == _fields(wire.FROM_BROWSER[name])


@pytest.mark.parametrize("name", sorted(_names("to")))
def test_an_example_to_a_browser_has_every_field(name: str) -> None:
    sample = next(one for one in TO_BROWSER_SAMPLES if wire.TO_BROWSER[type(one)] == name)
    assert _shape(EXAMPLES[name, "to"]) == _shape(json.loads(wire.encode(sample)))


def test_every_close_code_is_explained() -> None:
    def leaves(kind: type[SignalingError]) -> list[type[SignalingError]]:
        return [leaf for sub in kind.__subclasses__() for leaf in (leaves(sub) or [sub])]

    reasons: list[Any] = [None, *get_args(wire.EndReason)]
    used = {close_code(why) for why in [*reasons, *(kind() for kind in leaves(SignalingError))]}
    explained = {int(code) for code in re.findall(r"^\| (\d{4}) \|", DOCUMENT, re.MULTILINE)}
    assert explained == used | {1006}


def _fields(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def _shape(item: Any) -> Any:
    """The names of an object's fields, and of the objects in it; lists and null may be empty in an example."""
    if not isinstance(item, dict):
        return None
    return {key: _shape(value) for key, value in item.items()}
