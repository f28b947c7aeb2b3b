"""A detector with folded blocks, or cut into prefix and tail, computes what the plain one does."""

from __future__ import annotations

import pytest
import torch

from tests.models.helpers_engine import NAMES, detector_of, pictures
from tlx.freeze.apply import apply_phase
from tlx.freeze.depth import frozen_blocks
from tlx.freeze.policies.base import Phase
from tlx.models.backbones.base import backbone_spec
from tlx.models.detectors.ssd.boxes import decode
from tlx.models.detectors.ssd.extras import EXTRA_NAMES


def test_folded_copies_are_no_part_of_the_detector() -> None:
    detector = detector_of("mobilenet_v1", frozen=5)
    keys = list(detector.state_dict())
    counts = [len(list(group())) for group in (detector.parameters, detector.modules)]
    with torch.no_grad():
        detector(pictures())
    detector.prefix(pictures())
    assert list(detector.state_dict()) == keys
    assert [len(list(g())) for g in (detector.parameters, detector.modules)] == counts
    own = {id(p) for p in detector.parameters()} | {id(b) for b in detector.buffers()}
    for blocks in (detector.train_prefix, detector.eval_tail):
        assert blocks._copies
        assert not own & {id(p) for copy in blocks._copies for p in copy.parameters()}


@pytest.mark.parametrize("frozen", [0, 5])
@pytest.mark.parametrize("name", NAMES)
def test_folded_and_plain_detector_agree(name: str, frozen: int) -> None:
    detector = detector_of(name)
    with torch.enable_grad():
        logits, offsets = detector(pictures())
    assert not detector.eval_tail._copies  # neither of the two paths was folded
    scores, boxes = logits.detach().softmax(-1), decode(offsets.detach(), detector.priors)
    assert float(scores.std(1).mean()) > 0.02  # scores that say something
    apply_phase(detector, Phase(0, frozen, frozen))
    with torch.inference_mode():
        fast_scores, fast_boxes = detector.raw(pictures())
    assert detector.eval_tail._copies
    assert not torch.equal(fast_scores, scores)
    assert torch.allclose(fast_scores, scores, atol=1e-4)
    assert torch.allclose(fast_boxes, boxes, atol=1e-4)
    with torch.enable_grad():  # with the prefix folded and the tail plain
        logits, _ = detector(pictures())
    assert torch.allclose(logits.softmax(-1), scores, atol=1e-4)


def test_figures_do_not_depend_on_autocast_or_the_prefix_precision() -> None:
    detector = detector_of("mobilenet_v1")
    scores, boxes = detector.raw(pictures())
    apply_phase(detector, Phase(0, 9, 9), torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        again, placed = detector.raw(pictures())
    assert torch.equal(again, scores)
    assert torch.equal(placed, boxes)


@pytest.mark.parametrize("value", ["none", "4", "8", "all", "heads"])
@pytest.mark.parametrize("name", NAMES)
def test_prefix_and_tail_are_the_forward_pass(name: str, value: str) -> None:
    spec = backbone_spec(name)
    detector = detector_of(name, frozen_blocks(value, spec, EXTRA_NAMES)).train()
    outputs = detector.prefix(pictures())
    assert len(outputs) == max(1, len(detector.boundary))
    parts = detector.heads(detector.tail(outputs))
    for ours, whole in zip(parts, detector(pictures()), strict=True):
        assert torch.equal(ours, whole)


@pytest.mark.parametrize(
    ("value", "boundary"),
    [
        ("none", []),
        ("4", [4]),
        ("8", [8]),
        ("11", [11]),
        ("12", [11, 12]),
        ("all", [11, 13]),
        ("heads", [11, 13, 14, 15, 16, 17]),
    ],
)
def test_boundary_is_what_the_tail_needs(value: str, boundary: list[int]) -> None:
    spec = backbone_spec("mobilenet_v1")
    detector = detector_of("mobilenet_v1", frozen_blocks(value, spec, EXTRA_NAMES))
    assert detector.boundary == boundary
    if boundary:
        shapes = [tuple(y.shape[1:2]) for y in detector.prefix(pictures())]
        channels = [*detector.backbone.channels, 512, 256, 256, 256]
        assert shapes == [(channels[i],) for i in boundary]
