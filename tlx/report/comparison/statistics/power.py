"""Power of the two-sided t test, by the noncentral t distribution (Cohen 1988, chapter 2)."""

from __future__ import annotations

import math
from functools import cache
from typing import Literal

from scipy.optimize import brentq
from scipy.stats import nct, t

ALPHA = 0.05
"""Nominal rate of a verdict where there is no difference, over the family of arms of a figure."""
POWER = 0.8
MOST_SEEDS = 100
SMALLEST_EFFECT = 0.05
"""An effect below this is as good as none: thousands of seeds would be needed to see it."""

SeedCount = int | Literal[">100"] | None
"""A number of seeds, `>100` for more than anyone will run, None where it cannot be said."""


def power(noncentrality: float, df: float, alpha: float = ALPHA) -> float:
    """Chance that a t test at level `alpha` shows a difference; NaN where SciPy has no figure.

    Args:
        noncentrality: True mean over its true standard error; effect × √n for n pairs.
        df: Degrees of freedom; n - 1 for n pairs.
        alpha: Two-sided level.
    """
    bound = t.isf(alpha / 2, df)
    shift = abs(noncentrality)
    # The far tail: below 1e-8 from a shift of 6 on, where some versions of nct lose accuracy; at
    # strict levels they give NaN for a tail smaller than that.
    far = nct.cdf(-bound, df, shift) if shift < 6 else 0.0
    return float(nct.sf(bound, df, shift) + (0.0 if math.isnan(far) else far))


@cache
def needed_noncentrality(df: float, alpha: float = ALPHA) -> float | None:
    """The noncentrality at which the power is 80 %; None where it cannot be computed.

    `scipy.stats.nct` is NaN for some levels and degrees of freedom. What only advises must not stop
    a report.
    """
    # With one degree of freedom, the heaviest tail, the power there is .95.
    most = 2 * float(t.isf(alpha / 2, df)) + 10
    try:
        found = float(brentq(lambda shift: power(shift, df, alpha) - POWER, 0.0, most))
    except (ValueError, RuntimeError):  # no change of sign, a NaN, or no convergence
        return None
    # A NaN on the way can pass for a root.
    return found if abs(power(found, df, alpha) - POWER) < 1e-6 else None


def seeds_needed(effect: float | None, alpha: float = ALPHA) -> SeedCount:
    """Pairs at which the paired t test shows an effect of this size with 80 % power.

    Args:
        effect: Mean of the paired differences over their standard deviation; None if unknown.
        alpha: Two-sided level of the one test.

    Returns:
        A number from 2 to 100, `>100`, or None for an effect that is unknown or as good as
        zero, or where it cannot be computed.
    """
    if effect is None or abs(effect) < SMALLEST_EFFECT:
        return None
    for n in range(2, MOST_SEEDS + 1):
        needed = needed_noncentrality(n - 1, alpha)
        if needed is None:
            return None
        if abs(effect) * math.sqrt(n) >= needed:
            return n
    return ">100"
