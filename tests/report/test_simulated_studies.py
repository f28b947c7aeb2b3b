"""Simulated studies: what is not there is seldom shown, what is there is found.

All bounds are binomial; a right program fails in one of a thousand random states, and the states
are fixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy.stats import binom

from tests.study.helpers_study import in_turn, interleaved, lean_arms
from tlx.report.comparison.difference import Difference
from tlx.report.comparison.differences import against_references, chosen_pair
from tlx.report.comparison.levels import Levels
from tlx.report.comparison.measures import measures
from tlx.report.comparison.statistics import blocks, holm, paired, power

ARMS = ("none", "4", "8", "12", "all")
MEASURES = measures(Levels(None, None))
STUDIES = 500
MOST_FALSE = int(binom.ppf(0.999, STUDIES, 0.05))


def quality(
    rng: np.random.Generator, arms: Sequence[str], seeds: int, **gain: float
) -> list[Difference]:
    """Differences in test mAP of a study; a seed is easy or hard for all of its runs alike."""
    order = interleaved(arms, seeds)
    ease = rng.normal(0, 0.05, seeds)
    figures = {
        (arm, seed): 0.5 + ease[seed] + rng.normal(0, 0.01) + gain.get(arm, 0.0)
        for arm, seed in order
    }
    return against_references(lean_arms(order, {"test_map_50": figures}), [MEASURES["test_map_50"]])


def speeds(
    rng: np.random.Generator, order: Sequence[tuple[str, int]], drift: float, **factor: float
) -> dict[tuple[str, int], float]:
    """Step times on a machine that slows down steadily by `drift` over the study."""
    places = np.linspace(0, 1, len(order))
    return {
        run: 0.5 * (1 + drift * place) * factor.get(run[0], 1.0) * math.exp(rng.normal(0, 0.02))
        for run, place in zip(order, places, strict=True)
    }


def step_differences(
    order: Sequence[tuple[str, int]], figures: dict[tuple[str, int], float]
) -> list[Difference]:
    return against_references(lean_arms(order, {"step_s": figures}), [MEASURES["step_s"]])


@pytest.mark.parametrize("seeds", [3, 5])
def test_without_a_difference_hardly_any_study_shows_one(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    found = [quality(rng, ARMS, seeds) for _ in range(STUDIES)]
    assert all(len(study) == len(ARMS) - 1 and study[0].pairs == seeds for study in found)
    false = sum(any(difference.shown for difference in study) for study in found)
    assert false <= MOST_FALSE
    # Holm gives away little: a test that never shows anything would pass the line above
    assert false >= binom.ppf(0.001, STUDIES, 0.02)


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_family_keeps_its_rate_over_many_studies(seeds: int) -> None:
    rng = np.random.default_rng(10 + seeds)
    studies, false = 2000, 0
    figures = rng.normal(0, 1, (studies, len(ARMS), seeds))
    for study in figures[:, 1:] - figures[:, :1]:
        tests = [paired(gaps) for gaps in study]
        false += min(holm([test.p for test in tests if test])) <= 0.05
    assert false <= binom.ppf(0.999, studies, 0.05)


def test_the_best_of_several_is_not_shown_by_having_been_chosen() -> None:
    rng = np.random.default_rng(1)
    false = 0
    for _ in range(STUDIES):
        order = interleaved(ARMS, 4)
        figures = {run: float(rng.normal(0.5, 0.01)) for run in order}
        arms = lean_arms(order, {"test_map_50": figures})
        means = {a.label: np.mean([r.number("test", "map_50") for r in a.records]) for a in arms}
        first, *_, last = sorted(arms, key=lambda arm: -means[arm.label])
        false += chosen_pair(first, last, arms, MEASURES["test_map_50"]).shown
    assert false <= MOST_FALSE


@pytest.mark.parametrize("gain", [-0.02 * math.sqrt(2), 0.02 * math.sqrt(2)])
def test_a_difference_of_two_standard_deviations_is_found_with_the_stated_power(
    gain: float,
) -> None:
    rng = np.random.default_rng(2)
    found = [quality(rng, ("none", "4"), 5, **{"4": gain})[0] for _ in range(STUDIES)]
    stated = power(2 * math.sqrt(5), 4)
    assert 0.8 < stated < 0.99
    right = sum(difference.verdict == ("better" if gain > 0 else "worse") for difference in found)
    assert binom.ppf(0.0005, STUDIES, stated) <= right <= binom.ppf(0.9995, STUDIES, stated)


def test_the_stated_power_of_the_pairs_is_that_of_the_tests() -> None:
    """`detectable` is 80 %: plant what a study says that it can show, and it is shown as often."""
    sd, seeds = 0.01 * math.sqrt(2), 5
    exact = paired(np.array([-1.0, 1.0, -1.0, 1.0, 0.0]) * sd)  # its sd is the true one
    assert exact is not None
    assert exact.sd == pytest.approx(sd)
    rng = np.random.default_rng(3)
    found = [
        quality(rng, ("none", "4"), seeds, **{"4": exact.detectable()})[0] for _ in range(STUDIES)
    ]
    shown = sum(difference.verdict == "better" for difference in found)
    assert binom.ppf(0.0005, STUDIES, 0.8) <= shown <= binom.ppf(0.9995, STUDIES, 0.8)


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("make_order", [interleaved, in_turn])
def test_drift_of_the_machine_is_no_difference(
    seeds: int, make_order: Callable[[Sequence[str], int], list[tuple[str, int]]]
) -> None:
    rng = np.random.default_rng(20 + seeds)
    order = make_order(ARMS, seeds)
    false = 0
    for _ in range(STUDIES):
        found = step_differences(order, speeds(rng, order, drift=0.3))
        assert found[0].method != "paired t test"
        false += any(difference.shown for difference in found)
    assert false <= MOST_FALSE


def test_drift_deceives_a_plain_comparison_of_runs_in_turn() -> None:
    """The test above could fail: without interleaving and drift term nearly every study errs."""
    rng = np.random.default_rng(4)
    order, false = in_turn(ARMS, 3), 0
    for _ in range(STUDIES):
        figures = speeds(rng, order, drift=0.3)
        logs = np.log([[figures[arm, seed] for seed in range(3)] for arm in ARMS])
        tests = [paired(row - logs[0]) for row in logs[1:]]
        false += min(holm([test.p for test in tests if test])) <= 0.05
    assert false > STUDIES / 2


def test_a_difference_is_found_in_spite_of_drift() -> None:
    rng = np.random.default_rng(5)
    order = interleaved(ARMS, 3)
    found = []
    for _ in range(100):
        study = step_differences(order, speeds(rng, order, drift=0.3, all=0.85))
        found.append(next(difference for difference in study if difference.arm == "freeze=all"))
    assert np.mean([difference.verdict == "better" for difference in found]) > 0.95
    assert np.mean([difference.mean for difference in found]) == pytest.approx(-0.15, abs=0.01)
    inside = sum(
        d.low <= -0.15 <= d.high for d in found if d.low is not None and d.high is not None
    )
    assert binom.ppf(0.0005, 100, 0.95) <= inside


def moody(rng: np.random.Generator, count: int, near: float) -> np.ndarray:
    """Logarithms of blocks of steps, each like its neighbours: autoregressive, of sd .03."""
    drawn = rng.normal(0, 1, count + 50)
    for place in range(1, len(drawn)):
        drawn[place] = near * drawn[place - 1] + math.sqrt(1 - near**2) * drawn[place]
    return 0.03 * drawn[50:]


@pytest.mark.parametrize("near", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("count", [10, 20])
def test_blocks_that_follow_their_neighbours_show_no_difference(count: int, near: float) -> None:
    rng = np.random.default_rng(count)
    false = 0
    for _ in range(STUDIES):
        one, other = moody(rng, count, near), moody(rng, count, near)
        found = blocks(one, other, float(one.mean() - other.mean()))
        assert found is not None
        false += found.p <= 0.05
    assert false <= MOST_FALSE


def test_a_step_that_is_a_tenth_shorter_is_found_in_two_runs() -> None:
    rng = np.random.default_rng(6)
    shown = 0
    for _ in range(200):
        one, other = moody(rng, 20, 0.3) - 0.1, moody(rng, 20, 0.3)
        found = blocks(one, other, float(one.mean() - other.mean()))
        shown += found is not None and found.p <= 0.05
    assert shown > 0.9 * 200
