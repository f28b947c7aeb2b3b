"""Runs of two arms set side by side, seed by seed, and the order in which runs were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlx.report.comparison.arms import Arm
from tlx.report.comparison.likeness import obstacle
from tlx.report.comparison.measures import Measure
from tlx.report.comparison.overlap import not_alone
from tlx.report.comparison.records import Record, seconds_of


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


def pair_up(one: Arm, other: Arm, measure: Measure, *, same_training: bool) -> Pairs:
    """The seeds that both arms have, with comparable runs that have the figure.

    Args:
        one: First arm.
        other: Second arm.
        measure: The figure.
        same_training: Whether the arms must be alike in whatever is not the freeze.
    """
    first, second = one.by_seed, other.by_seed
    same = (*measure.same, *measure.same_training) if same_training else measure.same
    kept: list[tuple[Record, Record]] = []
    faults: list[str] = []
    for seed in (seed for seed in first if seed in second):
        pair = first[seed], second[seed]
        if measure.timed and (crowd := not_alone(pair)) is not None:
            faults.append(crowd)
        elif not all(has_figure(record, measure) for record in pair):
            faults.append("a run without the figure")
        elif (what := obstacle(*pair, same)) is not None:
            faults.append(f"runs that differ in {what}")
        else:
            kept.append(pair)
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
