"""How well annotations agree on pictures that were annotated more than once.

Byte-identical files with boxes of their own are a free test of the annotators: what one of them
reaches against the other bounds what a model that learned from either can reach on such pictures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch

from tlx.data.formats.annotations import Item

THRESHOLDS = np.arange(50, 100, 5) / 100  # COCO's ten IoU thresholds


def label_noise(items: Sequence[Item]) -> dict[str, Any] | None:
    """Agreement of byte-identical pictures, pair by pair; None where there is nothing to compare.

    Boxes of the same class are matched one to one for the greatest sum of IoU; a box without a
    counterpart has an IoU of 0.

    Returns:
        `files`: pictures that have a copy; `boxes`: theirs, counted once in each pair;
        `median_iou`; `share_75`: agreement at IoU .75, as 2 x matched / boxes of both; `map`: the
        mean of that over COCO's thresholds, which is the mAP@[.5:.95] that one annotation reaches
        against the other at the best order of scores.
    """
    copies: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        copies[item.digest].append(item)
    groups = [group for group in copies.values() if len(group) > 1]
    pairs = [pair for group in groups for pair in combinations(group, 2)]
    boxes = sum(len(one.boxes) + len(other.boxes) for one, other in pairs)
    if not boxes:
        return None
    matched = np.concatenate([_overlaps(one, other) for one, other in pairs])
    shares = {t: 2 * float((matched >= t).sum()) / boxes for t in THRESHOLDS.tolist()}
    # Each match stands for two boxes; the others have no counterpart.
    every = np.concatenate([np.repeat(matched, 2), np.zeros(boxes - 2 * len(matched))])
    return {
        "files": sum(map(len, groups)),
        "boxes": boxes,
        "median_iou": float(np.median(every)),
        "share_75": shares[0.75],
        "map": float(np.mean(list(shares.values()))),
    }


def _overlaps(one: Item, other: Item) -> np.ndarray:
    """IoU of the matched boxes of two annotations, (k,); pairs that do not touch are none."""
    # A third of a second, and a whole one, which few sets need.
    from scipy.optimize import linear_sum_assignment
    from torchvision.ops import box_iou

    same = one.labels[:, None] == other.labels[None, :]
    iou = box_iou(torch.from_numpy(one.boxes), torch.from_numpy(other.boxes)).numpy() * same
    rows, columns = linear_sum_assignment(iou, maximize=True)
    found: np.ndarray = iou[rows, columns]
    return found[found > 0].astype(np.float64)
