"""`policy=auto` on weights for which depth 4 is best by construction (tier `slow`: it trains).

The weights are those of a detector trained on the tiny set, with two changes. The convolutions up
to block 4 are scaled down and their batch norms with them: the function stays, but one step at any
ordinary rate overturns it, so that these blocks must be frozen. The statistics of a batch norm in
block 6 are wrong: training corrects them, so that this block must not be frozen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import Compose, tiny_overrides, write_set
from tlx.study.pilot import start
from tlx.training.run import run

SCALE, SHIFT = 0.01, 3.0  # of weights; of a mean, in standard deviations
EPSILON = 1e-8  # of batch norm: the usual one is large beside variances that are scaled by 1e-4


def constructed(teacher: Path, target: Path) -> Path:
    checkpoint = torch.load(teacher, weights_only=True)
    state: dict[str, torch.Tensor] = checkpoint["state_dict"]
    conventions: dict[str, Any] = checkpoint["tlx"]["conventions"]
    for name, variance in state.items():
        if name.endswith("running_var"):
            variance += conventions["bn_eps"] - EPSILON
    conventions["bn_eps"] = EPSILON
    for block in ("stem", *(f"mbconv_{i}" for i in range(1, 5))):
        for name, tensor in state.items():
            if not name.startswith(f"detector.backbone.blocks.{block}."):
                continue
            if tensor.dim() == 4 or name.endswith("running_mean"):
                tensor *= SCALE
            elif name.endswith("running_var"):
                tensor.copy_((tensor + EPSILON) * SCALE**2 - EPSILON)
    first = "detector.backbone.blocks.mbconv_6.bn1."
    state[first + "running_mean"] += SHIFT * state[first + "running_var"].sqrt()
    torch.save({"tlx": checkpoint["tlx"], "state_dict": state}, target)
    return target


@pytest.mark.slow
def test_the_depth_that_is_best_by_construction_is_chosen(
    compose_config: Compose, tmp_path: Path
) -> None:
    write_set(tmp_path / "set", {"train": 48, "val": 24, "test": 6})
    base = tiny_overrides(tmp_path / "set", tmp_path)
    taught = [*base, "trainer.epochs=100", "trainer.val_every=10", "logger.predictions=0"]
    teacher = run(compose_config(*taught), tmp_path / "teacher")
    assert teacher["best"]["map"] > 0.15
    best = tmp_path / "teacher" / "checkpoints" / "best.ckpt"
    weights = constructed(best, tmp_path / "weights.ckpt")
    wanted = [f"backbone.weights={weights}", "policy=auto", "policy.epochs=2"]
    rates = ["trainer.base_lr=0.002", "trainer.head_lr=0.002", "trainer.epochs=4"]
    record = start(compose_config(*base, *wanted, *rates), tmp_path / "run")
    decision = record["pilot"]
    assert (decision["choice"], decision["told"], record["freeze"]) == ("4", True, "4")
    first = decision["rungs"][0]["scores"]
    assert min(first["4"]) > 2 * max(max(first[depth]) for depth in ("none", "8", "all"))
