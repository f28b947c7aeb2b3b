"""FreezeOut: freeze front to back while training, each block when its own rate has come to zero.

Brock, Lim, Ritchie & Weston 2017 (arXiv:1706.04983). Block i of n has a cosine of its own that
ends at the share t_i of the run, from t_0 for the first to 1 for what is behind the last; `cubic`
takes t_i ** 3, so that early blocks end earlier. With `scaled` each starts at 1 / t_i of its rate,
so that all of them move as far. The frozen prefix grows from the front, and with it what a step
saves.

When it helps: full training whose steps are to become cheaper as it goes; also from random weights,
for what is frozen has trained. When not: the paper itself finds it a trade (20 % less time for some
3 % of relative error in DenseNets, no gain in VGGs), and early blocks that are frozen from the
start, pretrained, save more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from tlx.common.errors import ConfigError
from tlx.freeze.policies.base import Phase, Policy, named_blocks, register
from tlx.models.blocks import Blocks


@register
@dataclass(frozen=True)
class FreezeOut(Policy):
    """`freeze` names the blocks that come to be frozen, front to back.

    Attributes:
        first: t_0, the share of the run after which the first block is frozen (before it is cubed),
            0..1 exclusive.
        cubic, scaled: see the module's text.
    """

    name: str = "freezeout"
    first: float = 0.8
    cubic: bool = True
    scaled: bool = True
    freezes_trained: ClassVar[bool] = True

    def phases(
        self, frozen: Blocks, epochs: int, blocks_of: Callable[[Any], Blocks]
    ) -> tuple[Phase, ...]:
        """One phase for every epoch in which a block is frozen; the first has none."""
        if not 0 < self.first < 1:
            raise ConfigError(f"policy.first={self.first} must lie between 0 and 1")
        order = sorted(named_blocks(self.name, frozen))
        ends = []
        for index, place in enumerate(order):
            share = self.first + (1 - self.first) * index / len(order)
            ends.append((place, max(1, round(epochs * (share**3 if self.cubic else share)))))
        starts = sorted({0, *(end for _, end in ends if end < epochs)})
        found = []
        for start in starts:
            done = {place for place, end in ends if end <= start}
            found.append(Phase(start, done, done, restart=not start, rate_ends=ends,
                               scaled=self.scaled))  # fmt: skip
        if len(found) == 1:
            raise ConfigError(
                f"policy={self.name} freezes nothing within {epochs} epochs: lower policy.first, "
                "or raise trainer.epochs"
            )
        return tuple(found)
