"""The mb1-ssd reference: prior table, checkpoint layout, outputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tlx.models.backbones  # noqa: F401
from tests.conftest import SHARED
from tlx.common.errors import WeightsError
from tlx.models.backbones.base import backbone_spec
from tlx.models.backbones.weights import Pretrained, resolve
from tlx.models.detectors.ssd.boxes import decode, encode
from tlx.models.detectors.ssd.priors import make_priors
from tlx.models.detectors.ssd.ssd import SSD

SPEC = backbone_spec("mobilenet_v1")


def test_prior_table_at_300_pixels() -> None:
    priors = make_priors(300, [19, 10, 5, 3, 2, 1])
    assert priors.shape == (3000, 4)
    # First cell of the first map, by hand: centre (0.5 * 16 / 300), sides 60, sqrt(60 * 105), ...
    c = 0.5 * 16 / 300
    side, r2, r3 = 60 / 300, 2**0.5, 3**0.5
    middle = (60 * 105) ** 0.5 / 300
    expected = [
        (c, c, side, side), (c, c, middle, middle),
        (c, c, side * r2, side / r2), (c, c, side / r2, side * r2),
        (c, c, side * r3, side / r3), (c, c, side / r3, side * r3),
    ]  # fmt: skip
    assert torch.allclose(priors[:6], torch.tensor(expected), atol=1e-6)
    # Row, column, anchor: the second cell moves in x.
    assert torch.allclose(priors[6, :2], torch.tensor([1.5 * 16 / 300, c]), atol=1e-6)
    # The last map is one cell in the middle, clamped to the picture.
    assert torch.allclose(priors[-6], torch.tensor([0.5, 0.5, 285 / 300, 285 / 300]), atol=1e-6)
    assert float(priors.max()) == 1.0


@pytest.mark.parametrize("size", [96, 160, 192, 301, 512])
def test_priors_fit_the_maps_at_any_size(size: int) -> None:
    detector = SSD(SPEC, SPEC.conventions, 2, size).eval()
    with torch.no_grad():
        logits, offsets = detector(torch.zeros(1, 3, size, size))
    assert logits.shape == (1, len(detector.priors), 3)
    assert offsets.shape == (1, len(detector.priors), 4)


def test_box_coding_is_its_own_inverse() -> None:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(50, 2, 2, generator=generator).sort(dim=1).values.flatten(1)
    priors = make_priors(300, [19, 10, 5, 3, 2, 1])[:50]
    assert torch.allclose(decode(encode(corners, priors), priors), corners, atol=1e-5)


def test_detector_checkpoint_of_other_classes_keeps_base_and_extras() -> None:
    source = SSD(SPEC, SPEC.conventions, 5, 96)
    pretrained = Pretrained(dict(source.state_dict()), SPEC.conventions, "five classes", None)
    target = SSD(SPEC, SPEC.conventions, 2, 96)
    before = target.heads.classify[0].weight.clone()
    target.load_pretrained(pretrained)
    assert torch.equal(
        target.extras["extra_1"].reduce.weight, source.extras["extra_1"].reduce.weight
    )
    assert torch.equal(target.heads.classify[0].weight, before)
    assert target.loaded == {name for name, _ in target.trunk()}


def test_part_of_a_block_is_refused() -> None:
    source = SSD(SPEC, SPEC.conventions, 2, 96)
    state = dict(source.state_dict())
    del state["backbone.blocks.Conv2d_3.pointwise.conv.weight"]
    target = SSD(SPEC, SPEC.conventions, 2, 96)
    with pytest.raises(WeightsError, match=r"lacks .*Conv2d_3\.pointwise"):
        target.load_pretrained(Pretrained(state, SPEC.conventions, "damaged", None))


@pytest.mark.shared_data
def test_golden_checkpoint_reproduces_the_reference() -> None:
    pretrained = resolve(SPEC, str(SHARED / "golden" / "mb1-ssd-pytorch-ssd.pth"))
    detector = SSD(SPEC, pretrained.conventions, 20, 300)
    detector.load_pretrained(pretrained)
    assert sum(p.numel() for p in detector.parameters()) == 9_468_996
    golden = np.load(SHARED / "golden" / "mb1-ssd-pytorch-ssd.npz")
    image = torch.from_numpy(golden["image_uint8"]).permute(2, 0, 1)[None]
    detector.eval()
    scores, boxes = detector.raw(detector.normalize(image))
    assert np.abs(detector.priors.numpy() - golden["priors"]).max() <= 1e-6
    assert np.abs(scores.numpy() - golden["scores"]).max() <= 1e-4
    assert np.abs(boxes.numpy() - golden["boxes"]).max() <= 1e-4


@pytest.mark.shared_data
def test_tf_slim_weights_load_whole() -> None:
    pretrained = resolve(SPEC, str(SHARED / "weights" / "mobilenet_v1_imagenet.pth"))
    assert pretrained.conventions.bn_eps == 1e-3
    detector = SSD(SPEC, pretrained.conventions, 1, 96)
    detector.load_pretrained(pretrained)
    assert detector.loaded == set(SPEC.blocks)
