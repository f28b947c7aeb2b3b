"""Pascal VOC as a VOCdevkit tree; see `tlx.data.formats.voc`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from tlx.common.files import write_bytes, write_text
from tlx.data.writers.base import WRITERS, Labelled, Writer, by_split, child, xml_bytes


def write_voc(folder: Path, pictures: Sequence[Labelled], classes: list[str]) -> None:
    """`Annotations/N.xml`, and `ImageSets/Main/SPLIT.txt` where splits are named."""
    for picture in pictures:
        write_bytes(folder / "Annotations" / f"{Path(picture.name).stem}.xml", _document(picture))
    for split, members in by_split(pictures).items():
        if split:
            lines = "".join(f"{Path(picture.name).stem}\n" for picture in members)
            write_text(folder / "ImageSets" / "Main" / f"{split}.txt", lines)


def _document(picture: Labelled) -> bytes:
    top = Element("annotation")
    child(top, "folder", "JPEGImages")
    child(top, "filename", picture.name)
    size = child(top, "size")
    for tag, value in zip(("width", "height", "depth"), (*picture.size, 3), strict=True):
        child(size, tag, value)
    for name, box, difficult in zip(picture.names, picture.corners, picture.difficult, strict=True):
        item = child(top, "object")
        child(item, "name", name)
        child(item, "difficult", int(difficult))
        corners = child(item, "bndbox")
        for tag, corner in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
            child(corners, tag, f"{corner:.9g}")
    return xml_bytes(top)


WRITERS.add("voc", Writer(write_voc, lambda picture: f"JPEGImages/{picture.name}"), __name__)
