"""Look of the plots: colours that colour-blind readers can tell apart, lines that print in grey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe-Ito without its yellow, which is too light for a line on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
# Five patterns against seven colours: 35 arms before a pair repeats.
PATTERNS: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (7, 2, 1, 2, 1, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")

WIDTH_INCHES, DPI = 8.0, 150
SETTINGS: Any = {
    "font.size": 11,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 2.0,
    "lines.markersize": 5,
    "figure.constrained_layout.use": True,
}


@dataclass(frozen=True)
class Look:
    """Colour, line pattern and marker of one arm."""

    colour: str
    pattern: Any
    marker: str


def looks_of(numbers: Sequence[int]) -> list[Look]:
    """Looks of the arms at these places in the comparison, the same in every plot of a report.

    Only where a few arms of many would share a colour or a pattern are those few counted afresh.
    """
    looks = [_look(number) for number in numbers]
    distinct = min(len({look.colour for look in looks}), len({look.pattern for look in looks}))
    afresh = distinct < len(looks) <= len(PATTERNS)
    return [_look(number) for number in range(len(numbers))] if afresh else looks


def _look(number: int) -> Look:
    return Look(
        COLOURS[number % len(COLOURS)],
        PATTERNS[number % len(PATTERNS)],
        MARKERS[number % len(MARKERS)],
    )


def new_figure(panels: int = 1, height: float = 5.0) -> tuple[Figure, list[Axes]]:
    """A figure of 1200 px width with panels side by side; it belongs to no window."""
    figure = Figure(figsize=(WIDTH_INCHES, height), dpi=DPI)
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, panels, squeeze=False)
    return figure, list(axes[0])


def settings() -> Any:
    """Context to draw in, so that the caller's matplotlib settings stay as they are."""
    return matplotlib.rc_context(SETTINGS)


def legend_below(figure: Figure, axes: Axes) -> None:
    """One legend under the whole figure, where it can cover no curve."""
    handles, texts = axes.get_legend_handles_labels()
    # A line of the legend holds about 105 characters; a sample of a line takes some ten.
    columns = max(1, min(len(texts), 105 // (max(map(len, texts)) + 10)))
    figure.legend(
        handles,
        texts,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        handlelength=3.5,
        columnspacing=1.5,
    )


def draw_bounds(axes: Axes, points: Sequence[tuple[float, float]], size: float) -> None:
    """Mark the arithmetic bound of each bar at (x, y) with a hollow diamond."""
    axes.plot(
        *zip(*points, strict=True),
        linestyle="none",
        marker="D",
        markersize=size,
        markerfacecolor="white",
        markeredgecolor="black",
        markeredgewidth=1.5,
        label="arithmetic bound",
    )


def save(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG; nothing in it depends on the time of writing."""
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
