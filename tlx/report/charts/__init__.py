"""The charts of a report, each built from a comparison, and their files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlx.common.files import write_text
from tlx.records.quality import QUALITIES
from tlx.report.charts.chart import Chart, save, settings, svg_text
from tlx.report.charts.classes import CONFUSION, by_class, class_chart, confusions
from tlx.report.charts.costs import memory, step_time
from tlx.report.charts.courses import (
    best_vs_worst,
    four_vs_eight,
    loss_vs_step,
    loss_vs_time,
    quality_vs_time,
)
from tlx.report.charts.factors import FACTOR, LEARNING, level_charts, size_charts
from tlx.report.charts.fronts import pareto_latency, pareto_time
from tlx.report.charts.tuning import NAME as RATE_SENSITIVITY
from tlx.report.charts.tuning import rate_sensitivity
from tlx.report.comparison.compare import Comparison
from tlx.report.comparison.latency import Latency
from tlx.report.factors import Analysis

__all__ = ["NAMES", "Chart", "Plot", "make_charts", "write_plots"]

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
    rate_sensitivity,
)
NAMES = (
    "pareto_time", "step_time", "loss_vs_time", "loss_vs_step", "4_vs_8", "best_vs_worst", "memory",
    "pareto_latency", RATE_SENSITIVITY,
    *(name for q in QUALITIES.values() for name in (f"{q.short}_vs_time", class_chart(q))),
    f"{CONFUSION}[0-9]*", f"{FACTOR}*", f"{LEARNING}[0-9]*",
)  # fmt: skip
"""Names of all charts that a report can have, as patterns of files."""


def make_charts(
    comparison: Comparison, latencies: Sequence[Latency] = (), analysis: Analysis | None = None
) -> list[Chart]:
    """The charts that the runs (the benchmark, the factors, where there are some) have data for."""
    charts = [*(make(comparison) for make in _MAKERS), *confusions(comparison)]
    charts.append(pareto_latency(comparison, latencies))
    if analysis is not None:
        charts += [*level_charts(analysis), *size_charts(analysis)]
    return [chart for chart in charts if chart is not None]


@dataclass(frozen=True)
class Plot:
    """A chart that was drawn: `wide` is the SVG of its files, `narrow` that for a phone."""

    chart: Chart
    wide: str
    narrow: str

    @property
    def file(self) -> str:
        """The name of its PNG, which lies beside the report."""
        return f"{self.chart.name}.png"


def write_plots(charts: Sequence[Chart], output: Path) -> list[Plot]:
    """Write each chart as PNG and SVG.

    A file of an earlier report that this one has no data for is removed: it would be taken for a
    plot of these runs.
    """
    for name in NAMES:
        for ending in ("png", "svg"):
            for old in output.glob(f"{name}.{ending}"):
                old.unlink()
    return [_write(chart, output) for chart in charts]


def _write(chart: Chart, output: Path) -> Plot:
    with settings():
        figure = chart.draw()
        save(figure, output / f"{chart.name}.png")
        figure.set_layout_engine("none")  # the layout is found and takes as long as the drawing
        wide = svg_text(figure)
        narrow = svg_text(chart.draw(narrow=True))
    write_text(output / f"{chart.name}.svg", wide)
    return Plot(chart, wide, narrow)
