"""Gradual unfreezing: from the last frozen block towards the input, a few blocks at a time.

ULMFiT (Howard & Ruder 2018, arXiv:1801.06146, sec. 3.3): all layers at once would forget what the
pretraining knew while the head is still random, so the last layer, which knows the least that is
general, is unfrozen first. One schedule of the rates runs through all stages, and a block joins it
where it stands. With `trainer.layer_decay` below 1 it is the paper's whole recipe.

When it helps: a new head on features that are near to the task, and few pictures. When not: short
budgets, in which the first blocks hardly train (then `two_phase`), and where time counts: the
frozen prefix, which is what saves time, shrinks from stage to stage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tlx.common.errors import ConfigError
from tlx.freeze.policies.base import Measured, Phase, Policy, register, stored_statistics
from tlx.models.blocks import Blocks


@register
@dataclass(frozen=True)
class GradualUnfreezing(Policy):
    """`freeze` holds at first, and `until` is what stays frozen.

    Attributes:
        every: epochs between two steps, at least 1 (the paper's); None: spread evenly, so that the
            last comes at half of the run.
        patience: 0: steps come by `every`; else each comes when so many validations, since the step
            before, have brought no better `trainer.select_by` (a plateau).
        blocks: unfrozen in a step, at least 1.
        until: freeze value of what is never unfrozen, less deep than `freeze`.
        bn: ``inference`` keeps the batch norm of unfrozen blocks on its stored statistics;
            ``train`` lets it follow the batches.
    """

    name: str = "gradual_unfreezing"
    every: int | None = None
    patience: int = 0
    blocks: int = 1
    until: Any = "none"
    bn: str = "inference"

    @property
    def measures(self) -> str:
        """The validations, where the steps follow from a plateau."""
        return "val" if self.patience else ""

    def phases(
        self, frozen: Blocks, epochs: int, blocks_of: Callable[[Any], Blocks]
    ) -> tuple[Phase, ...]:
        """One phase a step; of a plateau's the first, the others are decided as it trains."""
        kept = blocks_of(self.until)
        if not kept < frozen:
            raise ConfigError(
                f"policy={self.name} unfreezes: freeze must be deeper than "
                f"policy.until={self.until}, and name all of its blocks"
            )
        for key, least in (("every", 1), ("patience", 0), ("blocks", 1)):
            if (value := getattr(self, key)) is not None and value < least:
                raise ConfigError(f"policy.{key}={value} must be at least {least}")
        if self.patience and self.every is not None:
            raise ConfigError(
                f"policy.every={self.every} does nothing with policy.patience={self.patience}, "
                "where a plateau says when a step comes: leave one of the two out"
            )
        first = Phase(0, frozen, stored_statistics(self.bn, frozen), undecided=frozen - kept)
        if self.patience:
            return (first,)
        steps = math.ceil(len(first.undecided) / self.blocks)
        every = self.every or epochs / 2 / steps
        found = {0: first}
        now = first
        for step in range(1, steps + 1):
            now = self._step(now, math.ceil(step * every - 1e-9))
            found[now.first_epoch] = now  # of several in one epoch the last counts
        if now.first_epoch >= epochs:
            raise ConfigError(
                f"policy={self.name} would take {now.first_epoch} epochs to its last step, and "
                f"there are {epochs}: raise policy.blocks (or trainer.epochs), or name in "
                "policy.until what is never unfrozen"
            )
        return tuple(phase.decided() for phase in found.values())

    def decide(self, phases: Sequence[Phase], epoch: int, measured: Measured) -> Phase | None:
        """The next step behind a plateau."""
        scores, now = measured.scores, phases[-1]
        if not scores or not now.undecided:
            return None
        best = max(scores, key=lambda pair: pair[1])[0]  # of equals the first
        without = [e for e, _ in scores if e > best and e >= now.first_epoch]
        if len(without) < self.patience:
            return None
        return self._step(now, epoch, f"no better val figure in {len(without)} validations")

    def _step(self, now: Phase, epoch: int, reason: str = "") -> Phase:
        top = sorted(now.undecided)[-self.blocks :]
        left = now.frozen.difference(top)
        bn = left if self.bn == "train" else now.bn_inference
        return Phase(
            epoch, left, bn, restart=False, undecided=now.undecided.difference(top), reason=reason
        )
