"""Curves of the arms with their bands over seeds, one panel or several."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, NullFormatter

from tlx.report.charts.base import Chart
from tlx.report.charts.style import Look, legend_below, looks_by_place, new_figure
from tlx.report.comparison.formats import significant

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
