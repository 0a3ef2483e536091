"""Small plots as SVG text: points of one line over named places, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

PANEL_WIDTH, PANEL_HEIGHT = 300, 220
LEFT, RIGHT, TOP, BOTTOM = 44, 16, 44, 40
INSET = 22  # from the axis to the first point, and from the last to the edge
INK, GRID, LINE = "#333333", "#d8d8d8", "#1f6f5c"


@dataclass(frozen=True, slots=True)
class Panel:
    """points: (what is written below, value). from 0 upwards; top: the value at the upper edge."""

    title: str
    below: str
    points: Sequence[tuple[str, float]]


def draw(panels: Sequence[Panel], *, title: str, unit: str) -> str:
    """Return an SVG with the panels in a row, all on one scale. unit: of the values, for the title."""
    top = _round_up(max(value for panel in panels for _, value in panel.points))
    width, height = PANEL_WIDTH * len(panels), PANEL_HEIGHT + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" font-family="sans-serif"'
        f' font-size="11" fill="{INK}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="18" font-size="13" font-weight="bold">{escape(title)}, {escape(unit)}</text>',
    ]
    for number, panel in enumerate(panels):
        parts.append(f'<g transform="translate({number * PANEL_WIDTH} 24)">{_panel(panel, top)}</g>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(panel: Panel, top: float) -> str:
    inner_width, inner_height = PANEL_WIDTH - LEFT - RIGHT, PANEL_HEIGHT - TOP - BOTTOM

    def place(index: int, value: float) -> tuple[float, float]:
        across = index / max(1, len(panel.points) - 1)
        x = LEFT + INSET + across * (inner_width - 2 * INSET)
        return round(x, 1), round(TOP + (1 - value / top) * inner_height, 1)

    parts = [f'<text x="{LEFT}" y="{TOP - 16}">{escape(panel.title)}</text>']
    for step in range(5):
        value = top * step / 4
        _, y = place(0, value)
        parts.append(f'<path d="M{LEFT} {y}H{PANEL_WIDTH - RIGHT}" stroke="{GRID}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{value:g}</text>')
    spots = [place(index, value) for index, (_, value) in enumerate(panel.points)]
    line = " ".join(f"{x},{y}" for x, y in spots)
    parts.append(f'<polyline points="{line}" fill="none" stroke="{LINE}" stroke-width="2"/>')
    for (x, y), (label, value) in zip(spots, panel.points, strict=True):
        parts.append(f'<circle cx="{x}" cy="{y}" r="3.5" fill="{LINE}"/>')
        parts.append(f'<text x="{x}" y="{y - 8}" text-anchor="middle">{value:.2f}</text>')
        parts.append(f'<text x="{x}" y="{PANEL_HEIGHT - BOTTOM + 16}" text-anchor="middle">{escape(label)}</text>')
    middle = LEFT + inner_width / 2
    parts.append(f'<text x="{middle}" y="{PANEL_HEIGHT - 8}" text-anchor="middle">{escape(panel.below)}</text>')
    return "".join(parts)


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 3, 4, 6, 8, 10, 20, … or their tenths and hundredths that leaves room for a label."""
    unit = 0.01
    while True:
        for factor in (1, 2, 3, 4, 6, 8):
            if unit * factor >= value * 1.15:
                return unit * factor
        unit *= 10
