"""Curves over time and steps: loss, quality on val, two arms side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, NullFormatter
from numpy.typing import NDArray

from tlx.report.charts.chart import Chart, Look, legend_below, looks_by_place, new_figure
from tlx.report.comparison.compare import Comparison, Row
from tlx.report.comparison.figures import significant
from tlx.report.comparison.levels import Curve, Level, over_seeds, smoothed_loss, validation
from tlx.report.comparison.records import Record, Series
from tlx.report.comparison.verdict import best_and_worst

_LOG_FROM = 8.0


@dataclass(frozen=True)
class Line:
    """One arm's curve; the four lists have one length, `look` is the arm's place in the report."""

    arm: str
    look: int
    seeds: int
    x: list[float]
    y: list[float]
    low: list[float]
    high: list[float]


@dataclass(frozen=True)
class LinePanel:
    """Curves on one pair of axes; `level` is drawn dotted across them under the name given."""

    x_label: str
    y_label: str
    lines: list[Line]
    markers: bool = False
    level: float | None = None
    level_name: str = ""


@dataclass(frozen=True)
class LineChart(Chart):
    """Panels side by side (one above the other where it is narrow), `heading` above them."""

    panels: list[LinePanel]
    heading: str = ""

    def draw(self, *, narrow: bool = False) -> Figure:
        height = 4.5 if self.heading else 5.0
        figure, axes = new_figure(len(self.panels), height, narrow=narrow)
        looks = looks_by_place(line.look for panel in self.panels for line in panel.lines)
        for place, panel in zip(axes, self.panels, strict=True):
            _draw(place, panel, looks)
            # A panel of half the width has no room for both parts on one line.
            _caption(place, panel, ";\n" if narrow or len(self.panels) > 1 else "; ")
        if self.heading:
            figure.suptitle(self.heading, fontsize=11 if narrow else None)
        legend_below(figure, axes)
        return figure

    @property
    def alt(self) -> str:
        parts = [f"{self.title}."]
        for panel in self.panels:
            ends = [
                f"{line.arm} from {significant(line.y[0])} to {significant(line.y[-1])}"
                for line in panel.lines
            ]
            if ends:
                x = panel.lines[0].x[-1]
                parts.append(
                    f"{panel.y_label} over {panel.x_label}, to about {significant(x)}: "
                    f"{'; '.join(ends)}."
                )
        return " ".join(parts)


def _draw(axes: Axes, panel: LinePanel, looks: dict[int, Look]) -> None:
    for line in panel.lines:
        look = looks[line.look]
        axes.plot(
            line.x,
            line.y,
            color=look.colour,
            linestyle=look.pattern,
            marker=look.marker if panel.markers else None,
            label=f"{line.arm} (n={line.seeds})",
        )
        if line.seeds > 1:
            axes.fill_between(line.x, line.low, line.high, color=look.colour, alpha=0.15, lw=0)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    axes.set_xlim(left=0)
    if panel.markers:
        axes.set_ylim(bottom=0)
    else:
        _log_if_wide(axes, panel.lines)


def _caption(axes: Axes, panel: LinePanel, between: str) -> None:
    """Draw the level and say above the panel what the dotted line and the bands are."""
    parts = []
    if panel.level is not None:
        axes.axhline(panel.level, color="0.35", linewidth=1, linestyle=(0, (1, 2)))
        parts.append(f"dotted: {panel.level_name} {significant(panel.level)}")
    if any(line.seeds > 1 for line in panel.lines):
        parts.append("bands: min–max over seeds")
    axes.set_title(between.join(parts), fontsize=10, loc="right")


def _log_if_wide(axes: Axes, lines: list[Line]) -> None:
    """A detection loss falls by an order of magnitude at once; a linear axis hides what follows."""
    low = min((value for line in lines for value in line.low), default=0.0)
    high = max((value for line in lines for value in line.high), default=0.0)
    if low <= 0 or high / low < _LOG_FROM:
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(LogFormatter(labelOnlyBase=False))
    minor = LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.5))
    axes.yaxis.set_minor_formatter(minor if high / low < 100 else NullFormatter())


# Points of a curve that are drawn. Curves are smoothed over an epoch, so that thinning shows in no
# figure, and a page with the curves of a long study stays small.
MOST_POINTS = 400
_SECONDS = "time since the start of training (s)"

_Axis = Callable[[Curve], NDArray[np.float64]]


def loss_vs_time(comparison: Comparison) -> LineChart | None:
    """Smoothed training loss of every arm against seconds of fit."""
    panel = _loss(comparison, comparison.rows)
    return _single("loss_vs_time", "Training loss against time", panel)


def loss_vs_step(comparison: Comparison) -> LineChart | None:
    """Smoothed training loss of every arm against steps."""
    panel = _loss(comparison, comparison.rows, by_step=True)
    return _single("loss_vs_step", "Training loss against steps", panel)


def quality_vs_time(comparison: Comparison) -> LineChart | None:
    """The main figure of every arm on val against seconds of fit."""
    quality = comparison.quality
    title = f"Validation {quality.main.name} against time"
    return _single(f"{quality.short}_vs_time", title, _quality(comparison, comparison.rows))


def four_vs_eight(comparison: Comparison) -> LineChart | None:
    """Loss and quality of freeze 4 and 8, where both are there with the same policy and setting."""
    rows = _four_and_eight(comparison.rows)
    title = "freeze=4 and freeze=8 side by side"
    return _pair("4_vs_8", title, comparison, rows, "freeze=4 and freeze=8")


def best_vs_worst(comparison: Comparison) -> LineChart | None:
    """Loss and quality of the arms with the highest and the lowest main test figure."""
    figure = f"test {comparison.quality.main.name}"
    rows = best_and_worst(comparison.rows) or ()
    names = [
        f"{row.arm.label} ({row.test_main.mean:.3f})" if row.test_main else row.arm.label
        for row in rows
    ]
    heading = f"Best {figure}: {names[0]}\nworst: {names[1]}" if names else ""
    return _pair("best_vs_worst", f"Best and worst arm by {figure}", comparison, rows, heading)


def _single(name: str, title: str, panel: LinePanel) -> LineChart | None:
    return LineChart(name, title, [panel]) if panel.lines else None


def _pair(
    name: str, title: str, comparison: Comparison, rows: Sequence[Row], heading: str
) -> LineChart | None:
    if len(rows) < 2:
        return None
    panels = [_loss(comparison, rows), _quality(comparison, rows)]
    panels = [panel for panel in panels if panel.lines]
    return LineChart(name, title, panels, heading) if panels else None


def _loss(comparison: Comparison, rows: Sequence[Row], *, by_step: bool = False) -> LinePanel:
    lines = _lines(comparison, rows, smoothed_loss, by_step=by_step)
    label = "training loss (mean over an epoch)"
    if by_step:
        return LinePanel("training step", label, lines)
    return LinePanel(
        _SECONDS, label, lines, level=_value(comparison.levels.loss), level_name="loss level"
    )


def _quality(comparison: Comparison, rows: Sequence[Row]) -> LinePanel:
    quality = comparison.quality
    return LinePanel(
        _SECONDS,
        f"validation {quality.main.name}",
        _lines(comparison, rows, validation),
        markers=True,
        level=_value(comparison.levels.main),
        level_name=f"{quality.word} level",
    )


def _value(level: Level | None) -> float | None:
    return None if level is None else level.value


def _lines(
    comparison: Comparison,
    rows: Sequence[Row],
    series_of: Callable[[Record], Series],
    *,
    by_step: bool = False,
) -> list[Line]:
    """The thinned curve of every row that has one."""
    lines = []
    for row in rows:
        # Against time only runs that were alone on their machine can be set side by side.
        shown = [record for record in row.arm.records if by_step or not record.beside]
        # On unlike numbers of pictures, as of folds, an epoch of each run has other steps.
        unlike = row.arm.folds is not None or row.arm.first.draws_train
        in_order = unlike and not by_step
        curve = over_seeds([series_of(record) for record in shown], in_order=in_order)
        if curve is None:
            continue
        kept = thinned(len(curve.steps))
        x = curve.steps if by_step else curve.seconds
        values = [array[kept].tolist() for array in (x, curve.mean, curve.low, curve.high)]
        lines.append(Line(row.arm.label, comparison.rows.index(row), curve.n, *values))
    return lines


def thinned(count: int) -> NDArray[np.int64]:
    """At most `MOST_POINTS` evenly spaced places of `count`, the first and the last among them."""
    places = np.linspace(0, count - 1, min(count, MOST_POINTS))
    return places.round().astype(np.int64)


def _four_and_eight(rows: Sequence[Row]) -> list[Row]:
    """The rows of freeze 4 and 8 whose counterpart (same policy and setting) is there too."""

    def key(row: Row) -> tuple[str, tuple[str | None, ...]]:
        return row.arm.first.policy, row.arm.setting

    depths = {depth: {key(r) for r in rows if r.arm.depth == depth} for depth in ("4", "8")}
    both = depths["4"] & depths["8"]
    return [row for row in rows if row.arm.depth in depths and key(row) in both]
