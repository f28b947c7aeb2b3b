"""The first screen: which arm to take and how sure that is; the table that answers at a glance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tlx.report.charts.chart import looks_of
from tlx.report.comparison.candidates import NEXT
from tlx.report.comparison.compare import Comparison, Row
from tlx.report.comparison.difference import change
from tlx.report.comparison.figures import ABSENT, NOT_COMPARABLE, significant, three
from tlx.report.comparison.measures import test_key
from tlx.report.comparison.overlap import not_alone
from tlx.report.comparison.recommend import TODAY
from tlx.report.comparison.recommendation import Recommendation
from tlx.report.comparison.rows import CHANGED
from tlx.report.comparison.verdict import verdict
from tlx.report.page.tables import Cell, Interval, Table, interval, plain_table

_DOUBT = "Doubt: "


@dataclass(frozen=True)
class Answer:
    """A sentence that answers, what speaks for it, what it leaves open, and what to run next."""

    headline: str
    reasons: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    command: str | None = None

    def __contains__(self, line: object) -> bool:
        return line == self.headline or line in (*self.reasons, *self.doubts)


def answer_of(comparison: Comparison, recommendation: Recommendation) -> Answer:
    """The recommendation; where there is none, what the test figures say and what to do next."""
    headline, *others = recommendation.words
    if recommendation.arm is None:
        lean, settle = ([line for line in others if line.startswith(w)] for w in (TODAY, NEXT))
        told = [line for line in verdict(comparison)[:2] if line != headline]
        return Answer(headline, [*lean, *told, *settle], command=recommendation.command)
    doubts = [line.removeprefix(_DOUBT) for line in others if line.startswith(_DOUBT)]
    doubts = [line[:1].upper() + line[1:] for line in doubts]
    return Answer(headline, [line for line in others if not line.startswith(_DOUBT)], doubts)


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


_WORDS = {"better": "▲ better", "worse": "▼ worse", "no difference shown": "= not shown"}


def arms_table(comparison: Comparison) -> Table:
    """One row an arm; an energy column only where a run has the figure."""
    looks = looks_of(range(len(comparison.rows)))
    energy = any(_figure(comparison, row, "energy_kj") for row in comparison.rows)
    rows = []
    for row, look in zip(comparison.rows, looks, strict=True):
        cells = [Cell(row.arm.label, colour=look.colour), *_cells(comparison, row)]
        if energy:
            cells.append(_energy(comparison, row))
        alarm = "alarm" if row.frozen_proof == CHANGED else ""
        rows.append([*cells, Cell(row.frozen_proof, mark=alarm)])
    heads = [*_heads(comparison), *(["energy"] if energy else []), "frozen"]
    return Table("arms", _caption(comparison), [Cell(head) for head in heads], rows)


def _heads(comparison: Comparison) -> list[str]:
    quality = comparison.quality
    return [
        "arm", "n", f"test {quality.main.name}", f"against {_reference(comparison)}",
        f"test {quality.second.name}", "step", "speed-up, bound", "fit",
        f"to {quality.word} level", "peak memory",
    ]  # fmt: skip


def _reference(comparison: Comparison) -> str:
    """The name of the arm that all are compared with, or words where there are several."""
    found = {row.arm.label for row in map(comparison.reference, comparison.rows) if row}
    return found.pop() if len(found) == 1 else "its reference" if found else "freeze=none"


def _cells(comparison: Comparison, row: Row) -> list[Cell]:
    def over(key: str, show: Callable[[float], str], unit: str = "") -> Cell:
        found = _figure(comparison, row, key)
        if found is None and row.crowded and comparison.measures[key].timed:
            return Cell(NOT_COMPARABLE, not_alone(row.arm.records) or "")
        return interval(found, show, unit)

    memory = over("peak_memory_bytes", lambda value: f"{value / 2**20:.0f}", "MiB")
    kind = row.memory_kind if row.peak_memory_bytes else ""
    memory = Cell(f"{memory.text} {kind}".strip(), memory.note)
    return [
        Cell(str(row.figures)),
        over(comparison.main.key, three),
        _against(comparison, row),
        over(test_key(comparison.quality.second), three),
        over("step_s", lambda value: significant(1000 * value), "ms"),
        _speedup(row),
        over("fit_min", significant, "min"),
        _time_to_main(row),
        memory,
    ]


def _figure(comparison: Comparison, row: Row, key: str) -> Interval | None:
    """The estimate of a figure."""
    return comparison.estimates.get(row.arm.label, {}).get(key)


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
    cell = interval(_figure(comparison, row, "energy_kj"), significant, "kJ")
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
        f"Arms compared: {what}. Speed-up is the step rate relative to freeze=none; the bound is "
        f"what the saved arithmetic alone would give.{reached}"
    )
