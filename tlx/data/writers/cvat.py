"""CVAT's XML "for images 1.1": what a task's "Upload annotations" takes; see
`tlx.data.formats.cvat`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from tlx.common.files import write_bytes
from tlx.data.writers.base import WRITERS, Labelled, Writer, child, in_images, xml_bytes


def write_cvat(folder: Path, pictures: Sequence[Labelled], classes: list[str]) -> None:
    """`annotations.xml`. Boxes of a model are marked as made by one (`source="auto"`)."""
    top = Element("annotations")
    child(top, "version", "1.1")
    task = child(child(top, "meta"), "task")
    labels = child(task, "labels")
    for name in classes:
        label = child(labels, "label")
        child(label, "name", name)
        child(label, "attributes")
    for number, picture in enumerate(pictures):
        width, height = picture.size
        subset = {"subset": picture.split} if picture.split else {}  # in images/SUBSET/, as CVAT
        about = {"id": number, "name": picture.name, **subset, "width": width, "height": height}
        image = child(top, "image", **about)
        source = "manual" if picture.scores is None else "auto"
        for label_name, box in zip(picture.names, picture.corners, strict=True):
            corners = dict(zip(("xtl", "ytl", "xbr", "ybr"), map(_text, box), strict=True))
            child(image, "box", label=label_name, source=source, occluded=0, z_order=0, **corners)
    write_bytes(folder / "annotations.xml", xml_bytes(top))


def _text(value: float) -> str:
    return f"{value:.9g}"


WRITERS.add("cvat", Writer(write_cvat, in_images, frozenset({"splits"})), __name__)
