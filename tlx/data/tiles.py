"""Large pictures cut into overlapping tiles, so that small objects keep their pixels.

The grid is that of SAHI (Akyon et al., "Slicing Aided Hyper Inference and Fine-tuning for Small
Object Detection", ICIP 2022, arXiv:2202.06934): tiles of one size, the last of a row and of a
column moved back to the picture's edge. A picture that is smaller than a tile is its own tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tlx.data.formats.annotations import Item, Part


@dataclass(frozen=True)
class Rules:
    """What becomes of objects and empty tiles in training.

    Attributes:
        visible: least share of a box's area that a tile must show for it to be learnt there.
        empty: share of the tiles without any object that are kept.
    """

    visible: float = 0.5
    empty: float = 0.1


def starts(length: int, tile: int, overlap: float) -> list[int]:
    """Where tiles begin along a side of `length` px, so that they cover it."""
    step = max(1, tile - int(tile * overlap))
    return [*range(0, max(0, length - tile), step), max(0, length - tile)]


def parts(width: int, height: int, tile: int, overlap: float) -> list[Part]:
    """The tiles of a picture of `width` x `height` px, row by row."""
    return [
        Part(left, top, min(tile, width), min(tile, height))
        for top in starts(height, tile, overlap)
        for left in starts(width, tile, overlap)
    ]


def tile_of(item: Item, part: Part, boxes: np.ndarray, kept: np.ndarray) -> Item:
    """A tile as a picture of its own.

    Args:
        boxes: (n, 4) of `item` in pixels of the tile. kept: which of them it has.
    """
    return replace(
        item, boxes=boxes[kept].astype(np.float32), labels=item.labels[kept],
        difficult=item.difficult[kept], size=(part.width, part.height), part=part,
    )  # fmt: skip


def training_tiles(
    items: Sequence[Item], tile: int, overlap: float, rules: Rules
) -> tuple[list[Item], dict[str, Any]]:
    """The tiles that training sees of these pictures, and how many there are of each kind.

    A box is cut at the tile's edge and learnt where `rules.visible` of its area is in the tile;
    elsewhere it is no target. A tile that shows only lesser pieces is left out: it is neither
    empty nor does it show an object. Of empty ones every so many-th is kept, in order.
    """
    chosen: list[Item] = []
    empty = kept_empty = pieces = 0
    for item in items:
        whole = item.boxes.reshape(-1, 4).astype(np.float64)
        areas = (whole[:, 2:] - whole[:, :2]).prod(1)
        for part in parts(*item.size, tile, overlap):
            low, high = np.zeros(2), np.array([part.width, part.height])
            moved = (whole.reshape(-1, 2, 2) - (part.left, part.top)).clip(low, high).reshape(-1, 4)
            shown = (moved[:, 2:] - moved[:, :2]).prod(1)
            kept = (shown >= rules.visible * areas) & (shown > 0)
            if not kept.any():
                if shown.any():
                    pieces += 1
                    continue
                empty += 1
                # 1e-9: .1 * 10 may be a last bit under 1.
                if int(empty * rules.empty + 1e-9) == kept_empty:
                    continue
                kept_empty += 1
            chosen.append(tile_of(item, part, moved, kept))
    told = {
        "pictures": len(items), "tiles": len(chosen), "with_objects": len(chosen) - kept_empty,
        "empty_kept": kept_empty, "empty_left_out": empty - kept_empty,
        "pieces_left_out": pieces,
    }  # fmt: skip
    return chosen, told
