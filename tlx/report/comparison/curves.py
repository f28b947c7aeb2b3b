"""Curves of a run or an arm: smoothing, the first time a level is reached, bands over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlx.report.comparison.records import Record, Series


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
    """Steps in one epoch: the loss points divided by the validation epochs, at least 1.

    A run without validation falls back on its number of epochs, then on a twentieth of the run.
    """
    validations = record.get(record.quality.main.key)
    parts = float(len(validations)) if isinstance(validations, list) else 0.0
    parts = parts or record.number("epochs") or 20.0
    return max(1, round(len(record.series("loss")) / parts))


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


def over_seeds(runs: Sequence[Series]) -> Curve | None:
    """Mean and min-max band of the runs' curves at the steps that all of them have.

    Runs of one arm share their steps and differ a little in the seconds, so points are matched by
    step and their seconds are averaged; nothing is interpolated. None when no step is shared.
    """
    runs = [run for run in runs if len(run)]
    if not runs:
        return None
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
