"""The plots of a report: loss and mAP against time and step, and the arms set side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, NullFormatter
from numpy.typing import NDArray

from tlx.report.bars import step_time_figure
from tlx.report.compare import Comparison, Row
from tlx.report.curves import Curve, over_seeds, smoothed_loss
from tlx.report.formats import significant
from tlx.report.levels import Level, validation_map
from tlx.report.records import Record, Series
from tlx.report.style import legend_below, looks_of, new_figure, save, settings
from tlx.report.verdict import best_and_worst

PLOTS = {
    "loss_vs_time.png": "Training loss against time",
    "loss_vs_step.png": "Training loss against steps",
    "map_vs_time.png": "Validation mAP@.5 against time",
    "step_time.png": "What a training step spends its time on",
    "4_vs_8.png": "freeze=4 and freeze=8 side by side",
    "best_vs_worst.png": "Best and worst arm by test mAP@.5",
}
_SECONDS = "time since the start of fit (s)"
_LOG_FROM = 8.0


def write_plots(comparison: Comparison, output: Path) -> list[str]:
    """Write the plots that the runs have data for and return their file names.

    A plot of an earlier report that this one has no data for is removed: it would be taken for
    a plot of these runs.
    """
    drawers: dict[str, Callable[[Comparison], Figure | None]] = {
        "loss_vs_time.png": lambda c: _single(c, _loss_against_time),
        "loss_vs_step.png": lambda c: _single(c, _loss_against_step),
        "map_vs_time.png": lambda c: _single(c, _map_against_time),
        "step_time.png": step_time_figure,
        "4_vs_8.png": lambda c: _pair(c, four_and_eight(c.rows), "freeze=4 and freeze=8"),
        "best_vs_worst.png": _best_vs_worst,
    }
    written = []
    for name, draw in drawers.items():
        with settings():
            figure = draw(comparison)
            if figure is None:
                (output / name).unlink(missing_ok=True)
                continue
            save(figure, output / name)
        written.append(name)
    return written


def four_and_eight(rows: Sequence[Row]) -> list[Row]:
    """The rows of freeze 4 and 8 whose counterpart (same policy and setting) is there too."""

    def key(row: Row) -> tuple[str, tuple[str | None, ...]]:
        return row.arm.first.policy, row.arm.setting

    depths = {depth: {key(r) for r in rows if r.arm.depth == depth} for depth in ("4", "8")}
    both = depths["4"] & depths["8"]
    return [row for row in rows if row.arm.depth in depths and key(row) in both]


_Panel = Callable[[Axes, Comparison, Sequence[Row]], bool]
_Axis = Callable[[Curve], NDArray[np.float64]]
_Curves = list[tuple[Row, Curve]]


def _single(comparison: Comparison, panel: _Panel) -> Figure | None:
    figure, (axes,) = new_figure()
    if not panel(axes, comparison, comparison.rows):
        return None
    legend_below(figure, axes)
    return figure


def _pair(comparison: Comparison, rows: Sequence[Row], title: str) -> Figure | None:
    """Loss and mAP of a few arms against time, side by side."""
    if len(rows) < 2:
        return None
    figure, (left, right) = new_figure(panels=2, height=4.5)
    drawn = [
        _loss_against_time(left, comparison, rows),
        _map_against_time(right, comparison, rows),
    ]
    if not any(drawn):
        return None
    figure.suptitle(title)
    legend_below(figure, left if drawn[0] else right)
    return figure


def _best_vs_worst(comparison: Comparison) -> Figure | None:
    found = best_and_worst(comparison.rows)
    if found is None:
        return None
    names = [
        f"{row.arm.label} ({row.test_map_50.mean:.3f})" if row.test_map_50 else row.arm.label
        for row in found
    ]
    return _pair(comparison, found, f"Best test mAP@.5: {names[0]}\nworst: {names[1]}")


def _loss_against_time(axes: Axes, comparison: Comparison, rows: Sequence[Row]) -> bool:
    axes.set_xlabel(_SECONDS)
    curves = _curves(rows, smoothed_loss)
    return _loss(axes, comparison, curves, lambda curve: curve.seconds, comparison.levels.loss)


def _loss_against_step(axes: Axes, comparison: Comparison, rows: Sequence[Row]) -> bool:
    axes.set_xlabel("training step")
    curves = _curves(rows, smoothed_loss)
    return _loss(axes, comparison, curves, lambda curve: curve.steps, None)


def _loss(
    axes: Axes, comparison: Comparison, curves: _Curves, x: _Axis, level: Level | None
) -> bool:
    axes.set_ylabel("training loss (mean over an epoch)")
    _draw(axes, comparison, curves, x, markers=False)
    _caption(axes, curves, "loss level", level)
    _log_if_wide(axes, curves)
    return bool(curves)


def _map_against_time(axes: Axes, comparison: Comparison, rows: Sequence[Row]) -> bool:
    axes.set_xlabel(_SECONDS)
    axes.set_ylabel("validation mAP@.5")
    curves = _curves(rows, validation_map)
    _draw(axes, comparison, curves, lambda curve: curve.seconds, markers=True)
    _caption(axes, curves, "mAP level", comparison.levels.map)
    axes.set_ylim(bottom=0)
    return bool(curves)


def _curves(rows: Sequence[Row], series_of: Callable[[Record], Series]) -> _Curves:
    """The curve of every row that has one."""
    found = [(row, over_seeds([series_of(r) for r in row.arm.records])) for row in rows]
    return [(row, curve) for row, curve in found if curve is not None]


def _draw(axes: Axes, comparison: Comparison, curves: _Curves, x: _Axis, *, markers: bool) -> None:
    """The mean of each arm, and its min-max band when there are several seeds."""
    looks = looks_of([comparison.rows.index(row) for row, _ in curves])
    for (row, curve), look in zip(curves, looks, strict=True):
        axes.plot(
            x(curve),
            curve.mean,
            color=look.colour,
            linestyle=look.pattern,
            marker=look.marker if markers else None,
            label=f"{row.arm.label} (n={curve.n})",
        )
        if curve.n > 1:
            axes.fill_between(
                x(curve), curve.low, curve.high, color=look.colour, alpha=0.15, linewidth=0
            )
    axes.set_xlim(left=0)


def _caption(axes: Axes, curves: _Curves, name: str, level: Level | None) -> None:
    """Draw the level and say above the panel what the dotted line and the bands are."""
    parts = []
    if level is not None:
        axes.axhline(level.value, color="0.35", linewidth=1, linestyle=(0, (1, 2)))
        parts.append(f"dotted: {name} {significant(level.value)}")
    if any(curve.n > 1 for _, curve in curves):
        parts.append("bands: min–max over seeds")
    axes.set_title("; ".join(parts), fontsize=10, loc="right")


def _log_if_wide(axes: Axes, curves: _Curves) -> None:
    """A detection loss falls by an order of magnitude at once; a linear axis hides what follows."""
    low = min((float(curve.low.min()) for _, curve in curves), default=0.0)
    high = max((float(curve.high.max()) for _, curve in curves), default=0.0)
    if low <= 0 or high / low < _LOG_FROM:
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(LogFormatter(labelOnlyBase=False))
    minor = LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.5))
    axes.yaxis.set_minor_formatter(minor if high / low < 100 else NullFormatter())
