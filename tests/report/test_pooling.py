"""One difference over several data sets: against the t test of one sample, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from tlx.report.comparison.statistics import pooled


def test_of_equal_errors_it_is_the_t_test_of_the_sets() -> None:
    """With equal errors, smaller than the spread, errors drop out: k figures and their mean."""
    y = np.array([-0.10, 0.02, -0.03, -0.07])
    found = pooled(y, np.full(4, 1e-4))
    assert found is not None
    half = t.isf(0.025, 3) * y.std(ddof=1) / 2
    assert (found.mean, found.low, found.high) == pytest.approx(
        (y.mean(), y.mean() - half, y.mean() + half)
    )
    # tau² is the variance of the figures less that of an error.
    assert found.tau**2 == pytest.approx(y.var(ddof=1) - 1e-4)
    # Each set moves to the mean by its error's share of the spread.
    keep = 1 - 1e-4 / y.var(ddof=1)
    assert found.partial == pytest.approx(y.mean() + keep * (y - y.mean()))


def test_sets_that_agree_are_weighted_by_their_errors() -> None:
    """Weights 1 / v: (1 · 4 + 0.5 · 1) / (4 + 1) with errors of .5 and 1; t of one degree."""
    found = pooled(np.array([1.0, 0.5]), np.array([0.25, 1.0]))
    assert found is not None
    assert found.tau == 0
    assert found.mean == pytest.approx(0.9)
    assert found.high - found.mean == pytest.approx(12.7062 / np.sqrt(5), rel=1e-4)
    assert found.partial == pytest.approx((0.9, 0.9))


def test_how_little_few_sets_say_is_said() -> None:
    y, v = np.array([-0.02, -0.06]), np.full(2, 0.01**2)
    two = pooled(y, v)
    six = pooled(np.resize(y, 6), np.resize(v, 6))
    assert two is not None
    assert six is not None
    assert two.high - two.low > 5 * (six.high - six.low)
    assert two.tau_high > 10 * six.tau_high
    assert two.tau_low < two.tau < two.tau_high
    # A new set is never known better than the mean of all.
    for found in (two, six):
        assert found.new_low <= found.low
        assert found.high <= found.new_high


@pytest.mark.parametrize("y", [[0.1, 0.1, 0.1], [0.100, 0.1001, 0.0999]])
def test_sets_that_agree_by_luck_leave_the_spread_open(y: list[float]) -> None:
    found = pooled(np.array(y), np.full(3, 0.02**2))
    assert found is not None
    assert found.tau == found.tau_low == 0
    assert found.tau_high > 0.05
    assert found.new_low < found.low < 0.1 < found.high < found.new_high


def test_sets_without_any_error_and_single_sets() -> None:
    assert pooled(np.array([0.1]), np.array([0.01])) is None
    found = pooled(np.array([0.1, 0.2]), np.zeros(2))
    assert found is not None
    assert found.mean == pytest.approx(0.15)
    assert found.tau == pytest.approx(np.std([0.1, 0.2], ddof=1))
    assert np.isfinite([found.tau_high, found.new_low, found.new_high, found.p]).all()
