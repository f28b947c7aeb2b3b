"""LoRA (Hu et al. 2021, arXiv:2106.09685) on 1x1 convolutions.

The frozen weight W is computed as W + (alpha / rank) B A, where A (rank, inputs) starts random and
B (outputs, rank) at zero. The sum is formed and not a second path through the layer: so merging is
exact, batch norm folds as ever, and no map is read or written twice. Its price is the gradient of
the whole weight, from which those of A and B follow: a step costs what training these convolutions
costs, and only what the optimizer keeps is less.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tlx.common.errors import WeightsError, first_line

_ORIGINAL = ".parametrizations.weight.original"


class LowRank(nn.Module):
    """The sum of a weight (outputs, inputs, 1, 1) and a product of rank `rank`."""

    scale: Tensor

    def __init__(self, weight: Tensor, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        outputs, inputs = weight.shape[:2]
        down = torch.empty(rank, inputs)
        # As a linear layer starts, which is what the paper's own code takes.
        nn.init.kaiming_uniform_(down, a=math.sqrt(5), generator=generator)
        self.down = nn.Parameter(down.to(weight))
        self.up = nn.Parameter(torch.zeros(outputs, rank).to(weight))
        self.register_buffer("scale", torch.tensor(alpha / rank).to(weight))

    def forward(self, weight: Tensor) -> Tensor:
        """(outputs, inputs, 1, 1) -> the same."""
        return summed(weight, self.up, self.down, self.scale)


def summed(weight: Tensor, up: Tensor, down: Tensor, scale: Tensor) -> Tensor:
    """The weight that the layer computes with, in the precision that it is kept in."""
    with torch.autocast(weight.device.type, enabled=False):
        return weight + scale * (up @ down)[:, :, None, None]


def add_adapters(blocks: Iterable[nn.Module], rank: int, alpha: float, seed: int) -> int:
    """Give every 1x1 convolution of the blocks an adapter that changes nothing yet; how many.

    Args:
        rank: lowered where a layer has fewer inputs or outputs.
        seed: of what A starts from; no other draw of the run is moved.
    """
    generator, count = torch.Generator().manual_seed(seed), 0
    for layer in [layer for block in blocks for layer in block.modules()]:
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.groups == 1:
            most = min(rank, layer.in_channels, layer.out_channels)
            adapter = LowRank(layer.weight.detach(), most, alpha, generator)
            parametrize.register_parametrization(layer, "weight", adapter)
            count += 1
    return count


def merged(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a network without adapters that computes what one with these does.

    Raises `WeightsError` where an adapter is there only in part, or does not fit its weight.
    """
    made = dict(state)
    for key in [key for key in state if key.endswith(_ORIGINAL)]:
        layer = key.removesuffix(_ORIGINAL)
        own = f"{layer}.parametrizations.weight.0."
        try:
            up, down, scale = (made.pop(own + name) for name in ("up", "down", "scale"))
            made[f"{layer}.weight"] = summed(made.pop(key), up, down, scale)
        except (KeyError, RuntimeError, IndexError) as error:
            raise WeightsError(f"the adapter of {layer} is damaged: {first_line(error)}") from error
    return made


def fitted(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """The tensors as a network takes them: merged unless it has adapters itself."""
    adapted = any(isinstance(layer, LowRank) for layer in network.modules())
    return state if adapted else merged(state)
