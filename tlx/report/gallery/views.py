"""What is drawn on a picture: true objects, and what one run found, missed or made up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
