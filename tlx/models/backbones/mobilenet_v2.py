"""MobileNetV2 1.0 (Sandler et al. 2018, arXiv:1801.04381), torchvision's architecture.

Block 0 is the stem, blocks 1-17 the inverted residuals; the 1280-channel classifier head is not
part of the detector.

SSD of TensorFlow's Object Detection API taps two other places: the expansion inside of the block
that goes to stride 32, and the 1280-channel convolution. `EXPANDED` is the same network for it,
with that block in two and the convolution as a block: a tap is a block's output.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import replace
from typing import Any

from torch import nn

from tlx.models.backbones import tf_detection
from tlx.models.backbones.base import (
    ACTIVATIONS,
    PADDINGS,
    SAME,
    Backbone,
    BackboneSpec,
    Conventions,
    StateDict,
    backbone_of,
    register,
    set_activation,
    set_bn_eps,
)
from tlx.models.backbones.padding import pad_same
from tlx.models.backbones.sources import published, torch_hub

BLOCKS = ("stem", *(f"bottleneck_{i}" for i in range(1, 18)))
TAPS = (13, 17)  # 96 channels at stride 16, 320 at stride 32
PYTORCH_SSD = Conventions(
    mean=(127 / 255,) * 3, std=(128 / 255,) * 3, bn_eps=1e-5, activation="relu6"
)
IMAGENET = Conventions(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), bn_eps=1e-5)

_SPLIT = 14  # the block that goes to stride 32
EXPANSION, LAST = f"bottleneck_{_SPLIT}_expand", "conv_last"
EXPANDED_BLOCKS = (*BLOCKS[:_SPLIT], EXPANSION, *BLOCKS[_SPLIT:], LAST)
EXPANDED_TAPS = (_SPLIT, len(EXPANDED_BLOCKS) - 1)  # 576 channels at stride 16, 1280 at stride 32


def build(conventions: Conventions) -> Backbone:
    """MobileNetV2 up to its last inverted residual, random weights."""
    blocks = _blocks(conventions)[:-1]
    return backbone_of(zip(BLOCKS, blocks, strict=True), TAPS, linear_taps=True)


def build_expanded(conventions: Conventions) -> Backbone:
    """MobileNetV2 up to its 1280 channels, with the expansion before stride 32 as a block."""
    blocks = _blocks(conventions)
    # The names of the rest are those of the whole: only the expansion's tensors have other keys.
    layers = blocks[_SPLIT].conv
    rest = OrderedDict(list(layers.named_children())[1:])
    blocks[_SPLIT : _SPLIT + 1] = [
        layers[0], nn.Sequential(OrderedDict(conv=nn.Sequential(rest)))
    ]  # fmt: skip
    return backbone_of(zip(EXPANDED_BLOCKS, blocks, strict=True), EXPANDED_TAPS, linear_taps=False)


def _blocks(conventions: Conventions) -> list[Any]:
    from torchvision.models import mobilenet_v2  # here, for only what builds it needs it

    net = mobilenet_v2(weights=None).features
    set_bn_eps(net, conventions.bn_eps)
    set_activation(net, conventions)
    if conventions.padding == SAME:
        pad_same(net)
    return list(net)


def from_torchvision(state: StateDict) -> tuple[StateDict, Conventions] | None:
    """`features.3.conv.0.0.weight` -> `backbone.blocks.bottleneck_3.conv.0.0.weight`."""
    if "features.0.0.weight" not in state or "features.17.conv.0.0.weight" not in state:
        return None
    names = (*BLOCKS, LAST)
    out: StateDict = {}
    for key, value in state.items():
        root, number, *rest = key.split(".")
        if root == "features" and int(number) < len(names):
            out[f"backbone.blocks.{names[int(number)]}.{'.'.join(rest)}"] = value
    return out, IMAGENET


def from_tf_detection(state: StateDict) -> tuple[StateDict, Conventions] | None:
    """SSD-MobileNetV2 of TensorFlow's Object Detection API: backbone, extras and heads."""
    found = tf_detection.convert(state, "MobilenetV2", _of_scope)
    return (found, tf_detection.CONVENTIONS) if found else None


