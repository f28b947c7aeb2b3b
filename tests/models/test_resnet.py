"""ResNets by name against torchvision's, and timm's under the same names."""

from __future__ import annotations

import pytest
import timm
import torch
import torchvision
from torch import nn
from torchvision.models import ResNet18_Weights, ResNet50_Weights

from tests.models.helpers_reference import assert_maps, backbone_of, lively
from tlx.common.errors import WeightsError
from tlx.models.backbones import resnet
from tlx.models.backbones.base import BackboneSpec
from tlx.models.backbones.weights import convert

SPECS = [resnet.RESNET18, resnet.RESNET50]
# He et al. 2016, table 1: blocks of the four stages, channels behind the last two.
BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3)}
CHANNELS = {"resnet18": [256, 512], "resnet50": [1024, 2048]}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_weights_of_torchvision_give_its_maps(spec: BackboneSpec) -> None:
    torch.manual_seed(0)
    network = lively(torchvision.models.get_model(spec.name, weights=None))
    backbone, conventions = backbone_of(spec, network.state_dict())
    x = torch.randn(1, 3, 64, 64)
    stages = [network.conv1, network.bn1, network.relu, network.maxpool]
    stages += [network.layer1, network.layer2, network.layer3]
    with torch.no_grad():
        third = nn.Sequential(*stages)(x.clone())
        wanted = [third, network.layer4(third.clone())]
    assert_maps(backbone, x, wanted)
    assert [y.shape[1] for y in wanted] == CHANNELS[spec.name]
    for tap, y, stride in zip(backbone.taps, wanted, (16, 32), strict=True):
        assert (backbone.strides[tap], backbone.channels[tap]) == (stride, y.shape[1])
    assert conventions == resnet.IMAGENET
    assert len(spec.blocks) == 1 + sum(BLOCKS[spec.name])


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_timms_tensors_have_the_same_names(spec: BackboneSpec) -> None:
    network = timm.create_model(spec.name, pretrained=False)
    backbone, conventions = backbone_of(spec, network.state_dict())
    config = network.pretrained_cfg
    assert (config["mean"], config["std"]) == (conventions.mean, conventions.std)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        wanted = network.eval().forward_intermediates(x, intermediates_only=True)[-2:]
    assert_maps(backbone, x, wanted)


def test_conventions_are_those_that_torchvision_states() -> None:
    for weights in (*ResNet18_Weights, *ResNet50_Weights):
        transform = weights.transforms()
        assert tuple(transform.mean) == resnet.IMAGENET.mean
        assert tuple(transform.std) == resnet.IMAGENET.std


def test_the_one_is_not_taken_for_the_other() -> None:
    state = torchvision.models.resnet18(weights=None).state_dict()
    with pytest.raises(WeightsError, match="is no resnet50"):
        convert(resnet.RESNET50, state, "a.pth")
