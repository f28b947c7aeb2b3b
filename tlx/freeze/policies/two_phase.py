"""Two phases: train the new head on a frozen network, then fine-tune at a very low rate.

The workflow of the Keras guide "Transfer learning & fine-tuning": freeze, train until the head has
converged, unfreeze all or part, go on at a very low learning rate, batch norm still in inference
mode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tlx.common.errors import ConfigError
from tlx.freeze.policies.base import Phase, Policy, register
from tlx.models.blocks import Blocks


@register
@dataclass(frozen=True)
class TwoPhase(Policy):
    """`freeze` holds first, `then` afterwards.

    Attributes:
        unfreeze_at: share of the epochs after which the second phase starts, 0..1 exclusive.
        then: freeze value of the second phase, less deep than the first.
        lr_scale: learning rates of the second phase relative to the first.
        bn: ``inference`` keeps the batch norm of unfrozen blocks on its stored statistics;
            ``train`` lets it follow the batches.
    """

    name: str = "two_phase"
    unfreeze_at: float = 0.6
    then: Any = "none"
    lr_scale: float = 0.1
    bn: str = "inference"

    def phases(
        self, frozen: Blocks, epochs: int, blocks_of: Callable[[Any], Blocks]
    ) -> tuple[Phase, ...]:
        """The frozen phase and the fine-tuning phase."""
        second = blocks_of(self.then)
        start = round(self.unfreeze_at * epochs)
        if not second < frozen:
            raise ConfigError(
                f"policy=two_phase unfreezes: freeze must be deeper than policy.then={self.then}, "
                "and name all of its blocks"
            )
        if not 0 < start < epochs:
            raise ConfigError(
                f"policy.unfreeze_at={self.unfreeze_at} of {epochs} epochs leaves one of the two "
                "phases empty"
            )
        if self.bn not in ("inference", "train"):
            raise ConfigError(f"policy.bn={self.bn} is neither inference nor train")
        if self.lr_scale <= 0:
            raise ConfigError(f"policy.lr_scale={self.lr_scale} must be above 0")
        bn_inference = frozen if self.bn == "inference" else second
        return (
            Phase(0, frozen, frozen),
            Phase(start, second, bn_inference, self.lr_scale),
        )
