"""Which parameters have which rate and decay, and that every optimizer resumes exactly."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.conftest import Compose, composed
from tests.training.helpers_stop import assert_equal_runs, rows, stop_next_run, weights
from tlx.common.errors import ConfigError
from tlx.config import composition
from tlx.config.check import check_config
from tlx.config.schema import TrainerConfig
from tlx.training.interrupt import Interrupted
from tlx.training.kinds import kind_of
from tlx.training.optimizer import make_optimizer, rates_of_another
from tlx.training.run import run


def parts() -> dict[str, list[list[nn.Parameter]]]:
    """Two blocks of a backbone, one behind it, and a head, told apart by their shapes."""
    blocks = [
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(4, 5, 3, bias=False), nn.BatchNorm2d(5)),
        nn.Conv2d(5, 6, 1, bias=False),
        nn.Linear(6, 2),
    ]
    one, two, neck, head = (list(block.parameters()) for block in blocks)
    return {"base": [one, two], "neck": [neck], "head": [head]}


Told = list[tuple[str, float, float, list[tuple[int, ...]]]]


def told(made: torch.optim.Optimizer) -> Told:
    """Name, rate, decay and shapes of each group."""
    return [
        (g["name"], g["lr"], g["weight_decay"], [tuple(p.shape) for p in g["params"]])
        for g in made.param_groups
    ]


def test_norms_and_biases_have_a_group_without_decay() -> None:
    made = make_optimizer(TrainerConfig(decay="weights", base_lr=0.1, head_lr=0.2), parts())
    assert told(made) == [
        ("base", 0.1, 5e-4, [(4, 3, 3, 3), (5, 4, 3, 3)]),
        ("base", 0.1, 0.0, [(4,)] * 3 + [(5,)] * 2),
        ("head", 0.2, 5e-4, [(6, 5, 1, 1), (2, 6)]), ("head", 0.2, 0.0, [(2,)]),
    ]  # fmt: skip


def test_a_frozen_backbone_has_no_group() -> None:
    made = make_optimizer(TrainerConfig(), {**parts(), "base": []})
    assert [g["name"] for g in made.param_groups] == ["head"]


def test_layer_decay_lowers_the_rates_towards_the_picture() -> None:
    cfg = TrainerConfig(base_lr=0.1, head_lr=0.2, layer_decay=0.5, decay="weights")
    assert told(make_optimizer(cfg, parts())) == [
        ("base", 0.05, 5e-4, [(4, 3, 3, 3)]), ("base", 0.05, 0.0, [(4,)] * 3),
        ("base", 0.1, 5e-4, [(5, 4, 3, 3)]), ("base", 0.1, 0.0, [(5,)] * 2),
        ("head", 0.2, 5e-4, [(6, 5, 1, 1), (2, 6)]), ("head", 0.2, 0.0, [(2,)]),
    ]  # fmt: skip
    cfg.neck_lr = 0.3
    assert [lr for _, lr, _, _ in told(make_optimizer(cfg, parts()))] == (
        [0.05, 0.05, 0.1, 0.1, 0.3, 0.2, 0.2]
    )
    for wrong in (0.0, 1.5):
        with pytest.raises(ConfigError, match=r"trainer.layer_decay=.* must be between"):
            check_config(composed(f"trainer.layer_decay={wrong}"))


@pytest.mark.parametrize("freeze_bn", [False, True])
def test_layer_decay_resumes_exactly_whatever_the_phases_freeze(
    freeze_bn: bool, tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Efficientnet's blocks are 17; two phases leave blocks 4 to 16 something to train."""
    cfg = tiny_config(
        "freeze=8", "policy=two_phase", "policy.unfreeze_at=0.5", "policy.then=3",
        "trainer.layer_decay=0.5", "trainer.neck_lr=0.01",
        f"trainer.freeze_bn={freeze_bn}", "trainer.checkpoint_minutes=60",
    )  # fmt: skip
    run(cfg, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_next_run(patch, 4)
        with pytest.raises(Interrupted):
            run(cfg, tmp_path / "stopped")
    run(cfg, tmp_path / "stopped")
    assert_equal_runs(tmp_path / "whole", tmp_path / "stopped")
    state = torch.load(tmp_path / "whole/checkpoints/last.ckpt", weights_only=True)
    groups = state["optimizer_states"][0]["param_groups"]
    rates = [g["initial_lr"] for g in groups if g["name"] == "base" and g["weight_decay"]]
    base, head = cfg.trainer.base_lr, cfg.trainer.head_lr
    assert rates == [pytest.approx(base * 0.5**behind) for behind in range(12, -1, -1)]
    first = rows(tmp_path / "whole")[0]
    assert float(first["lr_base"]) == pytest.approx(float(first["lr_head"]) * base / head), (
        "the last block's"
    )


def test_the_neck_has_the_rate_of_the_heads_or_its_own() -> None:
    """With null the groups are those of versions before, whose checkpoints then go on."""
    both = told(make_optimizer(TrainerConfig(base_lr=0.1, head_lr=0.2), parts()))
    assert both[1:] == [("head", 0.2, 5e-4, [(6, 5, 1, 1), (2, 6), (2,)])]
    own = told(make_optimizer(TrainerConfig(base_lr=0.1, head_lr=0.2, neck_lr=0.05), parts()))
    assert own == [
        both[0],
        ("neck", 0.05, 5e-4, [(6, 5, 1, 1)]),
        ("head", 0.2, 5e-4, [(2, 6), (2,)]),
    ]


def test_a_run_with_a_rate_of_the_neck(tiny_config: Compose, tmp_path: Path) -> None:
    """A neck that is not trained stays where it was; the CSV has a column for it."""
    cfg = tiny_config("freeze=all", "trainer.neck_lr=0", "trainer.epochs=1")
    run(cfg, tmp_path / "still")
    run(tiny_config("freeze=all", "trainer.epochs=1"), tmp_path / "moves")
    still, moves = (weights(tmp_path / name, "last.ckpt") for name in ("still", "moves"))
    start = kind_of(cfg).network(cfg, ["blue", "red"], {}).state_dict()
    for key, value in start.items():
        if key.startswith("extras."):
            assert torch.equal(still[f"detector.{key}"], value)
            assert not torch.equal(moves[f"detector.{key}"], value)
    made = torch.load(tmp_path / "still/checkpoints/last.ckpt", weights_only=True)
    groups = made["optimizer_states"][0]["param_groups"]
    assert [(g["name"], g["initial_lr"]) for g in groups] == [
        ("neck", 0.0),
        ("neck", 0.0),
        ("head", 0.003),
        ("head", 0.003),
    ]
    row, other = rows(tmp_path / "still")[0], rows(tmp_path / "moves")[0]
    assert (row["lr_neck"], other["lr_neck"]) == ("0.0", "")
    assert row["lr_head"] == other["lr_head"] != ""


def test_who_has_no_neck_refuses_a_rate_for_it(compose_config: Compose) -> None:
    with pytest.raises(ConfigError, match=r"trainer.neck_lr=-1.0 must be at least 0"):
        check_config(compose_config("trainer.neck_lr=-1"))
    check_config(compose_config("trainer.neck_lr=0.1"))
    with pytest.raises(ConfigError, match=r"trainer.neck_lr is for detectors"):
        check_config(compose_config("task=classify", "trainer.neck_lr=0.1"))


def test_adamw_is_torchs() -> None:
    made = make_optimizer(TrainerConfig(optimizer="adamw", momentum=0.8), parts())
    assert isinstance(made, torch.optim.AdamW)
    assert made.param_groups[0]["betas"] == (0.8, 0.999)


@pytest.mark.parametrize("workers", [0, 1])
def test_adamw_resumes_exactly(
    workers: int, tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With decay of weights alone, and a phase that begins anew in between."""
    cfg = tiny_config(
        "freeze=8", "policy=two_phase", "policy.unfreeze_at=0.5",
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


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ([], []),
        (["trainer=sgd"], []),
        (["trainer=debug"], []),
        (
            ["trainer.optimizer=sgd", "trainer.head_lr=0.01"],
            ["base_lr=0.001, trainer.weight"],
        ),
        (["trainer=sgd", "trainer.head_lr=0.01", "trainer.weight_decay=0"], []),
        (["trainer=sgd", "trainer.optimizer=adamw", "trainer.head_lr=0.01"], ["base_lr=0.02"]),
        (["experiment=published_guns", "data.root=/"], []),
        (["trainer.optimizer=sgd"], ["trainer=sgd brings"]),
        (["trainer=sgd", "trainer.optimizer=adamw"], ["trainer=default brings"]),
    ],
)
def test_the_rate_of_another_optimizer_is_named(overrides: list[str], said: list[str]) -> None:
    told = rates_of_another(composition.composed(overrides).trainer)
    assert len(told) == len(said)
    assert all(words in line for words, line in zip(said, told, strict=True))
