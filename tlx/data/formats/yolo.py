"""YOLO text: a line `class x y w h` a box, centre and sides in fractions of the picture.

The layouts of Ultralytics and Darknet (docs.ultralytics.com/datasets/detect): text files beside the
pictures, or in `labels/` beside `images/`, in the root or in train/val/test folders on either side.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image

from tlx.data.annotations import Annotation
from tlx.data.formats.folders import (
    ImageFolder,
    files_in,
    read_lines,
    split_folders,
    subfolder,
)
from tlx.data.formats.registry import reader
from tlx.errors import DataError
from tlx.files import read_yaml

NAMES = ("classes.txt", "obj.names")  # of Darknet and of labelling tools; none is an annotation


@reader("yolo")
def read_yolo(root: Path, classes: list[str] | None) -> list[Annotation]:
    """Read the text files of `root`; a picture without one is unlabelled, an empty one a negative.

    The names are `names` of a data.yaml, the lines of classes.txt or obj.names, or `classes`;
    without any they are class_0, class_1, ….

    Raises:
        DataError: a line that is no box, a class beyond the names (each with file and line).
    """
    names = _names(root) or classes
    annotations: list[Annotation] = []
    for split, pictures, labels in _folders(root):
        images = ImageFolder(pictures)
        used = []
        for path in files_in(labels, {".txt"}):
            image = images.with_stem(path.stem)
            if path.name in NAMES or (image is None and labels == pictures):
                continue
            image = image or pictures / f"{path.stem}.jpg"
            annotations.append(_read(path, image, split, names))
            used.append(image)
        annotations += images.unlabelled(used, split)
    return annotations


def _folders(root: Path) -> list[tuple[str | None, Path, Path]]:
    """(split, pictures, labels) of each part of a set."""
    images, labels = subfolder(root, "images"), subfolder(root, "labels")
    if images and labels:
        inner = [(s, p, subfolder(labels, p.name)) for s, p in split_folders(images)]
        parts = [(s, p, found) for s, p, found in inner if found]
        return [*parts] or [(None, images, labels)]
    found: list[tuple[str | None, Path, Path]] = []
    outer: list[tuple[str | None, Path]] = [*split_folders(root)]
    for split, folder in outer or [(None, root)]:
        pictures = subfolder(folder, "images") or folder
        found.append((split, pictures, subfolder(folder, "labels") or pictures))
    return found


def _names(root: Path) -> list[str] | None:
    for path in sorted(root.glob("*.y*ml")):
        try:
            content = read_yaml(path)
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: malformed YAML: {error}: correct it") from error
        names = content.get("names") if isinstance(content, dict) else None
        if isinstance(names, dict) and sorted(names) == list(range(len(names))):
            names = [names[number] for number in range(len(names))]
        if isinstance(names, list) and names:
            return [str(name) for name in names]
        if names is not None:
            raise DataError(f"{path}: `names` must list the classes from 0 on, not {names!r}")
    listed = next((root / name for name in NAMES if (root / name).is_file()), None)
    return [line for _, line in read_lines(listed)] if listed else None


def _read(path: Path, image: Path, split: str | None, names: list[str] | None) -> Annotation:
    boxes, found = [], []
    for number, line in read_lines(path):
        kind, box = _box(path, number, line)
        if names and kind >= len(names):
            raise DataError(
                f"{path}:{number}: class {kind} has no name (known: 0 to {len(names) - 1}): "
                "complete data.yaml, classes.txt or data.classes"
            )
        boxes.append(box)
        found.append(names[kind] if names else f"class_{kind}")
    try:
        with Image.open(image) as picture:
            size = picture.size
    except (OSError, ValueError, Image.DecompressionBombError):  # the check says why
        size = (1, 1)
    corners = np.array(boxes, float).reshape(-1, 4) * np.array([*size] * 2)
    return Annotation(image, corners, found, np.zeros(len(found), bool), str(path), split)


def _box(path: Path, number: int, line: str) -> tuple[int, list[float]]:
    """(class, xmin ymin xmax ymax in fractions) of a line: a box, or the box round a polygon."""
    words = line.split()
    try:
        kind, values = int(words[0]), [float(word) for word in words[1:]]
    except ValueError:
        kind, values = -1, []
    polygon = len(values) >= 6 and len(values) % 2 == 0
    if kind < 0 or not (len(values) == 4 or polygon) or not all(map(math.isfinite, values)):
        raise DataError(
            f"{path}:{number}: expected 'class x y width height' in fractions, found {line!r}"
        )
    if max(map(abs, values)) > 2:
        raise DataError(
            f"{path}:{number}: {line!r} is in pixels; YOLO's numbers are fractions of the picture"
        )
    if polygon:
        return kind, [*(min(values[i::2]) for i in (0, 1)), *(max(values[i::2]) for i in (0, 1))]
    x, y, w, h = values
    return kind, [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
