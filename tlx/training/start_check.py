"""Before training: do the pretrained batch norms see what their stored statistics say?

A file of weights does not state the scaling of its input, and a network under another one trains
worse without a word. The variances that its batch norms remember tell: those of a few training
pictures are compared with them.

Measured on three sets (guns, protective equipment, drawn plates) with five files (MobileNetV1 of
ImageNet and of faces, MobileNetV2 of Open Images and of ImageNet, EfficientNet-Lite0), as the
logarithm of variance seen over variance stored. The median over the channels of the first batch
norm, 16 pictures at 224 px, is -.48 to .27 under the right scaling; with ImageNet's mean and
deviation in the place of .5 it is 1.11 to 1.85, with .5 in the place of ImageNet's -1.47 to -1.65,
with pixels of 0..1 -1.12 to -3.01, of 0..255 8 and more. Over the whole network, 4 pictures at 224
px, the median of the layers' median sizes is .14 to .31 (.30 to .46 at 96 px), and .88 to 2.66
where the statistics of a layer's channels are in another order.

A wrong epsilon (1e-5 for 1e-3), activation or padding is not told: on the two detectors and the
V1 of ImageNet it moved the second figure from .10 to .33 under the right ones to .11 to .43, which
is what other pictures do too.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tlx.data.augment import EvalTransform
from tlx.data.dataset import EvalSplit
from tlx.data.module import DetectionData
from tlx.freeze.policies.base import Phase
from tlx.models.trunk import TrunkNetwork

log = logging.getLogger(__name__)

PICTURES = 16
"""For the first batch norm, which is cheap and varies with them; a quarter for all others."""
SIDE = 224  # px, whatever the network's own: how sharp edges are follows from it
FIRST = (-0.8, 0.7)
"""The logarithm at the first batch norm that a right scaling stays within: half-way between right
and wrong, see above."""
MEDIAN = 0.65
"""The size of it over all layers that statistics of the same weights stay below; likewise."""
_LIVE = 1e-4  # variance of a channel that is no constant; the others say nothing
_FOLDED = 2e-3  # how near to 0 and 1 the statistics of a batch norm are that does nothing


def check_start(
    network: TrunkNetwork, data: DetectionData, phases: Sequence[Phase], *, bn_frozen: bool
) -> dict[str, Any]:
    """Compare stored statistics with those of pictures of the train split; plain values.

    Called before anything is frozen, folded or trained; the network is left as it was.

    Args:
        bn_frozen: whether every batch norm stays in inference mode.

    Returns:
        `statistics`: `first` and `median` as in the module's text (null without batch norms that
        can tell), and `warnings`, which are logged too.
    """
    norms = _norms(network)
    folded = {name for name, norm in norms.items() if is_folded(norm)}
    telling = [name for name in norms if name not in folded]
    first, sizes = None, []
    # The first of all, and not the first that can tell: only it sees the scaling alone.
    if telling and telling[0] == next(iter(norms)):
        images = _pictures(data, PICTURES, SIDE)
        first = variance_logarithms(network, images, telling[:1])[telling[0]]
    if telling:
        images = _pictures(data, PICTURES // 4, min(SIDE, network.input_size))
        found = variance_logarithms(network, images, telling)
        sizes = sorted(logarithm[1] for logarithm in found.values() if logarithm)
    statistics = {
        "first": first[0] if first else None,
        "median": sizes[len(sizes) // 2] if sizes else None,
    }
    warnings = [*_of_scaling(network, statistics["first"]), *_of_all(statistics["median"])]
    if not bn_frozen and (blocks := _normalised_anew(network, phases)):
        warnings.append(
            "Folded batch norms: there are some that do nothing in these weights (mean "
            f"0, variance 1), and blocks that train would be normalised by the batch, which is "
            f"another network ({', '.join(blocks[:3])}{', …' if blocks[3:] else ''}): "
            "trainer.freeze_bn=true keeps them as they are"
        )
    for warning in warnings:
        log.warning("%s", warning)
    return {"statistics": statistics, "warnings": warnings}


@torch.no_grad()
def variance_logarithms(
    network: TrunkNetwork, images: Tensor, names: Sequence[str]
) -> dict[str, tuple[float, float] | None]:
    """Medians over channels of log(variance seen / stored), and of its size, by batch norm.

    Args:
        images: RGB (N, 3, S, S), 0..255. names: of the batch norms, as modules of the backbone.

    None for a batch norm without a channel that varies.
    """
    found: dict[str, tuple[float, float] | None] = {}
    modules = dict(network.backbone.named_modules())
    hooks = [
        modules[name].register_forward_pre_hook(
            lambda norm, given, name=name: found.update({name: _logarithms(norm, given[0])})
        )
        for name in names
    ]
    training = network.training
    try:
        x = network.eval().normalize(images).float()
        for block in network.backbone.blocks.values():
            x = block(x)
            if len(found) == len(names):
                break
    finally:
        for hook in hooks:
            hook.remove()
        network.train(training)
    return found


def is_folded(norm: nn.BatchNorm2d) -> bool:
    """Whether its statistics are those of none: folded into the convolution, or never measured."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var + norm.eps).rsqrt()
    return bool((norm.running_mean.abs() < _FOLDED).all() and ((scale - 1).abs() < _FOLDED).all())


