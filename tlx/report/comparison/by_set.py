"""A study of several data sets: each is answered for itself, as arms of two are never ranked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tlx.report.comparison.candidates import Limits
from tlx.report.comparison.compare import Comparison, Row
from tlx.report.comparison.recommendation import Recommendation


def of_each_set(comparison: Comparison) -> dict[str, Comparison]:
    """The part of a comparison that is of each data set, by its name."""
    groups: dict[str, list[Row]] = {}
    for row in comparison.rows:
        groups.setdefault(row.arm.first.text("data") or "unnamed data", []).append(row)
    differs = [what for what in comparison.differs if what != "data"]
    return {name: replace(comparison, rows=rows, differs=differs) for name, rows in groups.items()}


def of_several_sets(sets: Mapping[str, Recommendation], limits: Limits) -> Recommendation:
    """The answers of the sets as one recommendation, which names no arm."""
    words = [
        "No arm can be recommended for all: the runs are of several data sets, and each has its "
        "own answer (what they say together stands under “Does the answer change?”).",
        *(f"{name}: {line}" for name, advice in sets.items() for line in _in_short(advice)),
    ]
    refused = {arm: why for advice in sets.values() for arm, why in advice.refused.items()}
    return Recommendation(None, words, limits, refused, outcome="several sets", sets=dict(sets))


def _in_short(advice: Recommendation) -> list[str]:
    """The words of one set without its refusals, which the other sets would be lost among."""
    reasons = {f"{label}: {why}." for label, why in advice.refused.items()}
    return [line for line in advice.words if line not in reasons]
