"""From scores and boxes of all priors to the detections of a picture, in numpy.

The same rules and results as `tlx.detector.postprocess`, without torch: on a few hundred
candidates its calls cost more than the arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_ROWS = 128  # boxes that are compared with all later ones at once


@dataclass(frozen=True)
class Found:
    """What one picture shows, best first.

    Attributes:
        boxes: float32 (n, 4) corner form, 0..1 of the picture, clipped; scores: (n,) in 0..1;
        labels: int64 (n,), 1-based.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


def select_all(
    scores: np.ndarray,
    boxes: np.ndarray,
    *,
    score_threshold: float = 0.01,
    nms_iou: float = 0.45,
    max_detections: int = 100,
    candidates: int = 400,
) -> list[Found]:
    """Scores (N, P, C) with background first, corner-form boxes (N, P, 4) -> detections a picture.

    Boxes are clipped to the picture. See `select` for the options.
    """
    return [
        select(s, b, score_threshold, nms_iou, max_detections, candidates)
        for s, b in zip(scores, boxes, strict=True)
    ]


def select(
    scores: np.ndarray,
    boxes: np.ndarray,
    threshold: float,
    nms_iou: float,
    limit: int,
    candidates: int,
) -> Found:
    """Best `candidates` a class of (prior, class) pairs above the threshold, NMS within a class.

    Args:
        scores: (P, C), background first. boxes: (P, 4), corner form, clipped here.
    """
    # The threshold first: of some thousand priors it leaves a few dozen to sort.
    objects = scores[:, 1:]
    prior, label = np.nonzero(objects > threshold)
    values = objects[prior, label]
    best = np.argsort(-values, kind="stable")[: candidates * objects.shape[1]]
    prior, label, values = prior[best], label[best], values[best]
    chosen = np.clip(boxes[prior], 0.0, 1.0)
    keep = nms_by_class(chosen, label, nms_iou, limit)
    return Found(chosen[keep], values[keep], label[keep].astype(np.int64) + 1)


def nms_by_class(boxes: np.ndarray, labels: np.ndarray, iou: float, limit: int) -> np.ndarray:
    """Greedy NMS within each class of boxes (n, 4) that come best first; places, best first."""
    kept = []
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        kept.append(places[nms(boxes[places], iou, limit)])
    return np.sort(np.concatenate(kept))[:limit] if kept else np.zeros(0, np.int64)


def nms(boxes: np.ndarray, iou: float, limit: int) -> np.ndarray:
    """Places of the first `limit` boxes (n, 4), best first, that no better kept one overlaps.

    Two boxes overlap where their IoU is above `iou`; a box without area overlaps none.
    """
    columns = np.ascontiguousarray(boxes.T)
    alive = np.ones(len(boxes), bool)
    kept: list[int] = []
    # A few calls for many boxes: on some hundred of them calls cost more than arithmetic.
    for first in range(0, len(boxes), _ROWS):
        rows = first + np.flatnonzero(alive[first : first + _ROWS])
        rest = alive[first:]
        apart = _apart(columns[:, rows], columns[:, first:], iou)
        for row, place in enumerate(rows.tolist()):
            if alive[place]:
                kept.append(place)
                if len(kept) == limit:
                    return np.array(kept, np.int64)
                rest &= apart[row]
    return np.array(kept, np.int64)


def _apart(some: np.ndarray, others: np.ndarray, iou: float) -> np.ndarray:
    """Boxes (4, r) and (4, n), corners first -> bool (r, n): IoU not above `iou`."""
    x1, y1, x2, y2 = some[:, :, None]
    u1, v1, u2, v2 = others[:, None]
    shared = np.minimum(x2, u2) - np.maximum(x1, u1)
    np.maximum(shared, 0, out=shared)
    height = np.minimum(y2, v2) - np.maximum(y1, v1)
    shared *= np.maximum(height, 0, out=height)
    areas = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1)
    # Multiplied, not divided: no warning where two boxes have no area.
    return shared <= iou * (areas - shared)
