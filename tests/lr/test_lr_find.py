"""The range test of learning rates: its curve, what it suggests, and that it leaves no run."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.conftest import Compose, tiny_overrides
from tlx.common.errors import ConfigError
from tlx.lr.__main__ import NUMBERS, PICTURE, main, words
from tlx.lr.range_test import Curve, range_test
from tlx.training.run import run


def valley(steps: int, least: float, start: float = 10.0) -> Curve:
    """A loss that falls in a straight line to half until `least`, and then rises as fast."""
    rates = [1e-5 * 10 ** (5 * i / (steps - 1)) for i in range(steps)]
    fall = start / 2 / math.log10(least / 1e-5)
    losses = [start / 2 + fall * abs(math.log10(rate / least)) for rate in rates]
    return Curve(rates, losses, backbone=True)


def test_it_suggests_a_tenth_of_the_rate_of_the_least_loss() -> None:
    curve = valley(2000, 1e-2)
    assert curve.suggestion == pytest.approx(1e-3, rel=0.1), "a smoothing of few of 2000 steps"
    assert curve.rose
    assert "trainer.head_lr=0.001 trainer.base_lr=0.001" in words(curve)
    only_heads = Curve(curve.rates, curve.losses, backbone=False)
    assert "base_lr" not in words(only_heads)


def test_where_nothing_fell_or_nothing_rose_it_says_so() -> None:
    rising = Curve([1e-3, 1e-2, 1e-1], [5.0, 6.0, 9.0], backbone=True)
    assert rising.suggestion is None
    assert "nothing to suggest" in words(rising)
    falling = Curve([1e-3, 1e-2, 1e-1], [9.0, 6.0, 2.0], backbone=True)
    assert falling.suggestion == 0.01
    assert "raise highest=" in words(falling)


def test_a_constant_loss_stays_constant_when_it_is_smoothed() -> None:
    """Lightning's own mean begins at half of it."""
    curve = Curve([0.1 * i for i in range(1, 9)], [3.0] * 8, backbone=True)
    assert curve.smoothed == pytest.approx([3.0] * 8)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_rates_rise_and_the_first_loss_is_that_of_a_run(
    accumulate: int, tiny_config: Compose, tmp_path: Path
) -> None:
    cfg = tiny_config("freeze=8", f"trainer.accumulate={accumulate}")
    curve = range_test(cfg, 12, 1e-6, 1e-2)
    assert cfg == tiny_config("freeze=8", f"trainer.accumulate={accumulate}"), "left as it was"
    assert not (tmp_path / "runs").exists()
    # Three batches an epoch: with two a step, the second step is of one, and is not noted.
    assert len(curve.rates) == len(curve.losses) == (12 if accumulate == 1 else 6)
    assert curve.rates[0] == pytest.approx(1e-6)
    ratios = [b / a for a, b in zip(curve.rates[1:], curve.rates[2:], strict=False)]
    assert ratios == pytest.approx([ratios[0]] * len(ratios))
    assert ratios[0] > 1
    assert curve.rates[-1] <= 1e-2 * 1.01
    trained = run(cfg, tmp_path / "run")
    assert curve.losses[0] == pytest.approx(trained["loss"][0][2]), "before any update"
    assert curve.backbone


def test_the_program(tiny_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = ["steps=10", "lowest=1e-6", "highest=1e-3", f"output={tmp_path / 'lr'}"]
    assert main([*own, "freeze=all", *tiny_overrides(tiny_set, tmp_path)]) == 0
    said = capsys.readouterr().out
    assert NUMBERS in said
    found = json.loads((tmp_path / "lr" / NUMBERS).read_text())
    assert len(found["rates"]) == len(found["smoothed"]) == 10
    assert (found["backbone_trains"], found["config"]["freeze"]) == (False, "all")
    assert (tmp_path / "lr" / PICTURE).read_bytes().startswith(b"\x89PNG")
    for wrong, why in (
        (["steps=many"], "steps, lowest and highest are numbers"),
        (["steps=3"], "is no range"),
        (["lowest=1", "highest=0.1"], "is no range"),
        (["freez=8"], "did you mean freeze"),
        (["policy=auto"], "policy=auto chooses the depth"),
    ):
        assert main([f"output={tmp_path}", *wrong]) == 2
        assert why in capsys.readouterr().err


def test_no_range_is_refused_before_data_load(tiny_config: Compose) -> None:
    with pytest.raises(ConfigError, match="is no range"):
        range_test(tiny_config("data.root=/nowhere"), 20, 0.0, 1.0)
