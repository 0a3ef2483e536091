"""The demonstration's records, drawn by us: a pathology report of four pages and a picture like a CT slice.

Nobody's data: every name, number and finding is made up.
"""

from __future__ import annotations

import io
import math
import random

import numpy
from PIL import Image, ImageDraw, ImageFilter, ImageFont

PAGE_PX = (1060, 1500)  # A4 at about 128 dpi
MARGIN_PX = 96
INK, GREY, LINE, TINT = (28, 34, 33), (92, 100, 98), (190, 190, 184), (228, 238, 236)

_HEAD = ("Northgate Institute of Pathology", "Report 24-11873 · made up for this demonstration")
_PAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Surgical pathology report",
        (
            "Patient: Ana Ribeiro        Material received: CT-guided core biopsy, right upper lobe",
            "",
            "Clinical question",
            "A solid lesion of 24 mm in the right upper lobe, found on a CT scan that was made for a cough of "
            "three months. No earlier cancer. Please state the type and the markers that guide treatment.",
            "",
            "Diagnosis",
            "Adenocarcinoma of the lung, acinar pattern in about 70 %, papillary pattern in about 30 % of the "
            "tumour. Grade 2. No invasion of blood vessels in the material at hand.",
            "",
            "Staging with the images: cT1c cN0 cM0, clinical stage IA3.",
        ),
    ),
    (
        "What was seen under the microscope",
        (
            "Three cores of 11, 9 and 6 mm. Tumour fills about 60 % of the tissue.",
            "",
            "Glands of irregular shape lie in a fibrous stroma. The nuclei are enlarged, with visible nucleoli; "
            "three mitoses in ten fields. There is no necrosis.",
            "",
            "Figure 1 shows the arrangement of the glands, drawn from the section.",
        ),
    ),
    (
        "Markers",
        (
            "TTF-1 positive. Napsin A positive. p40 negative. PD-L1: 15 % of the tumour cells.",
            "",
            "EGFR: deletion in exon 19 found. ALK, ROS1, RET: no rearrangement. KRAS: no mutation.",
            "",
            "Figure 2 shows the share of stained cells for each marker.",
        ),
    ),
    (
        "Comment and proposed plan",
        (
            "The findings fit a primary adenocarcinoma of the lung with a mutation that can be treated.",
            "",
            "Proposed by the tumour board: removal of the right upper lobe with the lymph nodes of the "
            "mediastinum, then treatment against EGFR for three years.",
            "",
            "Open points",
            "1. Is a smaller operation (segmentectomy) enough for a tumour of this size?",
            "2. Should the treatment against EGFR be given at all in stage IA3?",
            "3. Which follow-up, and how often?",
            "",
            "Signed: Dr R. Lindqvist, pathologist",
        ),
    ),
)


def draw_report() -> bytes:
    """Return the report as a PDF of four pages."""
    pages = [_draw_page(number, title, lines) for number, (title, lines) in enumerate(_PAGES, 1)]
    out = io.BytesIO()
    pages[0].save(out, "PDF", save_all=True, append_images=pages[1:], resolution=128, title="Pathology report")
    return out.getvalue()


def _draw_page(number: int, title: str, lines: tuple[str, ...]) -> Image.Image:
    page = Image.new("RGB", PAGE_PX, "white")
    draw = ImageDraw.Draw(page)
    small, body, large = (ImageFont.load_default(size) for size in (20, 27, 40))
    right = PAGE_PX[0] - MARGIN_PX
    draw.text((MARGIN_PX, 70), _HEAD[0], INK, body)
    draw.text((MARGIN_PX, 106), _HEAD[1], GREY, small)
    draw.line((MARGIN_PX, 146, right, 146), LINE, 2)
    draw.text((MARGIN_PX, 184), title, INK, large)
    y = 264
    for line in lines:
        for part in _wrapped(draw, line, body, right - MARGIN_PX):
            draw.text((MARGIN_PX, y), part, INK, body)
            y += 40
    if number == 2:
        _draw_glands(draw, y + 40)
    if number == 3:
        _draw_bars(draw, y + 60, body)
    draw.line((MARGIN_PX, PAGE_PX[1] - 96, right, PAGE_PX[1] - 96), LINE, 2)
    draw.text((MARGIN_PX, PAGE_PX[1] - 80), f"Page {number} of {len(_PAGES)}", GREY, small)
    return page


