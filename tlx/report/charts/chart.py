"""A chart: the numbers that are drawn, how they are drawn, and words for who cannot see it.

A chart is built from a comparison once. It draws from its own fields and nothing else, and
`report.json` holds the same fields: what is drawn can be checked against the records. Colours are
such as colour-blind readers can tell apart, lines such as print in grey.
"""

from __future__ import annotations

import io
import math
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tlx.common.files import write_bytes

# Okabe-Ito without its yellow, which is too light for a line on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
# Five patterns against seven colours: 35 arms before a pair repeats.
PATTERNS: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (7, 2, 1, 2, 1, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
# Parts of a bar; hatches keep them apart in a grey print.
PART_LOOKS = {
    "data": ("#E69F00", "//"),
    "forward": ("#56B4E9", ""),
    "backward": ("#0072B2", ".."),
    "optimizer": ("#CC79A7", "xx"),
}

# A phone shows the narrow layout at nearly its own size, so that type stays legible there.
WIDTH_INCHES, NARROW_INCHES, DPI = 8.0, 4.2, 150
_LEGEND_LINES, _LINE_INCHES = 6, 0.24  # lines that a figure has room for; the height of one
SETTINGS: Any = {
    "font.size": 11,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 2.0,
    "lines.markersize": 5,
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "tlx",  # else ids in an SVG are random and no two reports are equal
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


def looks_by_place(numbers: Iterable[int]) -> dict[int, Look]:
    """The look of each place, where several panels show the same arms or some of them."""
    places = sorted(set(numbers))
    return dict(zip(places, looks_of(places), strict=True))


def _look(number: int) -> Look:
    return Look(
        COLOURS[number % len(COLOURS)],
        PATTERNS[number % len(PATTERNS)],
        MARKERS[number % len(MARKERS)],
    )


def new_figure(
    panels: int = 1, height: float = 5.0, *, narrow: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure of 1200 px width with panels side by side; it belongs to no window.

    Narrow, it is 630 px wide with the panels below one another, each a little lower.
    """
    size = (NARROW_INCHES, 0.9 * height * panels) if narrow else (WIDTH_INCHES, height)
    figure = Figure(figsize=size, dpi=DPI)
    FigureCanvasAgg(figure)
    shape = (panels, 1) if narrow else (1, panels)
    axes = figure.subplots(*shape, squeeze=False)
    return figure, list(axes.flat)


def settings() -> Any:
    """Context to draw in, so that the caller's matplotlib settings stay as they are."""
    return matplotlib.rc_context(SETTINGS)


def legend_below(figure: Figure, panels: Iterable[Axes]) -> None:
    """One legend of all panels under the whole figure, where it can cover no curve."""
    entries: dict[str, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        for label, handle in zip(labels, handles, strict=True):
            entries.setdefault(label, handle)
    columns = legend_columns(list(entries), narrow=figure.get_figwidth() < WIDTH_INCHES)
    beyond = math.ceil(len(entries) / columns) - _LEGEND_LINES
    if beyond > 0:  # dozens of arms must not take the room of what is drawn
        figure.set_figheight(figure.get_figheight() + _LINE_INCHES * beyond)
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        handlelength=3.5,
        columnspacing=1.5,
    )


def legend_columns(texts: Sequence[str], *, narrow: bool, sample: int = 10) -> int:
    """How many entries of a legend fit beside one another; a sample takes so many characters."""
    characters = 48 if narrow else 92
    return max(1, min(len(texts), characters // (max(map(len, texts), default=0) + sample)))


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
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=DPI, format="png", metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def svg_text(figure: Figure) -> str:
    """The figure as SVG, with type as outlines: it looks the same whatever fonts there are."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


_LABEL, _NARROW_LABEL = 30, 15  # characters of an arm's name on one line beside its bar


@dataclass(frozen=True)
class Chart(ABC):
    """Attributes: `name` is that of its files and its key in `report.json`; `title` is a line."""

    name: str
    title: str

    @abstractmethod
    def draw(self, *, narrow: bool = False) -> Figure:
        """The figure; `narrow` is the layout for a phone, at the same size of type."""

    @property
    @abstractmethod
    def alt(self) -> str:
        """What the figure shows, in words and numbers."""

    def as_dict(self) -> dict[str, Any]:
        """The numbers that are drawn, unrounded, for `report.json`."""
        return {key: value for key, value in asdict(self).items() if key != "name"}


def wrapped(label: str, *, narrow: bool) -> str:
    """An arm's name on as many lines as it needs beside a bar."""
    width = _NARROW_LABEL if narrow else _LABEL
    return "\n".join(textwrap.wrap(label, width, break_on_hyphens=False)) or label
