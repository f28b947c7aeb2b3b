"""MobileNetV1 1.0 (Howard et al. 2017, arXiv:1704.04861), blocks named as in TF-Slim.

Block 0 (`Conv2d_0`) is the 3x3 stem; blocks 1-13 are depthwise + pointwise pairs. Reads four
published layouts: TF-Slim scopes, pytorch-ssd checkpoints and those of TensorFlow's Object
Detection API (whole detectors), timm's `mobilenetv1_100`.
"""

from __future__ import annotations

import re

from torch import Tensor, nn

from tlx.models.backbones import tf_detection
from tlx.models.backbones.base import (
    ACTIVATIONS,
    PADDINGS,
    Backbone,
    BackboneSpec,
    Conventions,
    StateDict,
    activation,
    prefix_keys,
    register,
)
from tlx.models.backbones.padding import padding_of
from tlx.models.backbones.sources import hugging_face

# (stride, output channels) of blocks 0..13; Table 1 of the paper.
_LAYOUT = (
    (2, 32), (1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512),
    (1, 512), (1, 512), (1, 512), (1, 512), (1, 512), (2, 1024), (1, 1024),
)  # fmt: skip
BLOCKS = tuple(f"Conv2d_{i}" for i in range(len(_LAYOUT)))
TAPS = (11, 13)  # 512 channels at stride 16, 1024 at stride 32, as mb1-ssd

TF_SLIM = Conventions(mean=(0.5,) * 3, std=(0.5,) * 3, bn_eps=1e-3, activation="relu6")
TIMM = Conventions(mean=(0.5,) * 3, std=(0.5,) * 3, bn_eps=1e-5, activation="relu6")
PYTORCH_SSD = Conventions(
    mean=(127 / 255,) * 3, std=(128 / 255,) * 3, bn_eps=1e-5, activation="relu"
)


class ConvBN(nn.Module):
    """Convolution without bias, batch norm, activation."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int, groups: int, c: Conventions):
        super().__init__()
        self.pad, padding = padding_of(kernel, stride, c)
        self.conv = nn.Conv2d(cin, cout, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(cout, eps=c.bn_eps)
        self.act = activation(c)

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) -> (N, cout, ceil(H/stride), ceil(W/stride))."""
        return self.act(self.bn(self.conv(self.pad(x))))


