"""Split every training step into data, forward, backward and optimizer time.

On a GPU the marks are device events, read back once an epoch: a step is never synchronised. On the
CPU they are a monotonic clock.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from tlx.training.steps import step_is_done

BLOCKS, BLOCK_STEPS = 20, 10  # at most so many blocks, of at least so many steps
PARTS = ("data", "forward", "backward", "optimizer")
Mark = Any  # float seconds, or torch.cuda.Event


class StepTimer(pl.Callback):
    """Seconds per optimizer step by part, without the first `warmup` steps of the process.

    A step of several batches (`trainer.accumulate`) has the sums of theirs.
    data: from the end of the previous step (logging and callbacks included) until the batch is on
    the device; forward: network and loss; backward: gradients; optimizer: clipping and update.
    """

    def __init__(self, warmup: int) -> None:
        self.warmup = warmup
        self.steps: list[tuple[float, float, float, float]] = []
        self._marks: list[Mark] = []
        self._step: list[list[Mark]] = []  # of its batches so far
        self._pending: list[list[list[Mark]]] = []
        self._last: Mark | None = None
        self._device = torch.device("cpu")

    def state_dict(self) -> dict[str, Any]:
        """Steps timed so far: a resumed run's record covers the whole run."""
        return {"steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue after the steps of a checkpoint; the new process warms up again."""
        self.steps = [
            (float(data), float(forward), float(backward), float(optimizer))
            for data, forward, backward, optimizer in state_dict["steps"]
        ]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remember the device; everything before the first batch counts as its data time."""
        self._device = pl_module.device
        self._skip = self.warmup
        self._last = self._mark()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave validation out of the next step's data time."""
        self._last = self._mark()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The batch is there: forward starts."""
        self._marks = [self._last, self._mark()]

    def on_before_backward(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: torch.Tensor
    ) -> None:
        """Forward ends, backward starts."""
        self._marks.append(self._mark())

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Backward ends, the optimizer starts."""
        self._marks.append(self._mark())

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """The update is done."""
        self._last = self._mark()
        self._step.append([*self._marks, self._last])
        if not step_is_done(trainer, batch_idx):
            return
        step, self._step = self._step, []
        if self._skip:
            self._skip -= 1
            return
        self._pending.append(step)
        if self._device.type == "cpu":
            self._flush()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the device's events."""
        self._flush()

    def _mark(self) -> Mark:
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _flush(self) -> None:
        if self._pending and self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        for step in self._pending:
            batches = [[_seconds(a, b) for a, b in itertools.pairwise(marks)] for marks in step]
            spans = [sum(parts) for parts in zip(*batches, strict=True)]
            self.steps.append(tuple(spans))
        self._pending = []

    def summary(self) -> dict[str, Any]:
        """Median, 10th and 90th percentile of a step and the median of its parts, in seconds.

        `block_medians_s` holds the medians of up to `BLOCKS` runs of consecutive steps: single
        steps depend on their neighbours, means of long blocks hardly do.
        """
        self._flush()
        out: dict[str, Any] = {"steps": len(self.steps), "warmup_steps": self.warmup}
        names = ["median_s", "p10_s", "p90_s", *(f"{part}_s" for part in PARTS)]
        if not self.steps:
            return out | dict.fromkeys(names) | {"block_medians_s": []}
        times = np.array(self.steps)
        figures = np.percentile(times.sum(1), [50, 10, 90]).tolist() + np.median(times, 0).tolist()
        blocks = np.array_split(times.sum(1), max(1, min(BLOCKS, len(times) // BLOCK_STEPS)))
        out["block_medians_s"] = [float(np.median(block)) for block in blocks]
        return out | dict(zip(names, figures, strict=True))


def _seconds(start: Mark, stop: Mark) -> float:
    if isinstance(start, float):
        return stop - start
    return start.elapsed_time(stop) / 1000
