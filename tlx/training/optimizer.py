"""The optimizer of a run: its algorithm, and which parameters have which rate and decay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from tlx.config.schema import TrainerConfig


def make_optimizer(cfg: TrainerConfig, groups: dict[str, list[nn.Parameter]]) -> Optimizer:
    """The optimizer over parameters by the name of their rate (`base`, `head`).

    With `decay=weights`, what has one dimension (batch norms, biases) is a group of its own under
    the same name, without weight decay: shrinking a norm's scale changes nothing that the next
    layer could not undo (Goyal et al. 2017, arXiv:1706.02677, sec. 5.3, leave it alone).

    Args:
        groups: see `tlx.freeze.apply.trainable_parameters`; empty ones are left out.
    """
    rates = {"base": cfg.base_lr, "head": cfg.head_lr}
    made: list[dict[str, Any]] = []
    for name, parameters in groups.items():
        for decay, members in _by_decay(cfg, parameters):
            if members:
                made.append(
                    {"params": members, "lr": rates[name], "name": name, "weight_decay": decay}
                )
    if cfg.optimizer == "adamw":
        return AdamW(made, lr=cfg.head_lr, betas=(cfg.momentum, 0.999))
    return SGD(made, lr=cfg.head_lr, momentum=cfg.momentum)


def _by_decay(
    cfg: TrainerConfig, parameters: Iterable[nn.Parameter]
) -> list[tuple[float, list[nn.Parameter]]]:
    members = list(parameters)
    if cfg.decay == "all":
        return [(cfg.weight_decay, members)]
    plain = {id(p) for p in members if p.dim() <= 1}
    return [
        (cfg.weight_decay, [p for p in members if id(p) not in plain]),
        (0.0, [p for p in members if id(p) in plain]),
    ]
