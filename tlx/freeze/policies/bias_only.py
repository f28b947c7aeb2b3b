"""Bias only: of the frozen blocks nothing but the biases trains.

BitFit (Ben Zaken, Goldberg & Ravfogel 2022, arXiv:2106.10199) tunes the biases of a language model,
less than a thousandth of it, and does as well as full fine-tuning where the data are few. In the
backbones here the biases are the shifts of the batch norms, and those of convolutions that have
any (VGG16, gates).

When it helps: few pictures, and a pretraining that is close to the task. When not: far from it, and
where time is short: gradients pass through every block (see `batch_norm_only`). Its best rates are
higher than those of whole blocks: tune `trainer.base_lr` for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tlx.freeze.policies.base import Phase, Policy, named_blocks, register, stored_statistics
from tlx.models.blocks import Blocks


@register
@dataclass(frozen=True)
class BiasOnly(Policy):
    """`freeze` names the blocks of which only the biases train.

    Attributes:
        bn: ``inference`` keeps the stored statistics of their batch norms, so that biases are all
            that moves; ``train`` lets them follow the batches.
    """

    name: str = "bias_only"
    bn: str = "inference"

    def phases(
        self, frozen: Blocks, epochs: int, blocks_of: Callable[[Any], Blocks]
    ) -> tuple[Phase, ...]:
        """One phase."""
        frozen = named_blocks(self.name, frozen)
        return (Phase(0, frozen, stored_statistics(self.bn, frozen), trains="biases"),)
