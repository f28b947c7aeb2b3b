"""Statistics of small paired studies: plain numbers in, plain numbers out; no record is read here.

The definitions and their sources are in `docs/statistics.md`.
"""

from __future__ import annotations

from tlx.report.comparison.statistics.contrast import (
    ALPHA,
    POWER,
    Contrast,
    SeedCount,
    crossed,
    foreseen,
    holm,
    paired,
    power,
    seeds_needed,
)
from tlx.report.comparison.statistics.drift import DriftFit, blocks, fit_drift
from tlx.report.comparison.statistics.estimate import Estimate, estimate
from tlx.report.comparison.statistics.pooling import Pooled, pooled
from tlx.report.comparison.statistics.survival import LogRank, Times, log_rank, median_time

__all__ = [
    "ALPHA",
    "POWER",
    "Contrast",
    "DriftFit",
    "Estimate",
    "LogRank",
    "Pooled",
    "SeedCount",
    "Times",
    "blocks",
    "crossed",
    "estimate",
    "fit_drift",
    "foreseen",
    "holm",
    "log_rank",
    "median_time",
    "paired",
    "pooled",
    "power",
    "seeds_needed",
]
