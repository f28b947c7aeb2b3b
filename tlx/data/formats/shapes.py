"""Shapes of labelling tools as upright boxes, gathered for one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tlx.data.formats.annotations import Annotation

Box = tuple[float, float, float, float]


class Boxes:
    """The boxes of one picture, as a reader comes upon them."""

    def __init__(self) -> None:
        self.boxes: list[Box] = []
        self.names: list[str] = []
        self.difficult: list[bool] = []
        self.remarks: list[tuple[str, str]] = []

    def add(self, name: str, box: Box, *, difficult: bool = False) -> None:
        """A box, xmin ymin xmax ymax in px as written."""
        self.boxes.append(box)
        self.names.append(name)
        self.difficult.append(difficult)

    def turned(self, name: str, box: Box, degrees: float, where: str, **flags: bool) -> None:
        """A box that may have been turned: then it is the one that encloses it, and a fault."""
        if degrees % 360:
            self.remark("rotated-box", f"{where}: {name}, turned by {degrees:g} degrees")
        self.add(name, box, **flags)

    def remark(self, kind: str, detail: str) -> None:
        """Something that is wrong, of a kind in `tlx.data.faults.RULES`."""
        self.remarks.append((kind, detail))

    def annotation(
        self,
        image: Path,
        source: str,
        split: str | None = None,
        size: tuple[int, int] | None = None,
    ) -> Annotation:
        """All of it."""
        return Annotation(
            image=image,
            boxes=np.array(self.boxes, dtype=float).reshape(-1, 4),
            names=self.names,
            difficult=np.array(self.difficult, bool),
            source=source,
            split=split,
            size=size,
            remarks=tuple(self.remarks),
        )


def enclosing(points: Sequence[Sequence[float]]) -> Box:
    """The box round points (x, y) in px; of NaN, a box of NaN.

    Raises:
        ValueError: there is no point.
    """
    corners = np.array(points, dtype=float).reshape(-1, 2)
    if not len(corners):
        raise ValueError("a shape without a point")
    low, high = corners.min(0), corners.max(0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def turned(box: Box, degrees: float, about: tuple[float, float] | None = None) -> Box:
    """The upright box round one that is turned clockwise on the screen.

    Args:
        about: the point that stays; None: the centre.
    """
    if not degrees % 360:
        return box
    x, y = about or ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = [(box[0], box[1]), (box[2], box[1]), (box[2], box[3]), (box[0], box[3])]
    return enclosing(
        [(x + (a - x) * cos - (b - y) * sin, y + (a - x) * sin + (b - y) * cos) for a, b in corners]
    )


def number(value: Any) -> float:
    """A number of a stranger's JSON or XML, also in quotes.

    Raises:
        TypeError, ValueError, OverflowError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def stated_size(width: Any, height: Any) -> tuple[int, int] | None:
    """(width, height) in px that a file states; None where it states nothing sensible."""
    try:
        size = int(number(width)), int(number(height))
    except (TypeError, ValueError, OverflowError):
        return None
    return size if min(size) > 0 else None
