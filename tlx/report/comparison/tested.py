"""Means with intervals and tested differences as the rows of tables."""

from __future__ import annotations

from collections.abc import Callable

from tlx.report.comparison.compare import Comparison
from tlx.report.comparison.formats import ABSENT
from tlx.report.comparison.statistics import Estimate
from tlx.report.comparison.words import evidence_of_p, spelled

Lines = list[list[str]]


def estimate_lines(comparison: Comparison) -> Lines:
    """Headings, then one line an arm: every figure that some arm has, with its 95 % interval."""
    measures = comparison.measures
    known = {key for figures in comparison.estimates.values() for key in figures}
    shown = [measure for key, measure in measures.items() if key in known]
    lines = [["arm", *(measure.title for measure in shown)]]
    for arm, figures in comparison.estimates.items():
        cells = [_estimate(figures.get(measure.key), measure.show) for measure in shown]
        lines.append([arm, *cells])
    return lines


def difference_lines(comparison: Comparison) -> Lines:
    """Headings, then one line a difference: against the reference, then against scratch."""
    lines = [["arm", "against", "figure", "difference (95 % interval)", "pairs", "p", "g",
              "verdict", "seeds to settle it"]]  # fmt: skip
    for each in [*comparison.differences, *comparison.against_scratch]:
        measure = comparison.measures[each.figure]
        needed = each.seeds_needed
        lines.append(
            [
                each.arm,
                each.reference,
                measure.title,
                (spelled(each, measure) or ABSENT).replace("95 % interval ", ""),
                str(each.pairs),
                ABSENT if each.p_holm is None else evidence_of_p(each.p_holm).removeprefix("p="),
                ABSENT if each.effect is None else f"{each.effect:.2f}",
                each.verdict if each.reason is None else f"{each.verdict} ({each.reason})",
                ABSENT if needed is None or each.shown else str(needed),
            ]
        )
    return lines


def _estimate(found: Estimate | None, show: Callable[[float], str]) -> str:
    if found is None:
        return ABSENT
    if found.low is None or found.high is None:
        return show(found.mean)
    return f"{show(found.mean)}\n{show(found.low)}–{show(found.high)}"
