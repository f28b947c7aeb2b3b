"""Bounds and p of a standard error that several estimated variances make up.

Each part of se² has degrees of freedom of its own. The bound of a level is the mean of those of
their t distributions, weighted by the parts (Cochran and Cox 1950), which errs on the side of
caution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.optimize import brentq
from scipy.special import stdtrit

Parts = Sequence[tuple[float, float]]
"""The parts of se², each with its degrees of freedom; there is at least one."""

LEAST_P = 1e-30


def bound(parts: Parts, alpha: float) -> float:
    """The standard errors from 0 at which a difference is shown at the two-sided level."""
    bounds = [(part, -float(stdtrit(df, alpha / 2))) for part, df in parts]
    whole = sum(part for part, _ in parts)
    return sum(part * bound for part, bound in bounds) / whole if whole else bounds[0][1]


def two_sided_p(ratio: float, parts: Parts) -> float:
    """Two-sided p of a mean that lies so many standard errors from 0."""
    if ratio >= bound(parts, LEAST_P):
        return LEAST_P
    low, high = math.log(LEAST_P), 0.0
    return math.exp(brentq(lambda log_p: bound(parts, math.exp(log_p)) - ratio, low, high))
