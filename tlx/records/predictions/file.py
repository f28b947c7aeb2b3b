"""`RUN/predictions/test.json`: ground truth and detections of every test picture, in its pixels.

It is for looking at pictures: boxes are rounded to 0.1 px and weak detections are left out. Figures
are computed from all detections, unrounded, before the file is written (`tlx.evaluation`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlx.common.errors import DataError
from tlx.common.files import read_json, write_text

VERSION = 1
SCORE_FLOOR = 0.05  # weaker detections outnumber all others and are noise to a reader


@dataclass(frozen=True, eq=False)
class Truth:
    """The objects of a picture.

    Attributes:
        boxes: float64 (m, 4), xmin ymin xmax ymax in px. labels: int64 (m,), 1-based.
        ignored: bool (m,), difficult or crowd: neither a hit nor a miss.
    """

    boxes: np.ndarray
    labels: np.ndarray
    ignored: np.ndarray


@dataclass(frozen=True, eq=False)
class Found:
    """The detections in a picture, best first.

    Attributes:
        boxes: float64 (n, 4), as in `Truth`. labels: int64 (n,), 1-based. scores: float64 (n,).
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True, eq=False)
class ImagePredictions:
    """One picture.

    Attributes:
        image: POSIX path relative to the data root; absolute for a picture outside of it.
        sha256: of the picture file, in hex. width, height: px, upright.
    """

    image: str
    sha256: str
    width: int
    height: int
    truth: Truth
    found: Found


@dataclass(frozen=True, eq=False)
class Predictions:
    """All pictures of a split, in the order of the split.

    Attributes:
        score_floor: detections of a lower score are not stored.
        classes: label k is classes[k - 1].
    """

    split: str
    score_floor: float
    classes: list[str]
    images: list[ImagePredictions]


def predictions_path(run_dir: Path, split: str = "test") -> Path:
    """Where a run keeps the predictions of a split."""
    return run_dir / "predictions" / f"{split}.json"


def write_predictions(run_dir: Path, predictions: Predictions) -> Path:
    """Write the file in one piece, one picture a line; returns its path."""
    head = {
        "version": VERSION,
        "split": predictions.split,
        "score_floor": predictions.score_floor,
        "classes": predictions.classes,
    }
    lines = ",\n".join(_dump(_row(image)) for image in predictions.images)
    path = predictions_path(run_dir, predictions.split)
    write_text(path, f'{_dump(head)[:-1]},"images":[\n{lines}\n]}}\n')
    return path


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _row(image: ImagePredictions) -> dict[str, Any]:
    truth, found = image.truth, image.found
    return {
        "image": image.image,
        "sha256": image.sha256,
        "width": image.width,
        "height": image.height,
        "truth": {
            "boxes": truth.boxes.round(1).tolist(),
            "labels": truth.labels.tolist(),
            "ignored": truth.ignored.tolist(),
        },
        "found": {
            "boxes": found.boxes.round(1).tolist(),
            "labels": found.labels.tolist(),
            "scores": found.scores.round(4).tolist(),
        },
    }


def read_predictions(run_dir: Path, split: str = "test") -> Predictions:
    """Read the predictions of a run.

    Raises:
        DataError: there is no such file, or it is damaged or of another version.
    """
    path = predictions_path(run_dir, split)
    try:
        data = read_json(path)
    except FileNotFoundError:
        raise DataError(
            f"{run_dir} has no predictions/{split}.json: the run is not finished, or it was made "
            "by a version of tlx that did not keep them; run it again in another folder"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}): run the test again") from error
    version = data.get("version") if isinstance(data, dict) else None
    if version != VERSION:
        raise DataError(f"{path} has version {version!r}; this program reads version {VERSION}")
    place = "its head"
    try:
        classes = [str(name) for name in data["classes"]]
        predictions = Predictions(str(data["split"]), float(data["score_floor"]), classes, [])
        for number, row in enumerate(data["images"], start=1):
            place = f"picture {number}"
            predictions.images.append(_read_image(row, len(classes)))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: {place} is damaged ({error!r}): run the test again") from error
    return predictions


def _read_image(row: dict[str, Any], classes: int) -> ImagePredictions:
    truth, found = row["truth"], row["found"]
    return ImagePredictions(
        image=str(row["image"]),
        sha256=str(row["sha256"]),
        width=int(row["width"]),
        height=int(row["height"]),
        truth=Truth(
            boxes := _boxes(truth["boxes"]),
            _labels(truth["labels"], len(boxes), classes),
            _column(truth["ignored"], len(boxes)).astype(bool),
        ),
        found=Found(
            boxes := _boxes(found["boxes"]),
            _labels(found["labels"], len(boxes), classes),
            _column(found["scores"], len(boxes)).astype(float),
        ),
    )


def _boxes(values: Any) -> np.ndarray:
    boxes = np.array(values, float).reshape(-1, 4)
    if not np.isfinite(boxes).all():
        raise ValueError("a box is not finite")
    return boxes


def _column(values: Any, length: int) -> np.ndarray:
    column = np.array(values)
    if column.shape != (length,):
        raise ValueError(f"{column.size} values for {length} boxes")
    return column


def _labels(values: Any, length: int, classes: int) -> np.ndarray:
    labels = _column(values, length).astype(np.int64)
    if length and not 1 <= labels.min() <= labels.max() <= classes:
        raise ValueError(f"a label is not between 1 and {classes}")
    return labels
