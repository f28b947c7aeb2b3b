"""Detections of what the network was shown -> detections of the picture. All programs come by here.

Bars of a letterbox are taken off, tiles are put together. The rule for tiles, class by class: the
boxes are gone through from the best score down, those that an inner edge of their tile cuts off
behind all others. One is dropped that overlaps a kept box of another tile by more than the NMS
threshold: as IoU, or, where it is cut off, as the share of its own area that lies in the other.
So an object that two tiles show in full is found once, and a piece of an object that another tile
shows in full goes. Tiles and the share of the smaller area are those of SAHI (Akyon et al., ICIP
2022, arXiv:2202.06934).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tlx.data.formats.annotations import Part
from tlx.data.framing import Framing
from tlx.runtime.postprocess import Found

EDGE = 0.01  # of a tile's side: a box that comes so near to its edge is cut off by it


def of_picture(
    shown: Sequence[Found], framing: Framing, size: tuple[int, int], side: int,
    nms_iou: float = 0.45, limit: int = 100,
) -> Found:  # fmt: skip
    """The detections of a picture, in 0..1 of it, clipped.

    Args:
        shown: the detections of each of `framing.parts(size)`, in order, in 0..1 of the input.
        size: width and height of the picture, px. side: of the input, px.
        nms_iou, limit: of the merging of tiles: `nms_iou` and `max_detections`.
    """
    parts = framing.parts(size)
    if len(parts) != len(shown):
        raise ValueError(f"{len(shown)} inputs' detections for {len(parts)} parts of a picture")
    if framing.plain:
        return shown[0]
    placed = [
        _out_of_bars(found, framing, (part.width, part.height), side)
        for found, part in zip(shown, parts, strict=True)
    ]
    if len(parts) == 1:
        return placed[0]
    return merge(placed, parts, size, nms_iou, limit)


def _out_of_bars(found: Found, framing: Framing, size: tuple[int, int], side: int) -> Found:
    """In 0..1 of the part; what lies in the bars alone is nothing."""
    if not framing.letterbox:
        return found
    boxes = framing.area(size, side).out_of(found.boxes, side).clip(0, 1).astype(np.float32)
    inside = (boxes[:, 2:] > boxes[:, :2]).all(1)
    return Found(boxes[inside], found.scores[inside], found.labels[inside])


def merge(
    placed: Sequence[Found], parts: Sequence[Part], size: tuple[int, int], nms_iou: float,
    limit: int,
) -> Found:  # fmt: skip
    """The detections of tiles, each in 0..1 of its own -> of the picture, by the module's rule."""
    tile = np.repeat(np.arange(len(parts)), [len(found.boxes) for found in placed])
    corners = np.array([[p.left, p.top, p.width, p.height] for p in parts], float)[tile]
    inner = np.array([_inner_edges(part, size) for part in parts])[tile]
    own = np.concatenate([found.boxes for found in placed]).astype(np.float64)
    scores = np.concatenate([found.scores for found in placed])
    labels = np.concatenate([found.labels for found in placed])
    near = np.concatenate([own[:, :2] <= EDGE, own[:, 2:] >= 1 - EDGE], 1)
    cut = (near & inner).any(1)
    low, span = corners[:, [0, 1, 0, 1]], corners[:, [2, 3, 2, 3]]
    boxes = low + own * span  # px of the picture
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    touching = _touching(parts)
    kept: list[int] = []
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        # A box lies in its tile: only those of tiles that share pixels with it can overlap it.
        others = [places[touching[t][tile[places]]] for t in range(len(parts))]
        dropped = np.zeros(len(boxes), bool)
        for one in places[np.lexsort((-scores[places], cut[places]))].tolist():
            if dropped[one]:
                continue
            kept.append(one)
            near = others[tile[one]]
            sides = np.minimum(boxes[near, 2:], boxes[one, 2:])
            sides = sides - np.maximum(boxes[near, :2], boxes[one, :2])
            shared = sides.clip(0).prod(1)
            whole = np.where(cut[near], areas[near], areas[near] + areas[one] - shared)
            dropped[near[shared > nms_iou * whole]] = True  # what is kept already stays
    keep = np.array(sorted(kept, key=lambda i: -scores[i]), int)[:limit]
    found = (boxes[keep] / np.array([*size, *size])).clip(0, 1).astype(np.float32)
    return Found(found, scores[keep], labels[keep])


def _touching(parts: Sequence[Part]) -> np.ndarray:
    """Which tiles share pixels with which others, bool (n, n)."""
    low = np.array([[part.left, part.top] for part in parts])
    high = low + np.array([[part.width, part.height] for part in parts])
    shared = (np.minimum(high[:, None], high) > np.maximum(low[:, None], low)).all(2)
    np.fill_diagonal(shared, False)
    return shared


def _inner_edges(part: Part, size: tuple[int, int]) -> tuple[bool, bool, bool, bool]:
    """Which edges of a tile (left, top, right, bottom) are none of the picture."""
    right, bottom = part.left + part.width, part.top + part.height
    return part.left > 0, part.top > 0, right < size[0], bottom < size[1]
