"""What a pilot may conclude from its scores; numbers follow from arithmetic or simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from tests.conftest import Compose
from tlx.common.errors import ConfigError
from tlx.config.check import check_config
from tlx.study.decision import Rung, decide, paired_noise


def test_the_better_half_goes_on_and_a_tie_favours_the_deeper() -> None:
    rung = Rung(2, {"none": [0.1, 0.3], "4": [0.5, 0.5], "8": [0.2, 0.2], "all": [0.0, 0.1]})
    assert rung.ranking() == ["4", "8", "none", "all"]
    assert rung.better_half() == ["4", "8"]
    assert Rung(2, {key: [0.0] for key in "abcde"}).better_half() == ["c", "d", "e"]
    assert Rung(2, {"none": None, "4": None, "8": [0.1, 0.1], "all": None}).better_half() == ["8"]


def test_the_noise_is_the_residual_beside_depths_and_seeds() -> None:
    # Shifts of a depth and of a seed are no noise.
    assert paired_noise([Rung(1, {"4": [0.1, 0.3], "8": [0.2, 0.4]})])[0] == pytest.approx(0)
    # d = (0.02, 0.06): mean 0.04, sd 0.0283, one degree of freedom, t(.975, 1) = 12.706
    noise, freedom = paired_noise([Rung(1, {"4": [0.12, 0.16], "8": [0.1, 0.1]})])
    assert freedom == 1
    assert noise == pytest.approx(12.706 * 0.02, rel=1e-3)


def test_an_early_quiet_rung_does_not_hide_a_late_noisy_one() -> None:
    quiet = Rung(1, {"none": [0.0, 0.0], "4": [0.01, 0.01], "8": [0.0, 0.0], "all": [0.0, 0.0]})
    late = Rung(2, {"4": [0.3, 0.4], "8": [0.3, 0.2]})
    # residuals of ±0.05: s² = 4 × 0.05² / 1; t(.975, 4) = 2.776; two runs a depth
    noise, freedom = paired_noise([quiet, late])
    assert freedom == 4
    assert noise == pytest.approx(2.776 * math.sqrt(2 * 0.01 / 2), rel=1e-3)


def test_a_clear_difference_is_told() -> None:
    first = Rung(2, {"none": [0.10, 0.12], "4": [0.40, 0.43], "8": [0.30, 0.31], "all": [0.1, 0.1]})
    decision = decide([first, Rung(4, {"4": [0.60, 0.62], "8": [0.41, 0.44]})])
    assert (decision.choice, decision.told, decision.second) == ("4", True, "8")
    assert decision.difference == pytest.approx(0.185)
    assert "freeze=4 is better than freeze=8" in decision.words


def test_a_little_noise_makes_it_take_the_deeper() -> None:
    first = Rung(2, {"none": [0.1, 0.11], "4": [0.4, 0.41], "8": [0.39, 0.41], "all": [0.1, 0.1]})
    decision = decide([first, Rung(4, {"4": [0.60, 0.61], "8": [0.595, 0.61]})])
    assert (decision.best, decision.choice, decision.told) == ("4", "8", False)
    assert "cannot tell" in decision.words
    assert "a loss of 0.04 is left out" in decision.words


def test_much_noise_does_not_make_it_freeze_more() -> None:
    first = Rung(2, {"none": [0.1, 0.2], "4": [0.4, 0.3], "8": [0.2, 0.4], "all": [0.1, 0.0]})
    decision = decide([first, Rung(4, {"4": [0.60, 0.49], "8": [0.50, 0.57]})])
    assert (decision.best, decision.choice, decision.told) == ("4", "4", False)
    assert "does not leave out that the deeper one loses 0.04" in decision.words


def test_scores_of_zero_tell_nothing() -> None:
    decision = decide([Rung(1, {"none": [0.0, 0.0], "all": [0.0, 0.0]})])
    assert (decision.choice, decision.told) == ("none", False)
    assert decision.words.startswith("nothing has learned")


def test_noise_does_not_take_a_depth_that_seems_to_lose_much() -> None:
    decision = decide([Rung(1, {"none": [0.60, 0.40], "all": [0.30, 0.45]})])
    assert (decision.choice, decision.told) == ("none", False)
    assert "seems to lose more than 0.02" in decision.words


def test_a_depth_that_diverged_is_out() -> None:
    decision = decide([Rung(1, {"none": None, "4": [0.3, 0.3]})])
    assert (decision.choice, decision.told, decision.noise) == ("4", True, None)
    assert "did not diverge" in decision.words


def pilots(effect: float, count: int = 1000) -> list[bool]:
    """Whether simulated pilots tell two depths apart; `effect`: by how much `none` is better."""
    rng = np.random.default_rng(0)
    told = []
    for _ in range(count):
        rungs: list[Rung] = []
        depths = ["none", "4", "8", "all"]
        for epochs in (2, 4):
            luck = rng.normal(0, 0.05, 2)  # a seed's, shared by all depths
            scores = {d: (0.4 + luck + rng.normal(0, 0.02, 2) + effect * (d == "none")).tolist()
                      for d in depths}  # fmt: skip
            rungs.append(Rung(epochs, dict(scores)))
            depths = rungs[-1].better_half()
        decision = decide(rungs)
        told.append(decision.told and (effect == 0 or decision.choice == "none"))
    return told


def test_equal_depths_are_told_apart_no_more_often_than_stated() -> None:
    assert np.mean(pilots(0.0)) <= 0.05


def test_a_large_difference_is_nearly_always_told() -> None:
    assert np.mean(pilots(0.15)) >= 0.9


def wrong_picks(losing: tuple[str, ...], noise: float, count: int = 1000) -> int:
    """Simulated pilots that take a depth which truly loses .04, twice what is accepted."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(count):
        rungs: list[Rung] = []
        depths = ["none", "4", "8", "all"]
        for epochs in (2, 4):
            luck = rng.normal(0, 0.05, 2)
            scores = {d: (0.4 + luck + rng.normal(0, noise, 2) - 0.04 * (d in losing)).tolist()
                      for d in depths}  # fmt: skip
            rungs.append(Rung(epochs, dict(scores)))
            depths = rungs[-1].better_half()
        wrong += decide(rungs).choice in losing
    return wrong


