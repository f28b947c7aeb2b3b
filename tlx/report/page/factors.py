"""The factors of a study on the page: sentences, a table a factor, learning curves."""

from __future__ import annotations

from dataclasses import dataclass

from tlx.common.pages import ABSENT, Cell, Table, plain_table
from tlx.report.comparison.difference import evidence_of_p
from tlx.report.comparison.measures import Measure
from tlx.report.factors import Analysis
from tlx.report.factors.analysis import OfFactor
from tlx.report.factors.cells import Treatment
from tlx.report.factors.curves import LearningCurve
from tlx.report.factors.words import about_curves, of_curve, over_sets

_MOST_LINES = 8  # of learning curves in words; more are read in their table


@dataclass(frozen=True)
class Group:
    """A part of the section: a heading, sentences, tables, and the charts that belong to it."""

    title: str
    lines: list[str]
    tables: list[Table]
    charts: list[str]


def factor_groups(analysis: Analysis) -> list[Group]:
    """One group a factor, then the learning curves; empty where nothing varies."""
    measure = analysis.measure
    found = [
        Group(
            _capital(of.factor.title),
            over_sets(of, measure),
            [table for table in (levels_table(of, measure), changes_table(of, measure)) if table],
            [f"factor_{of.factor.key.replace('.', '_')}"],
        )
        for of in analysis.factors
    ]
    if analysis.curves:
        sets = list(dict.fromkeys(curve.data for curve in analysis.curves))
        several = len(sets) > 1
        lines = [of_curve(curve, measure, several_sets=several) for curve in analysis.curves]
        if len(lines) > _MOST_LINES:
            lines = ["What more labelled pictures would bring each arm stands in the table."]
        table = curves_table(analysis.curves, measure)
        charts = [f"learning_{number}" for number in range(1, len(sets) + 1)]
        found.append(
            Group(
                "Learning curves", [*lines, *about_curves(analysis.curves)],
                [table] if table else [], charts,
            )
        )  # fmt: skip
    return found


def levels_table(found: OfFactor, measure: Measure) -> Table | None:
    """Each treatment at each level, and over all data sets."""
    rows: list[list[object]] = []
    names = _names(found)
    for treatment in found.treatments:
        for row in found.rows:
            if row.treatment == treatment:
                seeds = row.sum.seeds if row.sum else 1
                ends = row.sum.interval if row.sum else None
                cell = _difference(row.mean, ends, measure)
                count = ", ".join(map(str, row.train)) or ABSENT
                rows.append([_head(row.level, treatment, names), cell, seeds, row.settings, count])
        if (over := found.pooled.get(treatment)) is not None:
            mean = _difference(over.mean, (over.low, over.high), measure)
            rows.append([_head("all sets: mean", treatment, names), mean, "", "", ""])
            low, high = max(over.new_low, -1.0), min(over.new_high, 1.0)
            new = Cell(f"{_signed(low, measure)} to {_signed(high, measure)}")
            rows.append([_head("a new set", treatment, names), new, "", "", ""])
    heads = [found.factor.title, "difference, 95 % interval", "seeds", "settings averaged",
             "training pictures"]  # fmt: skip
    caption = (
        f"Difference{_compared_with(found)} in {measure.title} by {found.factor.title}: means over "
        "the settings of all other factors that every level has. Intervals are of seeds and test "
        "pictures, each for itself alone."
    )
    if any(row.sum is not None and not row.sum.tested for row in found.rows):
        caption += " With one seed they are of the test pictures alone."
    return plain_table(f"levels-{_id(found)}", caption, heads, rows)


def changes_table(found: OfFactor, measure: Measure) -> Table | None:
    """The tests behind the answer."""
    rows = []
    names = _names(found)
    for change in found.changes:
        level = "a doubling" if change.what is None else f"{change.what} less {change.others}"
        low, high = change.sum.interval
        rows.append(
            [
                _head(level, change.treatment, names),
                _difference(change.sum.mean, (low, high), measure),
                evidence_of_p(change.p_holm).lstrip("p="),
                "changes" if change.shown else "= not shown",
            ]
        )
    heads = ["what", "change, 95 % interval", "p (Holm)", "verdict"]
    caption = (
        f"By how much the difference{_compared_with(found)} changes with the {found.factor.title}. "
        "p is corrected for all such tests of this report, intervals are not."
    )
    return plain_table(f"changes-{_id(found)}", caption, heads, rows)


def curves_table(curves: list[LearningCurve], measure: Measure) -> Table | None:
    """What each arm reached at each size, and what more pictures would bring."""
    rows = []
    for curve in curves:
        reached = ", ".join(f"{size.pictures}: {measure.show(size.mean)}" for size in curve.sizes)
        cells: list[object] = [Cell(curve.arm), Cell(curve.data), Cell(reached, mark="words")]
        if curve.fitted is None:
            rows.append([*cells, ABSENT, ABSENT, Cell(curve.reason or "", mark="words")])
            continue
        gains = [
            _difference(gain.mean, (gain.low, gain.high), measure, f"+{gain.pictures}: ")
            for gain in curve.fitted.gains
        ]
        law = f"{curve.fitted.a:.3f} − {curve.fitted.b:.3g} n^−{curve.fitted.c:.2f}"
        rows.append([*cells, *gains, Cell(law)])
    heads = ["arm", "data", f"pictures: {measure.title}", "half as many more", "as many more",
             "power law"]  # fmt: skip
    caption = (
        "Means over seeds by number of training pictures, and what more would bring (95 % "
        "interval), if the power law goes on beyond what was measured."
    )
    return plain_table("learning-curves-table", caption, heads, rows)


def _names(found: OfFactor) -> dict[Treatment, str]:
    """What each treatment is called in the tables, which say once what all are compared with."""
    single = len({treatment.against for treatment in found.treatments}) == 1
    return {each: each.label if single else str(each) for each in found.treatments}


def _compared_with(found: OfFactor) -> str:
    against = {treatment.against for treatment in found.treatments}
    return f" from {against.pop()}" if len(against) == 1 else ""


def _head(level: str, treatment: Treatment, names: dict[Treatment, str]) -> Cell:
    """A level with the arm below it: both stay in sight where the screen is narrow."""
    return Cell(level, names[treatment], "words")


def _difference(
    mean: float, ends: tuple[float, float] | None, measure: Measure, before: str = ""
) -> Cell:
    note = "" if ends is None else (
        f"{_signed(max(ends[0], -1.0), measure)} to {_signed(min(ends[1], 1.0), measure)}"
    )  # fmt: skip
    return Cell(f"{before}{_signed(mean, measure)}", note)


def _signed(value: float, measure: Measure) -> str:
    return f"{'−' if value < 0 else '+'}{measure.show(abs(value))}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _id(found: OfFactor) -> str:
    return found.factor.key.replace(".", "-")
