"""YOLO text: a line `class x y w h` a box, centre and sides in fractions of the upright picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tlx.common.errors import DataError
from tlx.common.files import read_yaml
from tlx.data.formats.annotations import Annotation
from tlx.data.formats.folders import files_below, read_lines
from tlx.data.formats.pictures import upright_size
from tlx.data.formats.registry import Sign, reader
from tlx.data.formats.sniff import first_lines, is_number
from tlx.data.formats.yolo_layout import NAMES, Layout, find_layout


def _is_yolo(content: bytes) -> bool:
    lines = first_lines(content)
    if not lines or not all(is_number(word) for word in lines[0]):
        return False
    width = len(lines[0])
    # Six: detections with their confidences, of which the reader says what they are.
    return _class(lines[0][0]) >= 0 and (width in (5, 6) or (width >= 7 and width % 2 == 1))


def _class(word: str) -> int:
    """The number of a class; some programs write all numbers alike (`0.000000`). -1 for others."""
    value = float(word)
    return int(value) if value.is_integer() and value >= 0 else -1


@reader(
    "yolo",
    Sign(
        "text files with lines 'class x y width height'",
        frozenset({".txt"}),
        _is_yolo,
        seen="five numbers a line",
    ),
)
def read_yolo(root: Path, classes: list[str] | None) -> list[Annotation]:
    """Read the text files of `root`; a picture without one is unlabelled, an empty one a negative.

    The names are `names` of a data.yaml, the lines of classes.txt or obj.names, or `classes`;
    without any they are class_0, class_1, ….

    Raises:
        DataError: a line that is no box, a class beyond the names (each with file and line), a
            split without a picture.
    """
    path, settings = _settings(root)
    names = _one_of(_names(path, settings), path, *_listed_names(root)) or classes
    layout = find_layout(root, settings, path.parent)
    keypoints = settings.get("kpt_shape") is not None
    read = {
        image: _read(text, image, names, keypoints=keypoints)
        for image, text in layout.texts.items()
    }
    return [*_of_splits(layout, read), *_unknown_lines(layout, root)]


def _of_splits(layout: Layout, read: Mapping[Path, Annotation]) -> list[Annotation]:
    annotations = []
    placed: set[Path] = set()
    for split, pictures in layout.splits.items():
        for image in pictures:
            placed.add(image)
            if image in read:
                annotations.append(replace(read[image], split=split))
            else:
                annotations.append(_unlabelled(image, split))
    for image in (*read, *layout.unlabelled):
        if image in placed:
            continue
        if layout.listed and image in read:
            source = read[image].source
            annotations.append(Annotation.without_boxes(image, source, unused="unlisted"))
        else:
            annotations.append(read[image] if image in read else _unlabelled(image, None))
    return annotations


def _unlabelled(image: Path, split: str | None) -> Annotation:
    return Annotation.without_boxes(image, str(image.parent), split=split, unused="unlabelled")


def _unknown_lines(layout: Layout, root: Path) -> list[Annotation]:
    return [
        Annotation.without_boxes(
            root, where, unused="unknown-line", remarks=(("unknown-line", detail),)
        )
        for where, detail in layout.unknown
    ]


def _settings(root: Path) -> tuple[Path, Mapping[str, Any]]:
    """The data.yaml of a set, whatever it is called and however deep it lies, and what it says.

    Raises:
        DataError: it is malformed, or two that lie equally deep name unlike classes.
    """
    found: list[tuple[Path, Mapping[str, Any]]] = []
    for path in files_below(root):
        if path.suffix.lower() not in (".yaml", ".yml"):
            continue
        try:
            content = read_yaml(path)
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: malformed YAML: {error}: correct it") from error
        if isinstance(content, dict) and content.keys() & {"names", "train", "val"}:
            found.append((path, content))
    if not found:
        return root / "data.yaml", {}
    least = min(len(path.parts) for path, _ in found)
    first, *others = [each for each in found if len(each[0].parts) == least]
    for path, content in others:
        if content.get("names") != first[1].get("names"):
            raise DataError(
                f"{first[0]} and {path} name unlike classes: give data.root the folder of one set"
            )
    return first


def _names(path: Path, settings: Mapping[str, Any]) -> list[str] | None:
    names = settings.get("names")
    if names is None:
        return None
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DataError(f"{path}: `names` must list the classes from 0 on, not {names!r}")
    for name in names:
        if isinstance(name, bool) or not isinstance(name, str | int | float):
            raise DataError(
                f"{path}: YAML reads a class in `names` as {name!r}: write it in quotes ('no')"
            )
    count = settings.get("nc")
    if isinstance(count, int) and count != len(names):
        raise DataError(f"{path}: `nc` is {count}, and `names` has {len(names)}: correct either")
    return _unlike([str(name) for name in names], path)


def _one_of(
    stated: list[str] | None, path: Path, listed: list[str] | None, listing: Path
) -> list[str] | None:
    """The names of data.yaml or of a list beside it; where there are both they must be the same."""
    if stated and listed and stated != listed:
        raise DataError(
            f"{path} names the classes {', '.join(stated)}, and {listing} {', '.join(listed)}: "
            "which number is which class is not known; correct or remove one of them"
        )
    return stated or listed


def _listed_names(root: Path) -> tuple[list[str] | None, Path]:
    """The lines of classes.txt or obj.names in the root, or of the only one below it; its path."""
    files = [path for path in files_below(root) if path.name in NAMES]
    own = [path for name in NAMES for path in files if path == root / name]
    if not files or (not own and len(files) > 1):
        return None, root
    path = (own or files)[0]
    return _unlike([line for _, line in read_lines(path)], path), path


def _unlike(names: list[str], path: Path) -> list[str]:
    again = [name for i, name in enumerate(names) if name in names[:i]]
    if again:
        raise DataError(f"{path}: the class {again[0]!r} is named twice: correct it")
    return names


def _read(path: Path, image: Path, names: list[str] | None, *, keypoints: bool) -> Annotation:
    boxes, found = [], []
    for number, line in read_lines(path):
        kind, box = _box(path, number, line, keypoints)
        if names and kind >= len(names):
            raise DataError(
                f"{path}:{number}: class {kind} has no name (known: 0 to {len(names) - 1}): "
                "complete data.yaml, classes.txt or data.classes, or count the classes from 0"
            )
        boxes.append(box)
        found.append(names[kind] if names else f"class_{kind}")
    size = upright_size(image) or (1, 1)  # where there is none the check says why
    corners = np.array(boxes, float).reshape(-1, 4) * np.array([*size] * 2)
    return Annotation(image, corners, found, np.zeros(len(found), bool), str(path))


def _box(path: Path, number: int, line: str, keypoints: bool) -> tuple[int, list[float]]:
    """(class, xmin ymin xmax ymax in fractions) of a line: a box, or the box round a polygon.

    Args:
        keypoints: behind the box are those of a pose, which are left alone.
    """
    words = line.split()
    try:
        kind, values = _class(words[0]), [float(word) for word in words[1:]]
    except ValueError:
        kind, values = -1, []
    values = values[:4] if keypoints else values
    if kind >= 0 and len(values) == 5:
        raise DataError(
            f"{path}:{number}: six numbers, {line!r}: a detection with its confidence? These are "
            "what a model has found, and not what people have annotated; to train on them, remove "
            "the last number of each line"
        )
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
