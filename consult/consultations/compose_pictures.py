"""The pictures of a consultation beside each other: who is seen when, and what stands in for them when nobody is.

Everything is drawn in YUV 4:2:0, as decoders give it and the encoder takes it; all sizes are even.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

import av
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

HOLD_MS: Final = 3_000  # a picture stands for as long as a slow line takes to send the next; then the camera is off
STRIP_PIXELS: Final = 36  # under each picture, with the name
MARGIN_PIXELS: Final = 12
# The surround of medical pictures has no hue; the words on it keep 7:1.
GROUND, PLATE, INK = 24, 40, 228
# Columns, and the size of each picture, by how many people there are.
_GRIDS: Final = ((1, (960, 540)), (2, (640, 480)), (4, (640, 360)), (6, (424, 318)), (9, (424, 240)), (16, (320, 180)))

Planes = npt.NDArray[np.uint8]


class FilmTrack(Protocol):
    """path: a file with one picture track. offset_ms: of its time zero on the clock. stands: until the next picture."""

    @property
    def path(self) -> Path: ...
    @property
    def offset_ms(self) -> int: ...
    @property
    def duration_ms(self) -> int: ...
    @property
    def stands(self) -> bool: ...


class PictureTrack:
    """The pictures of one place, over all its segments. seen: whether any could be decoded."""

    def __init__(self, tracks: Sequence[FilmTrack]) -> None:
        self.seen = False
        self._frames = _decode_all(sorted(tracks, key=lambda track: track.offset_ms))
        self._now: tuple[float, float, av.VideoFrame] | None = None  # (from, at most until, picture)
        self._next = next(self._frames, None)

    def at(self, at_ms: float) -> av.VideoFrame | None:
        """Return what is seen at an instant, None if nothing is. Only forwards."""
        while self._next is not None and self._next[0] <= at_ms:
            self._now, self._next = self._next, next(self._frames, None)
            self.seen = True
        if self._now is None or at_ms >= self._now[1]:
            return None
        return self._now[2]


def _decode_all(tracks: Sequence[FilmTrack]) -> Iterator[tuple[float, float, av.VideoFrame]]:
    for track in tracks:
        end_ms = track.offset_ms + track.duration_ms
        try:
            with av.open(str(track.path)) as file:
                stream = file.streams.video[0]
                stream.codec_context.thread_count = 1
                for packet in file.demux(stream):
                    try:
                        frames = packet.decode()
                    except av.error.InvalidDataError:
                        continue
                    for frame in frames:
                        if isinstance(frame, av.VideoFrame):
                            at_ms = float(frame.time or 0) * 1000 + track.offset_ms
                            yield at_ms, end_ms if track.stands else min(at_ms + HOLD_MS, end_ms), frame
        except (av.error.FFmpegError, IndexError):
            continue  # what was decoded up to here is shown


class Canvas:
    """One place per person, in the order of names. width, height: of the whole, in pixels."""

    def __init__(self, names: Sequence[str]) -> None:
        most, self._size = next((grid for grid in _GRIDS if len(names) <= grid[0]), _GRIDS[-1])
        names = names[:most]
        columns = 1 if len(names) == 1 else 2 if len(names) <= 4 else 3 if len(names) <= 9 else 4
        rows = -(-len(names) // columns)
        width, height = self._size
        self.width, self.height = columns * width, rows * (height + STRIP_PIXELS)
        self._places = [(number % columns * width, number // columns * (height + STRIP_PIXELS)) for number in
                        range(len(names))]  # fmt: skip
        self._plates = [_plate(name, self._size) for name in names]
        self._shown: list[av.VideoFrame | None] = [None] * len(names)
        self._y = np.full((self.height, self.width), GROUND, np.uint8)
        self._u, self._v = (np.full((self.height // 2, self.width // 2), 128, np.uint8) for _ in range(2))
        for (x, y), name, plate in zip(self._places, names, self._plates, strict=True):
            self._y[y + height : y + height + STRIP_PIXELS, x : x + width] = _strip(name, width)
            self._y[y : y + height, x : x + width] = plate

    def show(self, place: int, picture: av.VideoFrame | None) -> None:
        """Put a picture in a place; None: the plate with the initials. Whoever has no place is only heard."""
        if place >= len(self._places) or picture is self._shown[place]:
            return
        self._shown[place] = picture
        width, height = self._size
        x, y = self._places[place]
        self._u[y // 2 : (y + height) // 2, x // 2 : (x + width) // 2] = 128
        self._v[y // 2 : (y + height) // 2, x // 2 : (x + width) // 2] = 128
        if picture is None:
            self._y[y : y + height, x : x + width] = self._plates[place]
            return
        self._y[y : y + height, x : x + width] = GROUND
        fit_width, fit_height = _fit(picture.width, picture.height, width, height)
        x, y = x + (width - fit_width) // 4 * 2, y + (height - fit_height) // 4 * 2
        planes = picture.reformat(width=fit_width, height=fit_height, format="yuv420p").to_ndarray()
        small = (fit_height // 2, fit_width // 2)
        quarter = fit_width * fit_height // 4
        chroma = planes[fit_height:].reshape(-1)
        self._y[y : y + fit_height, x : x + fit_width] = planes[:fit_height]
        box = slice(y // 2, y // 2 + small[0]), slice(x // 2, x // 2 + small[1])
        self._u[box] = chroma[:quarter].reshape(small)
        self._v[box] = chroma[quarter:].reshape(small)

    def frame(self) -> av.VideoFrame:
        """Return what stands on the canvas now."""
        planes = np.concatenate([self._y.reshape(-1), self._u.reshape(-1), self._v.reshape(-1)])
        return av.VideoFrame.from_ndarray(planes.reshape(self.height * 3 // 2, self.width), format="yuv420p")


def _fit(width: int, height: int, most_width: int, most_height: int) -> tuple[int, int]:
    """The largest even size of the same shape."""
    scale = min(most_width / max(1, width), most_height / max(1, height))
    return max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2)


def _plate(name: str, size: tuple[int, int]) -> Planes:
    """A disc with the initials."""
    image = Image.new("L", size, PLATE)
    draw = ImageDraw.Draw(image)
    radius = size[1] // 5
    middle = (size[0] // 2, size[1] // 2)
    box = (middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius)
    draw.ellipse(box, outline=INK, width=2)
    initials = "".join(word[0] for word in name.split()[:1] + name.split()[1:][-1:]).upper()
    draw.text(middle, initials, fill=INK, font=_font(initials, radius * 4 // 5), anchor="mm")
    return np.asarray(image)


def _strip(name: str, width: int) -> Planes:
    image = Image.new("L", (width, STRIP_PIXELS), GROUND)
    font = _font(name, 20)
    while len(name) > 1 and font.getlength(name) > width - 2 * MARGIN_PIXELS:
        name = name[:-2] + "…"
    ImageDraw.Draw(image).text((MARGIN_PIXELS, STRIP_PIXELS // 2), name, fill=INK, font=font, anchor="lm")
    return np.asarray(image)


def _font(text: str, size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font has Latin letters alone; for others one of the system's, if there is one."""
    for font in (None,) if all(ord(letter) < 0x250 for letter in text) else ("NotoSans-Regular.ttf", "DejaVuSans.ttf"):
        try:
            found = ImageFont.load_default(size) if font is None else ImageFont.truetype(font, size)
        except OSError:
            continue
        assert isinstance(found, ImageFont.FreeTypeFont)
        return found
    default = ImageFont.load_default(size)
    assert isinstance(default, ImageFont.FreeTypeFont)
    return default
