"""What every test picture adds to a run's figures, from the predictions that the run kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlx.common.errors import DataError
from tlx.records.predictions.file import predictions_path, read_predictions
from tlx.records.predictions.influence import pseudo_values
from tlx.report.comparison.records import Record

Values = NDArray[np.float64]


def gaps_by_picture(
    one: Sequence[Record], other: Sequence[Record], ious: tuple[float, ...]
) -> Values | None:
    """Differences of the pictures' pseudo-values, [S, P], of runs that are pairs of a seed.

    None where a run kept no predictions, or they are damaged or not of the same pictures.
    """
    found = [_of_run(record, ious) for record in (*one, *other)]
    known = [run for run in found if run is not None]
    if len(known) < len(found) or len({pictures for pictures, _ in known}) != 1:
        return None
    values = np.stack([values for _, values in known])
    return values[: len(one)] - values[len(one) :]


def _of_run(record: Record, ious: tuple[float, ...]) -> tuple[tuple[str, ...], Values] | None:
    try:
        changed = predictions_path(record.folder).stat().st_mtime_ns
    except OSError:
        return None
    return _read(record.folder, changed, ious)


@lru_cache(maxsize=1024)
def _read(
    folder: Path, changed: int, ious: tuple[float, ...]
) -> tuple[tuple[str, ...], Values] | None:
    """Kept by the time of change, since a run is compared with several others."""
    try:
        predictions = read_predictions(folder)
    except DataError:
        return None
    values = pseudo_values(predictions, ious)
    if values is None:
        return None
    return tuple(image.sha256 for image in predictions.images), values
