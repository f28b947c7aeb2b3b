"""A difference measured over seeds on one set of test pictures: both are samples, both count.

Two-way crossed random effects: D[s, p], what picture p adds to the difference of the two runs of
seed s, is the mean plus a part of the seed, one of the picture and a rest, so that

    Var(mean) = seed / S + picture / P + rest / (S P).

The spread over seeds of the runs' differences holds the first and the last, the analysis of
variance gives the second. The bound of a level is Cochran and Cox's for two unlike variances, which
errs on the side of caution: with the degrees of freedom weighted instead, a seed part that is small
by luck makes three seeds pass for many, and of three arms alike with the one they are compared with
7.5 in 100 studies showed one to differ.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import stdtrit

from tlx.report.comparison.statistics.contrast import Contrast
from tlx.report.comparison.statistics.power import ALPHA


def crossed(
    differences: NDArray[np.float64], influences: NDArray[np.float64], least_sd: float = 0.0
) -> Contrast:
    """The mean difference with the uncertainty of seeds and pictures; one seed: of pictures alone.

    Args:
        differences: One difference a pair of runs, [S]; S may be 1.
        influences: What each picture adds, [S, P], on a scale whose mean over P is the difference
            (jackknife pseudo-values); P is at least 2. Their level is not used.
        least_sd: What the measure cannot resolve, as in `paired`.
    """
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
    """The standard error and the degrees of freedom that both parts make together."""
    assert parts.seed_part is not None
    assert parts.picture_part is not None
    assert parts.pictures is not None
    few, many = sorted((parts.pairs - 1, parts.pictures - 1))
    bound, (most, least) = parts.bound(ALPHA), -stdtrit((few, many), ALPHA / 2)
    if least < bound < most:
        df = float(brentq(lambda free: -stdtrit(free, ALPHA / 2) - bound, few, many))
    else:  # one part is all
        df = float(few if bound >= most else many)
    return replace(parts, se=math.sqrt(parts.seed_part + parts.picture_part), df=df)
