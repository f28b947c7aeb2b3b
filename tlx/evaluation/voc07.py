"""PASCAL VOC 2007 average precision (Everingham et al. 2010, sec. 4.2).

Eleven-point interpolation, IoU strictly above 0.5, objects marked difficult ignored. It differs
from COCO's AP@.5 in the matching too: a detection belongs to the object it overlaps most, and is
false when a better-scored detection has that object already.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

IOU = 0.5
RECALLS = np.arange(11) / 10


@dataclass(frozen=True)
class Picture:
    """Detections and ground truth of one picture, corner form in one common unit.

    Attributes:
        boxes (n, 4), scores (n,), labels (n,) of the detections; true_boxes (m, 4), true_labels
        (m,), difficult (m,) bool of the objects.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    true_boxes: Tensor
    true_labels: Tensor
    difficult: Tensor


def average_precision(pictures: list[Picture], label: int) -> float | None:
    """AP of one class in 0..1; None where the pictures hold no (non-difficult) object of it."""
    objects = 0
    scores: list[np.ndarray] = []
    hits: list[np.ndarray] = []
    for picture in pictures:
        mine = picture.true_labels == label
        difficult = picture.difficult[mine].numpy()
        objects += int((~difficult).sum())
        chosen = picture.labels == label
        kept = picture.scores[chosen]
        order = torch.argsort(kept, descending=True, stable=True)
        verdict = _judge(picture.boxes[chosen][order], picture.true_boxes[mine], difficult)
        counted = verdict >= 0
        scores.append(kept[order].numpy()[counted])
        hits.append(verdict[counted])
    if objects == 0:
        return None
    ranked = np.argsort(-np.concatenate(scores), kind="stable")
    true = np.cumsum(np.concatenate(hits)[ranked])
    precision = true / np.arange(1, len(true) + 1)
    recall = true / objects
    best = [precision[recall >= r].max(initial=0.0) for r in RECALLS]
    return float(np.mean(best))


def _judge(boxes: Tensor, true_boxes: Tensor, difficult: np.ndarray) -> np.ndarray:
    """1 true, 0 false, -1 ignored, for detections of one class in one picture, best first."""
    verdict = np.zeros(len(boxes), dtype=np.int64)
    if len(boxes) == 0 or len(true_boxes) == 0:
        return verdict
    overlap, owner = box_iou(boxes, true_boxes).max(dim=1)
    taken: set[int] = set()
    for i, (iou, target) in enumerate(zip(overlap.tolist(), owner.tolist(), strict=True)):
        if iou <= IOU:
            continue
        if difficult[target]:
            verdict[i] = -1
        elif target not in taken:
            taken.add(target)
            verdict[i] = 1
    return verdict
