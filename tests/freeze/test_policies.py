"""Every policy: the frozen sets of each epoch, two steps on every backbone, real runs resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import Compose
from tests.freeze.test_every_backbone import published
from tests.models.helpers_engine import NAMES, WITHOUT_NORMS, detector_of, pictures
from tests.training.helpers_stop import assert_equal_courses, stop_next_run
from tlx.common.errors import ConfigError, FreezeError
from tlx.config.check import check_config, make_policy
from tlx.freeze.apply import apply_phase, check_phases, prepare_network, trainable_parameters
from tlx.freeze.policies.autofreeze import AutoFreeze
from tlx.freeze.policies.base import Measured, Phase, phase_at
from tlx.freeze.policies.freezeout import FreezeOut
from tlx.freeze.policies.gradual_unfreezing import GradualUnfreezing
from tlx.freeze.proof import phase_hash
from tlx.models.blocks import as_blocks
from tlx.training.interrupt import Interrupted
from tlx.training.optimizer import make_optimizer
from tlx.training.run import run
from tlx.training.schedule import lr_factor
from tlx.training.switches import GradientChange

DEPTHS = {"none": as_blocks(0), "4": as_blocks(5)}
ALL = as_blocks(6)


def frozen_at(phases: tuple[Phase, ...], epochs: int) -> list[int]:
    """How many blocks are frozen in each epoch."""
    return [len(phase_at(phases, epoch).frozen) for epoch in range(epochs)]


def test_gradual_unfreezing_by_epochs() -> None:
    phases = GradualUnfreezing(every=2).phases(ALL, 20, DEPTHS.__getitem__)
    assert frozen_at(phases, 14) == [6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0]
    assert [sorted(phase.frozen) for phase in phases[:2]] == [[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4]]
    assert {phase.bn_inference for phase in phases} == {ALL}
    assert [phase.restart for phase in phases[:2]] == [True, False]
    assert not any(phase.undecided for phase in phases)
    even = GradualUnfreezing(until="none").phases(ALL, 4, DEPTHS.__getitem__)
    assert frozen_at(even, 4) == [6, 3, 0, 0]
    kept = GradualUnfreezing(every=1, until="4", bn="train").phases(ALL, 4, DEPTHS.__getitem__)
    assert frozen_at(kept, 4) == [6, 5, 5, 5]
    assert kept[1].bn_inference == as_blocks(5)
    with pytest.raises(ConfigError, match="18 epochs to its last step, and there are 18"):
        GradualUnfreezing(every=3).phases(ALL, 18, DEPTHS.__getitem__)
    for bad in (GradualUnfreezing(every=0), GradualUnfreezing(blocks=0), GradualUnfreezing(bn="x")):
        with pytest.raises(ConfigError):
            bad.phases(ALL, 20, DEPTHS.__getitem__)


def test_gradual_unfreezing_at_a_plateau() -> None:
    policy = GradualUnfreezing(patience=2, blocks=3)
    phases = [*policy.phases(ALL, 20, DEPTHS.__getitem__)]
    assert (len(phases), phases[0].undecided) == (1, ALL)
    scores = [0.1, 0.2, 0.2, 0.1, 0.3, 0.2, 0.2, 0.2, 0.2]
    for epoch in range(1, len(scores) + 1):
        seen = Measured([*enumerate(scores[:epoch])], {})
        if (found := policy.decide(phases, epoch, seen)) is not None:
            phases.append(found)
    # The best so far at 1, and two without a better one by 4; at 4, and two by 7.
    assert [(p.first_epoch, sorted(p.frozen)) for p in phases[1:]] == [(4, [0, 1, 2]), (7, [])]
    assert policy.decide(phases, 20, Measured([*enumerate([0.1] * 20)], {})) is None
    assert Phase(**phases[1].to_dict()) == phases[1]


def test_freezeout_freezes_front_to_back_as_rates_come_to_zero() -> None:
    phases = FreezeOut(first=0.5).phases(as_blocks(3), 16, DEPTHS.__getitem__)
    ends = dict(phases[0].rate_ends)
    assert ends == {0: 2, 1: 5, 2: 9}  # 16 times .5, .667 and .833, cubed
    assert frozen_at(phases, 10) == [0, 0, 1, 1, 1, 2, 2, 2, 2, 3]
    assert all(phase.frozen == as_blocks(len(phase.frozen)) for phase in phases)
    linear = FreezeOut(first=0.5, cubic=False, scaled=False)
    assert dict(linear.phases(as_blocks(2), 16, DEPTHS.__getitem__)[0].rate_ends) == {0: 8, 1: 12}

    def rates(block: int | None, warmup: int = 0) -> list[float]:
        return [lr_factor(step, 4, 16, phases, warmup, block) for step in range(64)]

    for block, end in ends.items():
        mine = rates(block)
        assert mine[0] == pytest.approx(16 / end)
        assert sum(mine) == pytest.approx(sum(rates(None)), rel=0.12), "all move as far"
        assert mine[4 * end - 1] < 0.35
        assert mine[4 * end :] == [0.0] * (64 - 4 * end), "nothing is cut off by the freeze"
    assert rates(None) == rates(7) == [lr_factor(s, 4, 16, (Phase(0, 0, 0),), 0) for s in range(64)]
    for bad in (FreezeOut(first=0), FreezeOut(first=0.99)):
        with pytest.raises(ConfigError):
            bad.phases(as_blocks(3), 4, DEPTHS.__getitem__)


def test_autofreeze_freezes_from_the_front_what_changes_least() -> None:
    policy = AutoFreeze(percentile=50)
    phases = policy.phases(as_blocks(4), 10, DEPTHS.__getitem__)
    assert policy.decide(phases, 1, Measured([], {})) is None
    # 3 changes little, but 2 is before it; 5 may not be frozen, and counts among the rates.
    changes = {0: 0.1, 1: 0.2, 2: 0.9, 3: 0.1, 4: 0.8, 5: 0.7}
    found = policy.decide(phases, 2, Measured([], changes))
    assert found is not None
    assert (sorted(found.frozen), sorted(found.undecided)) == ([0, 1], [2, 3])
    assert "0.1, 0.2" in found.reason
    later = {2: 0.9, 3: 0.1, 4: 0.1, 5: 0.1}
    assert policy.decide([*phases, found], 3, Measured([], later)) is None


def test_the_change_of_accumulated_gradients() -> None:
    detector = detector_of("mobilenet_v1")
    apply_phase(detector, Phase(0, 2, 2))
    change = GradientChange()
    norms = []
    for factor in (1.0, 3.0):
        for _ in range(2):
            for parameter in detector.parameters():
                parameter.grad = torch.full_like(parameter, factor)
            change.add(detector)
        kept = GradientChange()
        kept.load_state_dict(change.state_dict())
        norms.append(change.close(detector))
        assert kept.close(detector) == norms[-1]
    assert norms[0] == {}
    assert sorted(norms[1]) == list(range(2, 18))
    assert all(value == pytest.approx(2.0) for value in norms[1].values())


OVERRIDES = {
    "batch_norm_only": ["policy=batch_norm_only"],
    "batch_norm_only inference": ["policy=batch_norm_only", "policy.bn=inference"],
    "bias_only": ["policy=bias_only"],
    "lora": ["policy=lora", "policy.rank=4"],
    "surgical": [],
    "gradual_unfreezing": ["policy=gradual_unfreezing", "policy.blocks=4"],
    "freezeout": ["policy=freezeout", "policy.first=0.5"],
    "two_phase": ["policy=two_phase", "policy.then=3"],
    "autofreeze": ["policy=autofreeze"],
    "plateau": ["policy=gradual_unfreezing", "policy.patience=1"],
}


# Every policy meets every backbone in the slow tier.
PAIRS = [
    pytest.param(policy, name, marks=() if name == "mobilenet_v1" else pytest.mark.slow)
    for policy in OVERRIDES
    for name in NAMES
]


@pytest.mark.parametrize(("policy", "name"), PAIRS)
def test_two_steps_in_every_phase_on_every_backbone(
    policy: str, name: str, compose_config: Compose
) -> None:
    """What a phase freezes stays, what it trains moves; rates of layers decay under each."""
    freeze = "2.." if policy == "surgical" else "all"
    cfg = compose_config(
        f"backbone={name}", f"freeze={freeze}", "data=voc", "data.root=x", "trainer.epochs=6",
        "trainer.layer_decay=0.8", *OVERRIDES[policy],
    )  # fmt: skip
    phases = check_config(cfg)
    detector = detector_of(name)
    detector.loaded = set(detector.backbone.blocks)
    check_phases(detector, phases)
    if name in WITHOUT_NORMS and policy.startswith("batch_norm_only"):
        with pytest.raises(FreezeError, match="no norms that could train"):
            prepare_network(detector, make_policy(cfg), phases, 0)
        return
    with torch.no_grad():
        before = detector(pictures())[0]
    prepare_network(detector, make_policy(cfg), phases, 0)
    with torch.no_grad():
        assert torch.allclose(detector(pictures())[0], before, atol=1e-4)
    parts = trainable_parameters(detector, phases)
    optimizer = make_optimizer(cfg.trainer, parts, by_block=bool(phases[0].rate_ends))
    ever = {id(p) for group in optimizer.param_groups for p in group["params"]}
    for phase in phases[:3]:
        apply_phase(detector, phase)
        detector.train()
        kept = phase_hash(detector, phase)
        trains = {n: p.detach().clone() for n, p in detector.named_parameters() if p.requires_grad}
        for _ in range(2):
            optimizer.zero_grad()
            logits, offsets = detector(pictures())
            (logits.square().mean() + offsets.square().mean()).backward()
            optimizer.step()
        assert phase_hash(detector, phase) == kept
        now = dict(detector.named_parameters())
        assert {id(now[name]) for name in trains} <= ever
        moved = {name for name, old in trains.items() if not torch.equal(now[name], old)}
        assert any(name.startswith("heads.") for name in moved)
        if phase.trains:
            blocks = [detector.trunk()[place][1] for place in phase.frozen]
            of = {id(p) for block in blocks for p in detector.still_training(block, phase.trains)}
            assert any(id(now[name]) in of for name in moved), "the kind itself trains"
        elif len(phase.frozen) < len(detector.backbone.blocks):
            assert any(name.startswith("backbone.") for name in moved)


BACKBONE = "mobilenet_v3_small"  # of 13 blocks, at a step of a tenth of a second
RUNS: dict[str, tuple[list[str], list[int]]] = {
    "surgical": (["freeze=3.."], [10, 10]),
    "batch_norm_only": (["freeze=all", "policy=batch_norm_only"], [13, 13]),
    "bias_only": (["freeze=all", "policy=bias_only"], [13, 13]),
    "lora": (["freeze=all", "policy=lora"], [13, 13]),
    "gradual_unfreezing": (
        ["freeze=all", "policy=gradual_unfreezing", "policy.blocks=9", "policy.every=1"],
        [13, 4, 0],
    ),
    "plateau": (
        ["freeze=all", "policy=gradual_unfreezing", "policy.blocks=9", "policy.patience=1",
         "trainer.head_lr=1e-12", "trainer.base_lr=0"],
        [13, 13, 4],
    ),
    "freezeout": (["freeze=all", "policy=freezeout", "policy.first=0.5"], [0, 8, 12]),
    "autofreeze": (["freeze=all", "policy=autofreeze", "policy.percentile=100"], [0, 0, 13]),
}  # fmt: skip


# Those whose state is more than the epoch's number; all of them, in every step, in the slow tier.
DEFAULT_TIER = ("plateau", "freezeout", "autofreeze", "lora")


@pytest.mark.parametrize(
    ("policy", "every"),
    [
        *((policy, False) for policy in DEFAULT_TIER),
        *(pytest.param(policy, True, marks=pytest.mark.slow) for policy in RUNS),
    ],
)
def test_a_run_keeps_what_its_phases_freeze_and_resumes_across_its_switches(
    policy: str, every: bool, tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides, frozen = RUNS[policy]
    epochs = len(frozen)
    cfg = tiny_config(
        *overrides, f"backbone.weights={published(BACKBONE, tmp_path)}", f"backbone={BACKBONE}",
        f"trainer.epochs={epochs}", "trainer.checkpoint_minutes=60", "trainer.batch_size=9",
    )  # fmt: skip
    whole = run(cfg, tmp_path / "whole")
    at = [[p for p in whole["phases"] if p["first_epoch"] <= e][-1] for e in range(epochs)]
    assert [phase["frozen_blocks"] for phase in at] == frozen
    for phase in whole["phases"]:
        assert len(phase["blocks"]) == phase["frozen_blocks"]
        assert phase["hash_before"] == phase["hash_after"]
        assert (phase["hash_before"] is not None) == bool(phase["blocks"])
    # In the last epoch, behind the last switch; or in every step.
    for step in range(1, 2 * epochs) if every else (2 * epochs - 1,):
        with monkeypatch.context() as patch:
            stop_next_run(patch, step)
            with pytest.raises(Interrupted):
                run(cfg, tmp_path / "stopped")
    record = run(cfg, tmp_path / "stopped")
    assert record["phases"] == whole["phases"]
    assert record["bound"] == whole["bound"]
    assert_equal_courses(tmp_path / "whole", tmp_path / "stopped")
    if policy in ("plateau", "autofreeze"):
        stored = torch.load(tmp_path / "stopped/checkpoints/last.ckpt", weights_only=True)
        phases = stored["callbacks"]["Switches"]["phases"]
        assert [len(phase["frozen"]) for phase in phases] == [
            phase["frozen_blocks"] for phase in whole["phases"]
        ]
        assert all(phase["reason"] for phase in whole["phases"][1:])
    assert json.loads((tmp_path / "stopped/record.json").read_text())["status"] == "finished"


@pytest.mark.parametrize("policy", ["freezeout", "autofreeze"])
def test_a_moving_average_and_a_freeze_of_what_trained_are_refused(
    policy: str, compose_config: Compose
) -> None:
    cfg = compose_config("freeze=all", f"policy={policy}", "trainer.ema_decay=0.9")
    with pytest.raises(ConfigError, match="goes on moving behind a freeze"):
        check_config(cfg)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ("policy=bias_only", "needs the blocks"),
        ("policy=batch_norm_only freeze=4 policy.bn=off", "neither inference nor train"),
        ("policy=lora freeze=all policy.rank=0", "must be at least 1"),
        ("policy=lora freeze=all policy.alpha=0", "must be above 0"),
        ("policy=gradual_unfreezing freeze=4 policy.until=8", "must be deeper"),
        ("policy=autofreeze freeze=all policy.percentile=101", "between 0 and 100"),
        ("policy=autofreeze freeze=all trainer.epochs=2", "raise trainer.epochs"),
        ("policy=freezeout freeze=all policy.first=1", "between 0 and 1"),
        ("policy=bias_only freeze=all weights=scratch", "random weights"),
        ("policy=two_phase freeze=2.. policy.then=4", "name all of its blocks"),
    ],
)
def test_what_means_nothing_is_refused(overrides: str, told: str, compose_config: Compose) -> None:
    with pytest.raises(ConfigError, match=told):
        check_config(compose_config(*overrides.split()))


def test_blocks_that_train_before_they_are_frozen_may_start_random(compose_config: Compose) -> None:
    cfg: Any = compose_config("policy=freezeout", "freeze=all", "weights=scratch")
    check_phases(detector_of("mobilenet_v1"), check_config(cfg))
