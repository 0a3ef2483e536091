"""What the documents promise about the code, held against the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from consult.settings import Settings

TOP = Path(__file__).parents[2]
DOCUMENTS = sorted([TOP / "README.md", TOP / "CHANGES.md", *(TOP / "docs").rglob("*.md")])


def test_every_setting_is_explained_to_operators() -> None:
    text = (TOP / "docs" / "deployment.md").read_text()
    explained = set(re.findall(r"`([A-Z][A-Z_]+)`", text))
    assert {name.upper() for name in Settings.model_fields if name != "demo"} - explained == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)[^)]*\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_architecture_names_only_what_is_there() -> None:
    text = (TOP / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`((?:signaling|consult|docs|tests|static|templates)/[a-z_/]+(?:\.py|\.md|/)?)`", text))
    found = {name for name in named if (TOP / name).exists() or (TOP / f"{name}.py").exists()}
    functions = {name for name in named - found if "/service" in name}
    assert named - found - functions == set()