class DepthwiseSeparable(nn.Module):
    """A 3x3 depthwise and a 1x1 pointwise convolution, each with batch norm and activation."""

    def __init__(self, cin: int, cout: int, stride: int, c: Conventions) -> None:
        super().__init__()
        self.depthwise = ConvBN(cin, cin, 3, stride, cin, c)
        self.pointwise = ConvBN(cin, cout, 1, 1, 1, c)

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) -> (N, cout, ceil(H/stride), ceil(W/stride))."""
        return self.pointwise(self.depthwise(x))


def build(conventions: Conventions) -> Backbone:
    """MobileNetV1 without classifier, random weights."""
    blocks: list[tuple[str, nn.Module]] = []
    strides: list[int] = []
    cin, stride_so_far = 3, 1
    for i, (stride, cout) in enumerate(_LAYOUT):
        if i == 0:
            block: nn.Module = ConvBN(cin, cout, 3, stride, 1, conventions)
        else:
            block = DepthwiseSeparable(cin, cout, stride, conventions)
        blocks.append((BLOCKS[i], block))
        cin, stride_so_far = cout, stride_so_far * stride
        strides.append(stride_so_far)
    return Backbone(blocks, strides, (c for _, c in _LAYOUT), TAPS, linear_taps=False)


def from_tf_slim(state: StateDict) -> tuple[StateDict, Conventions] | None:
    """`Conv2d_3_depthwise.conv.weight` -> `backbone.blocks.Conv2d_3.depthwise.conv.weight`."""
    if "Conv2d_0.conv.weight" not in state:
        return None
    out: StateDict = {}
    for key, value in state.items():
        if match := re.fullmatch(r"(Conv2d_\d+)(?:_(depthwise|pointwise))?\.(.+)", key):
            block, part, rest = match.groups()
            out[".".join(["backbone.blocks", block, *([part] if part else []), rest])] = value
    return out, TF_SLIM


def from_pytorch_ssd(state: StateDict) -> tuple[StateDict, Conventions] | None:
    """The mb1-ssd layout of pytorch-ssd: base net, extras and heads."""
    if "base_net.0.0.weight" not in state or "classification_headers.0.weight" not in state:
        return None
    part = {"0": "depthwise.conv", "1": "depthwise.bn", "3": "pointwise.conv", "4": "pointwise.bn"}
    stem = {"0": "conv", "1": "bn"}
    out: StateDict = {}
    for key, value in state.items():
        root, *rest = key.split(".")
        if root == "base_net":
            block, layer, leaf = rest
            inner = stem[layer] if block == "0" else part[layer]
            out[f"backbone.blocks.Conv2d_{block}.{inner}.{leaf}"] = value
        elif root == "extras":
            index, layer, leaf = rest
            conv = {"0": "reduce", "2": "expand"}[layer]
            out[f"extras.extra_{int(index) + 1}.{conv}.{leaf}"] = value
        else:
            name = {"classification_headers": "classify", "regression_headers": "regress"}[root]
            out[f"heads.{name}.{'.'.join(rest)}"] = value
    return out, PYTORCH_SSD


def from_tf_detection(state: StateDict) -> tuple[StateDict, Conventions] | None:
    """SSD-MobileNetV1 of TensorFlow's Object Detection API: backbone, extras and heads."""
    found = tf_detection.convert(state, "MobilenetV1", _of_scope)
    return (found, tf_detection.CONVENTIONS) if found else None


def _of_scope(layer: str) -> tf_detection.Place | None:
    """`Conv2d_3_depthwise` -> where its convolution and its batch norm are here."""
    if not (match := re.fullmatch(r"(Conv2d_\d+)(?:_(depthwise|pointwise))?", layer)):
        return None
    block, part = match.groups()
    home = ".".join(["backbone.blocks", block, *([part] if part else [])])
    return f"{home}.conv", f"{home}.bn"


def from_timm(state: StateDict) -> tuple[StateDict, Conventions] | None:
    """timm's `mobilenetv1_100`: stages of depthwise-separable blocks, numbered from zero."""
    if "conv_stem.weight" not in state or "blocks.0.0.conv_dw.weight" not in state:
        return None
    names = {"conv_dw": "depthwise.conv", "bn1": "depthwise.bn"}
    names |= {"conv_pw": "pointwise.conv", "bn2": "pointwise.bn"}
    stages = sorted({tuple(map(int, k.split(".")[1:3])) for k in state if k.startswith("blocks.")})
    number = {stage: i + 1 for i, stage in enumerate(stages)}
    out: StateDict = {}
    for key, value in state.items():
        root, *rest = key.split(".")
        if root == "blocks":
            block = number[(int(rest[0]), int(rest[1]))]
            out[f"blocks.Conv2d_{block}.{names[rest[2]]}.{rest[3]}"] = value
        elif root in ("conv_stem", "bn1"):
            out[f"blocks.Conv2d_0.{'conv' if root == 'conv_stem' else 'bn'}.{rest[0]}"] = value
    return prefix_keys(out, "backbone."), TIMM


SPEC = register(
    BackboneSpec(
        name="mobilenet_v1",
        blocks=BLOCKS,
        build=build,
        conventions=TIMM,
        sources=(hugging_face("timm/mobilenetv1_100.ra4_e3600_r224_in1k"),),
        converters=(from_tf_slim, from_pytorch_ssd, from_tf_detection, from_timm),
        paddings=PADDINGS,
        activations=ACTIVATIONS,
    )
)
