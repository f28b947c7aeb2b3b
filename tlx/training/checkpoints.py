"""Checkpoints: atomic, read with `weights_only=True`, enough to rebuild the detector."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from tlx.common.files import write_atomically, write_bytes
from tlx.records.digest import BEST, LAST
from tlx.training.recorder import Recorder
from tlx.training.steps import step_is_done

log = logging.getLogger(__name__)


class Checkpoints(pl.Callback):
    """Keep the best and the last state of a run.

    The last state is written at the end of an epoch that was the best so far, when `minutes` have
    passed since the previous one, after the last epoch, and when a stop was asked for.
    """

    def __init__(self, folder: Path, recorder: Recorder, minutes: float) -> None:
        self.folder, self.recorder, self.minutes = folder, recorder, minutes
        self._saved_at = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save in mid-epoch when it is time, behind an optimizer step: gradients are not saved.

        The epoch's last batch is left to the epoch's end.
        """
        if not trainer.is_last_batch and step_is_done(trainer, batch_idx) and self._due():
            self.save(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after validation, so that a resumed run need not validate again."""
        last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        best = self.recorder.best_epoch == trainer.current_epoch
        if best or last or self._due():
            self.save(trainer, best=best)

    def save(self, trainer: pl.Trainer, *, best: bool = False) -> None:
        """Write `best.ckpt`, then `last.ckpt`: a kill between the two repeats the epoch."""

        def write(partial: Path) -> None:
            trainer.save_checkpoint(partial)
            if best:
                # A copy and no link: what damages one of the two must not damage the other.
                write_bytes(self.folder / BEST, partial.read_bytes())

        write_atomically(self.folder / LAST, write)
        self._saved_at = time.monotonic()

    def _due(self) -> bool:
        return time.monotonic() - self._saved_at >= 60 * self.minutes
