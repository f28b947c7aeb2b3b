"""The loss over rising learning rates (Smith 2017, arXiv:1506.01186), by Lightning's tuner."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.tuner.tuning import Tuner

from tlx.common.errors import ConfigError, DivergenceError
from tlx.config.check import make_policy
from tlx.config.schema import RunConfig
from tlx.data.dataset import batches_per_epoch, steps_per_epoch
from tlx.freeze.apply import check_phases, prepare_network, trainable_parameters
from tlx.training.batch_size import settled
from tlx.training.check import check_run
from tlx.training.fit import make_trainer, training_device
from tlx.training.host import set_up_host
from tlx.training.kinds import kind_of
from tlx.training.plan import make_plan

SMOOTHING = 0.9  # of the losses: a batch is noise, and the minimum must not be one batch's
LEAST_FALL = 0.05  # of the loss, below which nothing was learned that could suggest a rate
BELOW = 10  # how far the rate is below that of the least loss (Howard & Gugger, arXiv:2002.04688)


@dataclass(frozen=True)
class Curve:
    """What a range test found.

    Attributes:
        rates, losses: of each optimizer step, in order; the losses are those of single steps, up
            to the first that is no number.
        backbone: whether the backbone trained too.
    """

    rates: list[float]
    losses: list[float]
    backbone: bool

    @property
    def smoothed(self) -> list[float]:
        """The losses' exponential mean, corrected for its beginning."""
        found, mean = [], 0.0
        for count, loss in enumerate(self.losses, 1):
            mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
            found.append(mean / (1 - SMOOTHING**count))
        return found

    @property
    def lowest(self) -> int:
        """Place of the least smoothed loss."""
        smoothed = self.smoothed
        return min(range(len(smoothed)), key=smoothed.__getitem__)

    @property
    def suggestion(self) -> float | None:
        """A peak rate, to two digits; None where the loss did not fall."""
        if self.smoothed[self.lowest] > (1 - LEAST_FALL) * self.smoothed[0]:
            return None
        return float(f"{self.rates[self.lowest] / BELOW:.2g}")

    @property
    def rose(self) -> bool:
        """Whether the test went on until the loss rose again, so that the least is a minimum."""
        return self.lowest < len(self.losses) - 1


def range_test(cfg: RunConfig, steps: int, lowest: float, highest: float) -> Curve:
    """Train `steps` optimizer steps at rates that rise from `lowest` to `highest`, and forget them.

    All that trains in the first phase has the same rate. The test ends early where the loss runs
    away. Nothing of a run is written.

    Raises:
        ConfigError: what training would refuse, `policy=auto`, or a range that is none.
        DivergenceError: not even the first loss is a number.
    """
    if steps < 10 or not 0 < lowest < highest:
        raise ConfigError(
            f"steps={steps} lowest={lowest} highest={highest} is no range of 10 steps"
        )
    phases = check_run(cfg)[:1]
    if cfg.policy["name"] == "auto":
        raise ConfigError("policy=auto chooses the depth: name one here (freeze=4)")
    kind, cfg = kind_of(cfg), copy.deepcopy(cfg)
    cfg.cache.mode = "off"
    set_up_host(cfg.trainer.threads)
    pl.seed_everything(cfg.seed, verbose=False)
    data = kind.read_data(cfg)
    network = kind.network(cfg, data.classes, {})
    check_phases(network, phases)
    if cfg.trainer.freeze_bn:
        network.freeze_batch_norm()
    prepare_network(network, make_policy(cfg), phases, cfg.seed)
    device = torch.device(training_device(cfg.trainer.accelerator))
    items = data.train_items
    cfg = settled(cfg, network, phases, len(items), device, kind.loss, None)
    an_epoch = batches_per_epoch(len(items), cfg.trainer.batch_size)
    cfg.trainer.epochs = 1 + math.ceil(steps / steps_per_epoch(an_epoch, cfg.trainer.accumulate))
    cfg.trainer.val_every = cfg.trainer.epochs + 1
    plan = make_plan(cfg, network, phases, items, device, kind.loss, kind.augmentation(cfg))
    task = kind.module(cfg, network, plan, data, data.membership, device)
    losses = _noted_by(task)
    with TemporaryDirectory() as folder:
        trainer = make_trainer(
            cfg, Path(folder), logger=False, enable_progress_bar=False,
            precision=plan.precision.name,
        )  # fmt: skip
        loader = kind.loaders(cfg, data, plan.caches).train(lambda: trainer.global_step)
        found = Tuner(trainer).lr_find(
            task, train_dataloaders=loader, min_lr=lowest, max_lr=highest, num_training=steps,
            update_attr=False,
        )  # fmt: skip
    assert found is not None
    rates = [float(rate) for rate in found.results["lr"]]
    count = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
    count = min(len(rates), count)
    if not count:
        raise DivergenceError("the loss is no number at the first step, whatever the rate")
    backbone = any(trainable_parameters(network, phases)["base"])
    return Curve(rates[:count], losses[:count], backbone)


def _noted_by(task: pl.LightningModule) -> list[float]:
    """The loss of every optimizer step that the task will take.

    The tuner's own are smoothed, and half as high at the beginning: their mean is corrected for one
    step more than it has. It takes the callbacks away, but not the task's hooks.
    """
    losses: list[float] = []
    pending: list[float] = []

    def note(outputs: Any, batch: Any, batch_idx: int) -> None:
        batches = task.trainer.accumulate_grad_batches
        if batch_idx % batches == 0:
            pending.clear()
        pending.append(float(outputs["loss"]) * batches)
        if (batch_idx + 1) % batches == 0:  # as the tuner notes rates: whole steps only
            losses.append(sum(pending) / len(pending))

    task.on_train_batch_end = note  # type: ignore[method-assign]
    return losses
