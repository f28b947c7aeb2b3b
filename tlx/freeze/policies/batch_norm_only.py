"""Batch norm only: of the frozen blocks their batch norms train, convolutions stay as they are.

Frankle, Schwab & Morcos 2021 (arXiv:2003.00152) train nothing but the scales and shifts of random
networks, and find features chosen and switched off by them. On pretrained features it is a cheap
way to move to pictures of other statistics (another camera, night, thermal): a few per mille of the
parameters, and not much to overfit.

When it helps: few pictures, of another look than the pretraining's. When not: where the objects
need features that are not there, and where time is short: gradients pass through every block, so
that a step is hardly cheaper than training all. Small batches give poor statistics: `bn=inference`
keeps the stored ones and trains scales and shifts alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tlx.freeze.policies.base import Phase, Policy, named_blocks, register, stored_statistics
from tlx.models.blocks import Blocks


@register
@dataclass(frozen=True)
class BatchNormOnly(Policy):
    """`freeze` names the blocks of which only the batch norms train.

    Attributes:
        bn: ``train`` lets their statistics follow the batches, as in the paper; ``inference`` keeps
            the stored ones.
    """

    name: str = "batch_norm_only"
    bn: str = "train"

    def phases(
        self, frozen: Blocks, epochs: int, blocks_of: Callable[[Any], Blocks]
    ) -> tuple[Phase, ...]:
        """One phase."""
        frozen = named_blocks(self.name, frozen)
        return (Phase(0, frozen, stored_statistics(self.bn, frozen), trains="norms"),)
