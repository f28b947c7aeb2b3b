"""MobileNetV3 1.0 (Howard et al. 2019, arXiv:1905.02244), torchvision's architecture.

Block 0 is the stem, then come the bottlenecks (15 of Large, 11 of Small) and the 1x1 convolution
before the pooling. Hard swish, ReLU and squeeze-excitation stand where the paper has them.

torchvision's `ssdlite320_mobilenet_v3_large` is trained on half the channels of the last three
bottlenecks and of what follows (`reduced_tail=True`; sec. 6.3 of the paper): a network of its own
here. SSDLite also taps the expansion inside of the bottleneck that goes to stride 32: the
`EXPANDED` networks have that bottleneck in two, for a tap is a block's output.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any

from torch import nn

from tlx.common.errors import WeightsError
from tlx.models.backbones import torchvision_detection
from tlx.models.backbones.base import (
    Backbone,
    BackboneSpec,
    Conventions,
    Converter,
    StateDict,
    backbone_of,
    register,
    set_bn_eps,
)
from tlx.models.backbones.sources import torch_hub

IMAGENET = Conventions(
    mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), bn_eps=1e-3, activation="relu"
)
SSDLITE = Conventions(mean=(0.5,) * 3, std=(0.5,) * 3, bn_eps=1e-3, activation="relu")
LAST = "conv_last"
_LARGE = "mobilenet_v3_large"


class _Layout:
    """The blocks of one of the networks, whole and with the bottleneck of stride 32 in two.

    Args:
        network: torchvision's name of it. bottlenecks: how many. deepest: the one of stride 32.
        reduced: whether its tail has half the channels.
    """

    def __init__(self, network: str, bottlenecks: int, deepest: int, reduced: bool = False) -> None:
        self.network, self.deepest, self.reduced = network, deepest, reduced
        self.blocks = ("stem", *(f"bottleneck_{i}" for i in range(1, bottlenecks + 1)), LAST)
        self.taps = (deepest - 1, len(self.blocks) - 1)
        self.whole = self.blocks[deepest]
        self.expansion = f"{self.whole}_expand"
        self.expanded_blocks = (*self.blocks[:deepest], self.expansion, *self.blocks[deepest:])
        self.expanded_taps = (deepest, len(self.expanded_blocks) - 1)
        self._inside = f"backbone.blocks.{self.whole}.block.0."
        self._apart = f"backbone.blocks.{self.expansion}."

    def build(self, conventions: Conventions) -> Backbone:
        """The network up to its last convolution, random weights."""
        named = zip(self.blocks, self._modules(conventions), strict=True)
        return backbone_of(named, self.taps, linear_taps=True)

    def build_expanded(self, conventions: Conventions) -> Backbone:
        """The same with the expansion before stride 32 as a block."""
        modules = self._modules(conventions)
        # The names of the rest are those of the whole: only the expansion's tensors have other
        # keys. No residual joins the two: the block changes the resolution.
        layers = modules[self.deepest].block
        rest = OrderedDict(list(layers.named_children())[1:])
        modules[self.deepest : self.deepest + 1] = [
            layers[0], nn.Sequential(OrderedDict(block=nn.Sequential(rest)))
        ]  # fmt: skip
        named = zip(self.expanded_blocks, modules, strict=True)
        return backbone_of(named, self.expanded_taps, linear_taps=False)

    def _modules(self, conventions: Conventions) -> list[Any]:
        from torchvision import models  # here, for only what builds it needs it

        # torchvision averages the statistics of batch norm over 100 steps (momentum .01), which
        # is half of a short run: with torch's own momentum, as every backbone here has it, what
        # trains is validated with statistics of its present weights.
        net = models.get_model(
            self.network, weights=None, norm_layer=nn.BatchNorm2d, reduced_tail=self.reduced
        ).features
        set_bn_eps(net, conventions.bn_eps)
        return list(net)

    def joined(self, state: StateDict) -> StateDict:
        """Keys of the expanded blocks -> those of the whole ones."""
        return {key.replace(self._apart, self._inside): value for key, value in state.items()}

    def split(self, state: StateDict) -> StateDict:
        """Keys of the whole blocks -> those of the expanded ones."""
        return {key.replace(self._inside, self._apart): value for key, value in state.items()}

    def from_torchvision(self, state: StateDict) -> tuple[StateDict, Conventions] | None:
        """`features.4.block.1.0.weight` -> `backbone.blocks.bottleneck_4.block.1.0.weight`."""
        last = len(self.blocks) - 1
        if f"features.{last}.0.weight" not in state or "features.1.block.0.0.weight" not in state:
            return None
        out: StateDict = {}
        for key, value in state.items():
            root, number, *rest = key.split(".")
            if root == "features":
                out[f"backbone.blocks.{self.blocks[int(number)]}.{'.'.join(rest)}"] = value
        return out, IMAGENET

    def from_torchvision_detection(self, state: StateDict) -> tuple[StateDict, Conventions] | None:
        """torchvision's `ssdlite320_mobilenet_v3_large`, with either tail, extra maps and heads.

        Its features are in two parts, cut behind the expansion of the bottleneck of stride 32.
        """
        tail = f"backbone.features.1.{len(self.blocks) - 1 - self.deepest}.0.weight"
        if f"backbone.features.0.{self.deepest}.0.weight" not in state or tail not in state:
            return None
        wide = self.network == _LARGE and not self.reduced
        if (state[tail].shape[0] == 960) != wide:
            other = "mobilenet_v3_large_reduced" if wide else "mobilenet_v3_large"
            raise WeightsError(
                f"the last convolution has {state[tail].shape[0]} channels: this is a {other}, "
                f"take backbone={other}"
            )
        heads = {"0.0": "depthwise", "0.1": "bn", "1": "project"}
        blocks = {str(n): f"extra_{n + 1}" for n in range(4)}
        out = torchvision_detection.behind(state, blocks=blocks, extras={}, heads=heads)
        for key, value in state.items():
            if not key.startswith("backbone.features."):
                continue
            _, _, part, number, *rest = key.split(".")
            place = int(number) + (self.deepest if part == "1" else 0)
            inside = []
            if place == self.deepest:
                inside = ["block", "0"] if part == "0" else ["block"]
            out[".".join(["backbone.blocks", self.blocks[place], *inside, *rest])] = value
        return out, SSDLITE


def _specs(
    name: str, layout: _Layout, files: tuple[str, ...], conventions: Conventions = IMAGENET
) -> tuple[BackboneSpec, BackboneSpec]:
    """A network in whole blocks, registered, and with its expansion apart."""
    converters: tuple[Converter, ...] = (layout.from_torchvision,)
    if layout.network == _LARGE:
        converters = (layout.from_torchvision_detection, *converters)
    spec = register(
        BackboneSpec(
            name=name,
            blocks=layout.blocks,
            build=layout.build,
            conventions=conventions,
            sources=tuple(map(torch_hub, files)),
            converters=converters,
            adopt=layout.joined,
        )
    )
    expanded = replace(
        spec, blocks=layout.expanded_blocks, build=layout.build_expanded, adopt=layout.split
    )
    return spec, expanded


# V1 first: torchvision's own detectors start from it. V2 was trained with label smoothing and
# mixing, which make better classifiers and worse starts (Kornblith et al. 2021, arXiv:2010.16402).
LARGE, LARGE_EXPANDED = _specs(
    _LARGE,
    _Layout(_LARGE, bottlenecks=15, deepest=13),
    ("mobilenet_v3_large-8738ca79.pth", "mobilenet_v3_large-5c1a4163.pth"),
)
LARGE_REDUCED, LARGE_REDUCED_EXPANDED = _specs(
    "mobilenet_v3_large_reduced",
    _Layout(_LARGE, bottlenecks=15, deepest=13, reduced=True),
    ("ssdlite320_mobilenet_v3_large_coco-a79551df.pth",),
    SSDLITE,
)
SMALL, SMALL_EXPANDED = _specs(
    "mobilenet_v3_small",
    _Layout("mobilenet_v3_small", bottlenecks=11, deepest=9),
    ("mobilenet_v3_small-047dcff4.pth",),
)
