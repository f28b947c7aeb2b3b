"""The difference of two arms over seeds, or over seeds and test pictures, with its t test; Holm.

Measured over seeds on one set of test pictures both are samples and both count: two-way crossed
random effects. D[s, p], what picture p adds to the difference of the two runs of seed s, is the
mean plus a part of the seed, one of the picture and a rest, so that

    Var(mean) = seed / S + picture / P + rest / (S P).

The spread over seeds of the runs' differences holds the first and the last, the analysis of
variance gives the second. The bound of a level is Cochran and Cox's for two unlike variances, which
errs on the side of caution: with the degrees of freedom weighted instead, a seed part that is small
by luck makes three seeds pass for many, and of three arms alike with the one they are compared with
7.5 in 100 studies showed one to differ.

Where a set is tested in folds, the pictures of a fold share their trainings: what a fold's pictures
differ by in common is a part of its own, with as many degrees of freedom less one as there are
folds. It is taken from their mean square over that of the pictures within folds, and never below 0.
The bound of the pictures' part is that of the folds too: with both weighted, 7 to 10 in 100 studies
of 3 or 5 folds, of one seed or of five, showed what was not there. That training
sets of folds overlap is not in it, and cannot be had from one set of folds without bias (Bengio and
Grandvalet 2004).

Power is that of the two-sided t test, by the noncentral t distribution (Cohen 1988, chapter 2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import gammaln, stdtrit
from scipy.stats import nct, t

from tlx.report.comparison.statistics import mixture

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


@dataclass(frozen=True)
class Contrast:
    """A mean difference, its standard error and degrees of freedom.

    `sd` is the standard deviation of the difference of one pair, `pairs` their number. The parts
    of se² that seeds, test pictures and folds make up, and the number of pictures and folds, are
    None where they are not known. Where several parts are, the bound of a level is the mean of the
    t distributions' of each, weighted by the parts (Cochran and Cox 1950), and `df` those of the t
    distribution with the same bound at `ALPHA`.
    """

    mean: float
    se: float
    df: float
    sd: float
    pairs: int
    seed_part: float | None = None
    picture_part: float | None = None
    pictures: int | None = None
    fold_part: float | None = None
    folds: int | None = None

    @property
    def parts(self) -> list[tuple[float, int]]:
        """The parts of se² with their degrees of freedom; none where they make no mixture."""
        if self.picture_part is None or self.pictures is None:
            return []
        found = [] if self.seed_part is None else [(self.seed_part, self.pairs - 1)]
        if self.fold_part is None or self.folds is None:
            return [*found, (self.picture_part, self.pictures - 1)] if found else []
        # A spread of few folds that is small by luck must not make them pass for many pictures.
        return [*found, (self.picture_part + self.fold_part, self.folds - 1)]

    @property
    def p(self) -> float:
        """Two-sided p of the t test. Differences without any spread are told from 0 exactly."""
        if self.se == 0:
            return 1.0 if self.mean == 0 else 0.0
        ratio = abs(self.mean) / self.se
        if not self.parts:
            return float(2 * t.sf(ratio, self.df))
        return mixture.two_sided_p(ratio, self.parts)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % t interval of the mean difference, for this one comparison."""
        half = self.bound(ALPHA) * self.se
        return self.mean - half, self.mean + half

    def bound(self, alpha: float) -> float:
        """The standard errors from 0 at which a difference is shown at the two-sided level."""
        if not self.parts:
            return float(t.isf(alpha / 2, self.df))
        return mixture.bound(self.parts, alpha)

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


