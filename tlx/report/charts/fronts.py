"""Pareto fronts: what quality an arm gives for its training time, or for its latency."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tlx.report.charts.chart import Chart, Look, legend_below, looks_by_place, new_figure
from tlx.report.comparison.compare import Comparison, Row
from tlx.report.comparison.figures import Spread, significant
from tlx.report.comparison.latency import Latency


@dataclass(frozen=True)
class Point:
    """One arm with its ranges; on the `front` no arm has less of x and more of y."""

    arm: str
    look: int
    x: float
    x_low: float
    x_high: float
    y: float
    y_low: float
    y_high: float
    front: bool


@dataclass(frozen=True)
class PointPanel:
    """Points on one pair of axes: the less of x and the more of y, the better."""

    x_label: str
    y_label: str
    points: list[Point]
    heading: str = ""


@dataclass(frozen=True)
class PointChart(Chart):
    """Panels side by side."""

    panels: list[PointPanel]
    notes: list[str] = field(default_factory=list)

    def draw(self, *, narrow: bool = False) -> Figure:
        figure, axes = new_figure(len(self.panels), 5.0, narrow=narrow)
        looks = looks_by_place(point.look for panel in self.panels for point in panel.points)
        for place, panel in zip(axes, self.panels, strict=True):
            _draw(place, panel, looks)
        low, high = (end(place.get_ylim()[i] for place in axes) for i, end in ((0, min), (1, max)))
        for place in axes:
            place.set_ylim(low, high)  # one scale of quality for all devices
        legend_below(figure, axes)
        return figure

    @property
    def alt(self) -> str:
        parts = [f"{self.title}."]
        for panel in self.panels:
            words = [
                f"{p.arm} {significant(p.y)} at {significant(p.x)}{', on the front' * p.front}"
                for p in panel.points
            ]
            place = f"{panel.heading}: " if panel.heading else ""
            parts.append(f"{place}{panel.y_label} at {panel.x_label}: {'; '.join(words)}.")
        return " ".join([*parts, *self.notes])


def on_front(places: Sequence[tuple[float, float]]) -> list[bool]:
    """For each (x, y), whether no other has x at most and y at least as much and differs."""
    return [
        not any(x <= own_x and y >= own_y and (x, y) != (own_x, own_y) for x, y in places)
        for own_x, own_y in places
    ]


def _draw(axes: Axes, panel: PointPanel, looks: dict[int, Look]) -> None:
    for point in panel.points:
        look = looks[point.look]
        axes.errorbar(
            point.x,
            point.y,
            xerr=[[point.x - point.x_low], [point.x_high - point.x]],
            yerr=[[point.y - point.y_low], [point.y_high - point.y]],
            fmt=look.marker,
            color=look.colour,
            markersize=10,
            markerfacecolor=look.colour if point.front else "white",
            markeredgewidth=2,
            elinewidth=1,
            label=point.arm,
            zorder=3,
        )
    front = sorted((point.x, point.y) for point in panel.points if point.front)
    if len(front) > 1:
        axes.step(*zip(*front, strict=True), where="post", color="0.35", lw=1, ls=(0, (4, 2)))
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    axes.margins(0.12)
    axes.set_xlim(left=max(0.0, axes.get_xlim()[0]))
    heading = textwrap.fill(panel.heading, 36)
    axes.set_title(f"{heading}\nfilled: on the front".strip(), fontsize=10, loc="right")


def pareto_time(comparison: Comparison) -> PointChart | None:
    """The main test figure against minutes of fit."""
    figure = comparison.quality.main.name
    costs = [(row, row.fit_min) for row in _same_data(comparison.rows)]
    panel = PointPanel("training time (min)", f"test {figure}", _points(comparison, costs))
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
