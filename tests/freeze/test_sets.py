"""Any set of blocks: what it names, what of it is a prefix, what a step costs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tests.conftest import Compose
from tests.freeze.test_freeze import detector_of
from tests.models.helpers_engine import NAMES, pictures
from tests.models.helpers_engine import detector_of as settled_detector
from tlx.benchmark.arms import Slot, plan
from tlx.common.errors import ConfigError
from tlx.config.identity import run_label
from tlx.config.typed import plain
from tlx.freeze.apply import apply_phase, trainable_parameters
from tlx.freeze.bound import measure_cost, phase_step_share
from tlx.freeze.depth import freeze_label, frozen_blocks
from tlx.freeze.policies.base import Phase
from tlx.freeze.proof import frozen_hash, phase_hash
from tlx.models.backbones.base import backbone_spec
from tlx.models.blocks import as_blocks, saved_passes
from tlx.models.detectors.ssd.extras import EXTRA_NAMES

V1 = backbone_spec("mobilenet_v1")


@pytest.mark.parametrize(
    ("value", "places", "label"),
    [
        ("2..8", range(2, 9), "2..8"),
        (["Conv2d_2..Conv2d_8"], range(2, 9), "Conv2d_2..Conv2d_8"),
        ("3..", range(3, 14), "3.."),
        ("0..4", range(5), "4"),
        ("..4", range(5), "4"),
        ("0..", range(14), "all"),
        ([4], [4], "4..4"),
        (["0", "5..7"], [0, 5, 6, 7], "0+5..7"),
        ("0 + 5..7", [0, 5, 6, 7], "0+5..7"),
        ("4+3+2", [2, 3, 4], "2..4"),
        ("2..4+3..5", range(2, 6), "2..5"),
        ("1+0+2", range(3), "2"),
        ([3, 9, 4], [3, 4, 9], "3..4+9"),
        ("12..extra_2", range(12, 16), "12..extra_2"),
        ("0+neck", [0, 14, 15, 16, 17], "0+neck"),
        (["all"], range(14), "all"),
    ],
)
def test_spellings_of_sets(value: Any, places: Any, label: str) -> None:
    assert frozen_blocks(value, V1, EXTRA_NAMES) == frozenset(places)
    assert freeze_label(value) == label
    assert freeze_label(label) == label, "a record's text is a value again"
    assert frozen_blocks(label, V1, EXTRA_NAMES) == frozenset(places)


@pytest.mark.parametrize("value", ["8..2", "..", "2..14", "Conv2d_1..Conv", "4+", [], "1..2..3"])
def test_sets_that_are_none_are_refused_with_the_blocks(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"0 Conv2d_0, 1 Conv2d_1.*13 Conv2d_13"):
        frozen_blocks(value, V1, EXTRA_NAMES)


def test_a_range_that_runs_backwards_is_named() -> None:
    with pytest.raises(ConfigError, match=r"8\.\.2 runs backwards"):
        frozen_blocks("0+8..2", V1, EXTRA_NAMES)


def test_a_range_from_the_first_block_may_end_in_the_neck() -> None:
    last = EXTRA_NAMES[1]
    for value in (f"0..{last}", f"..{last}", [f"0..{last}"], last):
        assert frozen_blocks(value, V1, EXTRA_NAMES) == as_blocks(len(V1.blocks) + 2)


def test_a_set_behind_blocks_that_train_counts_as_less_deep_than_a_prefix_that_saves_more() -> None:
    freezes = ["all", "3..", 8, 4, "none"]
    ordered = sorted(freezes, key=lambda value: saved_passes(frozen_blocks(value, V1)))
    assert ordered == ["none", 4, "3..", 8, "all"]


def test_a_list_and_its_text_are_one_run(compose_config: Compose) -> None:
    labels = {
        run_label(plain(compose_config(f"freeze={value}")))
        for value in ("[stem,5..7]", "stem+5..7", "'stem+5..7'")
    }
    assert len(labels) == 1
    assert next(iter(labels)).startswith("freeze=stem+5..7-seed=0-")


LARGE = ("resnet50", "vgg16")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in LARGE else ()) for n in NAMES]
)
def test_a_set_with_a_gap_computes_trains_and_keeps_what_it_says(name: str) -> None:
    """The prefix is folded, what is frozen behind it passes gradients, and nothing of it moves."""
    detector = settled_detector(name)
    count = len(detector.backbone.blocks)
    frozen = frozenset({0, 1, *range(4, count)})
    with torch.no_grad():
        expected = detector.heads(detector.tail(detector.prefix(pictures())))[0]
    phase = Phase(0, frozen, frozen)
    apply_phase(detector, phase)
    assert (detector.prefix_length, detector.boundary) == (2, [1])
    detector.train()
    trunk = [block for _, block in detector.trunk()]
    assert [not block.training for block in trunk] == [i in frozen for i in range(len(trunk))]
    before, moved = phase_hash(detector, phase), frozen_hash(detector, [2, 3])
    parts = trainable_parameters(detector, (phase,))
    assert [bool(block) for block in parts["base"]] == [i not in frozen for i in range(count)]
    parameters = [p for part in parts.values() for block in part for p in block]
    assert {id(p) for p in parameters} == {id(p) for p in detector.parameters() if p.requires_grad}
    optimizer = torch.optim.SGD(parameters, lr=1e-3)
    for step in range(2):
        optimizer.zero_grad()
        logits, offsets = detector(pictures())
        (logits.square().mean() + offsets.square().mean()).backward()
        if not step:
            assert all(p.grad is not None for p in trunk[2].parameters())
        optimizer.step()
    assert phase_hash(detector, phase) == before
    assert frozen_hash(detector, [2, 3]) != moved
    detector.eval()
    apply_phase(detector, Phase(0, 0, 0))
    assert detector.prefix_length == 0
    assert expected.isfinite().all()


def test_what_a_step_costs_by_arithmetic() -> None:
    detector = detector_of("mobilenet_v1", 300)
    cost = measure_cost(detector)
    share = cost.frozen_share
    assert cost.step_share(5) == pytest.approx((1 + 2 * (1 - share(5))) / 3)
    behind = range(3, 14)
    assert cost.step_share(behind) == pytest.approx((2 + 1 - share(behind)) / 3)
    gap = {0, 1, *range(4, 14)}
    assert cost.step_share(gap) == pytest.approx((1 + 1 - share(2) + 1 - share(gap)) / 3)
    assert cost.step_share(gap, cached=True) == pytest.approx(
        (2 * (1 - share(2)) + 1 - share(gap)) / 3
    )
    for kind in ("norms", "biases"):  # the first block has a norm: nothing is a prefix
        phase = Phase(0, 14, 14, trains=kind)
        assert phase_step_share(detector, cost, phase) == pytest.approx((2 + 1 - share(14)) / 3)


def test_statistics_of_frozen_blocks_follow_the_batches_only_where_that_is_asked() -> None:
    detector = settled_detector("mobilenet_v1")
    for stored, training in ((14, False), (0, True)):
        apply_phase(detector, Phase(0, 14, stored, trains="norms"))
        for mode in (True, False):
            detector.train(mode)
            norms = [m for m in detector.backbone.modules() if isinstance(m, nn.BatchNorm2d)]
            assert {norm.training for norm in norms} == {training and mode}
    assert detector.prefix_length == 0


def test_the_benchmark_leaves_out_what_a_set_has_not() -> None:
    slots, left_out = plan({"3..": frozenset(range(3, 14)), "0+3..": frozenset({0, *range(3, 14)})},
                           14, torch.device("cpu"))  # fmt: skip
    reasons = {(cell["policy"], cell["arm"]): cell["reason"] for cell in left_out}
    assert reasons["3..", "tlx_cached_fp32"] == "no block that leads the trunk is frozen"
    assert reasons["3..", "torchvision"] == "torchvision freezes leading blocks only"
    assert Slot("0+3..", frozenset({0, *range(3, 14)}), "tlx_cached_fp32") in slots
