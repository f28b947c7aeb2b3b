"""Times to a level that some runs never reach: those are right-censored at their last measurement.

A mean over the runs that did reach it would favour the arm that fails more often.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import CensoredData, ecdf, permutation_test

from tlx.report.comparison.statistics.contrast import ALPHA

_RESAMPLES = 99_999


@dataclass(frozen=True)
class Times:
    """Seconds until the level, or until the last measurement where `reached` is False; both [n]."""

    seconds: tuple[float, ...]
    reached: tuple[bool, ...]

    @property
    def missed(self) -> int:
        """How many runs never reach the level."""
        return self.reached.count(False)


@dataclass(frozen=True)
class LogRank:
    """`excess`: events of the first group beyond what no difference would give; above 0: sooner."""

    excess: float
    p: float


def median_time(times: Times) -> float | None:
    """Kaplan-Meier median (1958); None where half of the runs are not seen to reach the level."""
    if not any(times.reached):
        return None
    censored = [not reached for reached in times.reached]
    survival = ecdf(CensoredData.right_censored(times.seconds, censored)).sf
    # A product of fractions misses one half by rounding.
    passed = np.flatnonzero(survival.probabilities <= 0.5 + 1e-9)
    return float(survival.quantiles[passed[0]]) if len(passed) else None


def log_rank(one: Times, other: Times) -> LogRank | None:
    """The log-rank test by permutation: exact up to some 9 runs a group, sampled beyond.

    The asymptotic test (`scipy.stats.logrank`) rejects far too often with a handful of runs.

    Returns:
        None where no outcome of so few runs could have been shown, or no run reaches the level.
    """
    sizes = len(one.seconds), len(other.seconds)
    if 2 / math.comb(sum(sizes), sizes[0]) > ALPHA or not any(one.reached + other.reached):
        return None
    scores = _scores(
        np.array(one.seconds + other.seconds), np.array(one.reached + other.reached, dtype=bool)
    )
    result = permutation_test(
        (scores[: sizes[0]], scores[sizes[0] :]),
        lambda first, second, axis: np.sum(first, axis=axis),
        vectorized=True,
        n_resamples=_RESAMPLES,
        batch=10_000,
        rng=np.random.default_rng(0),
    )
    return LogRank(float(result.statistic), float(result.pvalue))


def _scores(seconds: NDArray[np.float64], reached: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Log-rank scores: event minus Nelson-Aalen hazard of the pooled runs at its time, [N].

    Their sum over a group is observed minus expected events, the numerator of the log-rank test.
    """
    events = np.unique(seconds[reached])
    deaths = np.array([np.sum(reached & (seconds == event)) for event in events])
    at_risk = np.array([np.sum(seconds >= event) for event in events])
    hazard = np.concatenate([[0.0], np.cumsum(deaths / at_risk)])
    return reached.astype(np.float64) - hazard[np.searchsorted(events, seconds, side="right")]
