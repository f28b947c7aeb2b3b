"""Charts of factors: a treatment's difference at each level, and learning curves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tlx.report.charts.chart import Chart, legend_below, looks_of, new_figure, wrapped
from tlx.report.comparison.figures import three
from tlx.report.factors import Analysis
from tlx.report.factors.analysis import OfFactor
from tlx.report.factors.curves import LearningCurve

FACTOR, LEARNING = "factor_", "learning_"
_ALL, _NEW = "all sets: mean", "a new set"
_MOST_BANDS = 3  # more curves than that, and bands hide one another


@dataclass(frozen=True)
class Mark:
    """A difference with its 95 % interval, if there is one; `kind`: `_ALL` or `_NEW` sets."""

    level: str
    mean: float | None
    low: float | None
    high: float | None
    kind: str = ""


@dataclass(frozen=True)
class Marks:
    """Those of one treatment."""

    treatment: str
    against: str
    marks: list[Mark]


@dataclass(frozen=True)
class LevelChart(Chart):
    """Levels below one another, treatments side by side within each; left of 0 is a loss."""

    x_label: str
    levels: list[str]
    treatments: list[Marks]

    def draw(self, *, narrow: bool = False) -> Figure:
        names = [wrapped(level, narrow=narrow) for level in self.levels]
        count = len(self.treatments)
        step = 0.2 * count + 0.15 + 0.18 * max(name.count("\n") for name in names)
        height = 1.7 + step * len(names) + 0.25 * count
        figure, (axes,) = new_figure(
            height=max(3.0, height / (0.9 if narrow else 1)), narrow=narrow
        )
        looks = looks_of(range(1, count + 1))  # the first look is the reference's
        for place, (each, look) in enumerate(zip(self.treatments, looks, strict=True)):
            offset = (place - (count - 1) / 2) * 0.7 / max(count, 2)
            for number, mark in enumerate(each.marks):
                y = self.levels.index(mark.level) + offset
                label = f"{each.treatment} against {each.against}" if not number else None
                _draw_mark(axes, mark, y, look.colour, look.marker, label)
        axes.axvline(0, color="0.3", lw=1)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.set_xlim(*self._ends())
        axes.set_xlabel(self.x_label, wrap=True)
        legend_below(figure, [axes])
        return figure

    def _ends(self) -> tuple[float, float]:
        """Room for what was measured; what is known of a new set may be wider than the figure."""
        marks = [mark for each in self.treatments for mark in each.marks]
        plain = [mark for mark in marks if not mark.kind]
        ends = [0.0, *(v for m in plain for v in (m.mean, m.low, m.high) if v is not None)]
        low, high = min(ends), max(ends)
        room = 0.6 * (high - low) if len(plain) < len(marks) else 0.05 * (high - low)
        return max(low - room, -1.0) or -0.1, min(high + room, 1.0) or 0.1

    @property
    def alt(self) -> str:
        parts = []
        for each in self.treatments:
            words = [_words(mark) for mark in each.marks]
            parts.append(f"{each.treatment} against {each.against}: {'; '.join(words)}")
        return f"{self.title}. {'. '.join(parts)}."


def _words(mark: Mark) -> str:
    mean = "" if mark.mean is None else f" {_signed(mark.mean)}"
    if mark.low is None or mark.high is None:
        return f"{mark.level}{mean}"
    return f"{mark.level}{mean} ({_signed(mark.low)} to {_signed(mark.high)})"


def _signed(value: float) -> str:
    return f"{'−' if value < 0 else '+'}{three(abs(value))}"


def _draw_mark(
    axes: Axes, mark: Mark, y: float, colour: str, marker: str, label: str | None
) -> None:
    if mark.low is not None and mark.high is not None:
        pattern = ":" if mark.kind == _NEW else "-"
        axes.plot([mark.low, mark.high], [y, y], color=colour, lw=2, ls=pattern)
    if mark.mean is not None:
        face = "white" if mark.kind == _ALL else colour
        axes.plot(
            mark.mean, y, marker, color=colour, markerfacecolor=face, markeredgewidth=2,
            markersize=8, ls="none", label=label,
        )  # fmt: skip


def level_charts(analysis: Analysis) -> list[LevelChart]:
    """One chart a factor."""
    return [_level_chart(found, analysis) for found in analysis.factors]


def _level_chart(found: OfFactor, analysis: Analysis) -> LevelChart:
    levels = [*found.levels, *([_ALL, _NEW] if found.pooled else [])]
    treatments = []
    for treatment in found.treatments:
        marks = [
            Mark(row.level, row.mean, *(row.sum.interval if row.sum else (None, None)))
            for row in found.rows
            if row.treatment == treatment
        ]
        if (over := found.pooled.get(treatment)) is not None:
            marks.append(Mark(_ALL, over.mean, over.low, over.high, _ALL))
            marks.append(Mark(_NEW, None, over.new_low, over.new_high, _NEW))
        treatments.append(Marks(treatment.label, treatment.against, marks))
    key = found.factor.key.replace(".", "_")
    return LevelChart(
        f"{FACTOR}{key}",
        f"What the {found.factor.title} changes",
        f"difference in {analysis.measure.title}",
        levels,
        treatments,
    )


@dataclass(frozen=True)
class SizeCurve:
    """An arm: what was measured at each size, and the curve through it where there is one."""

    arm: str
    pictures: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]
    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)
    y_low: list[float] = field(default_factory=list)
    y_high: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class SizeChart(Chart):
    """Figures of arms against the number of training pictures; dashed beyond the largest."""

    y_label: str
    curves: list[SizeCurve]

    def draw(self, *, narrow: bool = False) -> Figure:
        figure, (axes,) = new_figure(height=5.0, narrow=narrow)
        looks = looks_of(range(len(self.curves)))
        for place, (curve, look) in enumerate(zip(self.curves, looks, strict=True)):
            below = [m - low for m, low in zip(curve.mean, curve.low, strict=True)]
            above = [high - m for m, high in zip(curve.mean, curve.high, strict=True)]
            axes.errorbar(
                curve.pictures, curve.mean, yerr=[below, above], fmt=look.marker,
                color=look.colour, markersize=8, elinewidth=1, capsize=3, label=curve.arm,
            )  # fmt: skip
            self._draw_fit(axes, curve, look.colour, place / max(1, len(self.curves)))
        axes.set_xscale("log")
        ticks = sorted({count for curve in self.curves for count in curve.pictures})
        ends = [round(curve.x[-1]) for curve in self.curves if curve.x]
        shown = [*ticks, *({max(ends)} if ends else set())]
        axes.set_xticks(shown, [str(count) for count in shown], rotation=45)
        axes.minorticks_off()
        axes.set_xlabel("training pictures")
        axes.set_ylabel(self.y_label)
        legend_below(figure, [axes])
        return figure

    def _draw_fit(self, axes: Axes, curve: SizeCurve, colour: str, place: float) -> None:
        if not curve.x:
            axes.plot(curve.pictures, curve.mean, color=colour, lw=1, ls=":")
            return
        most = max(curve.pictures)
        inside = [place for place, x in enumerate(curve.x) if x <= most]
        last = inside[-1] if inside else 0
        axes.plot(curve.x[: last + 1], curve.y[: last + 1], color=colour)
        axes.plot(curve.x[last:], curve.y[last:], color=colour, ls="--")
        if len(self.curves) <= _MOST_BANDS:
            axes.fill_between(curve.x, curve.y_low, curve.y_high, color=colour, alpha=0.15, lw=0)
        else:  # at the end alone, beside one another
            x = curve.x[-1] * (1 + 0.15 * place)
            axes.plot([x, x], [curve.y_low[-1], curve.y_high[-1]], color=colour, lw=1, ls="--")

    @property
    def alt(self) -> str:
        parts = []
        for curve in self.curves:
            pairs = zip(curve.pictures, curve.mean, strict=True)
            text = ", ".join(f"{three(mean)} with {count}" for count, mean in pairs)
            if curve.x:
                text += f", foreseen {three(curve.y[-1])} with {math.floor(curve.x[-1])}"
            parts.append(f"{curve.arm}: {text}")
        return f"{self.title}. {'. '.join(parts)}."


def size_charts(analysis: Analysis) -> list[SizeChart]:
    """One chart a data set."""
    sets = list(dict.fromkeys(curve.data for curve in analysis.curves))
    found = []
    for number, data in enumerate(sets, start=1):
        curves = [curve for curve in analysis.curves if curve.data == data]
        where = f" on {data}" if len(sets) > 1 else ""
        found.append(
            SizeChart(
                f"{LEARNING}{number}",
                f"Learning curves{where}",
                analysis.measure.title,
                [_size_curve(curve) for curve in curves],
            )
        )
    return found


def _size_curve(curve: LearningCurve) -> SizeCurve:
    sizes, fitted = curve.sizes, curve.fitted
    drawn = () if fitted is None else (fitted.x, fitted.y, fitted.low, fitted.high)
    return SizeCurve(
        curve.arm, [size.pictures for size in sizes], [size.mean for size in sizes],
        [size.low for size in sizes], [size.high for size in sizes], *drawn,
    )  # fmt: skip
