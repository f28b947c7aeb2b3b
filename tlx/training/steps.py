"""Which batches make an optimizer step: `trainer.accumulate` of them, fewer at an epoch's end.

As Lightning does it, which steps at an epoch's last batch however many there were.
"""

from __future__ import annotations

import pytorch_lightning as pl


def step_is_done(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Whether the optimizer steps behind this batch, `batch_idx` from 0 within the epoch."""
    return trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches == 0


def batches_of_step(trainer: pl.Trainer, batch_idx: int) -> int:
    """Batches of the step that this batch belongs to."""
    first = batch_idx - batch_idx % trainer.accumulate_grad_batches
    return min(trainer.accumulate_grad_batches, int(trainer.num_training_batches) - first)
