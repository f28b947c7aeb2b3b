"""MobileNetV2 1.0 (Sandler et al. 2018, arXiv:1801.04381), torchvision's architecture.

Block 0 is the stem, blocks 1-17 the inverted residuals; the 1280-channel classifier head is not
part of the detector.
"""

from __future__ import annotations

from torch import nn
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

from tlx.models.backbones.base import (
    PADDINGS,
    SAME,
    Backbone,
    BackboneSpec,
    Conventions,
    StateDict,
    register,
    set_bn_eps,
)
from tlx.models.backbones.padding import pad_same
from tlx.models.backbones.sources import torch_hub

BLOCKS = ("stem", *(f"bottleneck_{i}" for i in range(1, 18)))
TAPS = (13, 17)  # 96 channels at stride 16, 320 at stride 32
IMAGENET = Conventions(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), bn_eps=1e-5)


def build(conventions: Conventions) -> Backbone:
    """MobileNetV2 up to its last inverted residual, random weights."""
    net = mobilenet_v2(weights=None).features[:-1]
    set_bn_eps(net, conventions.bn_eps)
    if conventions.padding == SAME:
        pad_same(net)
    channels, strides = [], []
    stride = 1
    for block in net:
        convs = [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)]
        stride *= max(conv.stride[0] for conv in convs)
        strides.append(stride)
        channels.append(convs[-1].out_channels)
    return Backbone(zip(BLOCKS, net, strict=True), strides, channels, TAPS, linear_taps=True)


def from_torchvision(state: StateDict) -> tuple[StateDict, Conventions] | None:
    """`features.3.conv.0.0.weight` -> `backbone.blocks.bottleneck_3.conv.0.0.weight`."""
    if "features.0.0.weight" not in state or "features.17.conv.0.0.weight" not in state:
        return None
    out: StateDict = {}
    for key, value in state.items():
        root, number, *rest = key.split(".")
        if root == "features" and int(number) < len(BLOCKS):
            out[f"backbone.blocks.{BLOCKS[int(number)]}.{'.'.join(rest)}"] = value
    return out, IMAGENET


SPEC = register(
    BackboneSpec(
        name="mobilenet_v2",
        blocks=BLOCKS,
        build=build,
        conventions=IMAGENET,
        sources=(torch_hub(MobileNet_V2_Weights.IMAGENET1K_V2.url),),
        converters=(from_torchvision,),
        paddings=PADDINGS,
    )
)
