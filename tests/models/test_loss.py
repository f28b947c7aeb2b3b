"""The multibox loss: equal to torchvision's on the same matches, finite whatever comes."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.detection.ssd import SSD as TorchvisionSSD
from torchvision.ops import box_convert, box_iou

from tlx.models.detector import Targets
from tlx.models.detectors.ssd.boxes import corner_form, encode
from tlx.models.detectors.ssd.loss import hard_negatives, multibox_loss, multibox_loss_on_matches
from tlx.models.detectors.ssd.matcher import match
from tlx.models.detectors.ssd.priors import make_priors

PRIORS = make_priors(192, [12, 6, 3, 2, 1, 1])


def random_targets(counts: list[int], seed: int = 0) -> Targets:
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.zeros(len(counts), max([*counts, 0]), 4)
    labels = torch.zeros(boxes.shape[:2], dtype=torch.int64)
    for i, n in enumerate(counts):
        boxes[i, :n] = torch.rand(n, 2, 2, generator=generator).sort(dim=1).values.flatten(1)
        labels[i, :n] = torch.randint(1, 4, (n,), generator=generator)
    return Targets(boxes, labels)


def outputs(batch: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, len(PRIORS), 4, generator=generator, requires_grad=True)
    offsets = torch.randn(batch, len(PRIORS), 4, generator=generator, requires_grad=True)
    return logits, offsets


class Coder:
    """torchvision's box coder interface over our encoding, so that only the losses differ."""

    def encode_single(self, boxes: torch.Tensor, priors: torch.Tensor) -> torch.Tensor:
        return encode(boxes, box_convert(priors, "xyxy", "cxcywh"))


@pytest.mark.parametrize("counts", [[1, 3, 2], [5, 0, 1], [2]])
def test_equals_torchvision_on_the_same_matches(counts: list[int]) -> None:
    targets, (logits, offsets) = random_targets(counts), outputs(len(counts))
    corners = corner_form(PRIORS)
    matched = match(targets.boxes, targets.labels > 0, corners)
    ours = multibox_loss_on_matches(logits, offsets, targets, PRIORS, matched, matched >= 0)

    theirs = object.__new__(TorchvisionSSD)
    torch.nn.Module.__init__(theirs)
    theirs.box_coder, theirs.neg_to_pos_ratio = Coder(), 3.0  # type: ignore[assignment]
    reference = theirs.compute_loss(
        [
            {"boxes": targets.boxes[i, :n], "labels": targets.labels[i, :n]}
            for i, n in enumerate(counts)
        ],
        {"cls_logits": logits, "bbox_regression": offsets},
        [corners] * len(counts),
        list(matched),
    )
    assert ours["classification"].item() == pytest.approx(
        reference["classification"].item(), rel=1e-5
    )
    assert ours["localization"].item() == pytest.approx(
        reference["bbox_regression"].item(), rel=1e-5
    )


@pytest.mark.parametrize("min_negatives", [0, 3])
@pytest.mark.parametrize("counts", [[0, 0], [0], [0, 2]])
def test_finite_without_objects(counts: list[int], min_negatives: int) -> None:
    logits, offsets = outputs(len(counts))
    loss = multibox_loss(
        logits, offsets, random_targets(counts), PRIORS, min_negatives=min_negatives
    )["loss"]
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    # Three hard negatives of the empty picture teach; without them it would be silent.
    taught = int((logits.grad[0].abs().sum(1) > 0).sum())
    assert taught == (min_negatives if counts[0] == 0 else taught)


def test_an_infinite_box_of_an_unmatched_prior_does_not_spoil_the_loss() -> None:
    logits, offsets = outputs(1)
    matched = match(*(t[:1] for t in (random_targets([1]).boxes, random_targets([1]).labels > 0)),
                    corner_form(PRIORS))  # fmt: skip
    with torch.no_grad():
        offsets[0, int((matched[0] < 0).nonzero()[0])] = float("inf")
    assert torch.isfinite(multibox_loss(logits, offsets, random_targets([1]), PRIORS)["loss"])


def test_matching_rules() -> None:
    priors = torch.tensor(
        [[0, 0, 0.4, 0.4], [0.05, 0, 0.45, 0.4], [0.5, 0.5, 1, 1], [0, 0.6, 0.2, 1]]
    )
    boxes = torch.tensor([[[0, 0, 0.4, 0.4], [0.6, 0.9, 0.7, 1.0], [9, 9, 9, 9]]])
    mask = torch.tensor([[True, True, False]])
    # The first object takes both overlapping priors; the second, too small for IoU 0.5, claims
    # its best one; padding claims none.
    assert match(boxes, mask, priors).tolist() == [[0, 0, 1, -1]]


def test_vectorised_matching_equals_the_loop() -> None:
    counts = [4, 0, 7, 1]
    targets = random_targets(counts, seed=5)
    corners = corner_form(PRIORS)
    got = match(targets.boxes, targets.labels > 0, corners)
    for i, n in enumerate(counts):
        expected = torch.full((len(PRIORS),), -1)
        if n:
            iou = box_iou(targets.boxes[i, :n], corners)
            best, owner = iou.max(0)
            expected[best >= 0.5] = owner[best >= 0.5]
            for j in range(n):
                expected[iou[j].argmax()] = j
        assert torch.equal(got[i], expected)


def test_hard_negatives_are_the_hardest() -> None:
    loss = torch.tensor([[0.1, 5.0, 3.0, 4.0, 9.0, 0.2]])
    positive = torch.tensor([[False, False, False, False, True, False]])
    chosen = hard_negatives(loss, positive, 0)
    assert chosen.tolist() == [[False, True, True, True, False, False]]