@pytest.mark.parametrize("noise", [0.01, 0.02])
@pytest.mark.parametrize("losing", [("all",), ("8", "all"), ("4", "8", "all")])
def test_few_pilots_take_a_depth_that_loses(losing: tuple[str, ...], noise: float) -> None:
    assert wrong_picks(losing, noise) <= binom.ppf(0.999, 1000, 0.05)


@pytest.mark.parametrize("rungs", [1, 2])
def test_without_learning_no_pilot_takes_the_deepest(rungs: int) -> None:
    """Chance hits below the floor, which favour any depth, count as nothing."""
    rng = np.random.default_rng(2)
    for _ in range(200):
        made = [
            Rung(k + 1, {d: rng.uniform(0, 0.009, 2).tolist() for d in ("none", "4", "8", "all")})
            for k in range(rungs)
        ]
        decision = decide(made)
        assert (decision.choice, decision.told) == ("none", False)
        assert "nothing has learned" in decision.words


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("policy=auto freeze=4", "leave freeze out"),
        ("policy=auto policy.depths=[4]", "at least two different"),
        ("policy=auto policy.depths=[4,mbconv_4]", "each once"),
        ("policy=auto policy.depths=[4,99]", "past the last block"),
        ("policy=auto policy.seeds=1", "at least 2"),
        ("policy=auto policy.epochs=0", "policy.epochs=0"),
    ],
)
def test_a_pilot_that_could_tell_nothing_is_refused(
    override: str, message: str, compose_config: Compose
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_config(compose_config(*override.split()))
