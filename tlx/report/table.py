"""The comparison as a table: one list of columns, shown on the console and in Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from tlx.report.comparison.compare import Comparison, Row, compare
from tlx.report.comparison.figures import (
    ABSENT,
    NOT_COMPARABLE,
    Spread,
    figure,
    significant,
    three,
    times,
)
from tlx.report.comparison.levels import Level, Levels, Reach
from tlx.report.comparison.records import Record
from tlx.report.comparison.rows import CHANGED

_ARMS_A_BLOCK = 5


@dataclass(frozen=True)
class Column:
    """A heading and the text of a row under it; a range stands on a line of its own."""

    heading: str
    cell: Callable[[Row], str]


def columns(levels: Levels) -> list[Column]:
    """The columns in reading order, with the levels in their headings."""
    quality = levels.quality
    to_main = f"s to {quality.main.name}{_at(levels.main, '≥')}"
    return [
        Column("arm", lambda row: row.arm.label),
        Column("n", lambda row: str(row.figures)),
        Column(quality.second.name, lambda row: figure(row.test_second, three)),
        Column(quality.main.name, lambda row: figure(row.test_main, three)),
        Column("s/step", lambda row: _timed(row, row.step_s, significant)),
        Column("speed-up ×", lambda row: _timed(row, row.speedup, times)),
        Column("bound ×", lambda row: figure(row.bound_speedup, times)),
        Column(f"s to loss{_at(levels.loss, '≤')}", lambda row: _reach(row, row.time_to_loss)),
        Column(to_main, lambda row: _reach(row, row.time_to_main)),
        Column("peak memory", _memory),
        Column("trainable", lambda row: _share(row.trainable_share)),
        Column("fit min", lambda row: _timed(row, row.fit_min, significant)),
        Column("energy", _energy),
        Column("frozen", lambda row: row.frozen_proof),
    ]


def comparison_table(
    records: Sequence[Record],
    *,
    main_level: float | None = None,
    loss_level: float | None = None,
) -> Table:
    """The comparison of finished runs for the console, with both levels in its caption.

    Raises:
        ConfigError: a level that cannot be a level.
        DataError: there is no finished run.
    """
    return console_table(compare(records, main_level=main_level, loss_level=loss_level))


def console_table(comparison: Comparison) -> Table:
    """A comparison for the console: arms side by side, one figure a line.

    Fourteen columns do not fit 80 characters but five arms do; more arms follow in further blocks
    of the same table, each under a line with their names.
    """
    heads, rows = columns(comparison.levels), comparison.rows
    blocks = math.ceil(len(rows) / _ARMS_A_BLOCK)
    width = math.ceil(len(rows) / blocks)
    table = Table(
        title="Freezing compared",
        caption=Text(level_notes(comparison.levels), style="table.caption"),
        padding=(0, 0),
        show_header=False,
    )
    table.add_column(justify="left", overflow="fold")
    for _ in range(width):
        table.add_column(justify="right", overflow="fold")
    for start in range(0, len(rows), width):
        for head in heads:
            cells = [head.cell(row) for row in rows[start : start + width]]
            names = head is heads[0]
            texts = [Text(cell, style=_emphasis(cell, names)) for cell in cells]
            table.add_row(Text(head.heading), *texts, end_section=names or head is heads[-1])
    return table


def level_notes(levels: Levels) -> str:
    """Both levels and where they come from, in one sentence each."""
    loss, best, quality = levels.loss, levels.main, levels.quality
    none = f"No {quality.word} level: no run that learned has a validation {quality.main.name}."
    parts = [
        f"Loss level: {loss.value:.5g} ({loss.origin})." if loss else "No loss was recorded.",
        f"{quality.title} level: {best.value:.4g} ({best.origin})." if best else none,
    ]
    return " ".join(parts)


def _at(level: Level | None, sign: str) -> str:
    return f" {sign} {significant(level.value)}" if level else " level"


def _emphasis(cell: str, name: bool) -> str:
    if cell == CHANGED:
        return "bold red"
    return "bold" if name else ""


def _share(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.1%}"


def _memory(row: Row) -> str:
    text = figure(row.peak_memory_bytes, lambda value: f"{value / 2**20:.0f}")
    if row.peak_memory_bytes is None:
        return ABSENT
    mean, *ranges = text.split("\n")
    return "\n".join([f"{mean} MiB {row.memory_kind}", *ranges])


def _energy(row: Row) -> str:
    """Kilojoules of a fit, with the word for those that were not measured."""
    if row.energy_kj is None:
        return ABSENT
    mean, *ranges = _timed(row, row.energy_kj, significant).split("\n")
    kind = "" if row.energy_measured else " est."
    return "\n".join([f"{mean} kJ{kind}", *ranges])


def _timed(row: Row, value: Spread | None, show: Callable[[float], str]) -> str:
    """A time, with the number of runs that it is of where others were not alone."""
    if not row.crowded:
        return figure(value, show)
    return NOT_COMPARABLE if value is None else f"{figure(value, show)}\nn={value.n}"


def _reach(row: Row, reach: Reach | None) -> str:
    if reach is None:
        return NOT_COMPARABLE if row.crowded else ABSENT
    if reach.seconds is None:
        return "not reached"
    if not reach.missed:
        return figure(reach.seconds, significant)
    # A mean over the runs that did reach it would favour an arm that often does not.
    middle = (
        f"median {significant(reach.median)}" if reach.median is not None else "median not seen"
    )
    reached = reach.seconds.n
    return f"{middle}\n{reached} of {reached + reach.missed} runs"
