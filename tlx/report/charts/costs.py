"""Charts of what an arm costs: the parts of a step beside the bound, peak memory."""

from __future__ import annotations

from tlx.report.charts.bars import Bar, BarChart
from tlx.report.charts.style import PART_LOOKS
from tlx.report.comparison.compare import Comparison, Row
from tlx.report.comparison.spread import spread

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
