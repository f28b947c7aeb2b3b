"""The chart of AP@.5 on test by class and arm."""

from __future__ import annotations

from tlx.report.charts.dots import DotChart, Dots
from tlx.report.comparison.compare import Comparison, Row
from tlx.report.comparison.records import Record
from tlx.report.comparison.spread import Spread, spread

MOST_CLASSES = 20  # rows that stay readable; the table has all classes


def class_ap(comparison: Comparison) -> DotChart | None:
    """AP@.5 of the classes with the most objects in test, mean and range over seeds."""
    records = [record for row in comparison.rows for record in row.arm.records]
    names = dict.fromkeys(name for record in records for name in classes_of(record))
    measured = [name for name in names if any(_ap(record, name) is not None for record in records)]
    if not measured:
        return None
    boxes = {name: max(_boxes(record, name) for record in records) for name in measured}
    most = set(sorted(measured, key=lambda name: -boxes[name])[:MOST_CLASSES])
    shown = [name for name in measured if name in most]
    title = "AP@.5 on test by class and arm"
    if len(shown) < len(measured):
        title += f" ({len(shown)} of {len(measured)} classes, those with the most objects)"
    dots = [_dots(row, place, shown) for place, row in enumerate(comparison.rows)]
    dots = [found for found in dots if any(value is not None for value in found.mean)]
    label = "AP@.5 (mean; lines: min–max over seeds)"
    return DotChart("class_ap", title, label, shown, dots)


def classes_of(record: Record) -> list[str]:
    """The class names that a run's test figures have."""
    found = record.get("test", "per_class")
    return [str(name) for name in found] if isinstance(found, dict) else []


def _dots(row: Row, place: int, names: list[str]) -> Dots:
    figures: list[Spread | None] = [
        spread(_ap(record, name) for record in row.arm.records) for name in names
    ]
    return Dots(
        row.arm.label,
        place,
        [f.mean if f else None for f in figures],
        [f.low if f else None for f in figures],
        [f.high if f else None for f in figures],
    )


def _ap(record: Record, name: str) -> float | None:
    return record.number("test", "per_class", name, "ap_50")


def _boxes(record: Record, name: str) -> float:
    return record.number("test", "per_class", name, "boxes") or 0.0
