"""A figure over the seeds of one arm, and how figures are spelled in tables and sentences."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tlx.common.pages import ABSENT as ABSENT


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


NOT_COMPARABLE = "not comparable"  # times of runs that were not alone on their machine


def figure(value: Spread | None, show: Callable[[float], str]) -> str:
    """The mean, and on a second line the range over seeds where it can be told from the mean."""
    if value is None:
        return ABSENT
    mean, low, high = show(value.mean), show(value.low), show(value.high)
    return mean if value.n < 2 or low == high == mean else f"{mean}\n{low}–{high}"


def three(value: float) -> str:
    """Three decimals, as accuracies are quoted."""
    return f"{value:.3f}"


def significant(value: float) -> str:
    """Three significant digits without an exponent; all digits before the point are kept."""
    if abs(value) >= 99.95 or value == 0:
        return f"{value:.0f}"
    return f"{value:.4f}" if abs(value) < 0.01 else f"{value:#.3g}"


def counted(value: float) -> str:
    """A mean number of things: whole where it is, else with one decimal."""
    return f"{value:.0f}" if abs(value - round(value)) < 1e-9 else f"{value:.1f}"


def seconds(value: float) -> str:
    """A duration in seconds."""
    return f"{significant(value)} s"


def times(value: float) -> str:
    """A speed-up, in multiples of the step rate of `freeze=none`."""
    return f"{value:.2f}"


def relative(folder: Path, output: Path) -> str:
    """A folder as seen from the report's, so that both can be moved together."""
    return Path(os.path.relpath(folder, output)).as_posix()
