"""Bars of the step time: its parts by arm, beside what arithmetic alone would give."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tlx.report.compare import Comparison, Row
from tlx.report.formats import significant
from tlx.report.spread import spread
from tlx.report.style import draw_bounds, new_figure

# Hatches keep the parts apart in a grey print.
_PARTS = {
    "data": ("data_s", "#E69F00", "//"),
    "forward": ("forward_s", "#56B4E9", ""),
    "backward": ("backward_s", "#0072B2", ".."),
    "optimizer": ("optimizer_s", "#CC79A7", "xx"),
}


def step_time_figure(comparison: Comparison) -> Figure | None:
    """Stacked bars of the parts' medians by arm, in ms; None when no arm has a step time.

    The number under a name is the median of the whole step, which need not be the sum of the parts'
    medians. The diamond is the step of `freeze=none` times the arithmetic share of the arm's step.
    """
    rows = [row for row in comparison.rows if row.step_s is not None]
    if not rows:
        return None
    figure, (axes,) = new_figure(height=2.2 + 0.5 * len(rows))
    ends = [0.0] * len(rows)
    for name, (key, colour, hatch) in _PARTS.items():
        widths = [_milliseconds(row, key) for row in rows]
        axes.barh(
            range(len(rows)),
            widths,
            left=ends,
            height=0.6,
            label=name,
            color=colour,
            hatch=hatch,
            edgecolor="white",
        )
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    _bound_marks(axes, comparison, rows)
    axes.set_yticks(range(len(rows)), [_name(row) for row in rows])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("time of a training step (ms, median over steps, mean over seeds)")
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda place: labels[place] not in _PARTS)
    figure.legend(
        [handles[place] for place in order],
        [labels[place] for place in order],
        loc="outside lower center",
        ncols=5,
        frameon=False,
        columnspacing=1.5,
    )
    return figure


def _milliseconds(row: Row, key: str) -> float:
    figure = spread(record.number("step_time", key) for record in row.arm.records)
    return 1000 * figure.mean if figure else 0.0


def _bound_marks(axes: Axes, comparison: Comparison, rows: list[Row]) -> None:
    """Draw the bound of each arm that has a reference made on the same machine."""
    drawn = []
    for place, row in enumerate(rows):
        reference = comparison.reference(row) if row.speedup else None
        step = reference.step_s if reference else None
        bound = row.bound_speedup
        if step and bound:
            drawn.append((1000 * step.mean / bound.mean, place))
    if drawn:
        draw_bounds(axes, drawn, size=8)


def _name(row: Row) -> str:
    median = f"{significant(1000 * row.step_s.mean)} ms" if row.step_s else ""
    return f"{row.arm.label}\n{median}"
