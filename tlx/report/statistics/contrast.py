"""The difference of two arms with its t test, and Holm's correction over several of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import t

from tlx.report.statistics.power import ALPHA, needed_noncentrality


@dataclass(frozen=True)
class Contrast:
    """A mean difference, its standard error and degrees of freedom.

    `sd` is the standard deviation of the difference of one pair, `pairs` their number. The parts
    of se² that seeds and test pictures make up, and the number of pictures, are None where they are
    not known.
    """

    mean: float
    se: float
    df: float
    sd: float
    pairs: int
    seed_part: float | None = None
    picture_part: float | None = None
    pictures: int | None = None

    @property
    def p(self) -> float:
        """Two-sided p of the t test. Differences without any spread are told from 0 exactly."""
        if self.se == 0:
            return 1.0 if self.mean == 0 else 0.0
        return float(2 * t.sf(abs(self.mean) / self.se, self.df))

    @property
    def interval(self) -> tuple[float, float]:
        """95 % t interval of the mean difference, for this one comparison."""
        half = float(t.isf(ALPHA / 2, self.df)) * self.se
        return self.mean - half, self.mean + half

    @property
    def effect(self) -> float | None:
        """Hedges' g of the paired differences: mean over sd, with the exact correction for bias.

        None where it cannot be had: one degree of freedom (two pairs), or no spread at all.
        """
        df = self.df if self.picture_part is None else self.pairs - 1
        if df < 2 or self.sd == 0:
            return None
        log_gammas = gammaln(df / 2) - gammaln((df - 1) / 2)
        return self.mean / self.sd * math.exp(log_gammas) / math.sqrt(df / 2)

    def detectable(self, alpha: float = ALPHA) -> float | None:
        """The smallest difference shown with 80 % power; None where it cannot be computed."""
        needed = needed_noncentrality(self.df, alpha)
        return None if needed is None else needed * self.se


def paired(differences: NDArray[np.float64], least_sd: float = 0.0) -> Contrast | None:
    """The paired t test of differences, shape [n]; None for fewer than two.

    Args:
        differences: One difference a pair.
        least_sd: What the measure cannot resolve, as a standard deviation of one difference. A
            smaller spread is luck (two pairs can agree by rounding) and counts as this.
    """
    n = len(differences)
    if n < 2:
        return None
    sd = max(float(np.std(differences, ddof=1)), least_sd)
    return Contrast(float(np.mean(differences)), sd / math.sqrt(n), n - 1, sd, n)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's adjusted p (1979): all of them at most `ALPHA` by chance in at most `ALPHA` of cases.

    Any dependence among the tests is allowed; arms that share a reference do depend.
    """
    adjusted = [0.0] * len(ps)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(ps)), key=lambda index: ps[index])):
        largest = max(largest, (len(ps) - place) * ps[index])
        adjusted[index] = min(1.0, largest)
    return adjusted
