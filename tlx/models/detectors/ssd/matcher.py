"""Match ground truth to priors: IoU at least 0.5, and each object's best prior in any case."""

from __future__ import annotations

import torch
from torch import Tensor

IOU_THRESHOLD = 0.5


def match(boxes: Tensor, mask: Tensor, priors: Tensor) -> Tensor:
    """For every prior of every image, the index of its object or -1 for background.

    Args:
        boxes: (B, M, 4) corner form, 0..1, padded to the largest count in the batch (M >= 0).
        mask: (B, M) bool, True where a box is real.
        priors: (P, 4) corner form.

    Returns:
        int64 (B, P). A prior takes the object it overlaps most, if by IoU >= 0.5; then each object
        claims the prior that overlaps it most (Liu et al. 2016, "Matching strategy"); when two
        claim the same one the later object wins, as in the reference implementation.
    """
    from torchvision.ops import box_iou  # a second to import, which a network's priors need not

    batch, objects = mask.shape
    count = len(priors)
    if objects == 0:
        return torch.full((batch, count), -1, dtype=torch.int64, device=priors.device)
    iou = box_iou(boxes.reshape(-1, 4), priors).view(batch, objects, count)
    iou = iou.masked_fill(~mask[..., None], -1.0)
    overlap, matched = iou.max(dim=1)
    matched = matched.masked_fill(overlap < IOU_THRESHOLD, -1)

    best_prior = iou.argmax(dim=2)  # (B, M)
    claim = torch.arange(objects, device=boxes.device).expand(batch, objects)
    claim = claim.masked_fill(~mask, -1)
    claimed = torch.full_like(matched, -1).scatter_reduce(1, best_prior, claim, "amax")
    return torch.where(claimed >= 0, claimed, matched)
