"""Test pictures, or the part of one around a box, as small JPEGs, and what is drawn on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tlx.common.errors import DataError
from tlx.common.windows import WHOLE_SIDE, Box, View, Window, box_of, jpeg_uri, whole
from tlx.data.formats.pictures import UnreadablePicture, decode, probe
from tlx.records.predictions import ImagePredictions, match

__all__ = [
    "PART_SIDE", "WHOLE_SIDE", "Box", "View", "Window", "around", "box_of", "found_box",
    "picture_path", "read_pixels", "run_view", "truth_view", "whole",
]  # fmt: skip

MOST_WRONG = 10  # drawn on a picture: those of a detector that has learnt nothing would hide it


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


def _name(classes: list[str], label: int) -> str:
    return classes[label - 1] if len(classes) > 1 else ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


PART_SIDE = 280  # px of the longer side
_MARGIN, _LEAST_SHARE = 2.5, 0.3  # of the box's, and of the picture's longer side


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


def around(pixels: np.ndarray, box: np.ndarray) -> Window:
    """A square window around a box (4,) in px, as far as the picture goes, with room about it."""
    height, width = pixels.shape[:2]
    x1, y1, x2, y2 = box.tolist()
    side = max(_MARGIN * max(x2 - x1, y2 - y1), _LEAST_SHARE * max(width, height))
    left, right = _span((x1 + x2) / 2, side, width)
    top, bottom = _span((y1 + y2) / 2, side, height)
    part = pixels[top:bottom, left:right]
    return Window(left, top, right - left, bottom - top, jpeg_uri(part, PART_SIDE))


def _span(middle: float, side: float, end: int) -> tuple[int, int]:
    """`side` px about the middle, moved into 0..end where it reaches over an edge."""
    length = min(round(side), end)
    start = min(max(round(middle - length / 2), 0), end - length)
    return start, start + length
