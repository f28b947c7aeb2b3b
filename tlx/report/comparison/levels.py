"""The loss and the main figure (mAP@.5, accuracy) that arms are timed to.

Frozen arms often end at another level than free ones, so time is measured to a level that they
reach unless the user asks for another: the highest of the final smoothed losses, and the lowest of
the best main figures on val of the arms that learned from pretrained weights. Runs that diverged or
learned nothing set no level: every other run would be past it from its start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tlx.common.errors import ConfigError
from tlx.records.learned import diverged
from tlx.records.quality import DETECTION, Quality
from tlx.report.comparison.arms import Arm
from tlx.report.comparison.curves import first_at_least, first_at_most, smoothed_loss
from tlx.report.comparison.records import Record, Series, finite
from tlx.report.comparison.spread import Spread, spread
from tlx.report.comparison.statistics import Times, median_time


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
