"""LoRA: the 1x1 convolutions of the frozen blocks get a trained addition of low rank.

Hu et al. 2021 (arXiv:2106.09685), there for the matrices of transformers; a 1x1 convolution is such
a matrix, and holds most of the weights of a MobileNet. The addition starts at zero, and is merged
into the weights wherever a checkpoint is read to evaluate, export or start from: what is deployed
is the plain network (`tlx.models.low_rank`).

When it helps: few pictures and a pretraining that is near: the change of every layer is held to
few directions. When not: it saves parameters and optimizer memory, and no time: a step costs what
training these convolutions costs. With networks of a few million parameters neither is scarce, so
compare it with `freeze=none` before you believe in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlx.common.errors import ConfigError
from tlx.freeze.policies.base import Phase, Policy, named_blocks, register, stored_statistics
from tlx.models.blocks import Blocks

if TYPE_CHECKING:
    from tlx.models.trunk import TrunkNetwork


@register
@dataclass(frozen=True)
class Lora(Policy):
    """`freeze` names the blocks whose 1x1 convolutions are adapted, and nothing else of them.

    Attributes:
        rank: of the addition, at least 1. alpha: it is multiplied by alpha / rank, above 0.
        bn: ``inference`` keeps the stored statistics of their batch norms; ``train`` lets them
            follow the batches.
    """

    name: str = "lora"
    rank: int = 8
    alpha: float = 16.0
    bn: str = "inference"

    def phases(
        self, frozen: Blocks, epochs: int, blocks_of: Callable[[Any], Blocks]
    ) -> tuple[Phase, ...]:
        """One phase."""
        if self.rank < 1:
            raise ConfigError(f"policy.rank={self.rank} must be at least 1")
        if self.alpha <= 0:
            raise ConfigError(f"policy.alpha={self.alpha} must be above 0")
        frozen = named_blocks(self.name, frozen)
        return (Phase(0, frozen, stored_statistics(self.bn, frozen), trains="adapters"),)

    def prepare(self, network: TrunkNetwork, frozen: Blocks, seed: int) -> None:
        """Add the adapters, which change nothing yet."""
        from tlx.models.low_rank import add_adapters

        trunk = network.trunk()
        add_adapters((trunk[place][1] for place in sorted(frozen)), self.rank, self.alpha, seed)
