"""What the colours of base.css must keep in light, dark and room, measured from its tokens (WCAG 2.2, 1.4.3 and 11)."""

from __future__ import annotations

import re

import pytest

from consult.files import folder

TEXT, OUTLINE = 4.5, 3.0
PEOPLE = ("expert", "patient", "family", "doctor", "clinic")
GROUNDS = ("paper", "surface", "sunken")
MEANINGS = ("record", "amber", "green")

# What is read on what.
READ = [
    *((ink, ground) for ink in ("ink", "ink-2") for ground in (*GROUNDS, "accent-soft")),
    *(("ink-3", ground) for ground in (*GROUNDS, "accent-soft")),
    *(("accent", ground) for ground in GROUNDS),
    ("accent-strong", "surface"), ("accent-strong", "paper"),
    ("on-accent", "accent"), ("on-accent", "accent-strong"), ("accent-ink", "accent-soft"),
    *((name, f"{name}-soft") for name in MEANINGS),
    *((name, ground) for name in MEANINGS for ground in ("paper", "surface")),
    *(("ink", f"{name}-soft") for name in MEANINGS), *(("ink-2", f"{name}-soft") for name in MEANINGS),
    ("on-fill", "record-fill"),
    *((name, f"{name}-soft") for name in PEOPLE), *((name, "surface") for name in PEOPLE),
]  # fmt: skip

# What has to stand out without being read: outlines of controls, solid grounds, bars, dots, the focus ring.
SEEN = [
    *((line, ground) for line in ("edge", "accent", "focus") for ground in ("paper", "surface", "sunken")),
    *((f"{name}-fill", ground) for name in MEANINGS for ground in ("paper", "surface")),
    ("green-fill", "sunken"),
]


def read_tokens() -> dict[str, dict[str, str]]:
    """Return the colours of each scheme by token name."""
    css = (folder("static") / "css" / "base.css").read_text()
    light = _block(css, ":root {")
    dark = _block(css[css.index("@media screen and (prefers-color-scheme: dark)") :], ":root {")
    room = _block(css, '[data-surround="room"] {')
    return {"light": light, "dark": light | dark, "room": light | room}


def _block(css: str, head: str) -> dict[str, str]:
    start = css.index(head) + len(head)
    return dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", css[start : css.index("}", start)]))


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark", "room"])
def test_every_text_can_be_read_on_its_ground(scheme: str) -> None:
    colours = read_tokens()[scheme]
    low = {pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in READ}
    assert {pair: found for pair, found in low.items() if found < TEXT} == {}


@pytest.mark.parametrize("scheme", ["light", "dark", "room"])
def test_every_outline_and_fill_stands_out_from_its_ground(scheme: str) -> None:
    colours = read_tokens()[scheme]
    low = {pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in SEEN}
    assert {pair: found for pair, found in low.items() if found < OUTLINE} == {}


def test_the_room_has_no_hue_in_its_grounds() -> None:
    colours = read_tokens()["room"]
    for name in (*GROUNDS, "line"):
        parts = [int(colours[name][at : at + 2], 16) for at in (1, 3, 5)]
        assert max(parts) - min(parts) <= 6, name


def test_pages_use_tokens_and_no_colours_of_their_own() -> None:
    for path in sorted((folder("static") / "css").glob("*.css")):
        if path.name != "base.css":
            found = re.findall(r"#[0-9a-fA-F]{3,8}\b|\brgba?\(|\bhsla?\(", path.read_text())
            assert found == [], path.name