def _wrapped(
    draw: ImageDraw.ImageDraw, line: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width_px: int
) -> list[str]:
    rows = [""]
    for word in line.split(" "):
        longer = f"{rows[-1]} {word}" if rows[-1] else word
        if draw.textlength(longer, font) <= width_px:
            rows[-1] = longer
        else:
            rows.append(word)
    return rows


def _draw_glands(draw: ImageDraw.ImageDraw, top: int) -> None:
    rng = random.Random(7)  # noqa: S311 - the same drawing every time
    box = (MARGIN_PX, top, PAGE_PX[0] - MARGIN_PX, top + 560)
    draw.rectangle(box, fill=(247, 232, 238), outline=LINE)
    for column in range(6):
        for row in range(4):
            x = box[0] + 80 + column * 140 + rng.randint(-22, 22)
            y = box[1] + 76 + row * 134 + rng.randint(-18, 18)
            radius = rng.randint(38, 56)
            ring = [
                (
                    x + (radius + rng.randint(-9, 9)) * math.cos(step / 24 * math.tau),
                    y + (radius + rng.randint(-9, 9)) * math.sin(step / 24 * math.tau),
                )
                for step in range(24)
            ]
            draw.polygon(ring, fill=(214, 150, 182), outline=(120, 60, 110))
            draw.ellipse((x - radius // 2, y - radius // 2, x + radius // 2, y + radius // 2), fill=(250, 243, 246))
            for cx, cy in ring[::2]:
                draw.ellipse((cx - 6, cy - 6, cx + 6, cy + 6), fill=(84, 42, 110))
    draw.text((box[0], box[3] + 14), "Figure 1", GREY, ImageFont.load_default(20))


def _draw_bars(draw: ImageDraw.ImageDraw, top: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> None:
    left, width = MARGIN_PX + 190, PAGE_PX[0] - 2 * MARGIN_PX - 300
    for row, (name, percent) in enumerate((("TTF-1", 95), ("Napsin A", 90), ("PD-L1", 15), ("Ki-67", 22), ("p40", 0))):
        y = top + row * 92
        draw.text((MARGIN_PX, y + 8), name, INK, font)
        draw.rectangle((left, y, left + width, y + 46), fill=TINT)
        draw.rectangle((left, y, left + width * percent // 100, y + 46), fill=(13, 95, 93))
        draw.text((left + width + 20, y + 8), f"{percent} %", INK, font)
    draw.text((MARGIN_PX, top + 480), "Figure 2", GREY, ImageFont.load_default(20))


def draw_slice() -> bytes:
    """Return a PNG that looks like a slice of a chest CT: lungs, spine, heart, and a round lesion on one side."""
    size = 768
    noise = numpy.random.default_rng(11)
    picture = Image.new("L", (size, size), 4)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((40, 132, 728, 652), fill=118)
    draw.ellipse((60, 152, 708, 632), fill=136)
    draw.ellipse((92, 196, 356, 580), fill=22)
    draw.ellipse((412, 196, 676, 580), fill=22)
    draw.ellipse((330, 262, 540, 470), fill=150)
    draw.ellipse((344, 500, 424, 588), fill=226)
    draw.ellipse((368, 522, 400, 556), fill=120)
    for angle in range(20, 170, 25):
        x, y = 384 + 318 * math.cos(math.radians(angle + 180)), 392 + 236 * math.sin(math.radians(angle + 180))
        draw.ellipse((x - 20, y - 9, x + 20, y + 9), fill=220)
    draw.ellipse((198, 296, 250, 348), fill=172)  # the lesion
    vessels = numpy.random.default_rng(3)
    for left in (120, 440):
        for _ in range(26):
            x, y = left + int(vessels.integers(0, 210)), 240 + int(vessels.integers(0, 290))
            radius = int(vessels.integers(2, 6))
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=112)
    soft = numpy.asarray(picture.filter(ImageFilter.GaussianBlur(2.2)), dtype=numpy.float64)
    grain = noise.normal(0, 6.5, soft.shape)
    slice_ = Image.fromarray(numpy.clip(soft + grain, 0, 255).astype(numpy.uint8))
    ImageDraw.Draw(slice_).text((24, 20), "R    made up · not a patient", 190, ImageFont.load_default(20))
    out = io.BytesIO()
    slice_.save(out, "PNG")
    return out.getvalue()
