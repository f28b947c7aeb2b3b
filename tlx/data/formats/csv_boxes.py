"""CSV files with a box a line: Roboflow's `_annotations.csv` (the columns of TensorFlow's Object
Detection API), and lines `path,x1,y1,x2,y2,class` without a header, as keras-retinanet reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tlx.common.errors import DataError
from tlx.data.formats.annotations import Annotation
from tlx.data.formats.folders import files_below, of_whole_set, split_of
from tlx.data.formats.named import NamedPictures
from tlx.data.formats.registry import Sign, reader
from tlx.data.formats.shapes import Boxes, stated_size
from tlx.data.formats.sniff import is_number, looks_like
from tlx.data.formats.tables import cells, first_row, numbers, places, read_rows

CORNERS = ("xmin", "ymin", "xmax", "ymax")
COLUMNS = ("filename", "class", *CORNERS)
SIZE = ("width", "height")
PLAIN = ("x1", "y1", "x2", "y2")  # of a file without a header


def _is_csv_of_boxes(content: bytes) -> bool:
    return _has_header(row := first_row(content)) or _is_plain(row)


def _has_header(row: list[str]) -> bool:
    return {*COLUMNS} <= {cell.lower() for cell in row}


def _is_plain(row: list[str]) -> bool:
    """path,x1,y1,x2,y2,class; or path,,,,, of a picture without boxes."""
    if len(row) != 6 or "." not in row[0]:
        return False
    return not any(row[1:]) or (all(map(is_number, row[1:5])) and bool(row[5]))


@reader(
    "csv",
    Sign(
        "CSV files with filename,class,xmin,ymin,xmax,ymax or lines path,x1,y1,x2,y2,class",
        frozenset({".csv"}),
        _is_csv_of_boxes,
    ),
)
def read_csv(root: Path, classes: list[str] | None) -> list[Annotation]:
    """Read every such CSV file below `root`; a split is said by its name or by its folder.

    Pictures are named relative to the file or to the root; of absolute paths the end counts. A
    picture without a line is unlabelled, for the format has no place for pictures without boxes
    (but `path,,,,,` without a header).

    Raises:
        DataError: a line that is no box, or a name that means no one picture, with file and line.
    """
    annotations: list[Annotation] = []
    pictures: list[Path] = NamedPictures(root, [root]).all
    for path in files_below(root):
        if path.suffix.lower() == ".csv" and looks_like(path) == "csv":
            annotations += _read_file(root, path)
    return of_whole_set(root, annotations, pictures)


def _read_file(root: Path, path: Path) -> Iterator[Annotation]:
    split = split_of(path, root, lists=True)
    pictures = NamedPictures(root, [path.parent, path.parent / "images", root], "the name")
    found: dict[str, Boxes] = {}
    stated: dict[str, tuple[int, int] | None] = {}
    first: dict[str, str] = {}
    at: list[int] = []
    size_at: list[int] = []
    names: tuple[str, ...] = PLAIN
    for number, row in enumerate(read_rows(path)):
        where, words = row
        if not number and _has_header(words):
            at, names = places(words, COLUMNS, where), CORNERS
            lower = [cell.lower() for cell in words]
            size_at = [lower.index(side) for side in SIZE if side in lower]
            continue
        if not at:
            at = [0, 5, 1, 2, 3, 4]
        name, kind, *corners = cells(row, at)
        boxes = found.setdefault(name, Boxes())
        first.setdefault(name, where)
        if len(size_at) == 2:
            stated[name] = stated_size(*cells(row, size_at))
        if not kind and not any(corners):
            continue
        if not kind:
            raise DataError(f"{where}: no class: name it")
        xmin, ymin, xmax, ymax = numbers(where, corners, names)
        boxes.add(kind, (xmin, ymin, xmax, ymax))
    for name, boxes in found.items():
        image = pictures.matching(name, first[name])
        yield boxes.annotation(image, first[name], split, stated.get(name))
