"""Cells: a treatment against its reference in one setting, over seeds and test pictures.

A treatment is whatever tells an arm from its reference (`freeze=4` against `freeze=none`); what the
two share is the setting, which has a level of each factor. So a treatment in one setting can be set
beside the same treatment in another.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlx.records.arms import SCRATCH, arm_key, arm_labels, is_scratch, unlike_keys
from tlx.report.comparison.arms import Arm, baseline, reference_of
from tlx.report.comparison.by_picture import fold_of_picture, gaps_by_picture, pictures_of
from tlx.report.comparison.measures import Measure
from tlx.report.comparison.outcomes import ROUNDING, pair_up
from tlx.report.factors.levels import Factor

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Treatment:
    """What is done to an arm, and to what it is compared; both in the words of labels."""

    label: str
    against: str

    def __str__(self) -> str:
        return f"{self.label} against {self.against}"


@dataclass(frozen=True)
class Cell:
    """The differences of the arm and its reference in one setting.

    Attributes:
        levels: of each factor, by its key.
        seeds: those that both have.
        gaps: a difference a seed, [S].
        by_picture: what each test picture adds, [S, P]; None without predictions.
        folds: the fold of each picture, [P]; None where they are of one.
        tested_on: equal where the test pictures are.
        least_sd: what the figure cannot resolve, as a standard deviation of one difference.
        train: how many pictures were trained on; None where it is not recorded.
    """

    treatment: Treatment
    levels: Mapping[str, Hashable]
    seeds: tuple[str, ...]
    gaps: Values
    by_picture: Values | None
    folds: NDArray[np.int64] | None
    tested_on: Hashable
    least_sd: float
    train: int | None = None

    def at(self, seeds: Sequence[str]) -> Cell:
        """The same of some of its seeds, in their order."""
        rows = [self.seeds.index(seed) for seed in seeds]
        values = None if self.by_picture is None else self.by_picture[rows]
        return replace(self, seeds=tuple(seeds), gaps=self.gaps[rows], by_picture=values)


def referred(arms: Sequence[Arm]) -> list[tuple[Arm, Arm]]:
    """Every arm that is compared, with its reference."""
    pairs = [(arm, reference_of(arm, arms)) for arm in arms]
    return [(arm, other) for arm, other in pairs if other is not None and other is not arm]


def cells_of(arms: Sequence[Arm], factors: Sequence[Factor], measure: Measure) -> list[Cell]:
    """The cells of a study, in the order of the arms; those that cannot be compared are left out.

    Args:
        measure: a figure of the test set.
    """
    pairs = referred(arms)
    names = _treatments(pairs)
    cells = []
    for (arm, reference), treatment in zip(pairs, names, strict=True):
        alike = baseline(arm, arms) is None
        found = pair_up(arm, reference, measure, same_training=alike)
        if not len(found):
            continue
        one, other = found.one, found.other
        part = measure.part
        values = [measure.value(a) for a in one], [measure.value(b) for b in other]
        gaps = np.array(values[0], np.float64) - np.array(values[1], np.float64)
        pictures = gaps_by_picture(one, other, part) if part else None
        levels = {factor.key: factor.of(reference)[0] for factor in factors}
        known = pictures_of(one[0], part) if part and pictures is not None else None
        cells.append(
            Cell(
                treatment,
                levels,
                tuple(str(record.get("seed")) for record in one),
                gaps,
                pictures,
                fold_of_picture(one[0], part) if part and pictures is not None else None,
                known or _named_test_set(one[0]),
                ROUNDING * max(map(measure.grain, (*one, *other))),
                _trained_on(one[0]),
            )
        )
    return cells


def _named_test_set(record: Any) -> Hashable:
    """Of runs without predictions: the digest of the test pictures, or the name of the set."""
    digest = record.text("dataset", "splits", "test", "pictures")
    return digest or ("set", record.text("data"))


def _trained_on(record: Any) -> int | None:
    count = record.number("dataset", "splits", "train", "images")
    return None if count is None else round(count / max(1, len(record.parts)))


def _treatments(pairs: Sequence[tuple[Arm, Arm]]) -> list[Treatment]:
    """One a pair, equal where what is done to the arm is."""
    done = [_done_to(arm, other) for arm, other in pairs]
    base = [_done_to(other, arm) for arm, other in pairs]
    labels, against = arm_labels(done), arm_labels(base)
    # What is done may be called the same and be done to different references.
    known: dict[str, set[str]] = {}
    for label, key in zip(labels, map(arm_key, base), strict=True):
        known.setdefault(label, set()).add(key)
    return [
        Treatment(label, other if len(known[label]) > 1 else other.partition(" ")[0])
        for label, other in zip(labels, against, strict=True)
    ]


def _done_to(arm: Arm, other: Arm) -> dict[str, Any]:
    """The settings of an arm that tell it from another one, its freeze and policy always."""
    keys = unlike_keys(arm.settings, other.settings)
    own = {
        key: value
        for key, value in arm.settings.items()
        if key == "freeze" or key.startswith("policy.") or key in keys
    }
    return own | ({"backbone.weights": SCRATCH} if is_scratch(arm.settings) else {})
