"""The optimizer of a run: its algorithm, and which parameters have which rate and decay."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from tlx.common.files import read_yaml
from tlx.config.check import conf_dir
from tlx.config.schema import TrainerConfig

Blocks = list[list[nn.Parameter]]


def rates_of_another(cfg: TrainerConfig) -> list[str]:
    """A warning where a run has rates or decay that `conf/trainer/` gives to another optimizer.

    A rate that suits AdamW is a tenth of what suits SGD, and its decay a hundred times SGD's: an
    arm of a sweep over `trainer.optimizer` alone would lose by these, and they would be compared.
    """
    files = {path.stem: read_yaml(path) for path in sorted(conf_dir().glob("trainer/*.yaml"))}
    stated = {name: file for name, file in files.items() if "optimizer" in file}
    own = [file for file in stated.values() if file["optimizer"] == cfg.optimizer]
    choices = [name for name, file in stated.items() if file["optimizer"] == cfg.optimizer]
    warnings = []
    for name, file in stated.items():
        foreign = [
            f"trainer.{key}={getattr(cfg, key):g}"
            for key in ("base_lr", "head_lr", "weight_decay")
            if getattr(cfg, key) == file.get(key)
            and all(getattr(cfg, key) != mine.get(key) for mine in own)
        ]
        if foreign and file["optimizer"] != cfg.optimizer:
            warnings.append(
                f"trainer.optimizer={cfg.optimizer} has {', '.join(foreign)}, which trainer={name} "
                f"gives to {file['optimizer']}: {' or '.join(f'trainer={c}' for c in choices)} "
                "brings what belongs to it"
            )
    return warnings


def make_optimizer(
    cfg: TrainerConfig, parts: dict[str, Blocks], *, by_block: bool = False
) -> Optimizer:
    """The optimizer over the parameters of `base`, `neck` and `head`.

    With `decay=weights`, what has one dimension (batch norms, biases) is a group of its own under
    the same name, without weight decay: shrinking a norm's scale changes nothing that the next
    layer could not undo (Goyal et al. 2017, arXiv:1706.02677, sec. 5.3, leave it alone).

    With `layer_decay` below 1 each block of the backbone has that part of the rate of the block
    behind it, and the last one `base_lr`: what is learned first is the most general, and is to be
    changed the least (Howard & Ruder 2018, arXiv:1801.06146, sec. 3.2; as one factor a layer in
    ELECTRA, Clark et al. 2020, arXiv:2003.10555, and BEiT, Bao et al. 2022, arXiv:2106.08254).

    Args:
        parts: see `tlx.freeze.apply.trainable_parameters`; what is empty has no group.
        by_block: whether each block of backbone and neck has groups of its own, which name it
            (`block`, its place in the trunk).
    """
    made: list[dict[str, Any]] = []
    for name, rate, parameters, of in _by_rate(cfg, parts, by_block):
        for decay, members in _by_decay(cfg, parameters):
            if members:
                made.append(
                    {"params": members, "lr": rate, "name": name, "weight_decay": decay, **of}
                )
    if cfg.optimizer == "adamw":
        return AdamW(made, lr=cfg.head_lr, betas=(cfg.momentum, 0.999))
    return SGD(made, lr=cfg.head_lr, momentum=cfg.momentum)


_Group = tuple[str, float, list[nn.Parameter], dict[str, int]]


def _by_rate(cfg: TrainerConfig, parts: dict[str, Blocks], by_block: bool) -> list[_Group]:
    """Name, peak rate and parameters of each group, and what else it says of itself."""
    backbone, neck, head = parts["base"], [*chain(*parts["neck"])], [*chain(*parts["head"])]
    base: list[_Group] = [("base", cfg.base_lr, [*chain(*backbone)], {})]
    if cfg.layer_decay < 1 or by_block:
        behind = reversed(range(len(backbone)))  # blocks between one and the backbone's end
        base = [
            ("base", cfg.base_lr * cfg.layer_decay**count, block, _named(by_block, place))
            for place, (count, block) in enumerate(zip(behind, backbone, strict=True))
        ]
    neck_lr = cfg.head_lr if cfg.neck_lr is None else cfg.neck_lr
    named = "head" if cfg.neck_lr is None else "neck"
    if by_block:
        necks: list[_Group] = [
            (named, neck_lr, block, _named(by_block, len(backbone) + place))
            for place, block in enumerate(parts["neck"])
        ]
        return [*base, *necks, ("head", cfg.head_lr, head, {})]
    if cfg.neck_lr is None:
        # One group, as before there was a rate of the neck: their checkpoints go on.
        return [*base, ("head", cfg.head_lr, neck + head, {})]
    return [*base, ("neck", cfg.neck_lr, neck, {}), ("head", cfg.head_lr, head, {})]


def _named(by_block: bool, place: int) -> dict[str, int]:
    return {"block": place} if by_block else {}


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
