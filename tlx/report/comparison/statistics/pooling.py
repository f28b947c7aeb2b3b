"""One difference over several data sets: partial pooling by a random-effects model.

The difference of set i is drawn from a normal distribution over sets, and is measured with an error
of its own:

    y[i] = mean + set[i] + error[i],  Var(set) = tau², Var(error[i]) = v[i]

tau² is Paule and Mandel's (1982): the value at which the weighted squares come to what is expected
of them. The interval of the mean is by the t distribution with k − 1 degrees of freedom, which with
this tau² is Hartung and Knapp's (2001) and Sidik and Jonkman's (2002), never narrower than with
weights that are taken for known (Röver, Knapp and Friede 2015). That of tau is the Q profile
(Viechtbauer 2007): k sets tell next to nothing of it. The prediction interval of a new set draws
tau² from that profile, and the mean with it (after Nagashima, Noma and Furukawa 2019): with tau
taken for known it would be far too narrow. Sets that agree better than their errors let them are
taken to be as far apart as these.

Partial pooling moves the figure of a set towards the mean, the more the larger its error is beside
tau (empirical Bayes).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import chi2, norm, t

from tlx.report.comparison.statistics.contrast import ALPHA

Values = NDArray[np.float64]
_DRAWS = 1_000
_SEED = 20190101
_LEAST = 1e-12  # of a variance: sets without any error would have all the weight


@dataclass(frozen=True)
class Pooled:
    """A difference over `sets` data sets.

    Attributes:
        mean: of all sets like these. low, high: its 95 % interval.
        tau: standard deviation of the true differences over sets. tau_low, tau_high: its interval.
        new_low, new_high: where the true difference of a new set lies, with 95 %.
        p: two-sided, of no difference on average.
        partial: the difference of each set, moved towards the mean.
    """

    sets: int
    mean: float
    low: float
    high: float
    p: float
    tau: float
    tau_low: float
    tau_high: float
    new_low: float
    new_high: float
    partial: tuple[float, ...]

    @property
    def shown(self) -> bool:
        """Whether the interval of the mean leaves out that there is no difference."""
        return not self.low <= 0 <= self.high

    def as_dict(self) -> dict[str, Any]:
        """The unrounded numbers for `report.json`."""
        return {**vars(self), "partial": list(self.partial)}


def pooled(y: Values, v: Values) -> Pooled | None:
    """Pool differences of sets, [k]; None for fewer than two.

    Args:
        y: a difference a set.
        v: the variance of each, its own error's.
    """
    k = len(y)
    if k < 2:
        return None
    v = np.maximum(v, _LEAST)
    tau2 = _tau2(y, v, float(k - 1))
    mean, se = _mean(y, v, tau2)
    half = float(t.isf(ALPHA / 2, k - 1)) * se
    apart = _apart(y, v)
    low, high = (_tau2(apart, v, float(chi2.isf(q, k - 1))) for q in (ALPHA / 2, 1 - ALPHA / 2))
    new_low, new_high = _prediction(apart, v)
    keep = tau2 / (tau2 + v)
    return Pooled(
        k, mean, mean - half, mean + half, float(2 * t.sf(abs(mean) / se, k - 1)), math.sqrt(tau2),
        math.sqrt(low), math.sqrt(high),
        min(new_low, mean - half), max(new_high, mean + half),  # no new set is known better
        tuple((mean + keep * (y - mean)).tolist()),
    )  # fmt: skip


def _mean(y: Values, v: Values, tau2: float) -> tuple[float, float]:
    """The weighted mean and its standard error."""
    weights = 1 / (v + tau2)
    return float(weights @ y / weights.sum()), float(weights.sum()) ** -0.5


def _squares(y: Values, v: Values, tau2: float) -> float:
    """Cochran's Q with the weights of a tau²."""
    weights = 1 / (v + tau2)
    return float(weights @ (y - weights @ y / weights.sum()) ** 2)


def _tau2(y: Values, v: Values, target: float) -> float:
    """The tau² at which Q is the target; 0 where it is less at 0 already."""
    if _squares(y, v, 0.0) <= target:
        return 0.0
    most = float(((y - y.mean()) ** 2).sum()) / target + float(v.max())
    return float(brentq(lambda tau2: _squares(y, v, tau2) - target, 0.0, most))


def _apart(y: Values, v: Values) -> Values:
    """The differences as far apart as their errors alone are expected to put them, at least.

    Sets that agree better than that do so by luck, which tells nothing of how much sets differ: the
    profile of tau would be empty.
    """
    found, expected = _squares(y, v, 0.0), len(y) - 1
    mean, _ = _mean(y, v, 0.0)
    if found >= expected:
        return y
    if not found:  # equal ones have no direction: any will do
        y = mean + np.resize([1.0, -1.0], len(y)) * np.sqrt(v)
        mean, found = _mean(y, v, 0.0)[0], _squares(y, v, 0.0)
    return mean + (y - mean) * math.sqrt(max(1.0, expected / found))


def _prediction(y: Values, v: Values) -> tuple[float, float]:
    """Quantiles of a new set's difference over draws of tau² and of the mean.

    tau² solves Q(tau²) = χ² of k − 1 degrees of freedom: drawn χ² give draws of tau².
    """
    k = len(y)
    rng = np.random.default_rng(_SEED)
    # Quantiles in place of chance: one half-way up each of `_DRAWS` steps, in unlike orders.
    steps = (np.arange(_DRAWS) + 0.5) / _DRAWS
    targets = chi2.ppf(steps, k - 1)
    low, high = np.zeros(_DRAWS), ((y - y.mean()) ** 2).sum() / targets + v.max()
    for _ in range(40):
        middle = (low + high) / 2
        weights = 1 / (v + middle[:, None])  # [draws, k]
        means = (weights @ y) / weights.sum(1)
        squares = (weights * (y - means[:, None]) ** 2).sum(1)
        above = squares > targets
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    tau2 = (low + high) / 2
    weights = 1 / (v + tau2[:, None])
    means, se2 = (weights @ y) / weights.sum(1), 1 / weights.sum(1)
    shift = norm.ppf(rng.permutation(steps))
    drawn = means + shift * np.sqrt(se2 + tau2)
    ends = np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2])
    return float(ends[0]), float(ends[1])
