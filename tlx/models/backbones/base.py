"""A backbone is an ordered list of named blocks; freezing, taps and reports all speak in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from tlx.common.registry import Registry

StateDict = dict[str, Tensor]

SYMMETRIC, SAME = "symmetric", "same"
ACTIVATIONS = ("relu", "relu6")
PADDINGS = (SYMMETRIC, SAME)


@dataclass(frozen=True)
class Conventions:
    """What a set of pretrained weights expects of the network and its input.

    The same architecture is published with different batch-norm epsilons, activations and input
    scalings; loading weights under other conventions costs accuracy silently, so they travel with
    the weights and are stored in every checkpoint.

    Attributes:
        mean, std: per-channel RGB normalisation of pixels in 0..1: ``(pixel - mean) / std``.
        bn_eps: epsilon of every batch norm in the backbone.
        activation: ``"relu"`` or ``"relu6"``, of networks that are published with either; in others
            it is a part of the architecture (MobileNetV3's hard swish), and this says nothing.
        padding: of strided convolutions: ``"symmetric"``, half the kernel on every side, or
            ``"same"``, TensorFlow's (`tlx.models.backbones.padding`).
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    bn_eps: float = 1e-5
    activation: str = "relu6"
    padding: str = SYMMETRIC


class Backbone(nn.Module):
    """Ordered, named blocks with the places where a detector taps them.

    Attributes:
        blocks: name -> module, in forward order; ``freeze=N`` means blocks 0..N inclusive.
        strides, channels: output stride (input pixels) and channels after each block.
        taps: indices of the blocks whose output feeds detection heads, ascending.
        linear_taps: whether the tapped maps are of any scale, so that heads normalise them: those
            of blocks that end without an activation (inverted residuals), or without batch norm.
    """

    def __init__(
        self,
        blocks: Iterable[tuple[str, nn.Module]],
        strides: Iterable[int],
        channels: Iterable[int],
        taps: tuple[int, ...],
        *,
        linear_taps: bool,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleDict(dict(blocks))
        self.strides = tuple(strides)
        self.channels = tuple(channels)
        self.taps = taps
        self.linear_taps = linear_taps


def backbone_of(
    named: Iterable[tuple[str, nn.Module]], taps: tuple[int, ...], *, linear_taps: bool
) -> Backbone:
    """Blocks whose convolutions alone lower the resolution, with strides and channels read off.

    A block halves once at most, and ends with the channels of its last convolution.
    """
    blocks, channels, strides = list(named), [], []
    stride = 1
    for _, block in blocks:
        convs = [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)]
        stride *= max(conv.stride[0] for conv in convs)
        strides.append(stride)
        channels.append(convs[-1].out_channels)
    return Backbone(blocks, strides, channels, taps, linear_taps=linear_taps)


# A converter turns somebody's state dict into detector keys (`backbone.blocks.…`, and `extras.…`,
# `heads.…` where the file holds a whole detector), or returns None when it is not its format.
Converter = Callable[[StateDict], "tuple[StateDict, Conventions] | None"]


@dataclass(frozen=True)
class Source:
    """One place where pretrained weights may be found.

    Attributes:
        advice: what a user does to make this source work, an imperative sentence.
        installed: returns a local path (package or download cache), or None.
        download: fetches the file and returns its path; None where the source is only a package.
    """

    advice: str
    installed: Callable[[], Path | None]
    download: Callable[[], Path] | None = None


@dataclass(frozen=True)
class BackboneSpec:
    """All that is known about a backbone before it is built.

    Attributes:
        blocks: the names of the blocks, in order, so that a configuration can be checked early.
        build: makes the network with random weights for given conventions.
        conventions: used where the weights state none (and for training from scratch).
        sources: where ``weights=auto`` looks, in order.
        converters: formats that this backbone reads, tried in order.
        paddings, activations: the conventions of these that `build` knows; no activation: it has
            its own, whatever the conventions say.
        adopt: renames tensors of the same network in other blocks, as another detector has it.
        outline: the network with nothing in its blocks, for who asks for strides and channels only;
            None: `build` takes no longer.
    """

    name: str
    blocks: tuple[str, ...]
    build: Callable[[Conventions], Backbone]
    conventions: Conventions
    sources: tuple[Source, ...]
    converters: tuple[Converter, ...]
    paddings: tuple[str, ...] = (SYMMETRIC,)
    activations: tuple[str, ...] = ()
    adopt: Callable[[StateDict], StateDict] | None = None
    outline: Callable[[], Backbone] | None = None


BACKBONES: Registry[BackboneSpec] = Registry("backbone.name")
FAMILIES: Registry[Callable[[str], BackboneSpec]] = Registry("backbone.name")
"""What makes the backbone `FAMILY-MODEL` of its model's name; raises `ConfigError` for none."""


def register(spec: BackboneSpec) -> BackboneSpec:
    """Make a backbone known under its name."""
    return BACKBONES.add(spec.name, spec, spec.build.__module__)


def backbone_spec(name: str) -> BackboneSpec:
    """Look a backbone up; an unknown name is a `ConfigError` with the nearest of the known ones."""
    family, _, model = name.partition("-")
    if name not in BACKBONES and family in FAMILIES and model:
        return FAMILIES[family](model)
    return BACKBONES.find(name)


def activation(conventions: Conventions) -> nn.Module:
    """The activation layer that the conventions name."""
    layers = {"relu": nn.ReLU, "relu6": nn.ReLU6}
    return layers[conventions.activation](inplace=True)


def set_bn_eps(module: nn.Module, eps: float) -> None:
    """Give every batch norm in `module` the same epsilon."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = eps


def set_activation(module: nn.Module, conventions: Conventions) -> None:
    """Give `module` the activation of the conventions wherever it has one of `ACTIVATIONS`."""
    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.ReLU | nn.ReLU6):
                setattr(parent, name, activation(conventions))


def prefix_keys(state: StateDict, prefix: str) -> StateDict:
    """The state dict with `prefix` put before every key."""
    return {prefix + key: value for key, value in state.items()}


def without_counters(state: StateDict) -> StateDict:
    """Drop `num_batches_tracked`, which some publishers leave out and inference never reads."""
    return {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}


__all__ = [
    "ACTIVATIONS",
    "BACKBONES",
    "FAMILIES",
    "PADDINGS",
    "SAME",
    "SYMMETRIC",
    "Backbone",
    "BackboneSpec",
    "Conventions",
    "Converter",
    "Source",
    "StateDict",
    "activation",
    "backbone_of",
    "backbone_spec",
    "prefix_keys",
    "register",
    "set_activation",
    "set_bn_eps",
    "without_counters",
]
