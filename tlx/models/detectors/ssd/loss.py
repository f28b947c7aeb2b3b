"""The multibox loss (Liu et al. 2016, eq. 1-3), vectorised over the batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tlx.models.detector import Targets
from tlx.models.detectors.ssd.boxes import corner_form, encode
from tlx.models.detectors.ssd.matcher import match
from tlx.models.detectors.ssd.scores import SOFTMAX, Scores

NEGATIVES_PER_POSITIVE = 3


def multibox_loss(
    logits: Tensor, offsets: Tensor, targets: Targets, priors: Tensor, *, min_negatives: int = 0,
    scores: Scores = SOFTMAX,
) -> dict[str, Tensor]:  # fmt: skip
    """Classification and localisation loss of a batch, both divided by its number of positives.

    Args:
        logits: (B, P, C), of the columns that `scores` has. offsets: (B, P, 4).
        priors: (P, 4) centre form.
        min_negatives: hard negatives taken from an image with no positive prior. The reference
            takes three per positive, so a picture without objects teaches it nothing; with
            ``min_negatives=3`` such a picture weighs as much as one with a single positive.
        scores: whose classification loss is taken; where it mines, of the positives and of the
            negatives of highest loss, three per positive.

    Returns:
        ``{"loss", "classification", "localization"}``, finite scalars for any targets.
    """
    logits, offsets = logits.float(), offsets.float()
    matched = match(targets.boxes, targets.labels > 0, corner_form(priors))
    positive = matched >= 0
    return multibox_loss_on_matches(
        logits, offsets, targets, priors, matched, positive, min_negatives, scores
    )


def multibox_loss_on_matches(
    logits: Tensor,
    offsets: Tensor,
    targets: Targets,
    priors: Tensor,
    matched: Tensor,
    positive: Tensor,
    min_negatives: int = 0,
    scores: Scores = SOFTMAX,
) -> dict[str, Tensor]:
    """`multibox_loss` for given matches (B, P), so that matching and loss are tested apart."""
    labels, boxes = _gather_targets(targets, matched, positive)
    entropy = scores.loss(logits, labels)
    counted = torch.ones_like(positive)
    if scores.mines:
        counted = positive | hard_negatives(entropy.detach(), positive, min_negatives)

    # Selected by index, not by a product with a mask: 0 * inf would be NaN.
    localization = F.smooth_l1_loss(
        offsets[positive], encode(boxes, priors)[positive], reduction="sum"
    )
    normalizer = positive.sum().clamp_min(1)
    classification = entropy[counted].sum() / normalizer
    localization = localization / normalizer
    return {
        "loss": classification + localization,
        "classification": classification.detach(),
        "localization": localization.detach(),
    }


def _gather_targets(targets: Targets, matched: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Class (B, P) and corner-form box (B, P, 4) of every prior; background where unmatched."""
    if targets.labels.shape[1] == 0:
        return torch.zeros_like(matched), matched.new_zeros((*matched.shape, 4)).float()
    index = matched.clamp_min(0)
    labels = targets.labels.gather(1, index).masked_fill(~positive, 0)
    boxes = targets.boxes.gather(1, index[..., None].expand(-1, -1, 4))
    return labels, boxes


def hard_negatives(loss: Tensor, positive: Tensor, min_negatives: int) -> Tensor:
    """The background priors of highest loss, three per positive in each image: bool (B, P)."""
    wanted = (NEGATIVES_PER_POSITIVE * positive.sum(1, keepdim=True)).clamp_min(min_negatives)
    ranked = loss.masked_fill(positive, -torch.inf).argsort(dim=1, descending=True)
    rank = ranked.argsort(dim=1)
    return (rank < wanted) & ~positive
