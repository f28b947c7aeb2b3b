"""How large the boxes of a set are at the network's input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tlx.data.formats.annotations import Item
from tlx.data.framing import WHOLE, Framing

SHARES = (0, 5, 50, 95, 100)  # per cent of the boxes


def size_rows(
    items: Sequence[Item], classes: Sequence[str], input_size: int, framing: Framing = WHOLE
) -> list[list[str | int]]:
    """[class, boxes, the side in px that each of `SHARES` of them stays below].

    A side is the root of a box's area in the square input, which shows pictures by `framing`.
    """
    full = [item for item in items if len(item.boxes)]
    if not full:
        return []
    boxes = np.concatenate([framing.shown(i.boxes, i.size, input_size) for i in full])
    sides = boxes[:, 2:] - boxes[:, :2]
    labels = np.concatenate([item.labels for item in full])
    root = input_size * np.sqrt(sides.prod(1))
    rows: list[list[str | int]] = []
    for label, name in enumerate(classes, start=1):
        mine = root[labels == label]
        if len(mine):
            rows.append([name, len(mine), *(f"{v:.0f}" for v in np.percentile(mine, SHARES))])
    return rows
