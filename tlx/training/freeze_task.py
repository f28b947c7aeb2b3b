"""The Lightning side of a freeze schedule: what is frozen when, optimizer, rates, checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_, get_total_norm

from tlx.config.schema import TrainerConfig
from tlx.data.dataset import Batch
from tlx.freeze.apply import trainable_parameters
from tlx.models.cpu_bfloat16 import keep_in_float32
from tlx.models.trunk import TrunkNetwork
from tlx.training.optimizer import make_optimizer
from tlx.training.plan import EnginePlan
from tlx.training.schedule import lr_factor
from tlx.training.steps import batches_of_step


class FreezeTask(pl.LightningModule):
    """Base of the tasks: a subclass adds loss and evaluation.

    Args:
        plan: the freeze schedule and how it is computed; the state of every epoch follows from
            the plan and the epoch alone.
        meta: stored in checkpoints: all that is needed to rebuild the network.

    Attributes:
        figures: of the last evaluation, by name.
        gradient_norm: of the last optimizer step, before clipping; a scalar on the device.
    """

    figures: Any
    gradient_norm: Tensor

    def __init__(self, plan: EnginePlan, trainer_cfg: TrainerConfig, meta: dict[str, Any]) -> None:
        super().__init__()
        self.plan, self.trainer_cfg, self.meta = plan, trainer_cfg, meta

    @property
    def network(self) -> TrunkNetwork:
        """The network that is frozen and trained; a subclass names it after what it is."""
        raise TypeError(f"{type(self).__name__} does not say its network")

    def maps(self, batch: Batch) -> list[Tensor]:
        """The tapped maps of a training batch: of the frozen blocks as the phase keeps or computes
        them, of the others with gradients."""
        network, cache = self.network, self.plan.caches.at(self.current_epoch)
        if cache is not None:
            outputs = cache.outputs(batch, network)
        else:
            outputs = network.prefix(network.normalize(batch.images))
        return network.tail(outputs)

    def on_train_start(self) -> None:
        """A run resumed in mid-epoch gets no epoch-start hook: apply the freeze here too."""
        if self.device.type == "cpu":
            keep_in_float32(self.network)
        self.plan.apply(self.network, self.current_epoch)

    def on_train_epoch_start(self) -> None:
        """Assert the freeze anew: validation and other callbacks have had the network since."""
        self.plan.apply(self.network, self.current_epoch)

    def on_train_end(self) -> None:
        """Nothing of the cache is left unwritten."""
        self.plan.caches.flush()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """A phase that restarts has a fresh optimizer: old momentum belongs to another problem."""
        if batch_idx > 0:
            return
        if self.current_epoch in {p.first_epoch for p in self.plan.phases[1:] if p.restart}:
            optimizer = self.optimizers(use_pl_optimizer=False)
            assert isinstance(optimizer, torch.optim.Optimizer)
            optimizer.state.clear()

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Lightning divides a loss by `trainer.accumulate`, of an epoch's last step too, which may
        have fewer batches: each step is the mean of its own."""
        trainer = self.trainer
        batches = batches_of_step(trainer, trainer.fit_loop.batch_idx)
        if batches < trainer.accumulate_grad_batches:
            loss = loss * (trainer.accumulate_grad_batches / batches)
        super().backward(loss, *args, **kwargs)

    def configure_gradient_clipping(
        self, optimizer: torch.optim.Optimizer, gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:  # fmt: skip
        """Clip by the norm of all gradients, as Lightning does, which does not say what it was."""
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        if gradient_clip_val:
            self.gradient_norm = clip_grad_norm_(parameters, gradient_clip_val)
        else:
            gradients = [p.grad for p in parameters if p.grad is not None]
            self.gradient_norm = get_total_norm(gradients)

    def configure_optimizers(self) -> Any:
        """Groups that never change, under the pure schedule of `lr_factor`."""
        cfg, phases = self.trainer_cfg, self.plan.phases
        optimizer = make_optimizer(
            cfg, trainable_parameters(self.network, phases), by_block=bool(phases[0].rate_ends)
        )
        steps = int(self.trainer.estimated_stepping_batches) // cfg.epochs

        def factor_of(block: int | None) -> Callable[[int], float]:
            # Of the list itself, to which decisions add.
            return lambda step: lr_factor(step, steps, cfg.epochs, phases, cfg.warmup_steps, block)

        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, [factor_of(group.get("block")) for group in optimizer.param_groups]
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what rebuilds the network; plain types, so that `weights_only=True` loads it."""
        checkpoint["tlx"] = self.meta
