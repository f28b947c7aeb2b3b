"""The tables of arms: what answers at a glance, every figure, and why arms were not taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from tlx.report.charts.chart import looks_of
from tlx.report.comparison.compare import Comparison, Row
from tlx.report.comparison.difference import change
from tlx.report.comparison.figures import ABSENT, NOT_COMPARABLE, significant, three
from tlx.report.comparison.measures import test_key
from tlx.report.comparison.overlap import not_alone
from tlx.report.comparison.recommendation import Recommendation
from tlx.report.comparison.rows import CHANGED
from tlx.report.page.tables import Cell, Interval, Table, interval, plain_table

_WORDS = {"better": "▲ better", "worse": "▼ worse", "no difference shown": "= not shown"}
_RECOMMENDED, _LEAN = "✓\u00a0recommended", "to choose today (not shown)"
Badges = Mapping[str, str]
"""What marks the row of an arm, by its label."""


def badges_of(recommendation: Recommendation) -> Badges:
    """The marks of the arms that the answer names."""
    found = {}
    for name, advice in (recommendation.sets or {"": recommendation}).items():
        where = f" on {name}" if name else ""
        if advice.arm is not None:
            found[advice.arm] = f"{_RECOMMENDED}{where}"
        elif advice.lean is not None:
            found[advice.lean] = f"{_LEAN}{where}"
    return found


def summary_table(comparison: Comparison, badges: Badges) -> Table:
    """One row an arm with what a choice turns on; cost stands first, where a phone shows it."""
    looks = looks_of(range(len(comparison.rows)))
    heads = [
        "arm", "train time", f"test {comparison.quality.main.name}",
        f"against {_reference(comparison)}", "peak memory", "seeds",
    ]  # fmt: skip
    rows = []
    for row, look in zip(comparison.rows, looks, strict=True):
        first = Cell(row.arm.label, colour=look.colour, badge=badges.get(row.arm.label, ""))
        time = _figure(comparison, row, "fit_min", significant, "min")
        rows.append(
            [
                first,
                replace(time, note="") if time.text == NOT_COMPARABLE else time,
                _figure(comparison, row, comparison.main.key, three),
                _against(comparison, row),
                _memory(comparison, row),
                Cell(str(row.figures)),
            ]
        )
    return Table("summary", _summary_caption(comparison), [Cell(head) for head in heads], rows)


def _summary_caption(comparison: Comparison) -> str:
    several = any(len(row.arm.records) > 1 for row in comparison.rows)
    folded = any(row.arm.folds for row in comparison.rows)
    if any(row.figures > 1 for row in comparison.rows) or (several and not folded):
        small = "Figures are means over seeds, small ones their 95 % intervals."
    else:
        one = "One seed each, over its folds" if folded else "One training each"
        small = f"{one}, so that there are no intervals."
    text = (
        "Each row is an arm: one way to train, with all runs that differ in nothing but their "
        f"seed. {small}"
    )
    reference = _reference(comparison)
    if any(_against(comparison, row).text in _WORDS.values() for row in comparison.rows):
        text += (
            f" ▲ ▼: shown to be better or worse than {reference}, corrected for the number of arms "
            "compared; “not shown”: it may be either."
        )
    return text


def arms_table(comparison: Comparison, badges: Badges | None = None) -> Table:
    """Every figure, one row an arm; an energy column only where a run has the figure."""
    looks = looks_of(range(len(comparison.rows)))
    energy = any(_estimate(comparison, row, "energy_kj") for row in comparison.rows)
    rows = []
    for row, look in zip(comparison.rows, looks, strict=True):
        badge = (badges or {}).get(row.arm.label, "")
        cells = [
            Cell(row.arm.label, colour=look.colour, badge=badge), *_cells(comparison, row)
        ]  # fmt: skip
        if energy:
            cells.append(_energy(comparison, row))
        alarm = "alarm" if row.frozen_proof == CHANGED else ""
        rows.append([*cells, Cell(row.frozen_proof, mark=alarm)])
    heads = [*_heads(comparison), *(["energy"] if energy else []), "frozen"]
    return Table("arms", _caption(comparison), [Cell(head) for head in heads], rows)


def refused_table(recommendation: Recommendation) -> Table | None:
    """Why the other arms were not taken."""
    limits, quality = recommendation.limits, recommendation.quality
    chosen = " ".join(limits.as_arguments(quality))
    rows = [[arm, Cell(why, mark="words")] for arm, why in recommendation.refused.items()]
    caption = (
        f"Why other arms are not recommended; accepted loss of test {quality.main.name}: "
        f"{limits.accepted_loss:g}."
    )
    if chosen:
        caption += f" Limits: {chosen}."
    return plain_table("refused", caption, ["arm", "why"], rows)


def _heads(comparison: Comparison) -> list[str]:
    quality = comparison.quality
    return [
        "arm", "n", f"test {quality.main.name}", f"against {_reference(comparison)}",
        f"test {quality.second.name}", "step", "speed-up, bound", "train time",
        f"to {quality.word} level", "peak memory",
    ]  # fmt: skip


def _reference(comparison: Comparison) -> str:
    """The name of the arm that all are compared with, or words where there are several."""
    found = {row.arm.label for row in map(comparison.reference, comparison.rows) if row}
    return found.pop() if len(found) == 1 else "its reference" if found else "freeze=none"


def _cells(comparison: Comparison, row: Row) -> list[Cell]:
    def milliseconds(value: float) -> str:
        return significant(1000 * value)

    return [
        Cell(str(row.figures)),
        _figure(comparison, row, comparison.main.key, three),
        _against(comparison, row),
        _figure(comparison, row, test_key(comparison.quality.second), three),
        _figure(comparison, row, "step_s", milliseconds, "ms"),
        _speedup(row),
        _figure(comparison, row, "fit_min", significant, "min"),
        _time_to_main(row),
        _memory(comparison, row),
    ]


def _figure(
    comparison: Comparison, row: Row, key: str, show: Callable[[float], str], unit: str = ""
) -> Cell:
    """A figure with its interval, or that times of runs that were not alone say nothing."""
    found = _estimate(comparison, row, key)
    if found is None and row.crowded and comparison.measures[key].timed:
        return Cell(NOT_COMPARABLE, not_alone(row.arm.records) or "", "long")
    return interval(found, show, unit)


def _estimate(comparison: Comparison, row: Row, key: str) -> Interval | None:
    return comparison.estimates.get(row.arm.label, {}).get(key)


def _memory(comparison: Comparison, row: Row) -> Cell:
    cell = _figure(
        comparison, row, "peak_memory_bytes", lambda value: f"{value / 2**20:.0f}", "MiB"
    )
    kind = row.memory_kind if row.peak_memory_bytes else ""
    return Cell(f"{cell.text} {kind}".strip(), cell.note)


def _against(comparison: Comparison, row: Row) -> Cell:
    """The verdict on the main test figure against the reference, with the mean difference."""
    if comparison.reference(row) is row:
        return Cell("reference")
    found = comparison.difference(row.arm.label, comparison.main.key)
    if found is None:
        return Cell(ABSENT)
    note = "" if found.mean is None else change(found, comparison.measures[found.figure])
    return Cell(_WORDS.get(found.verdict, found.verdict), note)


def _speedup(row: Row) -> Cell:
    bound = f"bound {row.bound_speedup.mean:.2f}×" if row.bound_speedup else ""
    return Cell(f"{row.speedup.mean:.2f}×" if row.speedup else ABSENT, bound)


def _time_to_main(row: Row) -> Cell:
    """The mean; where runs do not reach the level the median, as a mean of the others flatters."""
    reach = row.time_to_main
    if reach is None:
        return Cell(NOT_COMPARABLE if row.crowded else ABSENT)
    if not reach.missed:
        return interval(reach.seconds, significant, "s")
    reached = reach.seconds.n if reach.seconds else 0
    note = f"{reached} of {reached + reach.missed} runs"
    if reach.median is None:
        return Cell("not reached", note)
    return Cell(f"median {significant(reach.median)} s", note)


def _energy(comparison: Comparison, row: Row) -> Cell:
    cell = _figure(comparison, row, "energy_kj", significant, "kJ")
    estimated = row.energy_kj is not None and not row.energy_measured
    return replace(cell, text=f"{cell.text} est.") if estimated else cell


def _caption(comparison: Comparison) -> str:
    several = any(len(row.arm.records) > 1 for row in comparison.rows)
    what = "means over seeds with 95 % bootstrap intervals" if several else "one run an arm"
    level, quality = comparison.levels.main, comparison.quality
    reached = (
        f" {quality.title} level: validation {quality.main.name} of {level.value:.3f}."
        if level
        else ""
    )
    return (
        f"Arms compared: {what}; n is the number of runs. Speed-up is the step rate relative to "
        f"freeze=none; the bound is what the saved arithmetic alone would give.{reached}"
    )
