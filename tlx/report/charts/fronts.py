"""Pareto fronts: what quality an arm gives for its training time, or for its latency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tlx.report.charts.points import Point, PointChart, PointPanel, on_front
from tlx.report.comparison.compare import Comparison, Row
from tlx.report.comparison.latency import Latency
from tlx.report.comparison.spread import Spread


def pareto_time(comparison: Comparison) -> PointChart | None:
    """The main test figure against minutes of fit."""
    figure = comparison.quality.main.name
    costs = [(row, row.fit_min) for row in _same_data(comparison.rows)]
    panel = PointPanel("fit time (min)", f"test {figure}", _points(comparison, costs))
    unlike = "machine" in comparison.differs
    notes = ["The runs were made on different machines: their times cannot be compared."] * unlike
    title = f"Test {figure} against training time"
    return PointChart("pareto_time", title, [panel], notes) if panel.points else None


def pareto_latency(comparison: Comparison, latencies: Sequence[Latency]) -> PointChart | None:
    """The main test figure against the latency of inference, one panel a device."""
    figure, panels = comparison.quality.main.name, []
    for device in dict.fromkeys(latency.device for latency in latencies):
        known = {latency.arm: latency for latency in latencies if latency.device == device}
        costs = [
            (row, _spread(known[row.arm.label]))
            for row in _same_data(comparison.rows)
            if row.arm.label in known
        ]
        if points := _points(comparison, costs):
            panels.append(PointPanel("latency (ms)", f"test {figure}", points, device))
    title = f"Test {figure} against latency on the device"
    return PointChart("pareto_latency", title, panels) if panels else None


def _spread(latency: Latency) -> Spread:
    return Spread(latency.ms, latency.low_ms, latency.high_ms, 1)


def _same_data(rows: Sequence[Row]) -> list[Row]:
    """The rows of the data set that most arms share: test figures of others are not comparable."""
    counts = Counter(row.arm.first.text("data") for row in rows)
    commonest = counts.most_common(1)[0][0]
    return [row for row in rows if row.arm.first.text("data") == commonest]


def _points(comparison: Comparison, costs: Sequence[tuple[Row, Spread | None]]) -> list[Point]:
    known = [
        (row, cost, row.test_main) for row, cost in costs if cost is not None and row.test_main
    ]
    front = on_front([(cost.mean, quality.mean) for _, cost, quality in known])
    return [
        Point(
            row.arm.label,
            comparison.rows.index(row),
            *(cost.mean, cost.low, cost.high),
            *(quality.mean, quality.low, quality.high),
            front=best,
        )
        for (row, cost, quality), best in zip(known, front, strict=True)
    ]
