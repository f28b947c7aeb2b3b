"""COCO instances JSON; see `tlx.data.formats.coco`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tlx.common.files import write_json
from tlx.data.writers.base import WRITERS, Labelled, Writer, by_split, in_images


def write_coco(folder: Path, pictures: Sequence[Labelled], classes: list[str]) -> None:
    """`annotations/instances_SPLIT.json`, or `annotations.json` where no splits are named."""
    for split, members in by_split(pictures).items():
        path = f"annotations/instances_{split}.json" if split else "annotations.json"
        write_json(folder / path, _content(members, classes))


def _content(pictures: Sequence[Labelled], classes: list[str]) -> dict[str, Any]:
    ids = {name: number for number, name in enumerate(classes, start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, picture in enumerate(pictures, start=1):
        width, height = picture.size
        images.append({"id": number, "file_name": picture.name, "width": width, "height": height})
        scores: list[float] | list[None] = picture.scores or [None] * len(picture.names)
        for name, box, difficult, score in zip(
            picture.names, picture.corners, picture.difficult, scores, strict=True
        ):
            w, h = box[2] - box[0], box[3] - box[1]
            row = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": ids[name],
                "bbox": [box[0], box[1], w, h],
                "area": w * h,
                "iscrowd": int(difficult),
            }
            annotations.append(row if score is None else row | {"score": score})
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


KEEPS = frozenset({"difficult", "splits", "scores"})
WRITERS.add("coco", Writer(write_coco, in_images, KEEPS), __name__)
