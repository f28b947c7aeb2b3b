"""A data set as pictures to write: checked, every box of the upright picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlx.config.schema import DataConfig
from tlx.data.check import CheckResult
from tlx.data.faults import FaultReport
from tlx.data.formats import find_format
from tlx.data.formats.annotations import Item
from tlx.data.formats.pictures import Probe, UnreadablePicture, probe
from tlx.data.module import build_data, read_checked
from tlx.data.writers.base import Labelled, unique_names


@dataclass
class Gathered:
    """Attributes: the `format` that was read, `pictures`, `classes` in label order, `faults`."""

    format: str
    pictures: list[Labelled]
    classes: list[str]
    faults: FaultReport


def gather(cfg: DataConfig, root: Path, cache_dir: Path) -> Gathered:
    """Read and check a set as training would.

    Pictures and boxes that the check drops are not written; what it mends is written mended. With
    `cfg.splits` "cut" every picture has a split, as training would cut them; else those that the
    set names, and where it names some, "train" for the pictures that have none.

    Raises `DataError` or `ConfigError` as training would.
    """
    format = find_format(cfg.format, root)
    checked: CheckResult
    if cfg.splits != "named":
        cfg.format = format
        data = build_data(cfg, cache_dir)
        items = [(item, split) for split, members in data.splits.items() for item in members]
        return Gathered(format, _labelled(items, data.classes), data.classes, data.faults)
    _, checked, _ = read_checked(cfg, root, format, 0)
    usual = "train" if any(item.split for item in checked.items) else None
    named = [(item, item.split or usual) for item in checked.items]
    return Gathered(format, _labelled(named, checked.classes), checked.classes, checked.faults)


def _labelled(items: Sequence[tuple[Item, str | None]], classes: list[str]) -> list[Labelled]:
    names = unique_names([item.image for item, _ in items])
    found = []
    for (item, split), name in zip(items, names, strict=True):
        boxes, size = upright(item)
        labels = [classes[label - 1] for label in item.labels.tolist()]
        found.append(Labelled(item.image, name, size, boxes, labels, item.difficult, split))
    return found


def upright(item: Item) -> tuple[np.ndarray, tuple[int, int]]:
    """The boxes of an item and its size, of the picture after its EXIF rotation.

    Sets that were annotated on the stored pixels say so by the size that they state, which not
    every format has a place for.
    """
    if item.rotate:
        return item.boxes, item.size
    try:
        found = probe(item.image, item.bits)
    except UnreadablePicture:  # it was read a moment ago
        return item.boxes, item.size
    return _turned(item.boxes, found), found.upright_size


def _turned(boxes: np.ndarray, found: Probe) -> np.ndarray:
    """Boxes (n, 4) of the stored pixels as boxes of the upright ones; see `pictures.UPRIGHT`."""
    if found.orientation < 5:  # mirrored and upside down: taken as upright by the check
        return boxes
    width, height = found.size
    x1, y1, x2, y2 = boxes.T
    of = {
        5: (y1, x1, y2, x2),
        6: (height - y2, x1, height - y1, x2),
        7: (height - y2, width - x2, height - y1, width - x1),
        8: (y1, width - x2, y2, width - x1),
    }
    return np.stack(of[found.orientation], axis=1)
