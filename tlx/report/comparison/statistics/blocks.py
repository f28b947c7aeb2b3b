"""Two runs compared by blocks of their steps, which depend on one another: a machine has moods.

Welch's test with as many blocks as would tell as much if they were independent: those of an
autoregressive process of first order, n (1 - ρ) / (1 + ρ), with ρ corrected for the bias that it
has in short series (Marriott and Pope 1954).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tlx.report.comparison.statistics.contrast import Contrast

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
