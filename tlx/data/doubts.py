"""Sets that are refused as a whole: their boxes or names cannot be what their makers meant."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tlx.common.errors import DataError
from tlx.data.faults import RULES, Fault
from tlx.data.formats.annotations import Annotation, Item

LEAST_LOSS = 3  # pictures: a smaller set may have lost one of two
LEAST_BOXES = 5  # boxes over the edge: fewer are an annotator's slips
OVER_EDGE = 0.1  # of a box's area outside of its picture: more is no slip of the hand
DOUBTFUL = 0.25  # of a set's boxes
PERCENT = 100
LEAST_PERCENT = 10  # boxes
REACH = 0.8  # of the scale 0 to 100: what boxes all over their pictures reach


@dataclass
class EdgeTally:
    """How many boxes there are, and how many of them lie partly or wholly outside of the picture.

    Attributes:
        first: annotation file and box of the first that does.
    """

    boxes: int = 0
    outside: int = 0
    first: str = ""

    def add(self, box: np.ndarray, inside: np.ndarray, where: str) -> None:
        """Count a box (4,) of positive area; `inside` is the part of it in the picture."""
        self.boxes += 1
        sides, left = box[2:] - box[:2], (inside[2:] - inside[:2]).clip(0)
        if float(left.prod()) < (1 - OVER_EDGE) * float(sides.prod()):
            self.outside += 1
            self.first = self.first or where


def same_name(name: str) -> str:
    """A class name without what people write in different ways: case, spaces, dashes.

    Nor what they do not see: forms of one letter in Unicode, characters without a width.
    """
    name = unicodedata.normalize("NFKC", name)
    name = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
    return " ".join(re.split(r"[\s_-]+", name.casefold())).strip()


def refuse_spellings(annotations: Sequence[Annotation]) -> None:
    """`Gun`, `gun` and `gun ` are one class that several people wrote, not three."""
    count = Counter(name for annotation in annotations for name in annotation.names)
    spelled: dict[str, list[str]] = {}
    for name in sorted(count):
        spelled.setdefault(same_name(name), []).append(name)
    for names in spelled.values():
        if len(names) > 1:
            told = " and ".join(
                f"{name!r} ({count[name]} boxes, the first in "
                f"{next(a.source for a in annotations if name in a.names)})"
                for name in names
            )
            raise DataError(
                f"the classes {told} differ in spelling only: write them alike, or list them in "
                "data.classes or labels.txt where they are different classes"
            )


def refuse_fractions(annotations: Sequence[Annotation]) -> None:
    """Boxes in 0..1 would all be smaller than a pixel."""
    boxed = [a for a in annotations if len(a.boxes)]
    if boxed and all(float(np.nanmax(np.abs(a.boxes), initial=0)) <= 1 for a in boxed):
        raise DataError(
            f"all {sum(len(a.boxes) for a in boxed)} boxes lie within one pixel (the first: "
            f"{boxed[0].source}): fractions? Write them in pixels of the picture"
        )


def refuse_percent(items: Iterable[Item]) -> None:
    """Boxes of large pictures that fill 0..100 on both axes, and nothing beyond, are percents."""
    boxed = [item for item in items if len(item.boxes)]
    boxes = np.concatenate([item.boxes for item in boxed]) if boxed else np.zeros((0, 4))
    if len(boxes) < LEAST_PERCENT or min(min(item.size) for item in boxed) < 2 * PERCENT:
        return
    far = boxes[:, 2:].max(0)
    if (far <= PERCENT).all() and (far >= REACH * PERCENT).all():
        raise DataError(
            f"all {len(boxes)} boxes end within {PERCENT} px, and no picture has a side under "
            f"{2 * PERCENT} px (the first: {boxed[0].image}): percents? Write them in pixels of "
            "the picture"
        )


def refuse_overhang(tally: EdgeTally) -> None:
    """Where many boxes reach far over the edge, the others are of other places too."""
    if tally.outside >= max(LEAST_BOXES, DOUBTFUL * tally.boxes):
        raise DataError(
            f"{tally.outside} of {tally.boxes} boxes lie to more than a tenth outside of their "
            f"pictures (the first: {tally.first}): corners where width and height belong, a centre "
            "where a corner belongs, or pictures of another size? Correct them"
        )


def refuse_losses(lost: Sequence[Fault], used: int) -> None:
    """A set of which half cannot be used is not the one meant: unpacked by halves, converted, …"""
    if len(lost) < LEAST_LOSS or len(lost) < used:
        return
    kinds = Counter(fault.kind for fault in lost).most_common()
    first = next(fault for fault in lost if fault.kind == kinds[0][0])
    missing = [kind for kind, _ in kinds] == ["missing-image"]
    why = first.detail or RULES[first.kind].why
    raise DataError(
        f"{len(lost)} of {len(lost) + used} annotated pictures "
        f"{'are missing' if missing else 'cannot be used'} "
        f"({', '.join(f'{count} {kind}' for kind, count in kinds)}; {first.image} "
        f"[{first.where}]: {why}): {'complete' if missing else 'correct'} the set"
    )
