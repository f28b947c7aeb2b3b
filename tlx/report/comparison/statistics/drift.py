"""Speeds of runs made one after another on a machine whose own speed drifts meanwhile.

A linear model of the logarithm on arm, seed and a linear drift in time (a randomised-block analysis
of covariance). Seeds are the blocks: within one, all arms run one after another, so the blocks take
up slow changes of any shape, and the drift what is left within them. The model can tell the drift
from the arms only if the arms' order changes from seed to seed. Where it does not, seeds are left
out: a seed does not change the work of a step, so the drift shows in the runs of each arm.

Two runs compared by blocks of their steps, which depend on one another: a machine has moods.

Welch's test with as many blocks as would tell as much if they were independent: those of an
autoregressive process of first order, n (1 - ρ) / (1 + ρ), with ρ corrected for the bias that it
has in short series (Marriott and Pope 1954).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlx.report.comparison.statistics.contrast import Contrast

INTERLEAVED = "linear model of arm, seed and drift"
IN_TURN = "linear model of arm and drift"
_LEAST_DF = 2
_LEAST_TOLERANCE = 0.1

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class DriftFit:
    """Least squares of the logarithms; `slope` is the drift over the whole study, on that scale."""

    arms: tuple[str, ...]
    effects: Matrix  # [A]
    covariance: Matrix  # [A, A]
    residual_sd: float
    df: int
    slope: float
    slope_se: float
    method: str

    def contrast(self, arm: str, reference: str, pairs: int) -> Contrast:
        """`arm` - `reference` on the log scale, with the drift taken out of both."""
        one, other = self.arms.index(arm), self.arms.index(reference)
        cov = self.covariance
        variance = cov[one, one] + cov[other, other] - 2 * cov[one, other]
        return Contrast(
            mean=float(self.effects[one] - self.effects[other]),
            se=math.sqrt(variance),
            df=self.df,
            sd=math.sqrt(2) * self.residual_sd,
            pairs=pairs,
        )


def fit_drift(
    logs: Matrix,
    arms: Sequence[str],
    seeds: Sequence[Hashable],
    times: Matrix,
    least_sd: float = 0.0,
) -> DriftFit | None:
    """Fit the model to N runs.

    Args:
        logs: Logarithms of the figure, [N].
        arms: The arm of each run.
        seeds: The seed of each run.
        times: When each run was made, in any unit, [N].
        least_sd: What the measure cannot resolve, as a standard deviation of the difference of two
            runs; a smaller spread counts as this.

    Returns:
        The fit, or None where there are too few runs, or nothing tells the drift from the arms.
    """
    names = tuple(dict.fromkeys(arms))
    arm_part = _indicators(arms, names)
    seed_part = _indicators(seeds, tuple(dict.fromkeys(seeds)))
    span = float(np.ptp(times))
    if span == 0:
        return None
    drift = ((times - times.mean()) / span)[:, None]
    both = np.hstack([arm_part, seed_part[:, 1:]])
    # Tolerance: the share of the time's scatter within seeds that the arms do not explain.
    within = _left(drift, seed_part)
    if within > 0 and _left(drift, both) / within >= _LEAST_TOLERANCE:
        design, method = both, INTERLEAVED
    else:
        design, method = arm_part, IN_TURN
    return _least_squares(logs, np.hstack([design, drift]), names, method, least_sd)


def _indicators(values: Sequence[Hashable], levels: Sequence[Hashable]) -> Matrix:
    return np.array([[value == level for level in levels] for value in values], dtype=np.float64)


def _left(column: Matrix, design: Matrix) -> float:
    """Sum of squares of the column that the design does not explain."""
    solution = np.linalg.lstsq(design, column, rcond=None)[0]
    left = float(np.sum((column - design @ solution) ** 2))
    return left if left > 1e-9 * float(np.sum(column**2)) else 0.0


def _least_squares(
    logs: Matrix, design: Matrix, names: tuple[str, ...], method: str, least_sd: float
) -> DriftFit | None:
    runs, columns = design.shape
    df = runs - columns
    # A deficient rank is arms that no seed connects, or a drift that is a sum of arms.
    if df < _LEAST_DF or np.linalg.matrix_rank(design) < columns:
        return None
    inverse = np.linalg.inv(design.T @ design)
    solution = inverse @ design.T @ logs
    residual = float(np.sum((logs - design @ solution) ** 2))
    sd = max(math.sqrt(residual / df), least_sd / math.sqrt(2))
    count = len(names)
    return DriftFit(
        arms=names,
        effects=solution[:count],
        covariance=sd**2 * inverse[:count, :count],
        residual_sd=sd,
        df=df,
        slope=float(solution[-1]),
        slope_se=sd * math.sqrt(inverse[-1, -1]),
        method=method,
    )


LEAST_BLOCKS = 8
_MOST_DEPENDENT = 0.9
# With one, intervals of a few blocks' worth are three times as wide and verdicts hardly truer.
_LEAST_FREE = 2.0


def blocks(
    one: NDArray[np.float64], other: NDArray[np.float64], gap: float, least_sd: float = 0.0
) -> Contrast | None:
    """The difference `gap` of two runs with the uncertainty of their blocks.

    Args:
        one: Logarithms of the medians of the first run's blocks, in their order, [B].
        other: Those of the other run; the numbers may differ.
        gap: The difference that is tested.
        least_sd: What the measure cannot resolve, as in `paired`.

    Returns:
        None where a run has fewer than `LEAST_BLOCKS`.
    """
    if min(len(one), len(other)) < LEAST_BLOCKS:
        return None
    parts = [_variance_of_mean(values) for values in (one, other)]
    variance = sum(part for part, _ in parts)
    spread = sum(part**2 / free for part, free in parts)
    df = variance**2 / spread if spread > 0 else min(free for _, free in parts)
    return Contrast(gap, math.sqrt(max(variance, least_sd**2)), df, 0.0, 1)


def _variance_of_mean(values: NDArray[np.float64]) -> tuple[float, float]:
    """Variance of the mean of one run's blocks, and its degrees of freedom."""
    count = len(values)
    centred = values - values.mean()
    squares = float((centred**2).sum())
    if squares == 0:
        return 0.0, count - 1.0
    near = float((centred[1:] * centred[:-1]).sum()) / squares
    rho = min(max(0.0, near + (1 + 4 * near) / count), _MOST_DEPENDENT)
    worth = max(1.5, count * (1 - rho) / (1 + rho))
    # Blocks that follow their neighbours scatter less about their own mean than about the true one.
    variance = squares / count / (1 - 1 / worth)
    return variance / worth, max(_LEAST_FREE, worth - 1)
