"""Bars of a step's parts by arm, one panel a policy, beside what arithmetic alone would give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tlx.benchmark.rows import REFERENCE
from tlx.common.files import write_atomically
from tlx.report.charts.chart import DPI, WIDTH_INCHES, draw_bounds, save, settings
from tlx.report.comparison.figures import significant
from tlx.training.step_timer import PARTS

# Hatches keep the parts apart in a grey print; the looks are those of the report of runs.
_LOOKS = dict(
    zip(PARTS, (("#E69F00", "//"), ("#56B4E9", ""), ("#0072B2", ".."), ("#CC79A7", "xx")),
        strict=True)
)  # fmt: skip
_BAR_INCHES, _PANEL_INCHES, _FRAME_INCHES = 0.3, 0.4, 1.2


def write_plot(rows: list[dict[str, Any]], title: str, path: Path) -> None:
    """Draw the rows of the benchmark to a PNG."""
    with settings():
        figure = _figure(rows, title)
        write_atomically(path, lambda partial: _save_png(figure, partial))


def _save_png(figure: Figure, partial: Path) -> None:
    # matplotlib tells the format by the ending, which an unfinished file does not have.
    png = partial.with_suffix(".png")
    save(figure, png)
    png.replace(partial)


def _figure(rows: list[dict[str, Any]], title: str) -> Figure:
    policies = list(dict.fromkeys(row["policy"] for row in rows))
    groups = [[row for row in rows if row["policy"] == policy] for policy in policies]
    height = _FRAME_INCHES + _PANEL_INCHES * len(groups) + _BAR_INCHES * len(rows)
    figure = Figure(figsize=(WIDTH_INCHES, height), dpi=DPI)
    FigureCanvasAgg(figure)
    panels = figure.subplots(
        len(groups), 1, sharex=True, squeeze=False,
        gridspec_kw={"height_ratios": [len(group) + 0.5 for group in groups]},
    )[:, 0]  # fmt: skip
    reference = next(
        row["step_s_median"] for row in rows
        if (row["policy"], row["arm"]) == (REFERENCE.policy, REFERENCE.arm)
    )  # fmt: skip
    # One step that other programs held up must not press all bars together.
    limit = 1400 * max(row["step_s_median"] for row in rows)
    for axes, policy, group in zip(panels, policies, groups, strict=True):
        _panel(axes, policy, group, reference, limit)
    panels[-1].set_xlim(0, 1.12 * limit)  # with room for the figure beside the longest bar
    panels[-1].set_xlabel(
        "time of a training step (ms)\n10th to 90th percentile as a line, cut where it is too long"
    )
    handles, labels = panels[0].get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda place: labels[place] not in PARTS)
    figure.legend(
        [handles[place] for place in order], [labels[place] for place in order],
        loc="outside lower center", ncols=5, frameon=False, columnspacing=1.5,
    )  # fmt: skip
    figure.suptitle(title, fontsize=11)
    return figure


def _panel(
    axes: Axes, policy: str, rows: list[dict[str, Any]], reference: float, limit: float
) -> None:
    places = range(len(rows))
    medians = [1000 * row["step_s_median"] for row in rows]
    ends = [0.0] * len(rows)
    for part, (colour, hatch) in _LOOKS.items():
        widths = [1000 * row["parts"][f"{part}_s"] for row in rows]
        axes.barh(places, widths, left=ends, height=0.65, label=part, color=colour, hatch=hatch,
                  edgecolor="white")  # fmt: skip
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    lows = [1000 * row["step_s_interval"][0] for row in rows]
    highs = [min(1000 * row["step_s_interval"][1], limit) for row in rows]
    axes.hlines(places, lows, highs, color="black", linewidth=1.5)
    bounds = [1000 * reference * (row["bound_step_share"] or 0.0) for row in rows]
    for place, median, *ends_here in zip(places, medians, highs, ends, bounds, strict=True):
        axes.annotate(significant(median), (max(ends_here), place), (8, 0), va="center",
                      textcoords="offset points", fontsize=9)  # fmt: skip
    marks = [(bound, place) for bound, place in zip(bounds, places, strict=True) if bound]
    draw_bounds(axes, marks, size=6)
    axes.set_yticks(places, [row["arm"] for row in rows])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_title(f"freeze={policy}", loc="left", fontsize=11, fontweight="bold")
