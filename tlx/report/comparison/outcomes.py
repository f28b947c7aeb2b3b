"""Runs of two arms set side by side, seed by seed, and what that gives before any correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlx.records.quality import finite
from tlx.report.comparison.arms import Arm, by_seed, machine_of
from tlx.report.comparison.by_picture import fold_of_picture, gaps_by_picture
from tlx.report.comparison.difference import CROSSED, FOLDED, LOG_RANK, PAIRED, PICTURES, STEPS
from tlx.report.comparison.levels import times_of
from tlx.report.comparison.likeness import obstacle
from tlx.report.comparison.measures import Measure, runs_of
from tlx.report.comparison.overlap import not_alone
from tlx.report.comparison.records import Record, seconds_of
from tlx.report.comparison.statistics import (
    Contrast,
    DriftFit,
    blocks,
    crossed,
    fit_drift,
    log_rank,
    paired,
)


@dataclass(frozen=True)
class Pairs:
    """Runs of one arm and of another with the same seeds, in the same order.

    `reason` says why there are none; it is None where there are some.
    """

    one: tuple[Record, ...]
    other: tuple[Record, ...]
    reason: str | None

    def __len__(self) -> int:
        return len(self.one)

    @property
    def folds(self) -> int | None:
        """How many folds each of them is of; None where the sets are not folded."""
        return len(self.one[0].parts) or None if self.one else None

    @property
    def by_fold(self) -> bool:
        """Whether each pair is of a seed and a fold."""
        return bool(self.one) and self.one[0].fold is not None and not self.one[0].parts


def pair_up(one: Arm, other: Arm, measure: Measure, *, same_training: bool) -> Pairs:
    """The seeds that both arms have, with comparable runs that have the figure.

    Args:
        one: First arm.
        other: Second arm.
        measure: The figure.
        same_training: Whether the arms must be alike in whatever is not the freeze.
    """
    first, second = by_seed(runs_of(one, measure)), by_seed(runs_of(other, measure))
    same = (*measure.same, *measure.same_training) if same_training else measure.same
    kept: list[tuple[Record, Record]] = []
    faults: list[str] = []
    crowds: list[str] = []
    for seed in (seed for seed in first if seed in second):
        pair = first[seed], second[seed]
        if measure.timed and (crowd := not_alone(pair)) is not None:
            crowds.append(crowd)
        elif not all(has_figure(record, measure) for record in pair):
            faults.append("a run without the figure")
        elif (what := obstacle(*pair, same)) is not None:
            faults.append(f"runs that differ in {what}")
        else:
            kept.append(pair)
    if crowds:  # one pair says which it was, all of a study would fill a page
        more = len(crowds) - 1
        faults.insert(0, crowds[0] + (f", and so {more} more of the pairs" if more else ""))
    reason = ", ".join(dict.fromkeys(faults)) or "no seed that both have"
    return Pairs(tuple(a for a, _ in kept), tuple(b for _, b in kept), None if kept else reason)


def has_figure(record: Record, measure: Measure) -> bool:
    """Whether a run can take part: it has the figure, or is known not to have reached it yet."""
    if measure.timed and record.beside:
        return False
    if measure.reach is not None:
        return measure.reach(record) is not None
    value = measure.value(record)
    return value is not None and (value > 0 or not measure.speed)


def running_times(records: Sequence[Record]) -> NDArray[np.float64] | None:
    """The middle of each run in running time of the machine, [N]; None where the order is unknown.

    Running time is the fit times of the runs added up in the order of their starts, so that a night
    between two sessions of a study does not count. Without fit times it is the mere order.
    """
    starts = [_start(record) for record in records]
    known = [start for start in starts if start is not None]
    if len(set(known)) < len(starts):
        return None
    lengths = [record.number("time", "fit_s") for record in records]
    given = [length for length in lengths if length is not None and length > 0]
    if len(given) < len(lengths):
        given = [1.0] * len(lengths)
    order = np.argsort(known)
    ends = np.cumsum(np.array(given)[order])
    middles = np.empty(len(given))
    middles[order] = ends - np.array(given)[order] / 2
    return middles


def one_sided(pairs: Pairs) -> str | None:
    """`after` or `before` where all runs of the first arm were made on that side of their pairs.

    None for fewer than two pairs, a mixed order, or an order that is not recorded.
    """
    sides = set()
    for one, other in zip(pairs.one, pairs.other, strict=True):
        first, second = _start(one), _start(other)
        if first is None or second is None or first == second:
            return None
        sides.add("after" if first > second else "before")
    return sides.pop() if len(pairs) > 1 and len(sides) == 1 else None


def _start(record: Record) -> float | None:
    """Seconds since 1970 of the first start."""
    return seconds_of(record.get("started"))


ROUNDING = 1 / math.sqrt(6)
"""Standard deviation of the difference of two figures that are rounded to a grain of 1."""


@dataclass(frozen=True)
class Outcome:
    """What a comparison gave before the correction; `gain` above 0 speaks for the arm."""

    pairs: Pairs
    gain: float = 0.0
    contrast: Contrast | None = None
    p: float | None = None
    method: str | None = None
    reason: str | None = None
    drift: float | None = None


def drift_fit(arms: Sequence[Arm], measure: Measure) -> DriftFit | None:
    """The drift model of a speed over these arms; None where it cannot be had from their runs."""
    if not measure.speed:
        return None
    runs = [
        (arm.label, seed, record)
        for arm in arms
        for seed, record in by_seed(arm.records).items()
        if has_figure(record, measure)
    ]
    records = [record for _, _, record in runs]
    times = running_times(records)
    if times is None or len({machine_of(record) for record in records}) != 1:
        return None
    return fit_drift(
        _values(records, measure),
        [label for label, _, _ in runs],
        [seed for _, seed, _ in runs],
        times,
        least_sd=ROUNDING * max(map(measure.grain, records)),
    )


def outcome_of(
    one: Arm, other: Arm, measure: Measure, pairs: Pairs, fit: DriftFit | None
) -> Outcome:
    """Compare two arms over their pairs, by the fit of a speed where it holds both of them."""
    if not len(pairs):
        return Outcome(pairs, reason=pairs.reason)
    if measure.reach is not None and (found := _censored(pairs, measure)) is not None:
        return found
    sign = 1 if measure.higher_is_better else -1
    gaps = _values(pairs.one, measure) - _values(pairs.other, measure)
    grain = max(map(measure.grain, (*pairs.one, *pairs.other)))
    part = measure.part
    pictures = gaps_by_picture(pairs.one, pairs.other, part) if part else None
    if pictures is not None:
        folds = fold_of_picture(pairs.one[0], part) if part else None
        both = crossed(gaps, pictures, ROUNDING * grain, folds)
        method = CROSSED if len(pairs) > 1 else PICTURES if both.fold_part is None else FOLDED
        return Outcome(pairs, sign * both.mean, both, both.p, method)
    if len(pairs) == 1:
        steps = _by_blocks(pairs, float(gaps[0]), ROUNDING * grain) if measure.blocks else None
        if steps is not None:
            return Outcome(pairs, sign * steps.mean, steps, steps.p, STEPS)
        return Outcome(pairs, contrast=Contrast(float(gaps[0]), 0.0, 0, 0.0, 1))
    if fit is not None and {one.label, other.label} <= set(fit.arms):
        contrast = fit.contrast(one.label, other.label, len(pairs))
        gain, drift = sign * contrast.mean, math.expm1(fit.slope)
        return Outcome(pairs, gain, contrast, contrast.p, fit.method, drift=drift)
    test = paired(gaps, ROUNDING * grain)
    assert test is not None
    doubt = _order_doubt(one, other, pairs, measure)
    return Outcome(pairs, sign * test.mean, test, test.p, PAIRED, doubt)


def _censored(pairs: Pairs, measure: Measure) -> Outcome | None:
    """The log-rank test where some run never reaches the level; None where all do."""
    assert measure.reach is not None
    groups = [
        times_of([found for record in runs if (found := measure.reach(record)) is not None])
        for runs in (pairs.one, pairs.other)
    ]
    if not any(times.missed for times in groups):
        return None
    counts = " against ".join(
        f"{len(times.reached) - times.missed} of {len(times.reached)}" for times in groups
    )
    test = log_rank(*groups)
    if test is None:
        few = "" if not any(times.reached.count(True) for times in groups) else "; too few to test"
        return Outcome(pairs, reason=f"the level is reached by {counts} runs{few}")
    reason = f"the level is reached by {counts} runs"
    return Outcome(pairs, gain=test.excess, p=test.p, method=LOG_RANK, reason=reason)


def _by_blocks(pairs: Pairs, gap: float, least_sd: float) -> Contrast | None:
    return blocks(_blocks(pairs.one[0]), _blocks(pairs.other[0]), gap, least_sd)


def _blocks(record: Record) -> NDArray[np.float64]:
    """Logarithms of the medians of a run's blocks of steps; none in runs of older versions."""
    found = record.get("step_time", "block_medians_s")
    known = [finite(value) for value in found] if isinstance(found, list) else []
    return np.log([value for value in known if value is not None and value > 0])


def _values(runs: Sequence[Record], measure: Measure) -> NDArray[np.float64]:
    """The figures of runs that have them, as logarithms for a speed."""
    values = np.array([measure.value(record) for record in runs], dtype=np.float64)
    return np.log(values) if measure.speed else values


def _order_doubt(one: Arm, other: Arm, pairs: Pairs, measure: Measure) -> str | None:
    """What a drift of the machine could explain, where no model takes it out."""
    if not measure.speed and measure.reach is None:
        return None
    if (side := one_sided(pairs)) is None:
        return None
    return (
        f"{one.label} always ran {side} {other.label}, so that a drift of the machine would look "
        "the same"
    )
