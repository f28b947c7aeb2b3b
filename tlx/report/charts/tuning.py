"""How much each arm depends on its learning rates: the trials of their tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from tlx.records.tuning import RATES
from tlx.report.charts.chart import Chart, Look, legend_below, looks_by_place, new_figure
from tlx.report.comparison.compare import Comparison
from tlx.report.comparison.tuning import Tuned, tunings

NAME = "rate_sensitivity"
_MARGIN = 1.3
_NAMES = {"base_lr": "rate of the backbone (base_lr)", "head_lr": "rate of the heads (head_lr)"}


@dataclass(frozen=True)
class Points:
    """The trials of an arm: rate, figure on val, and the trial that was chosen.

    `diverged` are the rates of those that have no figure.
    """

    arm: str
    place: int
    trials: list[tuple[float, float]]
    diverged: list[float]
    chosen: tuple[float, float] | None


@dataclass(frozen=True)
class RateChart(Chart):
    """A panel a rate; each trial is a point in every panel, where the arm has the rate.

    `ranges` are those in which each rate was sought, by any arm.
    """

    y_label: str
    panels: dict[str, list[Points]]
    ranges: dict[str, tuple[float, float]]

    def draw(self, *, narrow: bool = False) -> Figure:
        figure, panels = new_figure(len(self.panels), 4.6, narrow=narrow)
        everywhere = [points.place for found in self.panels.values() for points in found]
        looks = looks_by_place(everywhere)
        top = max(v for found in self.panels.values() for p in found for _, v in p.trials)
        for axes, (rate, found) in zip(panels, self.panels.items(), strict=True):
            for points in found:
                _draw(axes, points, looks[points.place])
            axes.set_xscale("log")
            low, high = self.ranges[rate]
            axes.set_xlim(low / _MARGIN, high * _MARGIN)
            axes.set_ylim(-0.03 * top, 1.06 * top or 1)  # 0 is a figure too
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_xlabel(_NAMES[rate])
        for axes in panels if narrow else panels[:1]:
            axes.set_ylabel(self.y_label)
        legend_below(figure, panels)
        return figure

    @property
    def alt(self) -> str:
        told = [
            f"{points.arm} {rate} {points.chosen[0]:g} at {points.chosen[1]:.3f}, of "
            f"{len(points.trials)} trials from {_range([value for _, value in points.trials])}"
            for rate, found in self.panels.items()
            for points in found
            if points.chosen
        ]
        return f"{self.title}: {'; '.join(told)}."


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.3f} to {max(values):.3f}"


def _draw(axes: Axes, points: Points, look: Look) -> None:
    ranked = sorted(points.trials)
    axes.plot(
        [rate for rate, _ in ranked], [value for _, value in ranked], color=look.colour,
        linestyle="none", marker=look.marker, markerfacecolor="none", markersize=6,
        label=points.arm,
    )  # fmt: skip
    if points.chosen:
        axes.plot(
            *([value] for value in points.chosen), color=look.colour, linestyle="none",
            marker=look.marker, markersize=9, markeredgecolor="black", zorder=3,
        )  # fmt: skip
    if points.diverged:
        axes.plot(
            points.diverged, [0.0] * len(points.diverged), color=look.colour, linestyle="none",
            marker="x", markersize=7, label=f"{points.arm}: diverged", clip_on=False,
        )  # fmt: skip


def rate_sensitivity(comparison: Comparison) -> RateChart | None:
    """The figure on val against each tuned rate; the other rate of a trial varies too."""
    found = tunings([row.arm for row in comparison.rows])
    panels: dict[str, list[Points]] = {}
    for rate in RATES:
        points = []
        for tuned in found:
            if rate not in tuned.rates:
                continue
            known = [t for t in tuned.trials if rate in t.rates]
            ended = [(t.rates[rate], t.value, t.chosen) for t in known if t.value is not None]
            if ended:
                points.append(
                    Points(
                        tuned.label,
                        tuned.place,
                        [(at, value) for at, value, _ in ended],
                        [t.rates[rate] for t in known if t.value is None],
                        next(((at, value) for at, value, chosen in ended if chosen), None),
                    )
                )
        if points:
            panels[rate] = points
    name = f"val {comparison.quality.main.name}"
    title = f"How much {name} depends on the learning rates"
    ranges = {rate: _sought(rate, found, panels[rate]) for rate in panels}
    return RateChart(NAME, title, f"best {name} of a trial", panels, ranges) if panels else None


def _sought(rate: str, found: Sequence[Tuned], drawn: Sequence[Points]) -> tuple[float, float]:
    """The lowest and highest rate that any arm could have tried, and did."""
    ends = [end for tuned in found if rate in tuned.rates for end in tuned.sought(rate)]
    ends += [at for points in drawn for at in (*(a for a, _ in points.trials), *points.diverged)]
    return min(ends), max(ends)
