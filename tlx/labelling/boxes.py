"""Boxes that somebody drew, checked before anything is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tlx.common.errors import ConfigError, DataError
from tlx.data.doubts import same_name

MOST = 1000  # boxes of a picture
LONGEST = 100  # characters of a class


@dataclass(frozen=True)
class Box:
    """One object.

    Attributes:
        name: its class. corners: xmin, ymin, xmax, ymax in pixels; 0 and the width are the edges.
        origin: 0-based number of the <object> of the file that it was read from; None: it is new.
    """

    name: str
    corners: tuple[float, float, float, float]
    origin: int | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"name": self.name, "corners": list(self.corners), "origin": self.origin}


def check_classes(names: Sequence[str]) -> list[str]:
    """Names of classes that a set can have; `ConfigError` for one that it cannot."""
    for number, name in enumerate(names):
        if same_name(name) == "background":
            raise ConfigError(f"labels: {name} is always label 0: leave it out")
        if not name.isprintable() or len(name) > LONGEST:
            raise ConfigError(f"labels: {name[:LONGEST]!r} is no name of a class")
        alike = next((known for known in names[:number] if same_name(known) == same_name(name)), "")
        if alike:
            raise ConfigError(f"labels: {alike} and {name} are one class: leave one out")
    return list(names)


def check_boxes(
    value: Any, size: tuple[int, int], classes: Sequence[str], before: Sequence[Box] = ()
) -> list[Box]:
    """Boxes as a page sends them, rounded to whole pixels.

    Args:
        value: a list of {"name", "corners", "origin"}, of any content: a stranger may have sent it.
        size: (width, height) of the picture.
        before: what the picture's file holds. What is unchanged is kept as it is, faults and all.

    Raises:
        DataError: it names the box and says what is wrong with it.
    """
    if not isinstance(value, list) or len(value) > MOST:
        raise DataError(f"boxes: a list of at most {MOST} is expected")
    boxes = []
    for number, item in enumerate(value, start=1):
        if not isinstance(item, dict):
            raise DataError(f"box {number}: an object is expected")
        boxes.append(_check_box(item, f"box {number}", size, classes, before))
    origins = [box.origin for box in boxes if box.origin is not None]
    if len(set(origins)) != len(origins):
        raise DataError("boxes: two have the same origin")
    return boxes


def _check_box(
    item: dict[str, Any], where: str, size: tuple[int, int], classes: Sequence[str],
    before: Sequence[Box],
) -> Box:  # fmt: skip
    name, corners, origin = str(item.get("name")), item.get("corners"), item.get("origin")
    known = {box.origin: box for box in before}
    if origin is not None and (isinstance(origin, bool) or not isinstance(origin, int)):
        raise DataError(f"{where}: its origin is no number")
    if origin is not None and origin not in known:
        raise DataError(f"{where}: the file has no object {origin}: open the picture again")
    if not isinstance(corners, list) or len(corners) != 4 or not all(map(_is_number, corners)):
        raise DataError(f"{where}: its corners must be four numbers")
    old = known.get(origin)
    if name not in classes and not (old and old.name == name):
        raise DataError(f"{where}: {name[:LONGEST]!r} is none of the classes")
    if old and old.corners == tuple(corners):
        return Box(name, old.corners, origin)
    if not all(math.isfinite(n) for n in corners):
        raise DataError(f"{where}: its corners must be finite")
    left, top, right, bottom = (round(n) for n in corners)
    if left < 0 or top < 0 or right > size[0] or bottom > size[1]:
        raise DataError(f"{where}: it leaves the picture of {size[0]}x{size[1]}")
    if left >= right or top >= bottom:
        raise DataError(f"{where}: it is empty or upside down")
    return Box(name, (left, top, right, bottom), origin)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
