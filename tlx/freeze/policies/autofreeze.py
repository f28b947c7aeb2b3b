"""AutoFreeze: freeze front to back where the gradient has stopped changing.

Liu, Agarwal & Venkataraman 2021 (arXiv:2102.01386). The gradients of every block are added up over
an interval; how much the norm of the sum has changed since the interval before, relative to it, is
the block's rate of change. A block is frozen when its rate is among the lowest (`percentile`) of
all blocks that train, and all blocks before it are frozen. Egeria (Wang et al. 2023,
arXiv:2201.06227) decides by the activations of a second, quantised network instead, which would
cost a network this small more than it saves.

When it helps: long fine-tuning whose depth nobody has compared, and whose steps are to become
cheaper by themselves. When not: short runs (two intervals pass before the first decision), and
comparisons of depths: what is frozen is decided anew for every seed. It is no relation of
`policy=auto`, which compares depths before it trains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tlx.common.errors import ConfigError
from tlx.freeze.policies.base import Measured, Phase, Policy, named_blocks, register
from tlx.models.blocks import Blocks


@register
@dataclass(frozen=True)
class AutoFreeze(Policy):
    """`freeze` names the blocks that may come to be frozen.

    Attributes:
        every: epochs of an interval, at least 1.
        percentile: of the rates of change, up to which a block is frozen, 0..100.
    """

    name: str = "autofreeze"
    every: int = 1
    percentile: float = 50.0
    freezes_trained: ClassVar[bool] = True

    @property
    def measures(self) -> str:
        """Gradients."""
        return "gradients"

    @property
    def interval(self) -> int:
        """`every`."""
        return self.every

    def phases(
        self, frozen: Blocks, epochs: int, blocks_of: Callable[[Any], Blocks]
    ) -> tuple[Phase, ...]:
        """The first phase, which freezes nothing; the others are decided as it trains."""
        if self.every < 1:
            raise ConfigError(f"policy.every={self.every} must be at least 1")
        if not 0 <= self.percentile <= 100:
            raise ConfigError(f"policy.percentile={self.percentile} must lie between 0 and 100")
        if epochs <= 2 * self.every:
            raise ConfigError(
                f"policy={self.name} decides after two intervals of policy.every={self.every} "
                f"epochs, and there are {epochs} in all: raise trainer.epochs"
            )
        return (Phase(0, (), (), undecided=named_blocks(self.name, frozen)),)

    def decide(self, phases: Sequence[Phase], epoch: int, measured: Measured) -> Phase | None:
        """Freeze further from the front, as far as the gradients allow."""
        import numpy as np  # here: every completion of a command line imports this module

        now, changes = phases[-1], measured.changes
        if not changes:
            return None
        limit = float(np.percentile(sorted(changes.values()), self.percentile))
        frozen = set(now.frozen)
        for place in sorted(now.undecided):
            if changes.get(place, np.inf) > limit:
                break
            frozen.add(place)
        if frozen == now.frozen:
            return None
        told = ", ".join(f"{changes[place]:.3g}" for place in sorted(frozen - now.frozen))
        reason = f"the gradient's change is {told}, of {limit:.3g} or less"
        return Phase(
            epoch, frozen, frozen, restart=False, undecided=now.undecided - frozen, reason=reason
        )
