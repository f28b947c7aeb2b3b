"""The rules for the boxes of one picture: which are kept, clipped, or dropped, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from tlx.data.augment import input_size_for
from tlx.data.doubts import EdgeTally
from tlx.data.faults import FaultReport
from tlx.data.formats.annotations import Annotation

SAME_BOX = 1.0  # px, and
SAME_SHARE = 0.05  # of the shorter side: corners this near are those of one box
MANY = 500  # boxes of a picture, which are compared one by one


def check_boxes(
    annotation: Annotation, size: tuple[int, int], faults: FaultReport, edges: EdgeTally
) -> tuple[np.ndarray, np.ndarray]:
    """The clipped boxes, float32 (n, 4), and which of them to keep, bool (n,)."""
    with np.errstate(over="ignore"):  # beyond float32 becomes inf, which is a fault below
        boxes = annotation.boxes.astype(np.float32)
    clipped = np.clip(boxes, 0, np.array([*size, *size], np.float32))
    kept = np.ones(len(boxes), bool)
    if _all_plain(boxes, clipped, annotation.names):
        edges.boxes += len(boxes)
        return clipped, kept
    seen: dict[str, list[np.ndarray]] = defaultdict(list)
    for i, (box, inside) in enumerate(zip(boxes, clipped, strict=True)):
        where = f"{annotation.source} box {i + 1}"
        kind = _box_fault(box, inside)
        if kind in (None, "clipped-box", "outside-box"):
            edges.add(box, inside, where)
        if kind in (None, "clipped-box"):
            known = seen[annotation.names[i]]
            kind = "duplicate-box" if any(_same_box(box, other) for other in known) else kind
            known.append(box)
        if kind:
            corners = " ".join(f"{value:g}" for value in annotation.boxes[i])
            detail = f"box {corners}, picture {size[0]}x{size[1]}"
            faults.add(kind, annotation.image, where, detail)
            kept[i] = kind == "clipped-box"
    return clipped, kept


def _all_plain(boxes: np.ndarray, clipped: np.ndarray, names: Sequence[str]) -> bool:
    """Whether no box (n, 4) has a fault: most pictures, and a fraction of the time for them."""
    sides = boxes[:, 2:] - boxes[:, :2]
    fraction = (boxes <= 1).all(1)  # inside of the picture: none is below 0
    if not ((boxes == clipped).all() and (sides > 0).all() and not fraction.any()):
        return False
    if len(boxes) < 2:
        return True
    if len(boxes) > MANY:
        return False
    slack = np.minimum(SAME_BOX, SAME_SHARE * sides.min(1))[:, None, None]
    alike = (np.abs(boxes[:, None] - boxes[None]) <= slack).all(2)
    np.fill_diagonal(alike, False)
    return not any(names[i] == names[j] for i, j in np.argwhere(alike))


def _same_box(box: np.ndarray, other: np.ndarray) -> bool:
    """Whether two boxes (4,) of one class are one: merged exports round each in its own way."""
    slack = min(SAME_BOX, SAME_SHARE * float((box[2:] - box[:2]).min()))
    return bool((np.abs(box - other) <= slack).all())


def _box_fault(box: np.ndarray, clipped: np.ndarray) -> str | None:
    if not np.isfinite(box).all():
        return "not-finite-box"
    if (box[2:] < box[:2]).any():
        return "inverted-box"
    if (box[2:] == box[:2]).any():
        return "zero-area-box"
    if (clipped[2:] <= clipped[:2]).any():
        return "outside-box"
    if (box >= 0).all() and (box <= 1).all():
        return "fraction-box"
    return "clipped-box" if (box != clipped).any() else None


def note_tiny(
    annotation: Annotation,
    boxes: np.ndarray,
    kept: np.ndarray,
    size: tuple[int, int],
    input_size: int,
    faults: FaultReport,
) -> None:
    """Report the kept boxes that the resize to the square input makes smaller than a pixel.

    Args:
        size: pixels of the picture that the input's width and height stand for.
    """
    if input_size_for(boxes[kept], size, input_size) is None:
        return
    for i in np.flatnonzero(kept).tolist():
        if needed := input_size_for(boxes[i : i + 1], size, input_size):
            width, height = ((boxes[i, 2:] - boxes[i, :2]) * input_size / np.array(size)).round(2)
            detail = (
                f"{width:g}x{height:g} px at the input size {input_size}; the smallest that keeps "
                f"it is {needed}"
            )
            faults.add("tiny-box", annotation.image, f"{annotation.source} box {i + 1}", detail)
