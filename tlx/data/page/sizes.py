"""How large the boxes of a set are at the network's input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tlx.data.formats.annotations import Item

SHARES = (0, 5, 50, 95, 100)  # per cent of the boxes


def size_rows(
    items: Sequence[Item], classes: Sequence[str], input_size: int
) -> list[list[str | int]]:
    """[class, boxes, the side in px that each of `SHARES` of them stays below].

    A side is the root of a box's area after the picture was stretched to the square input.
    """
    full = [item for item in items if len(item.boxes)]
    if not full:
        return []
    sides = np.concatenate([(i.boxes[:, 2:] - i.boxes[:, :2]) / np.array(i.size) for i in full])
    labels = np.concatenate([item.labels for item in full])
    root = input_size * np.sqrt(sides.prod(1))
    rows: list[list[str | int]] = []
    for label, name in enumerate(classes, start=1):
        mine = root[labels == label]
        if len(mine):
            rows.append([name, len(mine), *(f"{v:.0f}" for v in np.percentile(mine, SHARES))])
    return rows
