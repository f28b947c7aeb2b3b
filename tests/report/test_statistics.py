"""The statistics against closed forms, textbook figures and recomputation by other means."""

from __future__ import annotations

import importlib
import itertools
import math

import numpy as np
import pytest
from scipy.stats import f, logrank

from tests.study.helpers_study import interleaved
from tlx.report.comparison.statistics import (
    ALPHA,
    Contrast,
    Times,
    estimate,
    fit_drift,
    holm,
    log_rank,
    median_time,
    paired,
    power,
    seeds_needed,
)
from tlx.report.comparison.statistics.contrast import needed_noncentrality
from tlx.report.comparison.statistics.drift import IN_TURN, INTERLEAVED


def test_paired_t_with_two_degrees_of_freedom_has_a_closed_form() -> None:
    found = paired(np.array([1.0, 2.0, 3.0]))
    assert found is not None
    t = 2 * math.sqrt(3)
    assert found.p == pytest.approx(1 - t / math.sqrt(2 + t * t))
    assert found.interval == pytest.approx(
        (2 - 4.302653 / math.sqrt(3), 2 + 4.302653 / math.sqrt(3))
    )
    assert found.effect == pytest.approx(2 / math.sqrt(math.pi))  # J(2) = 1 / √π
    two = paired(np.array([1.0, 3.0]))
    assert two is not None
    assert two.p == pytest.approx(1 - 2 / math.pi * math.atan(2))  # one: Cauchy
    assert two.effect is None
    assert paired(np.array([1.0])) is None


def test_agreement_beyond_the_resolution_is_luck() -> None:
    exact = np.array([0.02, 0.02])
    found = paired(exact, least_sd=0.01)
    assert found is not None
    assert found.p == pytest.approx(1 - 2 / math.pi * math.atan(2 * math.sqrt(2)))
    loose = paired(np.array([0.0, 0.04]), least_sd=0.01)
    assert loose is not None
    assert loose.sd == pytest.approx(0.04 / math.sqrt(2)), "a larger spread stays as it is"
    zero = paired(np.zeros(3))
    assert zero is not None
    assert (zero.p, zero.interval, zero.effect) == (1.0, (0.0, 0.0), None)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.4, 0.01, 0.9, 0.02]) == pytest.approx([0.8, 0.04, 0.9, 0.06])
    assert holm([]) == []


@pytest.mark.parametrize(("n", "effect"), [(2, 3.0), (3, 1.0), (5, 2.0), (10, 0.5), (5, 0.0)])
def test_power_is_the_share_of_simulated_tests(n: int, effect: float) -> None:
    pairs = np.random.default_rng(0).normal(effect, 1, (200_000, n))
    t = pairs.mean(axis=1) / pairs.std(axis=1, ddof=1) * math.sqrt(n)
    critical = {2: 12.7062, 3: 4.30265, 5: 2.77645, 10: 2.26216}[n]
    share = float(np.mean(np.abs(t) > critical))
    assert power(effect * math.sqrt(n), n - 1) == pytest.approx(share, abs=0.005)


def test_seeds_needed_are_those_of_the_textbook() -> None:
    # Cohen 1988, and G*Power: paired t test, two-sided .05, power .80
    assert [seeds_needed(effect) for effect in (0.5, -0.8, 1.0)] == [34, 15, 10]
    for effect in (0.3, 1.5, 2.0, 3.0):
        n = seeds_needed(effect)
        assert isinstance(n, int)
        assert power(effect * math.sqrt(n), n - 1) >= 0.8
        assert n == 2 or power(effect * math.sqrt(n - 1), n - 2) < 0.8
    assert seeds_needed(0.2) == ">100"
    assert seeds_needed(0.01) is None
    assert seeds_needed(None) is None
    corrected = seeds_needed(1.0, 0.05 / 4)
    assert isinstance(corrected, int)
    assert corrected > 10


@pytest.mark.parametrize("df", [1, 2, 4, 30])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 6])
def test_needed_noncentrality_has_the_power(df: int, alpha: float) -> None:
    assert power(needed_noncentrality(df, alpha), df, alpha) == pytest.approx(0.8, abs=1e-6)


