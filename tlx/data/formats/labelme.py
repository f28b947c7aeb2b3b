"""LabelMe: a JSON file beside each picture (github.com/wkentaro/labelme), or the older XML of the
web tool (Russell et al., "LabelMe", 2008), which Datumaro writes."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from tlx.common.errors import DataError
from tlx.data.formats.annotations import Annotation
from tlx.data.formats.folders import PICTURE_ENDINGS, files_below, of_whole_set, split_of
from tlx.data.formats.json_files import naming, read_annotation_json
from tlx.data.formats.registry import Sign, reader
from tlx.data.formats.shapes import Boxes, enclosing, number, stated_size
from tlx.data.formats.sniff import looks_like
from tlx.data.formats.xml_files import read_annotation_xml

ENCLOSED = ("rectangle", "polygon", "mask")
TRUE = ("1", "true", "yes")


def _is_labelme(content: bytes) -> bool:
    if content.find(b'"shapes"') >= 0 and content.find(b'"imagePath"') >= 0:
        return True
    of_xml = re.search(rb"<imagesize[\s/>]|<sourceAnnotation[\s/>]", content[:4000])
    return of_xml is not None and content.find(b"<annotation") >= 0


@reader(
    "labelme",
    Sign(
        'JSON files with "shapes" and "imagePath", or LabelMe\'s XML',
        frozenset({".json", ".xml"}),
        _is_labelme,
    ),
)
def read_labelme(root: Path, classes: list[str] | None) -> list[Annotation]:
    """Read every such file below `root`; its picture is the one beside it of its own name, else
    that which `imagePath` names there, else that in `Images/` where it lies in `Annotations/`, else
    the one to which `imagePath` leads.

    Polygons, circles and masks are the box round them, turned rectangles too, as a fault. Shapes of
    one label and one `group_id` are parts of one object, as in LabelMe's own converters. Points
    and lines are no boxes, which is a fault. A file without a shape is a negative.

    Raises:
        DataError: a malformed file, or a shape that makes no sense.
    """
    files = list(files_below(root))
    pictures = [path for path in files if path.suffix.lower() in PICTURE_ENDINGS]
    by_place = {(picture.parent, picture.name): picture for picture in pictures}
    by_stem = {(p.parent, p.stem): p for p in reversed(pictures)}
    annotations = []
    for path in files:
        if path.suffix.lower() not in (".json", ".xml") or looks_like(path) != "labelme":
            continue
        stated, boxes, size = (_from_json if path.suffix.lower() == ".json" else _from_xml)(path)
        name, image = _last(stated), None
        for folder in _folders(path, root):
            image = by_stem.get((folder, path.stem)) or by_place.get((folder, name)) or image
            if image:
                break
        image = image or by_place.get(_led_to(path, stated))
        missing = name if Path(name).suffix.lower() in PICTURE_ENDINGS else f"{path.stem}.jpg"
        image = image or _folders(path, root)[0] / missing
        annotations.append(boxes.annotation(image, str(path), split_of(path, root), size))
    return of_whole_set(root, annotations, pictures)


def _folders(path: Path, root: Path) -> list[Path]:
    """Where the picture of a file may lie."""
    parts = path.parent.relative_to(root).parts
    swapped = [
        root.joinpath(*parts[:i], name, *parts[i + 1 :])
        for i, part in enumerate(parts)
        if part.lower() in ("annotations", "labels", "json")
        for name in ("Images", "images", "JPEGImages")
    ]
    return [path.parent, *swapped, *(path.parent / name for name in ("Images", "images"))]


def _last(name: str) -> str:
    """The last part of a path of any system."""
    return re.split(r"[\\/]", name)[-1]


def _led_to(path: Path, name: str) -> tuple[Path, str]:
    """Folder and name of what `name` means beside `path`; only ever looked up among the pictures
    below the root."""
    place = Path(os.path.normpath(path.parent / name.replace("\\", "/")))
    return place.parent, place.name


def _from_json(path: Path) -> tuple[str, Boxes, tuple[int, int] | None]:
    content, boxes = read_annotation_json(path), Boxes()
    with naming(str(path)):
        shapes = content["shapes"]
        if not isinstance(shapes, list):
            raise TypeError("shapes is no list")
        size = stated_size(content.get("imageWidth"), content.get("imageHeight"))
        name = str(content.get("imagePath") or "").strip()
    groups: dict[tuple[str, str], int] = {}
    for place, shape in enumerate(shapes, start=1):
        where = f"{path} shape {place}"
        with naming(where):
            count = len(boxes.boxes)
            _add(boxes, shape, where)
            if len(boxes.boxes) > count and (group := shape.get("group_id")) is not None:
                _join(boxes, groups.setdefault((boxes.names[-1], str(group)), count))
    return name, boxes, size


def _join(boxes: Boxes, first: int) -> None:
    """Make the last box and the `first` of its group, of which it is a part, one box."""
    if first == len(boxes.boxes) - 1:
        return
    a, b = boxes.boxes[first], boxes.boxes.pop()
    boxes.names.pop()
    boxes.boxes[first] = enclosing([a[:2], a[2:], b[:2], b[2:]])
    boxes.difficult[first] |= boxes.difficult.pop()


def _add(boxes: Boxes, shape: dict[str, Any], where: str) -> None:
    kind, name = str(shape.get("shape_type") or "polygon"), str(shape["label"] or "").strip()
    if not name:
        raise ValueError("no label")
    points = [[number(x), number(y)] for x, y in shape["points"]]
    flags = shape.get("flags")
    difficult = shape.get("difficult") is True or (
        isinstance(flags, dict) and flags.get("difficult") is True
    )
    if kind in ENCLOSED and len(points) >= 2:
        boxes.add(name, enclosing(points), difficult=difficult)
    elif kind == "rotation":  # of tools that go on from LabelMe
        boxes.remark("rotated-box", f"{where}: {name}")
        boxes.add(name, enclosing(points), difficult=difficult)
    elif kind == "circle" and len(points) == 2:
        (x, y), rim = points
        radius = math.dist((x, y), rim)
        boxes.add(name, (x - radius, y - radius, x + radius, y + radius), difficult=difficult)
    else:
        boxes.remark("no-box-shape", f"{where}: {name} is a {kind[:20]} of {len(points)} points")


def _from_xml(path: Path) -> tuple[str, Boxes, tuple[int, int] | None]:
    top = read_annotation_xml(path)
    if top is None or top.tag != "annotation":
        raise DataError(f"{path}: not LabelMe's XML: its first element is not <annotation>")
    boxes = Boxes()
    for place, item in enumerate(top.findall("object"), start=1):
        if item.findtext("deleted", "").strip().lower() not in TRUE:
            with naming(f"{path} object {place}"):
                _add_object(boxes, item, f"{path} object {place}")
    size = stated_size(top.findtext("imagesize/ncols"), top.findtext("imagesize/nrows"))
    return (top.findtext("filename") or "").strip(), boxes, size


def _add_object(boxes: Boxes, item: Element, where: str) -> None:
    name = (item.findtext("name") or "").strip()
    if not name:
        raise ValueError("no <name>")
    points = [
        [number(point.findtext("x")), number(point.findtext("y"))]
        for point in item.findall("polygon/pt")
    ]
    if (box := item.find("segm/box")) is not None:
        points = [
            [number(box.findtext(f"x{end}")), number(box.findtext(f"y{end}"))]
            for end in ("min", "max")
        ]
    if len(points) < 2:
        boxes.remark("no-box-shape", f"{where}: {name} has {len(points)} points")
    else:
        boxes.add(name, enclosing(points))
