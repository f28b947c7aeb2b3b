"""One text file beside each picture: a count, then `xmin ymin xmax ymax` a line; one class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tlx.common.errors import ConfigError, DataError
from tlx.data.formats.annotations import Annotation
from tlx.data.formats.folders import (
    ImageFolder,
    annotated_folders,
    files_below,
    files_in,
    read_lines,
)
from tlx.data.formats.registry import Sign, reader
from tlx.data.formats.sniff import first_lines, is_number, looks_like


def _is_count_and_corners(content: bytes) -> bool:
    lines = first_lines(content)
    if len(lines) < 2 or len(lines[0]) != 1 or not lines[0][0].isdecimal():
        return False
    return len(lines[1]) == 4 and all(map(is_number, lines[1]))


@reader(
    "txt",
    Sign(
        "text files with a count, then lines of four corners",
        frozenset({".txt"}),
        _is_count_and_corners,
        seen="a count, then corners",
        needs="data.classes=[NAME]",
    ),
)
def read_txt(root: Path, classes: list[str] | None) -> list[Annotation]:
    """Read `N.txt` for each picture `N.*` in `root`, or in its train, val and test folders.

    A text file without a picture that does not begin with a count (a readme, a list of labels) is
    no annotation; one that does is, and its picture is missing.

    Raises:
        ConfigError: `classes` is not exactly one name: the files do not say what is in the boxes.
        DataError: a malformed file, with its line.
    """
    if classes is None or len(classes) != 1:
        given = "none" if not classes else ", ".join(classes)
        raise ConfigError(
            f"txt annotations name no class: set data.classes to exactly one name (now: {given})"
        )
    annotations: list[Annotation] = []
    read: set[Path] = set()
    for split, folder in annotated_folders(root, ".txt"):
        images = ImageFolder(folder)
        used = []
        for path in files_in(folder, {".txt"}):
            image = images.with_stem(path.stem)
            if image is None and not _begins_with_count(path):
                continue
            boxes = read_boxes(path)
            read.add(path)
            image = image or path.with_suffix(".jpg")
            names, difficult = classes * len(boxes), np.zeros(len(boxes), bool)
            annotations.append(Annotation(image, boxes, names, difficult, str(path), split))
            used.append(image)
        if images.images and not used:
            raise DataError(f"{folder} holds pictures but no N.txt beside them: check data.format")
        annotations += images.unlabelled(used, split)
    deeper = (p for p in files_below(root) if p not in read and looks_like(p) == "txt")
    return annotations + [
        Annotation.without_boxes(path, str(path), unused="unread-annotation") for path in deeper
    ]


def read_boxes(path: Path) -> np.ndarray:
    """The boxes of one file, float64 (n, 4), as written.

    Raises:
        DataError: no count, a line that is not four numbers, or more or fewer lines than the count.
    """
    lines = list(read_lines(path))
    if not lines:
        raise DataError(f"{path}:1: no box count; write 0 for a picture without boxes")
    first, count = lines[0]
    if not count.isdecimal():
        raise DataError(f"{path}:{first}: expected the number of boxes, found {count!r}")
    if len(lines) - 1 != int(count):
        raise DataError(
            f"{path}:{first}: announces {count} boxes, but {len(lines) - 1} follow: correct either"
        )
    return np.array([_corners(path, *line) for line in lines[1:]], dtype=float).reshape(-1, 4)


def _corners(path: Path, number: int, text: str) -> list[float]:
    try:
        corners = [float(word) for word in text.split()]
    except ValueError:
        corners = []
    if len(corners) != 4:
        raise DataError(
            f"{path}:{number}: expected four numbers 'xmin ymin xmax ymax', found {text!r}"
        )
    return corners


def _begins_with_count(path: Path) -> bool:
    return next((text.isdecimal() for _, text in read_lines(path)), False)
