"""Factor by factor: what each level shows, whether levels differ, and what holds over data sets.

The tests of all factors are one family, corrected by Holm: where nothing changes with anything, at
most 1 in 20 studies says that something does.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tlx.report.comparison.arms import Arm
from tlx.report.comparison.compare import Comparison
from tlx.report.comparison.measures import Measure
from tlx.report.comparison.statistics import Pooled, holm, pooled
from tlx.report.factors.cells import Cell, Treatment, cells_of, referred
from tlx.report.factors.combine import Sum, weighted_sum
from tlx.report.factors.curves import LearningCurve, learning_curves
from tlx.report.factors.levels import DATA, FOLD, Factor, factors_of, level_labels


@dataclass(frozen=True)
class AtLevel:
    """A treatment at one level: the mean over the settings of all other factors that count.

    `sum` is None where nothing tells of its spread; `mean` is there all the same.
    """

    treatment: Treatment
    level: str
    mean: float
    sum: Sum | None
    settings: int
    train: tuple[int, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The unrounded numbers for `report.json`."""
        low, high = self.sum.interval if self.sum else (None, None)
        return {
            "treatment": self.treatment.label, "against": self.treatment.against,
            "level": self.level, "mean": self.mean, "low": low, "high": high,
            "seeds": self.sum.seeds if self.sum else 1, "settings": self.settings,
            "train_pictures": list(self.train),
        }  # fmt: skip


@dataclass(frozen=True)
class Change:
    """How a treatment's difference changes with a factor: a level against others, or a trend.

    `what` is the level, or None for a trend, whose mean is what a doubling changes. `p_holm` is
    corrected for the `family` of all such tests of the report.
    """

    treatment: Treatment
    what: str | None
    others: str
    sum: Sum
    p_holm: float = 1.0
    family: int = 1

    @property
    def shown(self) -> bool:
        """Whether the change is established."""
        return self.p_holm <= 0.05

    def as_dict(self) -> dict[str, Any]:
        """The unrounded numbers for `report.json`."""
        low, high = self.sum.interval
        return {
            "treatment": self.treatment.label, "against": self.treatment.against,
            "level": self.what, "than": self.others, "mean": self.sum.mean, "low": low,
            "high": high, "p": self.sum.p, "p_holm": self.p_holm, "family": self.family,
            "shown": self.shown,
        }  # fmt: skip


