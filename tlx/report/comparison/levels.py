"""Curves of runs, and the loss and main figure (mAP@.5, accuracy) that arms are timed to.

Frozen arms often end at another level than free ones, so time is measured to a level that they
reach unless the user asks for another: the highest of the final smoothed losses, and the lowest of
the best main figures on val of the arms that learned from pretrained weights. Runs that diverged or
learned nothing set no level: every other run would be past it from its start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlx.common.errors import ConfigError
from tlx.records.learned import diverged
from tlx.records.quality import DETECTION, Quality, finite
from tlx.report.comparison.arms import Arm
from tlx.report.comparison.figures import Spread, spread
from tlx.report.comparison.records import Record, Series
from tlx.report.comparison.statistics import Times, median_time


@dataclass(frozen=True)
class Curve:
    """One arm's curve over its seeds; every array has shape [K], seconds and steps ascend."""

    seconds: NDArray[np.float64]
    steps: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    n: int


def smoothing_window(record: Record) -> int:
    """Steps in one epoch, at least 1: those before the first validation, which may be that of
    several epochs (`trainer.val_every`).

    A run without validation falls back on its number of epochs, then on a twentieth of the run.
    """
    points = record.get(record.quality.main.key)
    first = points[0] if isinstance(points, list) and points else None
    if isinstance(first, list) and len(first) > 1 and (step := finite(first[1])):
        return max(1, round(step / (record.number("config", "trainer", "val_every") or 1.0)))
    return max(1, round(len(record.series("loss")) / (record.number("epochs") or 20.0)))


def smoothed_loss(record: Record) -> Series:
    """Mean of the training loss over the epoch's worth of steps that ends at each point, [M, 3].

    Only full windows count: a mean over the first few steps would let one lucky batch reach a
    level. A window never looks ahead, so the time at which a level is reached is one that could
    have been seen in the run.
    """
    loss = record.series("loss")
    if not len(loss):
        return loss
    window = min(smoothing_window(record), len(loss))
    means = np.lib.stride_tricks.sliding_window_view(loss[:, 2], window).mean(axis=1)
    return np.column_stack([loss[window - 1 :, :2], means])


def first_at_most(series: Series, level: float) -> float | None:
    """Seconds of the first point with a value of at most `level`, or None."""
    hits = np.flatnonzero(series[:, 2] <= level)
    return float(series[hits[0], 0]) if len(hits) else None


def first_at_least(series: Series, level: float) -> float | None:
    """Seconds of the first point with a value of at least `level`, or None."""
    hits = np.flatnonzero(series[:, 2] >= level)
    return float(series[hits[0], 0]) if len(hits) else None


def over_seeds(runs: Sequence[Series], *, in_order: bool = False) -> Curve | None:
    """Mean and min-max band of the runs' curves at the steps that all of them have.

    Runs of one arm share their steps and differ a little in the seconds, so points are matched by
    step and their seconds are averaged; nothing is interpolated. None when no step is shared.

    Args:
        in_order: match points of runs that have equally many by their order instead, and average
            their steps too.
    """
    runs = [run for run in runs if len(run)]
    if not runs:
        return None
    if in_order and len({len(run) for run in runs}) == 1:
        steps = np.mean([run[:, 1] for run in runs], axis=0)
        runs = [np.column_stack([run[:, 0], steps, run[:, 2]]) for run in runs]
    lookups = [{step: (seconds, value) for seconds, step, value in run.tolist()} for run in runs]
    steps = sorted(set.intersection(*(set(lookup) for lookup in lookups)))
    if not steps:
        return None
    points = np.array([[lookup[step] for step in steps] for lookup in lookups])  # [runs, K, 2]
    values = points[:, :, 1]
    return Curve(
        seconds=points[:, :, 0].mean(axis=0),
        steps=np.array(steps),
        mean=values.mean(axis=0),
        low=values.min(axis=0),
        high=values.max(axis=0),
        n=len(runs),
    )


@dataclass(frozen=True)
class Level:
    """A level and where it comes from; `set_by` is the arm that sets a default, else None."""

    value: float
    origin: str
    set_by: str | None = None

    @property
    def given(self) -> bool:
        """Whether the user chose it."""
        return self.set_by is None


@dataclass(frozen=True)
class Levels:
    """Both levels; None where no arm recorded the series and none was given.

    `main` is that of the main figure of `quality`.
    """

    loss: Level | None
    main: Level | None
    quality: Quality = DETECTION


@dataclass(frozen=True)
class Reached:
    """Seconds of fit at which one run reaches a level, or until which it is known not to."""

    seconds: float
    yes: bool


