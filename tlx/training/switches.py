"""Phases that are decided in training: what a policy decides by is measured and kept here.

What was decided, and what the next decision will be made from, is part of every checkpoint: a run
that goes on from one decides what an undisturbed one would.
"""

from __future__ import annotations

import logging
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from tlx.freeze.policies.base import Measured, Phase, Policy
from tlx.models.trunk import TrunkNetwork
from tlx.training.freeze_task import FreezeTask
from tlx.training.recorder import Recorder

log = logging.getLogger(__name__)


class Switches(pl.Callback):
    """Ask the policy before every epoch but the first; called before the recorder.

    Args:
        phases: of the run's plan, to which decisions are added. recorder: knows the validations.
    """

    def __init__(self, policy: Policy, phases: list[Phase], recorder: Recorder) -> None:
        self.policy, self.phases, self.recorder = policy, phases, recorder
        self.gradients = GradientChange()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Add the gradients of a step up: before they are clipped, and in their true scale."""
        if self.policy.measures == "gradients":
            assert isinstance(pl_module, FreezeTask)
            self.gradients.add(pl_module.network)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Decide, once an epoch: one that is resumed in its middle has been decided on."""
        assert isinstance(pl_module, FreezeTask)
        epoch = trainer.current_epoch
        if epoch == 0:
            return
        changes: dict[int, float] = {}
        if self.policy.measures == "gradients" and epoch % self.policy.interval == 0:
            changes = self.gradients.close(pl_module.network)
        found = self.policy.decide(self.phases, epoch, Measured(self.recorder.scores, changes))
        if found is not None:
            names = [name for name, _ in pl_module.network.trunk()]
            told = ", ".join(names[place] for place in sorted(found.frozen)) or "nothing"
            log.info("epoch %d: frozen from here on: %s (%s)", epoch + 1, told, found.reason)
            self.phases.append(found)

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors."""
        return {
            "phases": [phase.to_dict() for phase in self.phases],
            "gradients": self.gradients.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The decisions of a checkpoint take the place of later ones."""
        self.phases[:] = [Phase(**values) for values in state_dict["phases"]]
        self.gradients.load_state_dict(state_dict["gradients"])


class GradientChange:
    """How much the accumulated gradients of each trunk block change from interval to interval."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}  # of this interval, by the parameter's name
        self.norms: dict[int, float] = {}  # of the interval before, by block

    @torch.no_grad()
    def add(self, network: TrunkNetwork) -> None:
        """Add the gradients of a step, of all that trains in the trunk."""
        for _, name, parameter in _named(network):
            if parameter.grad is None:
                continue
            if name in self.sums:
                self.sums[name] = self.sums[name].to(parameter.device).add_(parameter.grad)
            else:
                self.sums[name] = parameter.grad.detach().clone()

    def close(self, network: TrunkNetwork) -> dict[int, float]:
        """End the interval; the relative changes, of blocks that trained in the one before too."""
        squares: dict[int, float] = {}
        for place, name, _ in _named(network):
            if name in self.sums:
                square = float(self.sums[name].double().square().sum())
                squares[place] = squares.get(place, 0.0) + square
        norms = {place: square**0.5 for place, square in squares.items()}
        before, self.norms, self.sums = self.norms, norms, {}
        return {
            place: abs(before[place] - norm) / before[place]
            for place, norm in norms.items()
            if before.get(place)
        }

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"sums": dict(self.sums), "norms": dict(self.norms)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.sums, self.norms = dict(state["sums"]), dict(state["norms"])


def _named(network: TrunkNetwork) -> list[tuple[int, str, torch.nn.Parameter]]:
    """Place of the block, name, and parameter of all that trains in the trunk."""
    return [
        (place, f"{block}.{name}", parameter)
        for place, (block, module) in enumerate(network.trunk())
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    ]
