"""The differences of arms, tested, as a table."""

from __future__ import annotations

from tlx.report.comparison.compare import Comparison
from tlx.report.comparison.difference import Difference
from tlx.report.comparison.formats import ABSENT
from tlx.report.comparison.measures import Measure
from tlx.report.comparison.words import change, evidence_of_p, spelled
from tlx.report.page.tables import Cell, Table, plain_table

_HEADS = ["arm", "against", "figure", "mean difference, 95 % interval", "pairs", "p (Holm)",
          "verdict", "seeds that would settle it"]  # fmt: skip
_CAPTION = (
    "Every arm against its reference, over the seeds that both have. Intervals are uncorrected; p "
    "is corrected for the arms that are compared in one figure. Fewer seconds, bytes and joules "
    "are better, more {} is."
)


def differences_table(comparison: Comparison) -> Table | None:
    """One row a difference, figure by figure."""
    known = comparison.measures
    found = [*comparison.differences, *comparison.against_scratch]
    rows = [_row(each, known[each.figure]) for each in found]
    return plain_table("differences", _CAPTION.format(comparison.quality.word), _HEADS, rows)


def _row(found: Difference, measure: Measure) -> list[object]:
    return [
        found.arm,
        Cell(found.reference, mark="words"),
        Cell(measure.title, mark="words"),
        _mean(found, measure),
        found.pairs,
        ABSENT if found.p_holm is None else evidence_of_p(found.p_holm).lstrip("p="),
        Cell(found.verdict, found.reason or "", "words"),
        ABSENT if found.shown or found.seeds_needed is None else str(found.seeds_needed),
    ]


def _mean(found: Difference, measure: Measure) -> Cell:
    text = spelled(found, measure)
    if text is None:
        return Cell(ABSENT)
    mean = change(found, measure)
    return Cell(mean, text.removeprefix(mean).strip(" ()").removeprefix("95 % interval "))
