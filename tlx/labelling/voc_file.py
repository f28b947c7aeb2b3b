"""One annotation file of Pascal VOC, read and written without losing what a page does not show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from defusedxml.ElementTree import parse

from tlx.common.files import write_text
from tlx.data.formats.voc import CORNERS, parse_xml
from tlx.labelling.boxes import Box


def read_boxes(path: Path) -> list[Box]:
    """The objects of a file; none where there is no file. `DataError` where it is damaged."""
    if not path.is_file():
        return []
    _, annotation = parse_xml(path)
    return [
        Box(name, (float(a), float(b), float(c), float(d)), number)
        for number, (name, (a, b, c, d)) in enumerate(
            zip(annotation.names, annotation.boxes, strict=True)
        )
    ]


def write_boxes(path: Path, picture: str, size: tuple[int, int], boxes: Sequence[Box]) -> None:
    """Write the objects of a picture.

    Of a file that is there everything else stays: sizes, `difficult`, poses, unknown elements.

    Args:
        picture: name of its file. size: (width, height).
    """
    before = read_boxes(path)
    top = parse(path).getroot() if path.is_file() else _new(picture, size)
    assert top is not None  # `read_boxes` has refused it
    shown = [item for item in top.findall("object") if not _hidden(item)]
    for item in shown:
        top.remove(item)
    for box in boxes:
        item = shown[box.origin] if box.origin is not None else _new_object()
        if box.origin is None or before[box.origin].corners != box.corners:
            _set_corners(item, box)
        name = item.find("name")
        assert name is not None
        if (name.text or "").strip() != box.name:
            name.text = box.name
        top.append(item)
    ElementTree.indent(top, "  ")
    write_text(path, ElementTree.tostring(top, encoding="unicode") + "\n")


def _hidden(item: Element) -> bool:
    """What LabelMe's user has deleted, which the reader leaves out too."""
    return item.findtext("deleted", "").strip().lower() in ("1", "true", "yes")


def _new(picture: str, size: tuple[int, int]) -> Element:
    top = Element("annotation")
    SubElement(top, "filename").text = picture
    stated = SubElement(top, "size")
    for tag, value in (("width", size[0]), ("height", size[1]), ("depth", 3)):
        SubElement(stated, tag).text = str(value)
    return top


def _new_object() -> Element:
    item = Element("object")
    SubElement(item, "name")
    for tag, text in (("pose", "Unspecified"), ("truncated", "0"), ("difficult", "0")):
        SubElement(item, tag).text = text
    return item


def _set_corners(item: Element, box: Box) -> None:
    place = item.find("bndbox")
    if place is None:
        place = SubElement(item, "bndbox")
    for tag, value in zip(CORNERS, box.corners, strict=True):
        corner = place.find(tag)
        if corner is None:
            corner = SubElement(place, tag)
        corner.text = f"{value:g}" if value != int(value) else str(int(value))
