"""What an evaluation found on every picture, as data to keep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlx.common.files import path_below
from tlx.data.formats.annotations import Item
from tlx.evaluation.voc07 import Picture
from tlx.records.predictions.file import SCORE_FLOOR, Found, ImagePredictions, Predictions, Truth


def collect(
    items: Sequence[Item],
    pictures: Sequence[Picture],
    classes: Sequence[str],
    root: Path,
    *,
    split: str = "test",
    score_floor: float = SCORE_FLOOR,
) -> Predictions:
    """Predictions from an evaluation's items and pictures, which go in the same order."""
    images = [
        _image(item, picture, root, score_floor)
        for item, picture in zip(items, pictures, strict=True)
    ]
    return Predictions(split, score_floor, list(classes), images)


def _image(item: Item, picture: Picture, root: Path, floor: float) -> ImagePredictions:
    kept = picture.scores.numpy() >= floor
    return ImagePredictions(
        image=path_below(item.image, root),
        sha256=item.digest,
        width=item.size[0],
        height=item.size[1],
        truth=Truth(item.boxes.astype(float).reshape(-1, 4), item.labels, item.difficult),
        found=Found(
            picture.boxes.numpy().astype(float).reshape(-1, 4)[kept],
            picture.labels.numpy()[kept],
            picture.scores.numpy().astype(float)[kept],
        ),
    )