@dataclass(frozen=True)
class OfFactor:
    """What a study shows of a factor.

    Attributes:
        levels: their names in order.
        rows: each treatment at each level.
        changes: the tests, corrected.
        pooled: of data sets, each treatment over all of them.
        reason: why there is no test; None where there is one.
    """

    factor: Factor
    levels: list[str]
    rows: list[AtLevel]
    changes: list[Change]
    pooled: dict[Treatment, Pooled] = field(default_factory=dict)
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The unrounded numbers for `report.json`."""
        return {
            "factor": self.factor.key,
            "levels": self.levels,
            "differences": [row.as_dict() for row in self.rows],
            "changes": [change.as_dict() for change in self.changes],
            "over_sets": [
                {"treatment": treatment.label, "against": treatment.against, **over.as_dict()}
                for treatment, over in self.pooled.items()
            ],
            "reason": self.reason,
        }

    @property
    def treatments(self) -> list[Treatment]:
        """Those that some row is of, in order."""
        return list(dict.fromkeys(row.treatment for row in self.rows))


@dataclass(frozen=True)
class Analysis:
    """What the factors of a study show, in one figure of the test set."""

    measure: Measure
    factors: list[OfFactor]
    curves: list[LearningCurve]

    def as_dict(self) -> dict[str, Any]:
        """`factors` and `learning_curves` of `report.json`."""
        return {
            "factors": [found.as_dict() for found in self.factors],
            "learning_curves": [curve.as_dict() for curve in self.curves],
        }


def analyse(comparison: Comparison) -> Analysis:
    """The factors of a study, in its main test figure."""
    arms, measure = [row.arm for row in comparison.rows], comparison.main
    factors = factors_of(list({id(ref): ref for _, ref in referred(arms)}.values()))
    cells = cells_of(arms, factors, measure) if factors else []
    found = [of_factor(factor, factors, cells, level_labels(factor, arms)) for factor in factors]
    folded = _by_fold(arms)
    if folded:
        inside = [*factors, FOLD]
        of_folds = [cell for part in folded for cell in cells_of(part, inside, measure)]
        known = [arm for part in folded for arm in part]
        found.append(of_factor(FOLD, inside, of_folds, level_labels(FOLD, known)))
    return Analysis(
        measure,
        corrected([each for each in found if each is not None]),
        learning_curves(arms, measure),
    )


def _by_fold(arms: Sequence[Arm]) -> list[list[Arm]]:
    """The arms of folded sets, once for each fold, with its runs alone."""
    folded = [arm for arm in arms if arm.folds is not None]
    numbers = sorted({number for arm in folded if arm.folds for number in arm.folds.compared})
    found = [[_of_fold(arm, number) for arm in folded] for number in numbers]
    kept = [[arm for arm in part if arm.records] for part in found]
    return [part for part in kept if part] if len(numbers) > 1 else []


def _of_fold(arm: Arm, number: int) -> Arm:
    runs = tuple(record for record in arm.records if record.fold == number)
    return replace(arm, records=runs, folds=None)


_Levels = Mapping[Hashable, Mapping[tuple[Hashable, ...], Cell]]


def of_factor(
    factor: Factor,
    factors: Sequence[Factor],
    cells: Sequence[Cell],
    labels: Mapping[Hashable, str],
) -> OfFactor | None:
    """What cells show of one of the factors, uncorrected; None where no treatment is at two levels.

    Args:
        labels: the names of the factor's levels, in order.
    """
    rows: list[AtLevel] = []
    changes: list[Change] = []
    over_sets: dict[Treatment, Pooled] = {}
    reasons: list[str] = []
    for treatment in dict.fromkeys(cell.treatment for cell in cells):
        own = [cell for cell in cells if cell.treatment == treatment]
        found = _by_level(factor, factors, own)
        if len(found) < 2:
            continue
        common = set.intersection(*(set(settings) for settings in found.values()))
        chosen = {
            level: [settings[other] for other in settings if not common or other in common]
            for level, settings in found.items()
        }
        ordered = {level: chosen[level] for level in labels if level in chosen}
        of_level = {level: _at(treatment, labels[level], of) for level, of in ordered.items()}
        rows += of_level.values()
        if not common:
            reasons.append(_entangled(factor, factors, own))
            continue
        tested = _changes(factor, treatment, ordered, labels)
        changes += tested
        if not tested:
            reasons.append("one seed a level tells nothing of the luck of a training")
        sums = [row.sum for row in of_level.values()]
        if factor is DATA and all(each is not None and each.tested for each in sums):
            over = _pooled([each for each in sums if each is not None])
            over_sets |= {treatment: over} if over is not None else {}
    if not rows:
        return None
    reason = None if changes else next(iter(dict.fromkeys(reasons)), None)
    used = {row.level for row in rows}
    levels = [label for label in labels.values() if label in used]
    return OfFactor(factor, levels, rows, changes, over_sets, reason)


def _by_level(factor: Factor, factors: Sequence[Factor], cells: Sequence[Cell]) -> _Levels:
    """Cells by their level of the factor, and by those of the others."""
    found: dict[Hashable, dict[tuple[Hashable, ...], Cell]] = defaultdict(dict)
    for cell in cells:
        others = tuple(cell.levels[each.key] for each in factors if each is not factor)
        found[cell.levels[factor.key]][others] = cell
    return found


def _entangled(factor: Factor, factors: Sequence[Factor], cells: Sequence[Cell]) -> str:
    """Which other factors change with this one."""
    moved = [
        each.title
        for each in factors
        if each is not factor and len({cell.levels[each.key] for cell in cells}) > 1
    ]
    return (
        f"its levels differ in the {' and the '.join(moved)} too, with no setting that all levels "
        "have"
    )


def _at(treatment: Treatment, label: str, cells: Sequence[Cell]) -> AtLevel:
    share = 1 / len(cells)
    train = sorted({cell.train for cell in cells if cell.train is not None})
    mean = math.fsum(share * float(np.mean(cell.gaps)) for cell in cells)
    total = weighted_sum([(cell, share) for cell in cells])
    mean = mean if total is None else total.mean
    return AtLevel(treatment, label, mean, total, len(cells), tuple(train))


def _changes(
    factor: Factor,
    treatment: Treatment,
    cells: Mapping[Hashable, Sequence[Cell]],
    labels: Mapping[Hashable, str],
) -> list[Change]:
    """The tests of a treatment: a trend, two levels, or each level against the mean of the rest."""
    levels = list(cells)
    tests: list[tuple[str | None, str, list[float]]] = []
    if factor.ordered and len(levels) > 2:
        x = np.log2([float(level) for level in levels])  # type: ignore[arg-type]
        slope = (x - x.mean()) / float(((x - x.mean()) ** 2).sum())
        tests = [(None, "", slope.tolist())]
    elif len(levels) == 2:
        tests = [(labels[levels[1]], labels[levels[0]], [-1.0, 1.0])]
    else:
        rest = 1 / (len(levels) - 1)
        for place, level in enumerate(levels):
            weights = [1.0 if i == place else -rest for i in range(len(levels))]
            tests.append((labels[level], "the others", weights))
    found = []
    for what, others, weights in tests:
        terms = [
            (cell, weight / len(of))
            for of, weight in zip(cells.values(), weights, strict=True)
            for cell in of
        ]
        total = weighted_sum(terms)
        if total is not None and total.tested:
            found.append(Change(treatment, what, others, total))
    return found


def _pooled(sums: Sequence[Sum]) -> Pooled | None:
    return pooled(np.array([s.mean for s in sums]), np.array([s.se**2 for s in sums]))


def corrected(found: Sequence[OfFactor]) -> list[OfFactor]:
    """Holm over the tests of all factors."""
    ps = [change.sum.p for each in found for change in each.changes]
    adjusted = iter(holm(ps))
    return [
        replace(
            each,
            changes=[
                replace(change, p_holm=next(adjusted), family=len(ps)) for change in each.changes
            ],
        )
        for each in found
    ]
