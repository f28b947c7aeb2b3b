"""Pictures on a page: a small JPEG inside of it, and the boxes that are drawn over it."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

WHOLE_SIDE, QUALITY = 400, 72  # px of the longer side; JPEG quality


@dataclass(frozen=True)
class Box:
    """A box in px of the picture; `kind` is truth, ignored, found, missed or false."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    text: str = ""


@dataclass(frozen=True)
class View:
    """Boxes on a picture, its caption, and the same in words."""

    title: str
    note: str
    words: str
    boxes: list[Box]


class Label(NamedTuple):
    """Where a text stands; `anchor` is the end of it (start or end) that is at x."""

    x: float
    y: float
    anchor: str


@dataclass(frozen=True)
class Window:
    """A part of a picture: its place and size in the picture's px, and the JPEG as a data URI."""

    x: int
    y: int
    width: int
    height: int
    uri: str

    @property
    def type_size(self) -> float:
        """Height of type in px of the picture: about 11 px where the window is shown."""
        return round(max(self.width, 0.75 * self.height) / 15, 1)

    def label(self, box: Box) -> Label:
        """Where the text of a box goes: above it, on the side that leaves it inside the window."""
        right = box.x + box.width / 2 > self.x + self.width / 2
        above = box.y - self.type_size > self.y
        return Label(
            round(box.x + box.width if right else box.x, 1),
            round(box.y - 2 if above else box.y + self.type_size, 1),
            "end" if right else "start",
        )


def whole(
    pixels: np.ndarray, size: tuple[int, int] | None = None, side: int = WHOLE_SIDE
) -> Window:
    """The window that shows all of a picture.

    Args:
        size: (width, height) that its boxes are of; None: that of the pixels.
        side: the longest, px, of the JPEG.
    """
    width, height = size or (pixels.shape[1], pixels.shape[0])
    return Window(0, 0, width, height, jpeg_uri(pixels, side))


def box_of(kind: str, box: np.ndarray, text: str = "") -> Box:
    """A box from its corners (4,)."""
    x1, y1, x2, y2 = (float(value) for value in box)
    return Box(kind, round(x1, 1), round(y1, 1), round(x2 - x1, 1), round(y2 - y1, 1), text)


def jpeg_uri(pixels: np.ndarray, longest: int) -> str:
    """A picture, uint8 (H, W, 3), as a JPEG of at most `longest` px a side, in a data URI."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
