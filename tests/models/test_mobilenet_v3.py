"""MobileNetV3 against torchvision's classifiers and its SSDLite."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import nn
from torchvision.models import (
    MobileNet_V3_Large_Weights,
    MobileNet_V3_Small_Weights,
    mobilenet_v3_large,
    mobilenet_v3_small,
)
from torchvision.models.detection import ssdlite, ssdlite320_mobilenet_v3_large

from tests.models.helpers_reference import assert_maps, backbone_of, lively
from tlx.common.errors import WeightsError
from tlx.models.backbones import mobilenet_v3 as v3
from tlx.models.backbones.base import BackboneSpec
from tlx.models.backbones.weights import convert
from tlx.models.detectors.ssd.ssd import SSD

SIDE = 64


@cache
def classifier(name: str) -> nn.Module:
    torch.manual_seed(0)
    return lively({"large": mobilenet_v3_large, "small": mobilenet_v3_small}[name](weights=None))


@cache
def detector(reduced: bool) -> nn.Module:
    """The feature extractor of torchvision's ssdlite320, with either tail."""
    torch.manual_seed(0)
    if reduced:
        whole = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3)
        assert whole.transform.image_mean == list(v3.SSDLITE.mean)
        assert whole.transform.image_std == list(v3.SSDLITE.std)
        assert {m.eps for m in whole.modules() if isinstance(m, nn.BatchNorm2d)} == {
            v3.SSDLITE.bn_eps
        }
        return lively(whole.backbone, 128)
    network = mobilenet_v3_large(weights=None)
    return lively(ssdlite._mobilenet_extractor(network, 6, nn.BatchNorm2d), 128)


def of_detector(reduced: bool) -> dict[str, torch.Tensor]:
    """As `ssdlite320_mobilenet_v3_large_coco` names them."""
    return {f"backbone.{key}": value for key, value in detector(reduced).state_dict().items()}


@pytest.mark.parametrize(
    ("name", "spec", "strided"),
    # The last of stride 16, and the 960 or 576 channels; tables 1 and 2 of the paper.
    [("large", v3.LARGE, 12), ("small", v3.SMALL, 8)],
)
def test_a_classifier_of_torchvision_gives_its_maps(
    name: str, spec: BackboneSpec, strided: int
) -> None:
    network = classifier(name)
    backbone, conventions = backbone_of(spec, network.state_dict())
    x = torch.randn(1, 3, SIDE, SIDE)
    with torch.no_grad():
        first = network.features[: strided + 1](x.clone())
        wanted = [first, network.features[strided + 1 :](first.clone())]
    assert_maps(backbone, x, wanted)
    assert [backbone.strides[t] for t in backbone.taps] == [16, 32]
    assert {m.eps for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-3}
    assert conventions == v3.IMAGENET


def test_conventions_are_those_that_torchvision_states() -> None:
    for weights in (*MobileNet_V3_Large_Weights, *MobileNet_V3_Small_Weights):
        transform = weights.transforms()
        assert tuple(transform.mean) == v3.IMAGENET.mean
        assert tuple(transform.std) == v3.IMAGENET.std


@pytest.mark.parametrize(
    ("spec", "reduced"), [(v3.LARGE_EXPANDED, False), (v3.LARGE_REDUCED_EXPANDED, True)]
)
def test_ssdlite_taps_inside_of_a_bottleneck(spec: BackboneSpec, reduced: bool) -> None:
    network = detector(reduced)
    backbone, conventions = backbone_of(spec, of_detector(reduced))
    x = torch.randn(1, 3, SIDE, SIDE)
    with torch.no_grad():
        first = network.features[0](x.clone())
        wanted = [first, network.features[1](first.clone())]
    # 672 channels of the expansion and the 960, or 480 of the reduced tail (ssdlite.py).
    assert [y.shape[1] for y in wanted] == [672, 480 if reduced else 960]
    assert_maps(backbone, x, wanted)
    assert [backbone.strides[t] for t in backbone.taps] == [16, 32]
    assert conventions == v3.SSDLITE


@pytest.mark.parametrize(("spec", "reduced"), [(v3.LARGE, False), (v3.LARGE_REDUCED, True)])
def test_any_detector_takes_the_backbone_of_an_ssdlite(spec: BackboneSpec, reduced: bool) -> None:
    network = detector(reduced)
    backbone, _ = backbone_of(spec, of_detector(reduced))
    x = torch.randn(1, 3, SIDE, SIDE)
    with torch.no_grad():
        last = network.features(x.clone())
        y = x
        for block in backbone.blocks.values():
            y = block(y)
    torch.testing.assert_close(y, last, rtol=0, atol=1e-4 * float(last.abs().max()))


def test_a_tail_of_other_width_is_refused_with_its_name() -> None:
    with pytest.raises(WeightsError, match="backbone=mobilenet_v3_large_reduced"):
        convert(v3.LARGE, of_detector(True), "a.pth")
    with pytest.raises(WeightsError, match=r"take backbone=mobilenet_v3_large$"):
        convert(v3.LARGE_REDUCED, of_detector(False), "a.pth")
    with pytest.raises(WeightsError, match="is no mobilenet_v3_small"):
        convert(v3.SMALL, dict(classifier("large").state_dict()), "a.pth")


@pytest.mark.parametrize(
    ("plain", "expanded"),
    [(v3.LARGE, v3.LARGE_EXPANDED), (v3.SMALL, v3.SMALL_EXPANDED)],
)
def test_the_two_divisions_read_each_other(plain: BackboneSpec, expanded: BackboneSpec) -> None:
    keys = [
        set(SSD(spec, spec.conventions, 1, 96).backbone.state_dict(prefix="backbone."))
        for spec in (plain, expanded)
    ]
    assert plain.adopt is not None
    assert expanded.adopt is not None
    assert set(expanded.adopt(dict.fromkeys(keys[0]))) == keys[1]
    assert set(plain.adopt(dict.fromkeys(keys[1]))) == keys[0]
    assert keys[0] != keys[1]
