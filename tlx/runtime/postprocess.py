"""From scores and boxes of all priors to the detections of a picture, in numpy.

The same rules and results as the detector's own. The threshold comes first: of some thousand
priors it leaves a few hundred to sort. NMS is torchvision's, faster than any in numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torchvision.ops import batched_nms, nms

from tlx.models.postprocess import CANDIDATES


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
    candidates: int = CANDIDATES,
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
    classes = scores.shape[1] - 1
    flat = scores[:, 1:].ravel()
    index = np.flatnonzero(flat > threshold)
    most = candidates * classes
    if len(index) > most:
        # In the order of the priors again, so that equal scores keep it in the sort below.
        index = np.sort(index[np.argpartition(flat[index], -most)[-most:]])
    index = index[np.argsort(-flat[index], kind="stable")]
    prior, label = np.divmod(index, classes)
    found = Found(np.clip(boxes[prior], 0.0, 1.0), flat[index], label + 1)
    return keep_best(found, nms_iou, limit)


def keep_best(found: Found, nms_iou: float, limit: int) -> Found:
    """The first `limit` that no better one of their class overlaps by more than `nms_iou`."""
    arrays = (found.boxes, found.scores, found.labels)
    boxes, scores, labels = (torch.from_numpy(array) for array in arrays)
    # One class needs no offsets between classes, which cost half as much as the NMS.
    if len(labels) and bool((found.labels == found.labels[0]).all()):
        kept = nms(boxes, scores, nms_iou)
    else:
        kept = batched_nms(boxes, scores, labels, nms_iou)
    keep = kept[:limit].numpy()
    return Found(found.boxes[keep], found.scores[keep], found.labels[keep])
