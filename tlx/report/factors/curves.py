"""Learning curves: what an arm gains with the number of pictures it is trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlx.records.arms import arm_key, arm_labels, train_fraction
from tlx.report.comparison.arms import Arm
from tlx.report.comparison.by_picture import pictures_of, values_by_picture
from tlx.report.comparison.measures import Measure
from tlx.report.comparison.records import Record
from tlx.report.comparison.statistics import power_law

_OF_SIZE = ("data.train_fraction", "data.train_draw")
_DRAWN = 60  # points of a curve that is drawn
MORE = (0.5, 1.0)  # pictures that are foreseen, as a share of the largest number trained on


@dataclass(frozen=True)
class Size:
    """Runs on so many training pictures: their mean figure, and the smallest and the largest."""

    pictures: int
    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Gain:
    """What so many more pictures than the largest number would bring; the interval is of 95 %."""

    pictures: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Fitted:
    """A power law a − b · n^−c, its 95 % band at some numbers of pictures, and what it foresees."""

    a: float
    b: float
    c: float
    c_low: float
    c_high: float
    x: list[float]
    y: list[float]
    low: list[float]
    high: list[float]
    gains: list[Gain]


@dataclass(frozen=True)
class LearningCurve:
    """An arm over sizes of its training set, two or more.

    Attributes:
        data: the data set.
        paired: whether all seeds of a size had the same pictures, whose luck is then in no figure.
        fitted: None where the runs do not tell a curve; `reason` says why.
    """

    arm: str
    data: str
    sizes: list[Size]
    paired: bool
    fitted: Fitted | None
    reason: str | None

    def as_dict(self) -> dict[str, Any]:
        """The unrounded numbers for `report.json`."""
        found = {key: value for key, value in vars(self).items() if key not in ("sizes", "fitted")}
        fitted = None if self.fitted is None else {
            **vars(self.fitted), "gains": [vars(gain) for gain in self.fitted.gains]
        }  # fmt: skip
        return found | {"sizes": [vars(size) for size in self.sizes], "fitted": fitted}


def learning_curves(arms: Sequence[Arm], measure: Measure) -> list[LearningCurve]:
    """The arms that were trained on several sizes of one set, in the order of the arms."""
    groups: dict[str, list[Arm]] = defaultdict(list)
    for arm in arms:
        rest = {key: value for key, value in arm.settings.items() if key not in _OF_SIZE}
        groups[arm_key(rest)].append(arm)
    several = [group for group in groups.values() if len({_part(arm) for arm in group}) > 1]
    sets: dict[str, list[list[Arm]]] = defaultdict(list)
    for group in several:
        sets[group[0].first.text("data") or ""].append(group)
    found = [
        _curve(label, group, measure)
        for of_set in sets.values()
        for label, group in zip(_labels(of_set), of_set, strict=True)
    ]
    return [curve for curve in found if curve is not None]


def _labels(groups: Sequence[Sequence[Arm]]) -> list[str]:
    """A name for each group of arms that differ in the size of their training set alone."""
    return arm_labels(
        [
            {key: value for key, value in group[0].settings.items() if key not in _OF_SIZE}
            for group in groups
        ]
    )


def _part(arm: Arm) -> float:
    return train_fraction(arm.settings)


def _curve(label: str, arms: Sequence[Arm], measure: Measure) -> LearningCurve | None:
    by_size: dict[int, list[Record]] = {}
    for arm in arms:
        runs = [record for record in arm.tested if measure.value(record) is not None]
        counts = [count for record in runs if (count := trained_on(record)) is not None]
        if runs and len(counts) == len(runs):
            by_size[round(float(np.mean(counts)))] = runs
    if len(by_size) < 2:
        return None
    by_size = dict(sorted(by_size.items()))
    sizes = [_size(count, _figures(runs, measure)) for count, runs in by_size.items()]
    fitted, reason = _fit(by_size, measure)
    first = arms[0].first
    drawn = any(arm.first.draws_train for arm in arms)
    return LearningCurve(label, first.text("data") or "", sizes, not drawn, fitted, reason)


def trained_on(record: Record) -> float | None:
    """Pictures that a run was trained on; of folds their mean."""
    count = record.number("dataset", "splits", "train", "images")
    return None if count is None else count / max(1, len(record.parts))


def _figures(runs: Sequence[Record], measure: Measure) -> NDArray[np.float64]:
    return np.array([measure.value(record) for record in runs], dtype=np.float64)


def _size(pictures: int, values: NDArray[np.float64]) -> Size:
    ends = float(values.min()), float(values.max())
    return Size(pictures, float(np.clip(values.mean(), *ends)), *ends, len(values))


def _fit(by_size: dict[int, list[Record]], measure: Measure) -> tuple[Fitted | None, str | None]:
    """The curve, or why there is none."""
    n = np.array(list(by_size), dtype=np.float64)
    if len(n) < power_law.LEAST_SIZES:
        return None, f"{len(n)} sizes cannot tell a curve: it takes {power_law.LEAST_SIZES}"
    if n[-1] < power_law.LEAST_RANGE * n[0]:
        return None, (
            f"{n[0]:.0f} to {n[-1]:.0f} pictures are too near to one another to tell a curve: the "
            f"largest part has to be {power_law.LEAST_RANGE:g} times the smallest"
        )
    values = [_figures(runs, measure) for runs in by_size.values()]
    free = sum(len(each) - 1 for each in values)
    if free < 2:
        return None, "one seed a size tells nothing of the luck of a training: give two or more"
    squares = sum(float(((each - each.mean()) ** 2).sum()) for each in values)
    grain = max(measure.grain(record) for runs in by_size.values() for record in runs)
    noise = power_law.Noise(
        np.array([len(each) for each in values]),
        max((squares / free) ** 0.5, grain / 6**0.5),
        free,
        _pictures(list(by_size.values()), measure),
    )
    means = np.array([each.mean() for each in values])
    best = power_law.fit(n, means[None])
    drawn = power_law.fit(n, power_law.redrawn(means, noise))
    x = np.geomspace(n[0], (1 + max(MORE)) * n[-1], _DRAWN)
    low, high = np.quantile(drawn.at(x), [0.025, 0.975], axis=0)
    c_low, c_high = np.quantile(drawn.c, [0.025, 0.975])
    gains = [_gain(best, drawn, n[-1], share) for share in MORE]
    return Fitted(
        float(best.a[0]), float(best.b[0]), float(best.c[0]), float(c_low), float(c_high),
        x.tolist(), best.at(x)[0].tolist(), low.tolist(), high.tolist(), gains,
    ), None  # fmt: skip


def _gain(best: power_law.PowerLaws, drawn: power_law.PowerLaws, n: float, share: float) -> Gain:
    more = max(1, round(share * n))
    ends = np.array([n, n + more])
    found, spread = (np.diff(curves.at(ends), axis=1)[:, 0] for curves in (best, drawn))
    low, high = np.quantile(spread, [0.025, 0.975])
    return Gain(more, float(found[0]), float(low), float(high))


def _pictures(sizes: Sequence[Sequence[Record]], measure: Measure) -> NDArray[np.float64] | None:
    """What each test picture adds at each size, [L, P], where all sizes have the same pictures."""
    part = measure.part
    if part is None or len({pictures_of(runs[0], part) for runs in sizes}) != 1:
        return None
    found = [values_by_picture(runs, part) for runs in sizes]
    known = [values.mean(0) for values in found if values is not None]
    return np.stack(known) if len(known) == len(found) else None
