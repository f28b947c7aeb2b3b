"""KITTI's object labels (Geiger et al., "Are we ready for Autonomous Driving?", 2012): a text file
a picture, 15 words a line, of which the first is the class and the fifth to eighth are corners."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from tlx.common.errors import DataError
from tlx.data.formats.annotations import Annotation
from tlx.data.formats.folders import (
    PICTURE_ENDINGS,
    files_below,
    of_whole_set,
    read_lines,
    split_of,
)
from tlx.data.formats.registry import Sign, reader
from tlx.data.formats.shapes import Boxes
from tlx.data.formats.sniff import first_lines, is_number, looks_like

NUMBERS = 14  # behind the class; one more is the score of a detection
UNANNOTATED = "dontcare"  # regions in which nobody has looked for objects


def _is_kitti(content: bytes) -> bool:
    lines = first_lines(content, 1)
    return bool(lines) and _parts(lines[0]) is not None


def _parts(words: list[str]) -> tuple[str, list[str]] | None:
    """(class, numbers) of a line; a class may have spaces in its name."""
    for count in (NUMBERS + 1, NUMBERS):
        name, rest = words[:-count], words[-count:]
        if name and len(rest) == count and all(map(is_number, rest)):
            return (" ".join(name), rest) if not all(map(is_number, name)) else None
    return None


@reader(
    "kitti",
    Sign(
        "text files with lines of a class and 14 numbers",
        frozenset({".txt"}),
        _is_kitti,
        seen="a class and 14 numbers a line",
    ),
)
def read_kitti(root: Path, classes: list[str] | None) -> list[Annotation]:
    """Read `label_2/N.txt` beside `image_2/N.png` (`labels/` beside `data/` or `images/`, or the
    text beside its picture), at any depth, in split folders or not.

    An empty text file is a negative. DontCare regions are dropped, as a note: nothing is known of
    them, and a detector has no class for it.

    Raises:
        DataError: a line of another kind, with file and line; a text that fits two pictures.
    """
    files = list(files_below(root))
    pictures = [path for path in files if path.suffix.lower() in PICTURE_ENDINGS]
    texts = [path for path in files if path.suffix.lower() == ".txt"]
    labels = {path for path in texts if looks_like(path) == "kitti"}
    folders = {path.parent for path in labels}  # of which an empty file is a label, too
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for picture in pictures:
        by_stem[picture.stem].append(picture)
    annotations = []
    for path in texts:
        image = _picture(path, by_stem[path.stem])
        if path in labels or (path.parent in folders and image is not None):
            expected = image or path.parent / f"{path.stem}.png"
            annotations.append(_read(path, expected, split_of(path, root)))
    return of_whole_set(root, annotations, _of_labels(pictures, annotations))


def _of_labels(pictures: list[Path], annotations: list[Annotation]) -> list[Path]:
    """The pictures without those of other cameras, which show what a label is of once more."""
    known = {(a.image.parent.parent, a.image.stem): a.image for a in annotations}
    return [p for p in pictures if known.get((p.parent.parent, p.stem), p) == p]


def _picture(text: Path, able: list[Path]) -> Path | None:
    """The picture of a label file: beside it, or in the folder that goes with its own."""
    own = text.parent
    number = re.sub(r"^labels?_?", "", own.name.lower())
    fitting = {f"image_{number}"} if number.isdigit() else {"images", "image", "data"}
    for close in (
        [p for p in able if p.parent == own],
        [p for p in able if p.parent.parent == own.parent and p.parent.name.lower() in fitting],
        [p for p in able if p.parent.parent == own.parent],
        able,
    ):
        if len(close) > 1:
            raise DataError(f"{text}: its picture may be {close[0]} or {close[1]}: remove one")
        if close:
            return close[0]
    return None


def _read(path: Path, image: Path, split: str | None) -> Annotation:
    boxes = Boxes()
    for number, line in read_lines(path):
        parts = _parts(line.split())
        if parts is None:
            raise DataError(
                f"{path}:{number}: expected a class and {NUMBERS} numbers, found {line[:60]!r}"
            )
        name, values = parts
        xmin, ymin, xmax, ymax = (float(value) for value in values[3:7])
        if name.lower() == UNANNOTATED:
            boxes.remark(
                "unannotated-region", f"line {number}: {xmin:g} {ymin:g} {xmax:g} {ymax:g}"
            )
        else:
            boxes.add(name, (xmin, ymin, xmax, ymax))
    return boxes.annotation(image, str(path), split)
