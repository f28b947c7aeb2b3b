"""One arm's figure: mean over seeds with a bootstrap interval."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import bootstrap

CONFIDENCE = 0.95
_RESAMPLES = 9999


@dataclass(frozen=True)
class Estimate:
    """Mean over `n` seeds, its 95 % interval and the standard deviation (n - 1); None for n=1."""

    mean: float
    low: float | None
    high: float | None
    n: int
    sd: float | None

    def as_dict(self) -> dict[str, float | int | None]:
        """The unrounded numbers for `report.json`."""
        return asdict(self)


def estimate(values: Iterable[float | None]) -> Estimate | None:
    """Mean and percentile bootstrap interval of the known values; None when not one is known.

    The interval is too narrow for few seeds: with 2 or 3 it is the range of the figures, which
    holds the mean of a symmetric distribution in 50 or 75 of 100 cases. Verdicts rest on t tests,
    not on it. The same figures in any order give the same interval.
    """
    known = np.sort(np.array([value for value in values if value is not None], dtype=np.float64))
    if not len(known):
        return None
    # The clamp keeps the mean of equal values inside their range.
    mean = float(np.clip(known.mean(), known[0], known[-1]))
    if len(known) < 2:
        return Estimate(mean, None, None, 1, None)
    interval = bootstrap(
        (known,),
        np.mean,
        n_resamples=_RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    sd = float(known.std(ddof=1))
    return Estimate(mean, float(interval.low), float(interval.high), len(known), sd)