def crossed(
    differences: NDArray[np.float64],
    influences: NDArray[np.float64],
    least_sd: float = 0.0,
    folds: NDArray[np.int64] | None = None,
) -> Contrast:
    """The mean difference with the uncertainty of seeds and pictures; one seed: of pictures alone.

    Args:
        differences: One difference a pair of runs, [S]; S may be 1.
        influences: What each picture adds, [S, P], on a scale whose mean over P is the difference
            (jackknife pseudo-values); P is at least 2. Their level is not used.
        least_sd: What the measure cannot resolve, as in `paired`.
        folds: The fold of each picture, [P], where several were tested, each of two pictures or
            more.
    """
    if folds is not None and 1 < len(np.unique(folds)) < len(folds):
        return _folded(differences, influences, least_sd, folds)
    seeds, pictures = influences.shape
    mean = float(np.mean(differences))
    by_picture = influences.mean(0)
    own = seeds * float(np.var(by_picture, ddof=1))  # mean square of the pictures
    if seeds == 1:
        se = math.sqrt(max(own / pictures, least_sd**2))
        return Contrast(mean, se, pictures - 1, 0.0, 1, None, se**2, pictures)
    centred = influences - influences.mean(1, keepdims=True) - by_picture + influences.mean()
    free = (seeds - 1) * (pictures - 1)
    rest = float((centred**2).sum()) / free
    cells = seeds * pictures
    sd = max(float(np.std(differences, ddof=1)), least_sd)
    picture_part = max(0.0, own - rest) / cells
    return _joined(Contrast(mean, 0.0, 0.0, sd, seeds, sd**2 / seeds, picture_part, pictures))


def _folded(
    differences: NDArray[np.float64],
    influences: NDArray[np.float64],
    least_sd: float,
    folds: NDArray[np.int64],
) -> Contrast:
    """`crossed`, with the mean squares between folds beside those of the pictures within them."""
    seeds, pictures = influences.shape
    numbers, place = np.unique(folds, return_inverse=True)
    count, sizes = len(numbers), np.bincount(place)
    of_fold = np.stack([np.bincount(place, row) / sizes for row in influences])  # [S, K]
    within = influences - of_fold[:, place]
    free = pictures - count
    own = seeds * float((within.mean(0) ** 2).sum()) / free
    between = of_fold - influences.mean(1, keepdims=True)
    whole = seeds * float((sizes * between.mean(0) ** 2).sum()) / (count - 1)
    if seeds == 1:
        sd, seed_part = 0.0, None
    else:
        rest = float(((within - within.mean(0)) ** 2).sum()) / ((seeds - 1) * free)
        together = float((sizes * (between - between.mean(0)) ** 2).sum())
        own, whole = own - rest, whole - together / ((seeds - 1) * (count - 1))
        sd = max(float(np.std(differences, ddof=1)), least_sd)
        seed_part = sd**2 / seeds
    cells = seeds * pictures
    picture_part = max(0.0, own) / cells
    if seeds == 1:
        picture_part = max(picture_part, least_sd**2)
    fold_part = max(0.0, whole / cells - picture_part)
    mean = float(np.mean(differences))
    return _joined(
        Contrast(
            mean, 0.0, 0.0, sd, seeds, seed_part, picture_part, pictures, fold_part, count
        )
    )  # fmt: skip


def foreseen(contrast: Contrast, seeds: int, pictures: int | None = None) -> Contrast:
    """The same difference over another number of seeds and test pictures, were the spreads true.

    Args:
        contrast: Of two seeds or more, which alone tell their spread.
        seeds: At least 2.
        pictures: Their number; by default as many as there are.
    """
    if contrast.picture_part is None or contrast.pictures is None:
        return replace(contrast, se=contrast.sd / math.sqrt(seeds), df=seeds - 1, pairs=seeds)
    count = pictures or contrast.pictures
    picture_part = contrast.picture_part * contrast.pictures / count
    seed_part = contrast.sd**2 / seeds
    return _joined(
        replace(
            contrast, pairs=seeds, seed_part=seed_part, picture_part=picture_part, pictures=count
        )
    )


def _joined(parts: Contrast) -> Contrast:
    """The standard error and the degrees of freedom that the parts make together."""
    free = [df for _, df in parts.parts]
    few, many = min(free), max(free)
    bound, (most, least) = parts.bound(ALPHA), -stdtrit((few, many), ALPHA / 2)
    if least < bound < most:
        df = float(brentq(lambda free: -stdtrit(free, ALPHA / 2) - bound, few, many))
    else:  # one part is all
        df = float(few if bound >= most else many)
    return replace(parts, se=math.sqrt(sum(part for part, _ in parts.parts)), df=df)
