"""MobileNetV4-Conv-S against timm's."""

from __future__ import annotations

import timm
import torch

from tests.models.helpers_reference import assert_maps, backbone_of, lively
from tlx.models.backbones import mobilenet_v4
from tlx.models.backbones.base import backbone_spec


def test_weights_of_timm_give_its_maps() -> None:
    torch.manual_seed(0)
    network = lively(timm.create_model("mobilenetv4_conv_small", pretrained=False))
    backbone, conventions = backbone_of(mobilenet_v4.SPEC, network.state_dict())
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        wanted = network.forward_intermediates(x, intermediates_only=True)
    assert_maps(backbone, x, wanted[-2:])
    config = network.pretrained_cfg
    assert (config["mean"], config["std"]) == (conventions.mean, conventions.std)
    shapes = zip(backbone.strides, backbone.channels, strict=True)
    places = dict(zip(mobilenet_v4.BLOCKS, shapes, strict=True))
    # Qin et al. 2024, the table of MNv4-Conv-S.
    assert places["stem"] == (2, 32)
    assert places["fused_1"] == (4, 32)
    assert places["fused_2"] == (8, 64)
    assert places["uib_6"] == (16, 96)
    assert places["uib_12"] == (32, 128)
    assert places["conv_last"] == (32, 960)


def test_it_is_the_familys_network_with_the_stem_apart() -> None:
    own, timms = mobilenet_v4.SPEC, backbone_spec("timm-mobilenetv4_conv_small")
    assert own.conventions.mean == timms.conventions.mean
    assert own.conventions.bn_eps == timms.conventions.bn_eps
    assert len(own.blocks) == len(timms.blocks) + 2
    a, b = (spec.build(spec.conventions) for spec in (own, timms))
    assert a.strides[2:] == b.strides
    assert a.channels[2:] == b.channels
    assert [t - 2 for t in a.taps] == list(b.taps)
