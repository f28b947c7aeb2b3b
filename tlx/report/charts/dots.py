"""A figure by class and arm: one row a class, one dot an arm, with its range over seeds."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from tlx.report.charts.base import Chart, wrapped
from tlx.report.charts.style import legend_below, looks_by_place, new_figure
from tlx.report.comparison.formats import significant

_WORDS = 12  # classes that the alternative text lists
_ROW, _GAP = 0.17, 0.16  # inches


@dataclass(frozen=True)
class Dots:
    """One arm's figures in the order of the chart's rows; None where it has none."""

    arm: str
    look: int
    mean: list[float | None]
    low: list[float | None]
    high: list[float | None]


@dataclass(frozen=True)
class DotChart(Chart):
    """`rows` are the classes from top to bottom; the arms of a row stand below one another."""

    x_label: str
    rows: list[str]
    dots: list[Dots]

    def draw(self, *, narrow: bool = False) -> Figure:
        arms = len(self.dots)
        height = max(4.0, 2.2 + len(self.rows) * (_GAP + _ROW * arms))
        figure, (axes,) = new_figure(height=height, narrow=narrow)
        looks = looks_by_place(dots.look for dots in self.dots)
        for number, dots in enumerate(self.dots):
            look = looks[dots.look]
            shift = 0.8 * ((number + 0.5) / arms - 0.5)
            known = [
                (mean, mean - low, high - mean, place + shift)
                for place, (mean, low, high) in enumerate(
                    zip(dots.mean, dots.low, dots.high, strict=True)
                )
                if mean is not None and low is not None and high is not None
            ]
            x, below, above, y = zip(*known, strict=True) if known else ((), (), (), ())
            axes.errorbar(
                x, y, xerr=[below, above], fmt=look.marker, color=look.colour, markersize=6,
                elinewidth=1.5, capsize=2, label=dots.arm,
            )  # fmt: skip
        for place in range(1, len(self.rows)):
            axes.axhline(place - 0.5, color="0.85", linewidth=1)
        axes.set_yticks(range(len(self.rows)), [wrapped(r, narrow=narrow) for r in self.rows])
        axes.set_ylim(len(self.rows) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.set_xlim(left=0)
        axes.set_xlabel(self.x_label)
        legend_below(figure, [axes])
        return figure

    @property
    def alt(self) -> str:
        parts = []
        for place, row in enumerate(self.rows[:_WORDS]):
            values = [(dots.arm, dots.mean[place]) for dots in self.dots]
            known = [f"{arm} {significant(v)}" for arm, v in values if v is not None]
            parts.append(f"{row}: {', '.join(known) or 'no figure'}")
        more = len(self.rows) - len(parts)
        return f"{self.title}. {'; '.join(parts)}{f'; and {more} more classes' * bool(more)}."
