"""A subset of Open Images: `sub-SPLIT-annotations-bbox.csv`, and `SPLIT/ImageID.jpg`."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from tlx.common.errors import DataError
from tlx.data.formats.annotations import Annotation
from tlx.data.formats.folders import SPLIT_OF_FOLDER
from tlx.data.formats.registry import reader

_FRACTIONS = ("XMin", "YMin", "XMax", "YMax")


@reader("openimages")
def read_openimages(root: Path, classes: list[str] | None) -> list[Annotation]:
    """Read the chosen boxes, fractions of the picture, of each split that has a file.

    Raises:
        DataError: a damaged line.
    """
    annotations = []
    for split in ("train", "validation", "test"):
        path = root / f"sub-{split}-annotations-bbox.csv"
        rows: dict[str, list[tuple[list[float], str]]] = {}
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                for number, row in enumerate(csv.DictReader(file), start=2):
                    try:
                        box = [float(row[key]) for key in _FRACTIONS]
                        rows.setdefault(row["ImageID"], []).append((box, row["ClassName"]))
                    except (KeyError, TypeError, ValueError) as error:
                        raise DataError(f"{path}:{number}: {error!r} is no box") from error
        for image, found in rows.items():
            picture = root / split / f"{Path(image).name}.jpg"
            size = Image.open(picture).size if picture.is_file() else (1, 1)
            annotations.append(
                Annotation(
                    picture, np.array([box for box, _ in found]) * (size * 2),
                    [name for _, name in found], np.zeros(len(found), bool), str(path),
                    SPLIT_OF_FOLDER[split],
                )
            )  # fmt: skip
    return annotations