def _norms(network: TrunkNetwork) -> dict[str, nn.BatchNorm2d]:
    """The batch norms of blocks with pretrained weights, by name, in the order of the blocks."""
    return {
        name: module
        for name, module in network.backbone.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        and module.track_running_stats
        and name.split(".")[1] in network.loaded
    }


def _logarithms(norm: nn.BatchNorm2d, x: Tensor) -> tuple[float, float] | None:
    assert norm.running_var is not None
    live = norm.running_var > _LIVE
    if not live.any():
        return None
    seen = x.var((0, 2, 3), correction=0)[live]
    logarithms = (seen.clamp(min=1e-12) / norm.running_var[live]).log()
    first, size = float(logarithms.median()), float(logarithms.abs().median())
    return (first, size) if math.isfinite(first) and math.isfinite(size) else None


def _pictures(data: DetectionData, most: int, side: int) -> Tensor:
    """Evenly spaced ones, as evaluation sees them: uint8 (N, 3, side, side)."""
    items = data.splits["train"]
    count = min(most, len(items))
    chosen = [items[i * len(items) // count] for i in range(count)]
    split = EvalSplit(chosen, data.cache, EvalTransform(side))
    return torch.stack([split[i].image for i in range(count)])  # type: ignore[misc]


def _of_scaling(network: TrunkNetwork, logarithm: float | None) -> list[str]:
    if logarithm is None or FIRST[0] <= logarithm <= FIRST[1]:
        return []
    mean, std = network.conventions.mean, network.conventions.std
    fitting = sum(std) / 3 * math.exp(logarithm / 2)
    return [
        f"Input scaling: the first batch norm sees {math.exp(logarithm):.2g} times the variance "
        "that it remembers of its pretraining. Either these weights expect another input than mean "
        f"{_numbers(mean)} and std {_numbers(std)} (a std of about {fitting:.2g} would fit: state "
        "backbone.mean=[…] and backbone.std=[…], of pixels in 0..1), or the pictures are very "
        "unlike those of the pretraining"
    ]


def _of_all(median: float | None) -> list[str]:
    if median is None or median <= MEDIAN:
        return []
    return [
        f"Batch norm statistics: half of the batch norms see {math.exp(median):.2g} times the "
        "variance that they remember, or less by as much: the statistics are not those of the "
        "other weights (a file converted wrongly?), or the pictures are very unlike those of the "
        "pretraining"
    ]


def _normalised_anew(network: TrunkNetwork, phases: Sequence[Phase]) -> list[str]:
    """The pretrained blocks with folded batch norms that some phase normalises by the batch; those
    behind the backbone, which come with a whole detector, among them."""
    always = frozenset.intersection(*(phase.bn_inference for phase in phases))
    return [
        name
        for place, (name, block) in enumerate(network.trunk())
        if place not in always
        and name in network.loaded
        and any(isinstance(m, nn.BatchNorm2d) and is_folded(m) for m in block.modules())
    ]


def _numbers(values: Sequence[float]) -> str:
    return "/".join(f"{value:.3g}" for value in values)
