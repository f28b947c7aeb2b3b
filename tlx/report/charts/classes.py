"""Charts by class on test: AP or F1 by class and arm; what an arm's classifiers confuse."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tlx.records.quality import CLASSIFICATION, DETECTION, Quality
from tlx.report.charts.dots import DotChart, Dots
from tlx.report.charts.matrices import MatrixChart
from tlx.report.comparison.compare import Comparison, Row
from tlx.report.comparison.records import Record, finite
from tlx.report.comparison.spread import Spread, spread

MOST_CLASSES = 20  # rows that stay readable; the table has all classes
CONFUSION = "confusion_"


def class_chart(quality: Quality) -> str:
    """The name of the chart by class and arm."""
    return f"class_{quality.class_main.key.partition('_')[0]}"


def by_class(comparison: Comparison) -> DotChart | None:
    """The main figure of the classes with the most in test, mean and range over seeds."""
    quality = comparison.quality
    records = [record for row in comparison.rows for record in row.arm.records]
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
        spread(_figure(record, name) for record in row.arm.records) for name in names
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
