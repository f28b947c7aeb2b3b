"""A figure over the seeds of one arm: mean and range."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Mean and range (min, max) over the `n` runs that have the figure; n is at least 1."""

    mean: float
    low: float
    high: float
    n: int

    def as_dict(self) -> dict[str, float | int]:
        """The unrounded numbers for `report.json`."""
        return {"mean": self.mean, "min": self.low, "max": self.high, "n": self.n}


def spread(values: Iterable[float | None]) -> Spread | None:
    """Mean and range of the known values, or None when not one is known."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    # fsum, and the clamp below it, keep the mean of equal values inside their range
    mean = min(max(math.fsum(known) / len(known), min(known)), max(known))
    return Spread(mean, min(known), max(known), len(known))


def ratio(top: Spread | None, bottom: Spread | None) -> Spread | None:
    """`top / bottom` of two positive figures, with the widest range that their ranges allow."""
    if top is None or bottom is None or bottom.low <= 0:
        return None
    return Spread(
        top.mean / bottom.mean, top.low / bottom.high, top.high / bottom.low, min(top.n, bottom.n)
    )