def from_pytorch_ssd(state: StateDict) -> tuple[StateDict, Conventions] | None:
    """The mb2-ssd-lite layout of pytorch-ssd: base net, extras and heads."""
    if "base_net.18.0.weight" not in state or "base_net.2.conv.0.weight" not in state:
        return None
    # Its layers of a block count activations too: those of torchvision's nested ones.
    nested = {"0": "0.0", "1": "0.1", "3": "1.0", "4": "1.1", "6": "2", "7": "3"}
    first = {"0": "0.0", "1": "0.1", "3": "1", "4": "2"}  # bottleneck_1 does not expand
    predictor = {"0": "depthwise", "1": "bn", "3": "project"}
    heads = {"classification_headers": "classify", "regression_headers": "regress"}
    names, out = (*BLOCKS, LAST), {}
    for key, value in state.items():
        root, number, *rest = key.split(".")
        if root == "base_net":
            home = f"backbone.blocks.{names[int(number)]}"
            if rest[0] == "conv":
                layers = first if number == "1" else nested
                rest = ["conv", layers[rest[1]], *rest[2:]]
        elif root == "extras":
            home = f"extras.extra_{int(number) + 1}"
            rest = ["conv", nested[rest[1]], *rest[2:]]
        else:
            home = f"heads.{heads[root]}.{number}"
            rest = [predictor[rest[0]], *rest[1:]] if len(rest) > 1 else rest
        out[".".join([home, *rest])] = value
    return out, PYTORCH_SSD


def _of_scope(layer: str) -> tf_detection.Place | None:
    """`expanded_conv_3/depthwise` -> where its convolution and its batch norm are here."""
    if layer in ("Conv", "Conv_1"):
        home = f"backbone.blocks.{'stem' if layer == 'Conv' else LAST}"
        return f"{home}.0", f"{home}.1"
    match = re.fullmatch(r"expanded_conv(?:_(\d+))?/(expand|depthwise|project)", layer)
    if not match:
        return None
    number, part = int(match[1] or 0), match[2]
    # The first block does not expand, so its layers stand one place earlier.
    place = ("expand", "depthwise", "project").index(part) - (number == 0)
    home = f"backbone.blocks.bottleneck_{number + 1}.conv"
    if part == "project":
        return f"{home}.{place}", f"{home}.{place + 1}"
    return f"{home}.{place}.0", f"{home}.{place}.1"


_WHOLE, _APART = f"backbone.blocks.{BLOCKS[_SPLIT]}.conv.0.", f"backbone.blocks.{EXPANSION}."


def joined(state: StateDict) -> StateDict:
    """Keys of `EXPANDED` -> those of the 18 blocks, which end before the last convolution."""
    return {
        key.replace(_APART, _WHOLE): value
        for key, value in state.items()
        if not key.startswith(f"backbone.blocks.{LAST}.")
    }


def split(state: StateDict) -> StateDict:
    """Keys of the 18 blocks -> those of `EXPANDED`."""
    return {key.replace(_WHOLE, _APART): value for key, value in state.items()}


SPEC = register(
    BackboneSpec(
        name="mobilenet_v2",
        blocks=BLOCKS,
        build=build,
        conventions=IMAGENET,
        sources=(
            torch_hub("mobilenet_v2-7ebf99e0.pth"),
            published("mobilenet_v2@imagenet"),
        ),
        converters=(from_torchvision, from_tf_detection, from_pytorch_ssd),
        paddings=PADDINGS,
        activations=ACTIVATIONS,
        adopt=joined,
    )
)
EXPANDED = replace(SPEC, blocks=EXPANDED_BLOCKS, build=build_expanded, adopt=split)
