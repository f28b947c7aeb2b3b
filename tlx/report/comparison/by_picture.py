"""What every test picture adds to a run's figures, from the predictions that the run kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tlx.common.errors import DataError
from tlx.records.predictions.classified import classified_path, read_classified
from tlx.records.predictions.file import predictions_path, read_predictions
from tlx.records.predictions.influence import ClassValues, by_class, over_folds, pseudo_values
from tlx.report.comparison.records import Record

Values = NDArray[np.float64]
Part = tuple[float, ...] | Literal["accuracy", "macro_f1"]
"""A figure as a mean over test pictures: a mAP by the IoUs that are hits, or a classifier's."""
_Run = tuple[tuple[str, ...], Values]  # the test pictures by name, and what each adds


def fold_of_picture(record: Record, part: Part) -> NDArray[np.int64] | None:
    """The number of each test picture's fold, [P]; None where all pictures are of one."""
    runs = [_of_run(each, part) for each in record.parts]
    if len(runs) < 2 or any(run is None for run in runs):
        return None
    return np.repeat(np.arange(len(runs)), [len(run[0]) for run in runs if run is not None])


def pictures_of(record: Record, part: Part) -> tuple[str, ...] | None:
    """The test pictures of a run, by digest or path, in order; None without predictions."""
    run = _of_run(record, part)
    return None if run is None else run[0]


def values_by_picture(records: Sequence[Record], part: Part) -> Values | None:
    """What each test picture adds to the figures of runs, [S, P], on a scale whose mean they are.

    None where a run kept no predictions, or they are damaged or not of the same pictures.
    """
    found = [_of_run(record, part) for record in records]
    known = [run for run in found if run is not None]
    if len(known) < len(found) or len({pictures for pictures, _ in known}) != 1:
        return None
    return np.stack([values for _, values in known])


def gaps_by_picture(one: Sequence[Record], other: Sequence[Record], part: Part) -> Values | None:
    """Differences of the pictures' pseudo-values, [S, P], of runs that are pairs of a seed.

    None where `values_by_picture` is.
    """
    values = values_by_picture((*one, *other), part)
    return None if values is None else values[: len(one)] - values[len(one) :]


def _of_run(record: Record, part: Part) -> _Run | None:
    if record.parts:
        return _of_folds(record.parts, part)
    kept = classified_path if isinstance(part, str) else predictions_path
    try:
        changed = kept(record.folder).stat().st_mtime_ns
    except OSError:
        return None
    found = _read(record.folder, changed, part)
    counted = record.number("test", "pictures") if isinstance(part, str) else None
    # A file that lost its end is not of the test set.
    return None if found and counted is not None and len(found[0]) != counted else found


def _of_folds(runs: Sequence[Record], part: Part) -> _Run | None:
    """Of runs that each tested a fold: the pictures of all, in the order of the folds."""
    if isinstance(part, str):
        return None
    pictures: list[str] = []
    found = []
    for run in runs:
        try:
            changed = predictions_path(run.folder).stat().st_mtime_ns
        except OSError:
            return None
        read = _read_classes(run.folder, changed, part)
        if read is None:
            return None
        pictures += read[0]
        found.append((len(read[0]), read[1]))
    return tuple(pictures), over_folds(found)


@lru_cache(maxsize=1024)
def _read_classes(
    folder: Path, changed: int, part: tuple[float, ...]
) -> tuple[tuple[str, ...], dict[str, ClassValues]] | None:
    try:
        predictions = read_predictions(folder)
    except DataError:
        return None
    values = by_class(predictions, part)
    if values is None:
        return None
    return tuple(image.sha256 for image in predictions.images), values


@lru_cache(maxsize=1024)
def _read(folder: Path, changed: int, part: Part) -> _Run | None:
    """Kept by the time of change, since a run is compared with several others."""
    try:
        if isinstance(part, str):
            classified = read_classified(folder)
            values = classified.pseudo_values(part)
            return None if values is None else (classified.pictures, values)
        predictions = read_predictions(folder)
    except DataError:
        return None
    values = pseudo_values(predictions, part)
    if values is None:
        return None
    return tuple(image.sha256 for image in predictions.images), values
