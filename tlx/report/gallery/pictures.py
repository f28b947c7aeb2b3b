"""Test pictures, or the part of one around a box, as small JPEGs, and what is drawn on them."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from tlx.common.errors import DataError
from tlx.data.formats.pictures import UnreadablePicture, decode, probe
from tlx.records.predictions import ImagePredictions, match

MOST_WRONG = 10  # drawn on a picture: those of a detector that has learnt nothing would hide it


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


def truth_view(image: ImagePredictions, classes: list[str]) -> View:
    """The objects that are there."""
    truth = image.truth
    kinds = ["ignored" if ignored else "truth" for ignored in truth.ignored.tolist()]
    boxes = [
        box_of(kind, box, _name(classes, label))
        for kind, box, label in zip(kinds, truth.boxes, truth.labels.tolist(), strict=True)
    ]
    count = _count(len(boxes), "object")
    return View("truth", count, f"{image.image}: {count}", boxes)


def run_view(title: str, image: ImagePredictions, classes: list[str]) -> View:
    """What one run shows on the picture: each detection of the shown score, each missed object."""
    matching, truth, found = match(image), image.truth, image.found
    wrong = [*matching.wrong_class, *matching.low_iou]
    unexplained = [pair.found for pair in wrong] + matching.false_alarms
    boxes = [box_of("missed", truth.boxes[i]) for i in matching.missed]
    boxes += [box_of("truth", truth.boxes[i]) for i in sorted({pair.truth for pair in wrong})]
    boxes += [found_box("found", image, pair.found, classes) for pair in matching.hits]
    surest = sorted(unexplained, key=lambda i: -found.scores[i])[:MOST_WRONG]
    boxes += [found_box("false", image, i, classes) for i in surest]
    boxes += [box_of("ignored", found.boxes[i]) for i in matching.ignored]
    note = f"{len(matching.hits)} found, {len(matching.missed)} missed, {len(unexplained)} wrong"
    if len(surest) < len(unexplained):
        note += f" ({len(surest)} drawn)"
    return View(title, note, f"{title} on {image.image}: {note}", boxes)


def found_box(kind: str, image: ImagePredictions, index: int, classes: list[str]) -> Box:
    """One detection with its score, and its class where there are several."""
    found = image.found
    words = [
        "✗" if kind == "false" else "",
        _name(classes, int(found.labels[index])),
        f"{found.scores[index]:.2f}",
    ]
    return box_of(kind, found.boxes[index], " ".join(word for word in words if word))


def box_of(kind: str, box: np.ndarray, text: str = "") -> Box:
    """A box from its corners (4,)."""
    x1, y1, x2, y2 = (float(value) for value in box)
    return Box(kind, round(x1, 1), round(y1, 1), round(x2 - x1, 1), round(y2 - y1, 1), text)


def _name(classes: list[str], label: int) -> str:
    return classes[label - 1] if len(classes) > 1 else ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


WHOLE_SIDE, PART_SIDE, QUALITY = 400, 280, 72  # px of the longer side; JPEG quality
_MARGIN, _LEAST_SHARE = 2.5, 0.3  # of the box's, and of the picture's longer side


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


def picture_path(root: str | None, image: ImagePredictions) -> Path:
    """Where the picture lies; `root` is the data root of the run's record."""
    return Path(root or ".") / image.image


def read_pixels(path: Path, image: ImagePredictions, bits: int | None = None) -> np.ndarray | None:
    """uint8 (height, width, 3) in full size; None unless the file is the one that was tested.

    Args:
        bits: that 16-bit files use; None: all.
    """
    try:
        upright = probe(path, bits).upright_size == (image.width, image.height)
        side = max(image.width, image.height)
        pixels = decode(path, rotate=upright, max_side=side, digest=image.sha256, bits=bits)
    except (DataError, UnreadablePicture):
        return None
    return pixels if pixels.shape[:2] == (image.height, image.width) else None


def whole(pixels: np.ndarray) -> Window:
    """The window that shows all of a picture."""
    height, width = pixels.shape[:2]
    return Window(0, 0, width, height, _jpeg(pixels, WHOLE_SIDE))


def around(pixels: np.ndarray, box: np.ndarray) -> Window:
    """A square window around a box (4,) in px, as far as the picture goes, with room about it."""
    height, width = pixels.shape[:2]
    x1, y1, x2, y2 = box.tolist()
    side = max(_MARGIN * max(x2 - x1, y2 - y1), _LEAST_SHARE * max(width, height))
    left, right = _span((x1 + x2) / 2, side, width)
    top, bottom = _span((y1 + y2) / 2, side, height)
    part = pixels[top:bottom, left:right]
    return Window(left, top, right - left, bottom - top, _jpeg(part, PART_SIDE))


def _span(middle: float, side: float, end: int) -> tuple[int, int]:
    """`side` px about the middle, moved into 0..end where it reaches over an edge."""
    length = min(round(side), end)
    start = min(max(round(middle - length / 2), 0), end - length)
    return start, start + length


def _jpeg(pixels: np.ndarray, longest: int) -> str:
    picture = Image.fromarray(pixels)
    picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
