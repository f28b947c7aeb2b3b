"""`freeze=keras:N`: the first N of `model.layers` of a model of keras.applications, as blocks.

That is `for layer in model.layers[:N]: layer.trainable = False`. In Keras the input, a padding, a
batch norm, an activation, an addition and a pooling are layers of their own; here a block is frozen
whole or not at all. So N is taken where the layers before it hold all weights of the blocks that
they are in, whatever layers without weights are among them.

The lists are those of Keras 3.15 with `include_top=False` (the same since 2.6) and one layer behind
them, a pooling or a flattening, which has no weights. No width (`alpha`) changes them. Up to Keras
2.3 (keras_applications 1.0) both MobileNets had a padding before the first convolution.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

from tlx.common.errors import ConfigError

if TYPE_CHECKING:
    from tlx.models.backbones.base import BackboneSpec

PREFIX = "keras:"
INPUT, BEHIND = "the input", "the pooling or flattening"

Layers = dict[str, list[str]]
"""Block here -> its layers in Keras, in order; a padding belongs to the convolution behind it."""

_WITHOUT_WEIGHTS = re.compile(r"_(relu|pad|add|pool)(_|$)")


def _mobilenet_v1() -> Layers:
    found = {"Conv2d_0": ["conv1", "conv1_bn", "conv1_relu"]}
    for n in range(1, 14):
        padding = [f"conv_pad_{n}"] if n in (2, 4, 6, 12) else []  # stride 2
        parts = (f"conv_dw_{n}", f"conv_pw_{n}")
        layers = chain.from_iterable((part, f"{part}_bn", f"{part}_relu") for part in parts)
        found[f"Conv2d_{n}"] = [*padding, *layers]
    return found


def _mobilenet_v2() -> Layers:
    """Block n of Keras is `bottleneck_{n+1}` here; its first has a name instead of a number."""
    found = {"stem": ["Conv1", "bn_Conv1", "Conv1_relu"]}
    for n in range(17):
        name, block = f"block_{n}" if n else "expanded_conv", f"bottleneck_{n + 1}"
        expand, depthwise = (
            [part, f"{part}_BN", f"{part}_relu"] for part in (f"{name}_expand", f"{name}_depthwise")
        )
        if n:
            found[f"{block}_expand"] = expand
        padding = [f"{name}_pad"] if n in (1, 3, 6, 13) else []  # stride 2
        # Added where neither stride nor channels change.
        added = [] if n in (0, 1, 3, 6, 10, 13, 16) else [f"{name}_add"]
        project = [f"{name}_project", f"{name}_project_BN"]
        found[block] = [*padding, *depthwise, *project, *added]
    return found | {"conv_last": ["Conv_1", "Conv_1_bn", "out_relu"]}


def _vgg16() -> Layers:
    found: Layers = {}
    for stage, count in enumerate((2, 2, 3, 3, 3), 1):
        for n in range(1, count + 1):
            found[f"conv{stage}_{n}"] = [f"block{stage}_conv{n}"]
        found[f"conv{stage}_{count}"].append(f"block{stage}_pool")
    return found


MODELS = {
    "mobilenet_v1": ("MobileNet", _mobilenet_v1()),
    "mobilenet_v2": ("MobileNetV2", _mobilenet_v2()),
    "vgg16": ("VGG16", _vgg16()),
}
"""Backbone -> the name of the model in keras.applications, and its layers."""


def keras_layers(spec: BackboneSpec) -> list[str]:
    """The layers of its model in Keras, from the input to the one behind it."""
    return [INPUT, *chain.from_iterable(MODELS[spec.name][1].values()), BEHIND]


def keras_indices(spec: BackboneSpec) -> dict[str, range]:
    """Block -> the numbers of layers that freeze up to and with it, of those that Keras has too."""
    owners = [
        # A block of its own only in the form of the backbone that is tapped there.
        block if block in spec.blocks else block.removesuffix("_expand")
        for block, layers in MODELS[spec.name][1].items()
        for _ in layers
    ]
    layers = keras_layers(spec)
    held = [
        (owner, place)
        for place, owner in enumerate(owners, 1)  # 0 is the input
        if not _WITHOUT_WEIGHTS.search(layers[place])
    ]
    first, last = dict(reversed(held)), dict(held)
    starts = [*list(dict(held))[1:], None]  # of the block behind each
    return {
        block: range(last[block] + 1, (first[behind] if behind else len(layers)) + 1)
        for block, behind in zip(dict(held), starts, strict=True)
        if block in spec.blocks
    }


def keras_block(label: str, spec: BackboneSpec) -> str:
    """The block up to and with which `freeze=keras:N` freezes.

    Raises `ConfigError` for a backbone without a list, and for an N that is no number, freezes no
    weights, ends inside of a block, or goes past what is there; with the nearest ones that do not.
    """
    if spec.name not in MODELS:
        raise ConfigError(
            f"freeze={label} counts layers of keras.applications, which are known here for "
            f"{', '.join(MODELS)}: name a block of {spec.name}, or its number"
        )
    indices, text = keras_indices(spec), label.removeprefix(PREFIX)
    if not (text.isascii() and text.isdecimal()):
        raise ConfigError(f"freeze={label} is not understood: keras:N takes a number of layers")
    if found := [block for block, counts in indices.items() if int(text) in counts]:
        return found[0]
    raise ConfigError(f"freeze={label} {_problem(int(text), spec)}: {_nearest(int(text), spec)}")


def _problem(count: int, spec: BackboneSpec) -> str:
    model, layers = MODELS[spec.name][0], keras_layers(spec)
    if count <= 1:
        return "freezes no weights, as freeze=none does"
    if count > len(layers):
        return f"goes past the {len(layers) - 1} layers of {model}"
    return f"ends with {layers[count - 1]} of {model}, which ends no block of {spec.name}"


def _nearest(count: int, spec: BackboneSpec) -> str:
    """The numbers below and above that end a block."""
    indices = keras_indices(spec)
    below = [block for block, counts in indices.items() if counts[-1] < count][-1:]
    above = [block for block, counts in indices.items() if counts[0] > count][:1]
    told = []
    for block in below + above:
        ends = " to ".join(map(str, sorted({indices[block][0], indices[block][-1]})))
        told.append(f"keras:{ends} ends with block {spec.blocks.index(block)}, {block}")
    return "; ".join(told)
