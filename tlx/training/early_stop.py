"""Stop a training that no longer gets better.

Lightning's EarlyStopping keeps a counter of its own and, resumed from the state it stopped in,
trains an epoch more. Here the counter follows from the rows of the run, which its checkpoints hold.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl

from tlx.freeze.policies.base import Phase
from tlx.training.recorder import Recorder

log = logging.getLogger(__name__)


def last_unfreezing(phases: Sequence[Phase]) -> int | None:
    """The epoch in which blocks are unfrozen for the last time, 0 where none are; None: a decision
    may still unfreeze some."""
    if phases[-1].frozen & phases[-1].undecided:
        return None
    pairs = itertools.pairwise(phases)
    return max([0, *(b.first_epoch for a, b in pairs if a.frozen - b.frozen or b.restart)])


class EarlyStop(pl.Callback):
    """End the training behind `patience` validations without a better `trainer.select_by`.

    Only validations count that are behind the last phase which unfreezes a block, so that none is
    left out. Where val has no figure there is no best validation, and nothing stops.

    Args:
        patience: at least 1.
    """

    def __init__(self, recorder: Recorder, patience: int) -> None:
        self.recorder, self.patience = recorder, patience

    @property
    def due(self) -> bool:
        """Whether the rows so far end the training."""
        best, first = self.recorder.best_epoch, last_unfreezing(self.recorder.phases)
        if best is None or first is None:
            return False
        counted = [e for e in self.recorder.validated if e > best and e >= first]
        return len(counted) >= self.patience

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A run that had stopped, and was killed in its test, trains no more."""
        trainer.should_stop = trainer.should_stop or self.due

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Called behind the recorder's."""
        if self.due and not trainer.should_stop:
            log.info("%s validation(s) without a better one: stopping early", self.patience)
            trainer.should_stop = True

    def summary(self, epochs: int) -> dict[str, Any] | None:
        """`record["stopped_early"]` of a training that could have had `epochs`; None: it did."""
        if not self.due or (last := self.recorder.validated[-1]) + 1 >= epochs:
            return None
        return {"epoch": last, "best": self.recorder.best_epoch, "patience": self.patience}
