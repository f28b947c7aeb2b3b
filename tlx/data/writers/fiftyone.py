"""FiftyOne's own FiftyOneDataset (docs.voxel51.com, user guide, importing); see
`tlx.data.formats.fiftyone`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tlx.common.files import write_json
from tlx.data.writers.base import WRITERS, Labelled, Writer

FIELD = "ground_truth"
FOUND = "predictions"  # of boxes that have scores
TAGS = {"train": "train", "val": "validation", "test": "test"}  # as FiftyOne's own sets have them
SINCE = "1.0"  # the version whose way of storing this is; FiftyOne brings it up to date


def write_fiftyone(folder: Path, pictures: Sequence[Labelled], classes: list[str]) -> None:
    """`samples.json` and `metadata.json`; splits are tags."""
    write_json(folder / "samples.json", {"samples": [_sample(picture) for picture in pictures]})
    field = FOUND if any(picture.scores is not None for picture in pictures) else FIELD
    metadata = {
        "name": "tlx",
        "version": SINCE,
        "media_type": "image",
        "sample_fields": [
            _described("filepath", "String"),
            {**_described("tags", "List"), "subfield": "fiftyone.core.fields.StringField"},
            {
                **_described(field, "EmbeddedDocument"),
                "embedded_doc_type": "fiftyone.core.labels.Detections",
            },
        ],
        "classes": {field: classes},
    }
    write_json(folder / "metadata.json", metadata)


def _described(name: str, kind: str) -> dict[str, Any]:
    return {
        "name": name,
        "ftype": f"fiftyone.core.fields.{kind}Field",
        "embedded_doc_type": None,
        "subfield": None,
        "fields": [],
        "db_field": name,
        "description": None,
        "info": None,
    }


def _sample(picture: Labelled) -> dict[str, Any]:
    width, height = picture.size
    detections = []
    for place, (name, box) in enumerate(zip(picture.names, picture.corners, strict=True)):
        xmin, ymin, xmax, ymax = box
        detection: dict[str, Any] = {
            "_cls": "Detection",
            "tags": [],
            "attributes": {},
            "label": name,
            "bounding_box": [
                xmin / width, ymin / height, (xmax - xmin) / width, (ymax - ymin) / height
            ],
        }  # fmt: skip
        if picture.difficult[place]:
            detection["iscrowd"] = 1
        if picture.scores is not None:
            detection["confidence"] = picture.scores[place]
        detections.append(detection)
    return {
        "filepath": f"data/{picture.name}",
        "tags": [TAGS[picture.split]] if picture.split else [],
        "_media_type": "image",
        FIELD if picture.scores is None else FOUND: {
            "_cls": "Detections",
            "detections": detections,
        },
    }


KEEPS = frozenset({"difficult", "splits", "scores"})
WRITERS.add(
    "fiftyone", Writer(write_fiftyone, lambda picture: f"data/{picture.name}", KEEPS), __name__
)