def test_estimate_is_honest_about_few_runs() -> None:
    one = estimate([0.5, None])
    assert one is not None
    assert (one.mean, one.low, one.high, one.n, one.sd) == (0.5, None, None, 1, None)
    three = estimate([0.3, 0.1, 0.2])
    assert three is not None
    assert (three.low, three.high, three.sd) == pytest.approx((0.1, 0.3, 0.1))
    assert three == estimate([0.1, 0.2, 0.3])
    assert estimate([None]) is None
    same = estimate([0.1] * 5)
    assert same is not None
    assert (same.mean, same.low, same.high) == (0.1, 0.1, 0.1)


def test_estimate_equals_a_bootstrap_by_hand() -> None:
    values = np.random.default_rng(1).normal(10, 2, 8)
    means = np.random.default_rng(2).choice(values, (200_000, 8)).mean(axis=1)
    found = estimate(values.tolist())
    assert found is not None
    expected = np.quantile(means, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.05)


def test_kaplan_meier_medians_by_hand() -> None:
    assert median_time(Times((1, 2, 3, 4), (True, False, True, True))) == 3  # 3/4, then 3/8
    assert median_time(Times((3, 1, 2), (True, True, True))) == 2
    assert median_time(Times((1, 4), (True, False))) == 1
    assert median_time(Times((1, 4, 4), (True, False, False))) is None
    assert median_time(Times((4, 4), (False, False))) is None


def _excess(one: Times, other: Times) -> float:
    """Observed minus expected events of the first group, from the definition."""
    seconds, reached = one.seconds + other.seconds, one.reached + other.reached
    total = 0.0
    for event in {s for s, yes in zip(seconds, reached, strict=True) if yes}:
        deaths = sum(s == event and yes for s, yes in zip(seconds, reached, strict=True))
        at_risk = sum(s >= event for s in seconds)
        own = sum(s >= event for s in one.seconds)
        observed = sum(s == event and y for s, y in zip(one.seconds, one.reached, strict=True))
        total += observed - deaths * own / at_risk
    return total


def test_log_rank_equals_all_permutations_of_the_definition() -> None:
    one = Times((5, 6, 6, 9), (True, True, True, False))
    other = Times((6, 8, 9, 9), (True, True, False, False))
    found = log_rank(one, other)
    assert found is not None
    assert found.excess == pytest.approx(_excess(one, other))
    seconds, reached = one.seconds + other.seconds, one.reached + other.reached
    all_of_them = []
    for chosen in itertools.combinations(range(8), 4):
        rest = [i for i in range(8) if i not in chosen]
        groups = [
            Times(tuple(seconds[i] for i in part), tuple(reached[i] for i in part))
            for part in (chosen, rest)
        ]
        all_of_them.append(_excess(*groups))
    tail = np.mean(np.array(all_of_them) >= found.excess - 1e-9)
    assert found.p == pytest.approx(min(1.0, 2 * tail))


def test_log_rank_is_exact_where_the_asymptotic_test_is_not() -> None:
    one, other = Times((1, 2, 3, 4), (True,) * 4), Times((9,) * 4, (False,) * 4)
    found = log_rank(one, other)
    assert found is not None
    assert found.p == pytest.approx(2 / math.comb(8, 4))
    assert logrank([1, 2, 3, 4], [9, 10, 11, 12]).pvalue < found.p
    three = Times((1, 2, 3), (True,) * 3), Times((9,) * 3, (False,) * 3)
    assert log_rank(*three) is None, "three against three cannot reach p = .05"
    assert log_rank(other, other) is None


def _study(order: list[tuple[str, int]], noise: float = 0.0) -> tuple[np.ndarray, ...]:
    """Logarithms and times: `4` is 10 % and `all` 50 % faster, on a machine that slows by 30 %."""
    times = np.arange(len(order), dtype=float)
    effect = {"none": 0.0, "4": math.log(0.9), "all": math.log(0.5)}
    logs = np.array([effect[arm] + 0.01 * seed for arm, seed in order])
    logs += math.log(1.3) * times / times[-1]
    return logs + np.random.default_rng(0).normal(0, noise, len(order)), times