@dataclass(frozen=True)
class Reach:
    """Seconds of fit until a level over an arm: the runs that reach it, and how many never do.

    `median` is the Kaplan-Meier median over all runs, those that never reach it counted as
    censored at their last measurement; None where half of the runs are not seen to reach it.
    """

    seconds: Spread | None
    missed: int
    median: float | None

    def as_dict(self) -> dict[str, object]:
        """The unrounded numbers for `report.json`."""
        seconds = None if self.seconds is None else self.seconds.as_dict()
        return {"seconds": seconds, "not_reached": self.missed, "median": self.median}


def find_levels(arms: Sequence[Arm], loss_level: float | None, main_level: float | None) -> Levels:
    """The levels asked for, or the defaults that every run reaches; arms are of one task.

    Raises:
        ConfigError: a level that is no number, or one of quality outside 0 to 1.
    """
    quality = arms[0].first.quality
    if loss_level is not None and finite(loss_level) is None:
        raise ConfigError(f"the loss level must be a finite number, not {loss_level}")
    if main_level is not None and not 0 < main_level <= 1:
        raise ConfigError(
            f"the {quality.word} level must be above 0 and at most 1, not {main_level}"
        )
    loss = Level(loss_level, "as given") if loss_level is not None else _default_loss(arms)
    best = Level(main_level, "as given") if main_level is not None else _default_main(arms)
    return Levels(loss, best, quality)


def reach_loss(record: Record, level: Level | None) -> Reached | None:
    """When the smoothed loss of a run is first at most the level; None when none was recorded."""
    return _reached(smoothed_loss(record), level, first_at_most)


def reach_main(record: Record, level: Level | None) -> Reached | None:
    """When the main figure on val is first at least the level; None when none was recorded."""
    return _reached(validation(record), level, first_at_least)


def over_arm(runs: Sequence[Reached | None]) -> Reach | None:
    """An arm's time to a level; None when no run has the series."""
    measured = [run for run in runs if run is not None]
    if not measured:
        return None
    times = times_of(measured)
    return Reach(
        spread(run.seconds for run in measured if run.yes), times.missed, median_time(times)
    )


def times_of(runs: Sequence[Reached]) -> Times:
    """The same runs as censored times."""
    return Times(tuple(run.seconds for run in runs), tuple(run.yes for run in runs))


def validation(record: Record) -> Series:
    """The main figure of a run on val, [N, 3]."""
    return record.series(record.quality.main.key)


def trivial_level(arms: Sequence[Arm], level: Level | None) -> str | None:
    """A warning when a default main level tells the other arms apart by their first epoch only.

    One arm that learns little (often the from-scratch baseline) pulls the default down until every
    other arm passes it at its first validation.
    """
    if level is None or level.given:
        return None
    others = [validation(r) for arm in arms if arm.label != level.set_by for r in arm.records]
    measured = [series for series in others if len(series)]
    if not measured or any(series[0, 2] < level.value for series in measured):
        return None
    quality = arms[0].first.quality
    return (
        f"The default {quality.word} level is set by {level.set_by}, and every other arm passes "
        "it at its first validation: the time to it tells little. Choose a level with "
        f"{quality.level}=…."
    )


def _default_loss(arms: Sequence[Arm]) -> Level | None:
    finals = [
        (float(series[-1, 2]), arm.label, not diverged(record.data))
        for arm in arms
        for record in arm.records
        if len(series := smoothed_loss(record))
    ]
    if not finals:
        return None
    value, label, _ = max([final for final in finals if final[2]] or finals)
    return Level(value, f"the highest final smoothed loss, set by {label}", label)


def _default_main(arms: Sequence[Arm]) -> Level | None:
    """Of the arms that learned from pretrained weights, where there are any with the series.

    A baseline from scratch, or an arm that learned nothing, would set a level that the others pass
    in their first epoch.
    """
    able = [arm for arm in arms if arm.depth != "scratch" and arm.learned]
    measured = [arm for arm in able if any(len(validation(r)) for r in arm.sound)]
    bests = [
        (float(series[:, 2].max()), arm.label)
        for arm in measured or arms
        for record in arm.sound
        if len(series := validation(record))
    ]
    value, label = min(bests, default=(0.0, ""))
    if value <= 0:  # every run has it from its start
        return None
    figure = arms[0].first.quality.main.name
    return Level(value, f"the lowest best validation {figure}, set by {label}", label)


def _reached(
    series: Series, level: Level | None, first: Callable[[Series, float], float | None]
) -> Reached | None:
    if level is None or not len(series):
        return None
    seconds = first(series, level.value)
    return Reached(float(series[-1, 0]), False) if seconds is None else Reached(seconds, True)
