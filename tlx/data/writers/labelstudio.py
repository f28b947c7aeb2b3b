"""Label Studio's tasks (labelstud.io/guide/predictions): detections as predictions, which a person
corrects, boxes of people as annotations; see `tlx.data.formats.labelstudio`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree.ElementTree import Element

from tlx.common.files import write_bytes, write_json
from tlx.data.writers.base import WRITERS, Labelled, Writer, child, in_images, xml_bytes

# Label Studio's local storage, whose LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT is the output folder.
ADDRESS = "/data/local-files/?d="
FROM, TO = "label", "image"  # names in the labelling interface that is written beside


def write_labelstudio(folder: Path, pictures: Sequence[Labelled], classes: list[str]) -> None:
    """`tasks.json` to import, and `interface.xml` for the project's labelling interface."""
    write_json(folder / "tasks.json", [_task(picture) for picture in pictures])
    view = Element("View")
    child(view, "Image", name=TO, value="$image")
    labels = child(view, "RectangleLabels", name=FROM, toName=TO)
    for name in classes:
        child(labels, "Label", value=name)
    write_bytes(folder / "interface.xml", xml_bytes(view))


def _task(picture: Labelled) -> dict[str, Any]:
    width, height = picture.size
    regions = []
    for place, (name, box) in enumerate(zip(picture.names, picture.corners, strict=True)):
        xmin, ymin, xmax, ymax = box
        region: dict[str, Any] = {
            "id": f"box{place + 1}",
            "type": "rectanglelabels",
            "from_name": FROM,
            "to_name": TO,
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {
                "x": 100 * xmin / width,
                "y": 100 * ymin / height,
                "width": 100 * (xmax - xmin) / width,
                "height": 100 * (ymax - ymin) / height,
                "rotation": 0,
                "rectanglelabels": [name],
            },
        }
        regions.append(
            region if picture.scores is None else region | {"score": picture.scores[place]}
        )
    data: dict[str, Any] = {"image": ADDRESS + quote(in_images(picture))}
    if picture.split:
        data["split"] = picture.split
    if picture.scores is None:
        return {"data": data, "annotations": [{"result": regions}]}
    mean = sum(picture.scores) / len(picture.scores) if picture.scores else 0.0
    found = {"model_version": "tlx", "score": mean, "result": regions}
    return {"data": data, "predictions": [found]}


KEEPS = frozenset({"splits", "scores"})
WRITERS.add("labelstudio", Writer(write_labelstudio, in_images, KEEPS), __name__)
