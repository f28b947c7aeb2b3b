"""The loss and the mAP that arms are timed to.

Frozen arms often end at another level than free ones, so time is measured to a level that all of
them reach unless the user asks for another: the highest of the final smoothed losses, and the
lowest of the best validation mAP@.5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tlx.errors import ConfigError
from tlx.report.arms import Arm
from tlx.report.curves import first_at_least, first_at_most, smoothed_loss
from tlx.report.records import Record, Series, finite
from tlx.report.spread import Spread, spread


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
    """Both levels; None where no arm recorded the series and none was given."""

    loss: Level | None
    map: Level | None


@dataclass(frozen=True)
class Reach:
    """Seconds of fit until a level, over the runs that reach it, and how many never do."""

    seconds: Spread | None
    missed: int

    def as_dict(self) -> dict[str, object]:
        """The unrounded numbers for `report.json`."""
        seconds = None if self.seconds is None else self.seconds.as_dict()
        return {"seconds": seconds, "not_reached": self.missed}


def find_levels(arms: Sequence[Arm], loss_level: float | None, map_level: float | None) -> Levels:
    """The levels asked for, or the defaults that every run reaches.

    Raises:
        ConfigError: a level that is no number, or a mAP outside 0 to 1.
    """
    if loss_level is not None and finite(loss_level) is None:
        raise ConfigError(f"the loss level must be a finite number, not {loss_level}")
    if map_level is not None and not 0 < map_level <= 1:
        raise ConfigError(f"the mAP level must be above 0 and at most 1, not {map_level}")
    loss = Level(loss_level, "as given") if loss_level is not None else _default_loss(arms)
    best = Level(map_level, "as given") if map_level is not None else _default_map(arms)
    return Levels(loss, best)


def time_to_loss(arm: Arm, level: Level | None) -> Reach | None:
    """Seconds until the smoothed loss is at most the level; None when no loss was recorded."""
    return _reach(arm, level, smoothed_loss, first_at_most)


def time_to_map(arm: Arm, level: Level | None) -> Reach | None:
    """Seconds until the validation mAP@.5 is at least the level; None when none was recorded."""
    return _reach(arm, level, validation_map, first_at_least)


def validation_map(record: Record) -> Series:
    """Validation mAP@.5 of a run, [N, 3]."""
    return record.series("map_50")


def trivial_level(arms: Sequence[Arm], level: Level | None) -> str | None:
    """A warning when a default mAP level tells the other arms apart by their first epoch only.

    One arm that learns little (often the from-scratch baseline) pulls the default down until every
    other arm passes it at its first validation.
    """
    if level is None or level.given:
        return None
    others = [validation_map(r) for arm in arms if arm.label != level.set_by for r in arm.records]
    measured = [series for series in others if len(series)]
    if not measured or any(series[0, 2] < level.value for series in measured):
        return None
    return (
        f"The default mAP level is set by {level.set_by}, and every other arm passes it at its "
        "first validation: the time to it tells little. Choose a level with --map-level."
    )


def _default_loss(arms: Sequence[Arm]) -> Level | None:
    finals = [
        (float(series[-1, 2]), arm.label)
        for arm in arms
        for record in arm.records
        if len(series := smoothed_loss(record))
    ]
    if not finals:
        return None
    value, label = max(finals)
    return Level(value, f"the highest final smoothed loss, set by {label}", label)


def _default_map(arms: Sequence[Arm]) -> Level | None:
    bests = [
        (float(series[:, 2].max()), arm.label)
        for arm in arms
        for record in arm.records
        if len(series := validation_map(record))
    ]
    if not bests:
        return None
    value, label = min(bests)
    return Level(value, f"the lowest best validation mAP@.5, set by {label}", label)


def _reach(
    arm: Arm,
    level: Level | None,
    series_of: Callable[[Record], Series],
    first: Callable[[Series, float], float | None],
) -> Reach | None:
    measured = [series for record in arm.records if len(series := series_of(record))]
    if level is None or not measured:
        return None
    times = [first(series, level.value) for series in measured]
    return Reach(spread(times), times.count(None))
