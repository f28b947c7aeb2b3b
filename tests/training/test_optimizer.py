"""Which parameters have which rate and decay, and that every optimizer resumes exactly."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.conftest import Compose
from tests.training.helpers_stop import assert_equal_runs, stop_next_run
from tlx.config.schema import TrainerConfig
from tlx.training.interrupt import Interrupted
from tlx.training.optimizer import make_optimizer
from tlx.training.run import run


def groups() -> dict[str, list[nn.Parameter]]:
    base = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    return {"base": list(base.parameters()), "head": list(nn.Linear(4, 2).parameters())}


def test_norms_and_biases_have_a_group_without_decay() -> None:
    made = make_optimizer(TrainerConfig(decay="weights", base_lr=0.1, head_lr=0.2), groups())
    told = [
        (g["name"], g["lr"], g["weight_decay"], [tuple(p.shape) for p in g["params"]])
        for g in made.param_groups
    ]
    assert told == [
        ("base", 0.1, 5e-4, [(4, 3, 3, 3)]), ("base", 0.1, 0.0, [(4,), (4,), (4,)]),
        ("head", 0.2, 5e-4, [(2, 4)]), ("head", 0.2, 0.0, [(2,)]),
    ]  # fmt: skip


def test_a_frozen_backbone_has_no_group() -> None:
    made = make_optimizer(TrainerConfig(), {**groups(), "base": []})
    assert [g["name"] for g in made.param_groups] == ["head"]


def test_adamw_is_torchs() -> None:
    made = make_optimizer(TrainerConfig(optimizer="adamw", momentum=0.8), groups())
    assert isinstance(made, torch.optim.AdamW)
    assert made.param_groups[0]["betas"] == (0.8, 0.999)


@pytest.mark.parametrize("workers", [0, 1])
def test_adamw_resumes_exactly(
    workers: int, tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With decay of weights alone, and a phase that begins anew in between."""
    cfg = tiny_config(
        "trainer=adamw", "freeze=8", "policy=two_phase", "policy.unfreeze_at=0.5",
        f"trainer.workers={workers}", "trainer.checkpoint_minutes=60",
    )  # fmt: skip
    whole = run(cfg, tmp_path / "whole")
    assert whole["config"]["trainer"]["optimizer"] == "adamw"
    for step in (2, 4):
        with monkeypatch.context() as patch:
            stop_next_run(patch, step)
            with pytest.raises(Interrupted):
                run(cfg, tmp_path / "stopped")
    run(cfg, tmp_path / "stopped")
    assert_equal_runs(tmp_path / "whole", tmp_path / "stopped")
