"""CVAT's XML "for images 1.1" (docs.cvat.ai, formats): one file with the shapes of all pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from tlx.common.errors import DataError
from tlx.data.formats.annotations import Annotation
from tlx.data.formats.folders import SPLIT_OF_FOLDER, files_below, of_whole_set, split_of
from tlx.data.formats.named import NamedPictures
from tlx.data.formats.registry import Sign, reader
from tlx.data.formats.shapes import Boxes, enclosing, number, stated_size, turned
from tlx.data.formats.sniff import looks_like

SHAPES = ("box", "polygon", "ellipse", "mask", "polyline", "points", "cuboid", "skeleton")
DEEPEST = 50  # elements within one another: CVAT's own have six


def _is_cvat(content: bytes) -> bool:
    return re.search(rb"<annotations[\s>]", content) is not None and (
        content.find(b"<image ") >= 0 or content.find(b"<meta") >= 0
    )


@reader("cvat", Sign("XML files that begin with <annotations>", frozenset({".xml"}), _is_cvat))
def read_cvat(root: Path, classes: list[str] | None) -> list[Annotation]:
    """Read every such file below `root`, with pictures in `images/` (where a project has subsets:
    `images/SUBSET/`), `data/` or the root.

    Splits are those that `subset` says, or the file's name (`train.xml`, as Datumaro writes it).
    Polygons, ellipses and masks are the box round them; of a turned box it is the enclosing one,
    as a fault. Points, lines, cuboids and skeletons are no boxes, which is a fault. An image
    without a shape is a negative: CVAT lists every picture of a task.

    Raises:
        DataError: malformed XML, an export "for video", a shape that makes no sense.
    """
    paths = [p for p in files_below(root) if p.suffix.lower() == ".xml"]
    annotations: list[Annotation] = []
    for path in paths:
        if looks_like(path) == "cvat":
            annotations += _read_file(root, path)
    return of_whole_set(root, annotations, NamedPictures(root, [root]).all)


def _read_file(root: Path, path: Path) -> Iterator[Annotation]:
    split = split_of(path, root, lists=True)
    subfolders = [root / "images", root / "data", path.parent / "images", path.parent, root]
    pictures = _Subsets(root, subfolders)
    try:
        for top, image in _images(path):
            if top is not None:
                raise DataError(f"{path}: not CVAT's XML for images: {top}")
            yield _read_image(path, image, pictures, split)
    except ParseError as error:
        raise DataError(f"{path}: malformed XML: {error}: export it again") from error
    except DefusedXmlException as error:
        raise DataError(f"{path}: refused: {error!r}: write it without DTD or entities") from error
    except (OSError, ValueError, LookupError) as error:  # encodings that the parser does not know
        raise DataError(f"{path}: it cannot be read as text ({error}): save it as UTF-8") from error


def _images(path: Path) -> Iterator[tuple[str | None, Element]]:
    """(what is wrong, element) of each <image>; one is in memory at a time."""
    deep = 0
    for event, element in iterparse(path, events=("start", "end")):
        deep += 1 if event == "start" else -1
        if deep > DEEPEST:
            yield "elements too deep within one another", element
        if event == "start" and deep == 1 and element.tag != "annotations":
            yield f"its first element is <{str(element.tag)[:40]}>", element
        if event == "start" and element.tag == "track":
            yield 'tracks "for video": export it as "CVAT for images 1.1"', element
        if event == "end" and element.tag == "image" and deep == 1:
            yield None, element
            element.clear()


def _read_image(path: Path, image: Element, pictures: _Subsets, split: str | None) -> Annotation:
    name = image.get("name", "").strip()
    where = f"{path} image {image.get('id', '')} {name!r}"
    boxes = Boxes()
    for shape in image:
        if shape.tag in SHAPES:
            _add(boxes, shape, where)
    subset = image.get("subset", "").strip().lower()
    size = stated_size(image.get("width"), image.get("height"))
    place = pictures.of_subset(subset).find(name, where)
    return boxes.annotation(place, where, SPLIT_OF_FOLDER.get(subset) or split, size)


class _Subsets:
    """The pictures of a file by the subset that they belong to."""

    def __init__(self, root: Path, folders: list[Path]) -> None:
        self.root, self.folders = root, folders
        self._known: dict[str, NamedPictures] = {}
        # Listed, and never joined to what a file says: a subset cannot lead out of the root.
        self._own = {
            folder.name.lower(): folder
            for place in folders
            if place.is_dir()
            for folder in sorted(place.iterdir())
            if folder.is_dir()
        }

    def of_subset(self, subset: str) -> NamedPictures:
        """Pictures that are looked for in the subset's folder first."""
        own = self._own.get(subset)
        key = subset if own else ""
        if key not in self._known:
            folders = [own, *self.folders] if own else self.folders
            self._known[key] = NamedPictures(self.root, folders, "name")
        return self._known[key]


def _add(boxes: Boxes, shape: Element, where: str) -> None:
    kind, name = str(shape.tag), shape.get("label", "").strip()
    place = f"{where} {kind} {len(boxes.boxes) + 1}"
    if not name:
        raise DataError(f"{place}: no label: name its class")
    try:
        degrees = number(shape.get("rotation", "0"))
        if kind == "box":
            box = _corners(shape, "xtl", "ytl", "xbr", "ybr")
            boxes.turned(name, turned(box, degrees), degrees, place)
        elif kind == "polygon":
            points = [pair.split(",") for pair in shape.get("points", "").split(";")]
            boxes.add(name, enclosing([[number(x), number(y)] for x, y in points]))
        elif kind == "ellipse":
            x, y, a, b = _corners(shape, "cx", "cy", "rx", "ry")
            boxes.turned(name, turned((x - a, y - b, x + a, y + b), degrees), degrees, place)
        elif kind == "mask":
            left, top, width, height = _corners(shape, "left", "top", "width", "height")
            boxes.add(name, (left, top, left + width, top + height))
        else:
            boxes.remark("no-box-shape", f"{place}: {name}")
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{place}: {error}: correct or remove it") from error


def _corners(shape: Element, *keys: str) -> tuple[float, float, float, float]:
    missing = [key for key in keys if shape.get(key) is None]
    if missing:
        raise ValueError(f"no {missing[0]}")
    a, b, c, d = (number(shape.get(key)) for key in keys)
    return a, b, c, d
