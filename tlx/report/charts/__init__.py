"""The charts of a report, each built from a comparison and able to draw itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tlx.records.quality import QUALITIES
from tlx.report.charts.base import Chart
from tlx.report.charts.classes import CONFUSION, by_class, class_chart, confusions
from tlx.report.charts.costs import memory, step_time
from tlx.report.charts.courses import (
    best_vs_worst,
    four_vs_eight,
    loss_vs_step,
    loss_vs_time,
    quality_vs_time,
)
from tlx.report.charts.fronts import pareto_latency, pareto_time
from tlx.report.comparison.compare import Comparison
from tlx.report.comparison.latency import Latency

__all__ = ["NAMES", "Chart", "make_charts"]

_MAKERS: tuple[Callable[[Comparison], Chart | None], ...] = (
    quality_vs_time,
    pareto_time,
    step_time,
    loss_vs_time,
    loss_vs_step,
    four_vs_eight,
    best_vs_worst,
    memory,
    by_class,
)
NAMES = (
    "pareto_time", "step_time", "loss_vs_time", "loss_vs_step", "4_vs_8", "best_vs_worst", "memory",
    "pareto_latency",
    *(name for q in QUALITIES.values() for name in (f"{q.short}_vs_time", class_chart(q))),
    f"{CONFUSION}[0-9]*",
)  # fmt: skip
"""Names of all charts that a report can have, as patterns of files."""


def make_charts(comparison: Comparison, latencies: Sequence[Latency] = ()) -> list[Chart]:
    """The charts that the runs (and the benchmark, where there is one) have data for."""
    charts = [*(make(comparison) for make in _MAKERS), *confusions(comparison)]
    charts.append(pareto_latency(comparison, latencies))
    return [chart for chart in charts if chart is not None]
