"""MobileNetV4-Conv-S (Qin et al. 2024, arXiv:2404.10518), timm's `mobilenetv4_conv_small`.

Block 0 is the stem; then come the two fused inverted bottlenecks, the twelve universal ones (UIB)
and the 1x1 convolution before the pooling, as the table of the paper's appendix counts them.
`backbone=timm backbone.model=mobilenetv4_conv_small` is the same network with the first three in
one block.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from tlx.models.backbones.base import (
    Backbone,
    BackboneSpec,
    Conventions,
    StateDict,
    backbone_of,
    register,
    set_bn_eps,
)
from tlx.models.backbones.sources import hugging_face

_MODEL = "mobilenetv4_conv_small"
_FUSED, _UIB = (0, 1), {2: 6, 3: 6}  # timm's stages; bottlenecks in each
LAST = "conv_last"
_HOMES = {f"blocks.{stage}": f"fused_{stage + 1}" for stage in _FUSED}
_HOMES |= {
    f"blocks.{stage}.{i}": f"uib_{6 * place + i + 1}"
    for place, (stage, count) in enumerate(_UIB.items())
    for i in range(count)
}
_HOMES |= {"blocks.4": LAST}
BLOCKS = ("stem", *_HOMES.values())
TAPS = (BLOCKS.index("uib_6"), BLOCKS.index(LAST))  # 96 channels at stride 16, 960 at stride 32

TIMM = Conventions(
    mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), bn_eps=1e-5, activation="relu"
)


def build(conventions: Conventions) -> Backbone:
    """MobileNetV4-Conv-S up to its last convolution, random weights."""
    import timm  # here, for only what builds it needs it

    net: Any = timm.create_model(_MODEL, pretrained=False)
    set_bn_eps(net, conventions.bn_eps)
    stem = nn.Sequential(net.conv_stem, net.bn1)  # timm's bn1 applies the activation
    named = zip(BLOCKS, [stem, *map(net.get_submodule, _HOMES)], strict=True)
    return backbone_of(named, TAPS, linear_taps=True)


def from_timm(state: StateDict) -> tuple[StateDict, Conventions] | None:
    """`blocks.2.1.pw_exp.conv.weight` -> `backbone.blocks.uib_2.pw_exp.conv.weight`."""
    if "conv_stem.weight" not in state or "blocks.2.0.dw_start.conv.weight" not in state:
        return None
    stem = {"conv_stem": "stem.0", "bn1": "stem.1"}
    out: StateDict = {}
    for key, value in state.items():
        parts = key.split(".")
        for length in (1, 2, 3):
            path, rest = ".".join(parts[:length]), ".".join(parts[length:])
            if home := (stem | _HOMES).get(path):
                out[f"backbone.blocks.{home}.{rest}"] = value
    return out, TIMM


SPEC = register(
    BackboneSpec(
        name="mobilenet_v4_conv_small",
        blocks=BLOCKS,
        build=build,
        conventions=TIMM,
        sources=(hugging_face("timm/mobilenetv4_conv_small.e2400_r224_in1k"),),
        converters=(from_timm,),
    )
)
