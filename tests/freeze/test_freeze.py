"""What a freeze guarantees; each test breaks when its guarantee does."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tlx.models.backbones  # noqa: F401
from tests.conftest import Compose
from tlx.common.errors import ConfigError, FreezeError
from tlx.freeze.apply import apply_phase, check_phases, trainable_parameters
from tlx.freeze.bound import measure_cost, schedule_step_share
from tlx.freeze.depth import frozen_blocks
from tlx.freeze.policies.base import Phase, phase_at
from tlx.freeze.policies.two_phase import TwoPhase
from tlx.freeze.proof import frozen_hash
from tlx.models.backbones.base import BACKBONES, backbone_spec
from tlx.models.backbones.weights import SCRATCH, resolve
from tlx.models.blocks import as_blocks
from tlx.models.detectors.ssd.extras import EXTRA_NAMES
from tlx.models.detectors.ssd.ssd import SSD
from tlx.training.run import run

V1 = backbone_spec("mobilenet_v1")
# The published counts for a two-class (one object class) MobileNetV1-SSD300.
COUNTS = {"none": 0, "4": 65_344, "8": 806_720, "all": 3_206_976, "heads": 5_666_496}
MACS = {"4": 0.221, "8": 0.500, "all": 0.868}


def detector_of(name: str, size: int = 96) -> SSD:
    spec = backbone_spec(name)
    torch.manual_seed(0)
    return SSD(spec, resolve(spec, SCRATCH).conventions, 1, size)


def frozen_at(name: str, value: Any, size: int = 96) -> SSD:
    detector = detector_of(name, size)
    blocks = frozen_blocks(value, detector.spec, EXTRA_NAMES)
    apply_phase(detector, Phase(0, blocks, blocks))
    return detector


@pytest.mark.parametrize("value", COUNTS)
def test_counts_of_mobilenet_v1(value: str) -> None:
    detector = frozen_at("mobilenet_v1", value)
    frozen = sum(p.numel() for p in detector.parameters() if not p.requires_grad)
    assert sum(p.numel() for p in detector.parameters()) == 6_579_096
    assert frozen == COUNTS[value]
    convolutions = {"none": 0, "4": 9, "8": 17, "all": 27, "heads": 35}
    trunk = [block for _, block in detector.trunk()][: detector.prefix_length]
    assert sum(isinstance(m, nn.Conv2d) for b in trunk for m in b.modules()) == convolutions[value]


def test_shares_of_macs_and_bound() -> None:
    detector = detector_of("mobilenet_v1", 300)
    cost = measure_cost(detector)
    for value, share in MACS.items():
        blocks = frozen_blocks(value, V1)
        assert cost.frozen_share(blocks) == pytest.approx(share, abs=5e-4)
        assert cost.step_share(blocks) == pytest.approx((1 + 2 * (1 - share)) / 3, abs=5e-4)
    assert cost.step_share(0) == 1.0
    two = (Phase(0, 14, 14), Phase(3, 0, 14))
    expected = (3 * cost.step_share(14) + 1 * 1.0) / 4
    assert schedule_step_share(detector, cost, two, 4) == pytest.approx(expected)


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_counts_grow_with_depth(name: str) -> None:
    spec = backbone_spec(name)
    cost = measure_cost(detector_of(name))
    values = ["none", *range(len(spec.blocks)), "heads"]
    counts = [cost.frozen_parameters(frozen_blocks(v, spec, EXTRA_NAMES)) for v in values]
    assert all(a < b for a, b in itertools.pairwise(counts))
    assert frozen_blocks("all", spec) == frozen_blocks(len(spec.blocks) - 1, spec)


@pytest.mark.parametrize("value", ["14", "99", "-1", "Conv2d_14", "", "true", "4.5", "None"])
def test_unknown_depths_are_refused_with_the_blocks(value: str) -> None:
    with pytest.raises(ConfigError, match=r"0 Conv2d_0, 1 Conv2d_1.*13 Conv2d_13"):
        frozen_blocks(value, V1)


@pytest.mark.parametrize("value", [True, False, None, 4.0, -1])
def test_values_that_are_no_depth(value: Any) -> None:
    with pytest.raises(ConfigError):
        frozen_blocks(value, V1)


def test_spellings_of_one_depth() -> None:
    assert {frozen_blocks(v, V1) for v in (4, "4", " 4 ", "Conv2d_4")} == {as_blocks(5)}


@pytest.mark.parametrize("value", ["4", "8", "all", "heads"])
def test_prefix_builds_no_graph(value: str) -> None:
    detector = frozen_at("mobilenet_v1", value)
    outputs = []
    trunk = [block for _, block in detector.trunk()]
    for block in trunk:
        block.register_forward_hook(lambda _m, _i, out: outputs.append(out))
    detector.train()
    logits, offsets = detector(torch.randn(2, 3, 96, 96))
    assert [out.requires_grad for out in outputs] == [
        i >= detector.prefix_length for i in range(len(trunk))
    ]
    (logits.sum() + offsets.sum()).backward()
    with_grad = {n for n, p in detector.named_parameters() if p.grad is not None}
    trains = {n for n, p in detector.named_parameters() if p.requires_grad}
    assert with_grad == trains


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_prefix_ignores_the_batch_and_the_mode(name: str) -> None:
    """The same picture gives the same prefix output alone, in a batch, in train and eval mode."""
    detector = frozen_at(name, 8)
    blocks = [block for _, block in detector.trunk()][: detector.prefix_length]
    picture = torch.randn(1, 3, 96, 96)
    others = torch.randn(3, 3, 96, 96) * 5 + 2

    def prefix(x: torch.Tensor) -> torch.Tensor:
        for block in blocks:
            x = block(x)
        return x[:1].detach()

    with torch.no_grad():
        alone = prefix(picture)
        for mode in (True, False):
            detector.train(mode)
            assert torch.equal(
                prefix(torch.cat([picture, others]))[:1], prefix(torch.cat([picture, -others]))
            )
            assert torch.allclose(prefix(torch.cat([picture, others])), alone, atol=1e-4)


def test_train_keeps_frozen_batch_norm_in_inference_mode() -> None:
    detector = frozen_at("mobilenet_v1", 4)
    detector.eval()
    detector.train()  # what Lightning does after every validation
    norms = {n: m for n, m in detector.named_modules() if isinstance(m, nn.BatchNorm2d)}
    training = {int(n.split("Conv2d_")[1].split(".")[0]): m.training for n, m in norms.items()}
    assert training == {i: i > 4 for i in range(14)}


def test_groups_hold_what_ever_trains_and_nothing_else() -> None:
    detector = detector_of("mobilenet_v1")
    fixed = trainable_parameters(detector, (Phase(0, 9, 9),))
    ids = {id(p) for part in fixed.values() for block in part for p in block}
    frozen = {id(p) for _, b in detector.trunk()[:9] for p in b.parameters()}
    assert not ids & frozen
    assert ids | frozen == {id(p) for p in detector.parameters()}
    both = trainable_parameters(detector, (Phase(0, 9, 9), Phase(3, 2, 9)))
    unfrozen = {id(p) for _, b in detector.trunk()[2:14] for p in b.parameters()}
    assert {id(p) for block in both["base"] for p in block} == unfrozen


def test_random_blocks_are_not_frozen_silently() -> None:
    detector = detector_of("mobilenet_v1")
    with pytest.raises(FreezeError, match="Conv2d_0, Conv2d_1"):
        check_phases(detector, (Phase(0, 2, 2),))
    detector.loaded = set(V1.blocks)
    check_phases(detector, (Phase(0, 14, 14),))
    with pytest.raises(FreezeError, match="extra_1"):
        check_phases(detector, (Phase(0, 18, 18),))


def test_hash_sees_parameters_and_buffers() -> None:
    detector = detector_of("mobilenet_v1")
    before = frozen_hash(detector, 5)
    assert frozen_hash(detector, 0) is None
    assert frozen_hash(detector.to(memory_format=torch.channels_last), 5) == before
    block = detector.backbone.blocks["Conv2d_4"]
    block.pointwise.bn.running_mean[0] += 1e-7
    assert frozen_hash(detector, 5) != before
    block.pointwise.bn.running_mean[0] -= 1e-7
    detector.backbone.blocks["Conv2d_5"].depthwise.conv.weight.data[0] += 1
    assert frozen_hash(detector, 4) != frozen_hash(detector, 5)


def test_two_phase_schedule() -> None:
    blocks = {"none": as_blocks(0), "4": as_blocks(5)}
    phases = TwoPhase(unfreeze_at=0.5, then="4", lr_scale=0.01).phases(
        as_blocks(14), 10, blocks.__getitem__
    )
    assert phases == (Phase(0, 14, 14), Phase(5, 5, 14, 0.01))
    assert [len(phase_at(phases, e).frozen) for e in (0, 4, 5, 9)] == [14, 14, 5, 5]
    assert (
        TwoPhase(bn="train").phases(as_blocks(14), 10, blocks.__getitem__)[1].bn_inference
        == frozenset()
    )
    for bad in (
        TwoPhase(then="none", unfreeze_at=1.0),
        TwoPhase(bn="frozen"),
        TwoPhase(lr_scale=0),
    ):
        with pytest.raises(ConfigError):
            bad.phases(as_blocks(14), 10, blocks.__getitem__)
    with pytest.raises(ConfigError, match="deeper"):
        TwoPhase(then="4").phases(as_blocks(5), 10, blocks.__getitem__)


def test_batch_norm_stays_in_inference_mode_after_unfreezing() -> None:
    detector = detector_of("mobilenet_v1")
    apply_phase(detector, Phase(0, 14, 14))
    apply_phase(detector, Phase(3, 0, 14, 0.1))
    detector.train()
    assert all(p.requires_grad for p in detector.parameters())
    norms = [m for m in detector.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not any(m.training for m in norms)
    stored = norms[0].running_mean.clone()
    detector(torch.randn(2, 3, 96, 96))
    assert torch.equal(norms[0].running_mean, stored)


@pytest.mark.parametrize("policy", ["fixed", "two_phase"])
def test_a_real_run_proves_its_freeze(policy: str, tiny_config: Compose, tmp_path: Path) -> None:
    """Through Lightning's fit with validation in between: hashes equal, the rest has moved."""
    cfg = tiny_config("freeze=8", f"policy={policy}", "trainer.head_lr=0.01")
    record = run(cfg, tmp_path / "run")
    frozen = record["frozen"]
    assert frozen["hash_before"] == frozen["hash_after"] is not None
    assert frozen["blocks"] == ["stem", *(f"mbconv_{i}" for i in range(1, 9))]
    checkpoint = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    start = resolve(backbone_spec("efficientnet_lite0"), "auto").state
    moved = {
        int(key.split("mbconv_")[1].split(".")[0])
        for key, value in start.items()
        if "mbconv_" in key and not torch.equal(value, checkpoint["state_dict"][f"detector.{key}"])
    }
    assert moved == (set(range(9, 17)) if policy == "fixed" else set(range(1, 17)))
    groups = checkpoint["optimizer_states"][0]["param_groups"]
    assert {g["name"] for g in groups} == {"base", "head"}
    if policy == "two_phase":
        assert record["phases"][1]["frozen_blocks"] == 0
        assert record["bound"]["step_share"] < 1
