"""What a run found on every test picture, as data: the file, and what went wrong where."""

from __future__ import annotations

from tlx.records.predictions.file import (
    Found,
    ImagePredictions,
    Predictions,
    Truth,
    predictions_path,
    read_predictions,
    write_predictions,
)
from tlx.records.predictions.matching import SHOWN, Matching, Pair, log_loss, match, unshared

__all__ = [
    "SHOWN",
    "Found",
    "ImagePredictions",
    "Matching",
    "Pair",
    "Predictions",
    "Truth",
    "log_loss",
    "match",
    "predictions_path",
    "read_predictions",
    "unshared",
    "write_predictions",
]
