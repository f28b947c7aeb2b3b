"""From scores and boxes of all priors to the detections of a picture."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

CANDIDATES = 400  # pairs of prior and class that NMS looks at, for each class there is


@dataclass(frozen=True)
class Detections:
    """What one image shows, best first.

    Attributes:
        boxes: float32 (n, 4) corner form, 0..1 of the picture, clipped; scores: (n,) in 0..1;
        labels: int64 (n,), 1-based.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


def select_all(
    scores: Tensor,
    boxes: Tensor,
    *,
    score_threshold: float = 0.01,
    nms_iou: float = 0.45,
    max_detections: int = 100,
    candidates: int = CANDIDATES,
) -> list[Detections]:
    """Scores (N, P, C) with background first, corner-form boxes (N, P, 4) -> detections a picture.

    Boxes are clipped to the picture. See `select` for the options.
    """
    return [
        select(s, b, score_threshold, nms_iou, max_detections, candidates)
        for s, b in zip(scores[..., 1:], boxes.clamp(0.0, 1.0), strict=True)
    ]


def select(
    scores: Tensor, boxes: Tensor, threshold: float, nms_iou: float, limit: int, candidates: int
) -> Detections:
    """Best `candidates` (prior, class) pairs above the threshold, then NMS within each class."""
    from torchvision.ops import batched_nms  # a second to import, which many commands need not

    flat = scores.flatten()
    top, index = flat.topk(min(candidates * scores.shape[1], flat.numel()))
    index = index[top > threshold]
    prior, label = index // scores.shape[1], index % scores.shape[1]
    chosen = boxes[prior]
    keep = batched_nms(chosen, flat[index], label, nms_iou)[:limit]
    return Detections(chosen[keep], flat[index][keep], label[keep] + 1)