def test_drift_is_told_from_arms_when_runs_are_interleaved() -> None:
    order = interleaved(["none", "4", "all"], 3)
    logs, times = _study(order)
    arms, seeds = zip(*order, strict=True)
    found = fit_drift(logs, arms, seeds, times)
    assert found is not None
    assert found.method == INTERLEAVED
    assert math.exp(found.slope) == pytest.approx(1.3)
    assert math.exp(found.contrast("4", "none", 3).mean) == pytest.approx(0.9)
    assert math.exp(found.contrast("all", "4", 3).mean) == pytest.approx(0.5 / 0.9)
    assert found.df == 9 - 3 - 2 - 1


def test_drift_in_turn_is_read_from_the_runs_of_each_arm() -> None:
    order = [(arm, seed) for arm in ("none", "4", "all") for seed in range(3)]
    logs, times = _study(order)
    logs -= 0.01 * np.array([seed for _, seed in order])  # seeds have no effect here
    arms, seeds = zip(*order, strict=True)
    found = fit_drift(logs, arms, seeds, times)
    assert found is not None
    assert found.method == IN_TURN
    assert math.exp(found.contrast("all", "none", 3).mean) == pytest.approx(0.5)
    same_order = [(arm, seed) for seed in range(3) for arm in ("none", "4", "all")]
    fixed = fit_drift(logs, *zip(*same_order, strict=True), times)
    assert fixed is not None
    assert fixed.method == IN_TURN, "one order in every seed cannot tell arms from drift"


def test_contrast_of_the_model_equals_a_comparison_of_nested_models() -> None:
    order = interleaved(["none", "4", "all"], 4)
    logs, times = _study(order, noise=0.02)
    arms, seeds = zip(*order, strict=True)
    found = fit_drift(logs, arms, seeds, times)
    assert found is not None

    def residual(names: list[str]) -> float:
        columns = [[a == n for a in names] for n in sorted(set(names))]
        columns += [[s == n for s in seeds] for n in sorted(set(seeds))]
        design = np.column_stack([*np.array(columns, dtype=float), times])
        fitted = design @ np.linalg.lstsq(design, logs, rcond=None)[0]
        return float(np.sum((logs - fitted) ** 2))

    full = residual(list(arms))
    merged = residual(["none" if arm == "4" else arm for arm in arms])
    statistic = (merged - full) / (full / found.df)
    assert found.contrast("4", "none", 4).p == pytest.approx(float(f.sf(statistic, 1, found.df)))


def test_what_the_model_cannot_tell_it_leaves() -> None:
    logs = np.zeros(4)
    pair = ["a", "b", "b", "a"]
    assert fit_drift(logs, pair, [0, 0, 1, 1], np.zeros(4)) is None, "no time"
    assert fit_drift(logs, pair, [0, 0, 1, 1], np.arange(4.0)) is None, "too few runs"
    alone = fit_drift(np.zeros(8), list("aaaabbbb"), [0, 0, 1, 1, 2, 2, 3, 3], np.arange(8.0) ** 2)
    assert alone is None, "no seed connects the arms"


@pytest.mark.parametrize("level", [ALPHA, ALPHA / 36, ALPHA / 45, ALPHA / 66])
@pytest.mark.parametrize("broken", [False, True])
def test_an_advisory_number_is_a_number_or_none(
    level: float, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SciPy's noncentral t is NaN at some levels and degrees of freedom, others in each version."""
    module = importlib.import_module("tlx.report.comparison.statistics.contrast")
    if broken:
        monkeypatch.setattr(module, "power", lambda *_: math.nan)
    module.needed_noncentrality.cache_clear()
    try:
        for df in (*range(1, 40), 60, 99):
            needed = module.needed_noncentrality(df, level)
            assert needed is None if broken else 0 < needed < math.inf
        assert (module.seeds_needed(1.0, level) is None) is broken
        assert (Contrast(0.1, 0.1, 2, 0.1, 3).detectable(level) is None) is broken
    finally:
        module.needed_noncentrality.cache_clear()
