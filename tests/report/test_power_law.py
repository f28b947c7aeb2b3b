"""Power laws through figures of several training sizes: found again, bounded, refused, covered."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from tlx.report.comparison.statistics import power_law

N = 400 * np.array([0.1, 0.2, 0.4, 0.7, 1.0])
TRUTHS = ((0.8, 2.0, 0.5), (0.7, 0.9, 0.2), (0.9, 6.0, 0.8), (0.6, 0.0, 1.0))


def of(a: float, b: float, c: float, n: np.ndarray = N) -> np.ndarray:
    return a - b * n**-c


@pytest.mark.parametrize("truth", TRUTHS)
def test_a_curve_without_noise_is_found_again(truth: tuple[float, float, float]) -> None:
    found = power_law.fit(N, of(*truth)[None])
    beyond = np.array([800.0, 1200.0])
    assert found.at(N)[0] == pytest.approx(of(*truth), abs=1e-3)
    assert found.at(beyond)[0] == pytest.approx(of(*truth, beyond), abs=2e-3)


def test_no_curve_ends_above_what_there_is_or_falls() -> None:
    rng = np.random.default_rng(0)
    found = power_law.fit(N, 0.9 + rng.normal(0, 0.1, (200, 5)))
    assert found.a.max() <= 1
    assert found.b.min() >= 0
    falling = power_law.fit(N, np.linspace(0.8, 0.4, 5)[None])
    assert falling.at(N)[0] == pytest.approx(np.full(5, 0.6))


def test_each_row_is_fitted_by_itself() -> None:
    rows = np.stack([of(*truth) for truth in TRUTHS])
    together = power_law.fit(N, rows)
    for place, row in enumerate(rows):
        alone = power_law.fit(N, row[None])
        assert alone.c[0] == together.c[place]
        assert alone.a[0] == pytest.approx(together.a[place])
        assert alone.b[0] == pytest.approx(together.b[place])


def gains(rng: np.random.Generator, truth: tuple[float, float, float], seeds: int) -> bool:
    """Whether the interval of what a doubling brings holds the truth, in a simulated study."""
    own, shared = rng.normal(0, 0.17, (5, 60)), rng.normal(0, 0.17, (1, 60))
    pictures = own + shared
    y = (of(*truth) + pictures.mean(1))[:, None] + rng.normal(0, 0.02, (5, seeds))
    sd = float(np.sqrt(y.var(1, ddof=1).mean()))
    noise = power_law.Noise(np.full(5, seeds), sd, 5 * (seeds - 1), pictures)
    drawn = power_law.fit(N, power_law.redrawn(y.mean(1), noise))
    ends = np.array([400.0, 800.0])
    low, high = np.quantile(np.diff(drawn.at(ends), axis=1), [0.025, 0.975])
    return bool(low - 1e-9 <= np.diff(of(*truth, ends))[0] <= high)


def test_what_a_doubling_brings_lies_in_its_interval() -> None:
    rng = np.random.default_rng(1)
    inside = sum(gains(rng, TRUTHS[0], 3) for _ in range(40))
    assert inside >= binom.ppf(0.001, 40, 0.95)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("truth", TRUTHS)
def test_intervals_of_gains_hold_over_curves(truth: tuple[float, float, float], seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    inside = sum(gains(rng, truth, seeds) for _ in range(300))
    assert inside >= binom.ppf(0.001, 300, 0.95)


def test_noise_of_few_runs_is_drawn_wider() -> None:
    def spread(free: int) -> float:
        noise = power_law.Noise(np.full(5, 2), 0.02, free, None)
        low, high = np.quantile(power_law.redrawn(of(*TRUTHS[0]), noise)[:, 0], [0.025, 0.975])
        return float(high - low)

    # 2 · 1.96 · .02 / √2, and with 2 degrees of freedom t's 4.30 in place of 1.96.
    assert spread(1000) == pytest.approx(0.0554, rel=0.08)
    assert spread(2) == pytest.approx(0.1217, rel=0.2)
