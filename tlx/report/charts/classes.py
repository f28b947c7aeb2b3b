"""By class on test: AP or F1 of every arm as dots, and what an arm's classifiers confuse."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tlx.records.quality import CLASSIFICATION, DETECTION, Quality, finite
from tlx.report.charts.chart import Chart, legend_below, looks_by_place, new_figure, wrapped
from tlx.report.comparison.compare import Comparison, Row
from tlx.report.comparison.figures import Spread, counted, significant, spread
from tlx.report.comparison.records import Record

_MOST_TOLD = 12  # classes that the alternative text lists
_DOT, _GAP = 0.17, 0.16  # inches


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
        height = max(4.0, 2.2 + len(self.rows) * (_GAP + _DOT * arms))
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
        for place, row in enumerate(self.rows[:_MOST_TOLD]):
            values = [(dots.arm, dots.mean[place]) for dots in self.dots]
            known = [f"{arm} {significant(v)}" for arm, v in values if v is not None]
            parts.append(f"{row}: {', '.join(known) or 'no figure'}")
        more = len(self.rows) - len(parts)
        return f"{self.title}. {'; '.join(parts)}{f'; and {more} more classes' * bool(more)}."


_MIXED = 8  # confusions that the alternative text lists
_CELL, _MARGIN = 0.42, 2.2  # inches
_LONGEST = 24  # characters of a name below a column
_DARK = 0.55  # of a row's share, from which on type is white
_SHARES = 12  # classes up to which a cell has room for its share too


@dataclass(frozen=True)
class MatrixChart(Chart):
    """`counts` [C, C] are means over `seeds` runs, `shares` the same by the whole true class."""

    arm: str
    seeds: int
    classes: list[str]
    counts: list[list[float]]
    shares: list[list[float]]

    def draw(self, *, narrow: bool = False) -> Figure:
        count = len(self.classes)
        height = max(4.0, _MARGIN + _CELL * count)
        figure, (axes,) = new_figure(height=height, narrow=narrow)
        axes.imshow(np.array(self.shares), cmap=matplotlib.colormaps["Blues"], vmin=0, vmax=1,
                    aspect="auto")  # fmt: skip
        room, tight = count <= (_SHARES // 2 if narrow else _SHARES), narrow and count > _SHARES
        for row, column in np.argwhere(np.array(self.counts) > 0).tolist():
            share = self.shares[row][column]
            text = counted(self.counts[row][column])
            if tight:  # no room for the decimal
                text = text.partition(".")[0] if self.counts[row][column] >= 1 else "<1"
            axes.text(
                column, row, f"{text}\n{share:.0%}" if room else text, ha="center", va="center",
                fontsize=10 if room else 7 if tight else 8, linespacing=1.1,
                color="white" if share > _DARK else "black",
            )  # fmt: skip
        level = max(map(len, self.classes)) * count < (30 if narrow else 70)
        short = [textwrap.shorten(name, _LONGEST, placeholder="…") for name in self.classes]
        axes.set_xticks(
            range(count), short, rotation=0 if level else 90, fontsize=8 if tight else None
        )
        axes.set_yticks(range(count), [wrapped(name, narrow=narrow) for name in self.classes])
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        for edge in np.arange(0.5, count - 1):
            axes.axhline(edge, color="0.85", linewidth=0.8)
            axes.axvline(edge, color="0.85", linewidth=0.8)
        axes.tick_params(length=0)
        axes.set_ylabel("true class")
        axes.set_xlabel("taken for")
        mean = f"mean of {self.seeds} seeds" if self.seeds > 1 else "one seed"
        axes.set_title(textwrap.fill(f"{self.arm}, {mean}: pictures, share of the true class",
                                     40 if narrow else 80), fontsize=10, loc="right")  # fmt: skip
        return figure

    @property
    def alt(self) -> str:
        counts = np.array(self.counts)
        right = [
            f"{name} {self.shares[k][k]:.0%} right" for k, name in enumerate(self.classes[:_MIXED])
        ]
        wrong = counts - np.diag(np.diag(counts))
        order = [divmod(int(k), len(self.classes)) for k in np.argsort(-wrong, axis=None)]
        names = self.classes
        most = [
            f"{names[row]} taken for {names[column]} {counted(counts[row, column])} times"
            for row, column in order[:_MIXED]
            if wrong[row, column] > 0
        ]
        told = f" Most often: {'; '.join(most)}." if most else " Nothing was confused."
        return f"{self.title}: {', '.join(right)}.{told}"


MOST_CLASSES = 20  # rows that stay readable; the table has all classes
CONFUSION = "confusion_"


def class_chart(quality: Quality) -> str:
    """The name of the chart by class and arm."""
    return f"class_{quality.class_main.key.partition('_')[0]}"


def by_class(comparison: Comparison) -> DotChart | None:
    """The main figure of the classes with the most in test, mean and range over seeds."""
    quality = comparison.quality
    records = [record for row in comparison.rows for record in row.arm.tested]
    names = dict.fromkeys(name for record in records for name in classes_of(record))
    measured = [name for name in names if any(_figure(r, name) is not None for r in records)]
    if not measured:
        return None
    counts = {name: max(_count(record, name) for record in records) for name in measured}
    most = set(sorted(measured, key=lambda name: -counts[name])[:MOST_CLASSES])
    shown = [name for name in measured if name in most]
    figure = quality.class_main.name
    title = f"{figure} on test by class and arm"
    if len(shown) < len(measured):
        counted = "objects" if quality is DETECTION else quality.count
        title += f" ({len(shown)} of {len(measured)} classes, those with the most {counted})"
    dots = [_dots(row, place, shown) for place, row in enumerate(comparison.rows)]
    dots = [found for found in dots if any(value is not None for value in found.mean)]
    label = f"{figure} (mean; lines: min–max over seeds)"
    return DotChart(class_chart(quality), title, label, shown, dots)


def confusions(comparison: Comparison) -> list[MatrixChart]:
    """One confusion matrix an arm of classifiers, numbers of pictures as means over seeds."""
    if comparison.quality is not CLASSIFICATION:
        return []
    charts = []
    for place, row in enumerate(comparison.rows, start=1):
        if (found := mean_confusion(row.arm.records)) is None:
            continue
        names, counts = found
        wrong = counts.sum(0) + counts.sum(1) - 2 * np.diag(counts)
        # With too many to read, those that are confused most.
        kept = sorted(np.argsort(-wrong, kind="stable")[:MOST_CLASSES].tolist())
        held = np.maximum(counts.sum(1, keepdims=True), 1e-12)
        title = f"Confusion of {row.arm.label}"
        if len(kept) < len(names):
            title += f" ({len(kept)} of {len(names)} classes, those confused most)"
        part = np.ix_(kept, kept)
        charts.append(
            MatrixChart(
                f"{CONFUSION}{place}",
                title,
                row.arm.label,
                len(row.arm.records),
                [names[k] for k in kept],
                counts[part].tolist(),
                (counts / held)[part].tolist(),
            )
        )
    return charts


def mean_confusion(records: Sequence[Record]) -> tuple[list[str], NDArray[np.float64]] | None:
    """Classes, and pictures by true class and class found [C, C] as means over runs that have it.

    None where no run has it, or runs are of other classes than the first.
    """
    found = [(record.items("test", "confusion", "classes"), _matrix(record)) for record in records]
    known = [(list(map(str, names)), m) for names, m in found if m is not None]
    if not known or any(names != known[0][0] or len(names) != len(m) for names, m in known):
        return None
    return known[0][0], np.mean([matrix for _, matrix in known], axis=0)


def _matrix(record: Record) -> NDArray[np.float64] | None:
    rows = record.items("test", "confusion", "pictures")
    cells = [[finite(cell) for cell in row] if isinstance(row, list) else [] for row in rows]
    if not cells or any(len(row) != len(cells) or None in row for row in cells):
        return None
    return np.array(cells, dtype=np.float64)


def classes_of(record: Record) -> list[str]:
    """The class names that a run's test figures have."""
    found = record.get("test", "per_class")
    return [str(name) for name in found] if isinstance(found, dict) else []


def _dots(row: Row, place: int, names: list[str]) -> Dots:
    figures: list[Spread | None] = [
        spread(_figure(record, name) for record in row.arm.tested) for name in names
    ]
    return Dots(
        row.arm.label,
        place,
        [f.mean if f else None for f in figures],
        [f.low if f else None for f in figures],
        [f.high if f else None for f in figures],
    )


def _figure(record: Record, name: str) -> float | None:
    return record.number("test", "per_class", name, record.quality.class_main.key)


def _count(record: Record, name: str) -> float:
    return record.number("test", "per_class", name, record.quality.count) or 0.0
