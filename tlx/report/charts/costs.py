"""What an arm costs, as bars: the parts of a step beside the bound, and peak memory."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tlx.report.charts.chart import (
    PART_LOOKS,
    Chart,
    draw_bounds,
    legend_columns,
    new_figure,
    wrapped,
)
from tlx.report.comparison.compare import Comparison, Row
from tlx.report.comparison.figures import significant, spread

_UNSPLIT = "0.85"


@dataclass(frozen=True)
class Bar:
    """One arm: `total` with its range over seeds, its parts (None: not recorded), its bound."""

    arm: str
    total: float
    low: float
    high: float
    parts: dict[str, float | None]
    bound: float | None = None
    note: str = ""


@dataclass(frozen=True)
class BarChart(Chart):
    """Bars in the order of the table. Parts need not add up to the total: medians do not."""

    x_label: str
    unit: str
    bars: list[Bar]

    def draw(self, *, narrow: bool = False) -> Figure:
        names = [wrapped(bar.arm, narrow=narrow) for bar in self.bars]
        lines = sum(name.count("\n") + 2 for name in names)
        height = max(4.0, (2.8 if narrow else 1.8) + 0.27 * lines)
        figure, (axes,) = new_figure(height=height, narrow=narrow)
        places = range(len(self.bars))
        totals = [bar.total for bar in self.bars]
        axes.barh(places, totals, height=0.6, color=_UNSPLIT, edgecolor="0.5")
        ends = [0.0] * len(self.bars)
        for part in dict.fromkeys(part for bar in self.bars for part in bar.parts):
            colour, hatch = PART_LOOKS[part]
            widths = [bar.parts.get(part) or 0.0 for bar in self.bars]
            axes.barh(
                places, widths, left=ends, height=0.6, label=part, color=colour, hatch=hatch,
                edgecolor="white",
            )  # fmt: skip
            ends = [end + width for end, width in zip(ends, widths, strict=True)]
        self._ranges(axes)
        self._bounds(axes)
        shown = [f"{significant(bar.total)} {self.unit} {bar.note}".strip() for bar in self.bars]
        labels = [f"{name}\n{text}" for name, text in zip(names, shown, strict=True)]
        axes.set_yticks(places, labels)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(self.x_label, wrap=True)
        _legend(figure, axes, narrow=narrow)
        return figure

    def _ranges(self, axes: Axes) -> None:
        known = [(i, bar) for i, bar in enumerate(self.bars) if bar.low < bar.high]
        if known:
            places, bars = zip(*known, strict=True)
            below = [bar.total - bar.low for bar in bars]
            above = [bar.high - bar.total for bar in bars]
            axes.errorbar(
                [bar.total for bar in bars], places, xerr=[below, above], fmt="none",
                ecolor="black", elinewidth=1.5, capsize=4, label="min–max over seeds",
            )  # fmt: skip

    def _bounds(self, axes: Axes) -> None:
        marks = [(bar.bound, i) for i, bar in enumerate(self.bars) if bar.bound is not None]
        if marks:
            draw_bounds(axes, marks, size=8)

    @property
    def alt(self) -> str:
        texts = [self._words(bar) for bar in self.bars]
        return f"{self.title}: {'; '.join(texts)}."

    def _words(self, bar: Bar) -> str:
        text = f"{bar.arm} {significant(bar.total)} {self.unit}"
        parts = [f"{name} {significant(v)}" for name, v in bar.parts.items() if v is not None]
        if len(parts) > 1:
            text += f" ({', '.join(parts)})"
        if bar.bound is not None:
            text += f", arithmetic bound {significant(bar.bound)}"
        return text


def _legend(figure: Figure, axes: Axes, *, narrow: bool) -> None:
    """Parts first, then what is marked on them."""
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda place: labels[place] not in PART_LOOKS)
    if order:
        figure.legend(
            [handles[place] for place in order],
            [labels[place] for place in order],
            loc="outside lower center",
            ncols=legend_columns(labels, narrow=narrow, sample=6),
            frameon=False,
            columnspacing=1.5,
        )


_MEBIBYTE = 2**20


def step_time(comparison: Comparison) -> BarChart | None:
    """The median step by arm in ms (mean over seeds), its parts, and the arithmetic bound.

    The bound is the step of `freeze=none` times the arithmetic share of the arm's step, given only
    where one machine made both.
    """
    bars = []
    for row in comparison.rows:
        if (step := row.step_s) is None:
            continue
        parts = {part: _milliseconds(row, f"{part}_s") for part in PART_LOOKS}
        low, mean, high = (1000 * value for value in (step.low, step.mean, step.high))
        bars.append(Bar(row.arm.label, mean, low, high, parts, _bound(comparison, row)))
    label = "time of a training step (ms)\nmedian over steps, mean over seeds"
    title = "What a training step spends its time on"
    return BarChart("step_time", title, label, "ms", bars) if bars else None


def memory(comparison: Comparison) -> BarChart | None:
    """Peak memory by arm in MiB: of the GPU where one was used, else resident."""
    bars = [
        Bar(
            row.arm.label,
            peak.mean / _MEBIBYTE,
            peak.low / _MEBIBYTE,
            peak.high / _MEBIBYTE,
            parts={},
            note=row.memory_kind,
        )
        for row in comparison.rows
        if (peak := row.peak_memory_bytes) is not None
    ]
    return BarChart("memory", "Peak memory", "peak memory (MiB)", "MiB", bars) if bars else None


def _milliseconds(row: Row, key: str) -> float | None:
    alone = [record for record in row.arm.records if not record.beside]
    figure = spread(record.number("step_time", key) for record in alone)
    return 1000 * figure.mean if figure else None


def _bound(comparison: Comparison, row: Row) -> float | None:
    reference = comparison.reference(row) if row.speedup else None
    step = reference.step_s if reference else None
    if step is None or not row.bound_speedup:
        return None
    return 1000 * step.mean / row.bound_speedup.mean
