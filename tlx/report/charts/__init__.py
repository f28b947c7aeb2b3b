"""The charts of a report, each built from a comparison and able to draw itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tlx.report.charts.base import Chart
from tlx.report.charts.classes import class_ap
from tlx.report.charts.costs import memory, step_time
from tlx.report.charts.courses import (
    best_vs_worst,
    four_vs_eight,
    loss_vs_step,
    loss_vs_time,
    map_vs_time,
)
from tlx.report.charts.fronts import pareto_latency, pareto_time
from tlx.report.comparison.compare import Comparison
from tlx.report.comparison.latency import Latency

__all__ = ["NAMES", "Chart", "make_charts"]

_MAKERS: dict[str, Callable[[Comparison], Chart | None]] = {
    "map_vs_time": map_vs_time,
    "pareto_time": pareto_time,
    "step_time": step_time,
    "loss_vs_time": loss_vs_time,
    "loss_vs_step": loss_vs_step,
    "4_vs_8": four_vs_eight,
    "best_vs_worst": best_vs_worst,
    "memory": memory,
    "class_ap": class_ap,
}
_LATENCY = "pareto_latency"
NAMES = (*_MAKERS, _LATENCY)


def make_charts(comparison: Comparison, latencies: Sequence[Latency] = ()) -> list[Chart]:
    """The charts that the runs (and the benchmark, where there is one) have data for."""
    charts = {name: make(comparison) for name, make in _MAKERS.items()}
    charts[_LATENCY] = pareto_latency(comparison, latencies)
    return [chart for chart in charts.values() if chart is not None]
