"""Detections that a device wrote, set beside the pictures of a split.

The file is JSON: `version` (1), `model` (`sha256`, `name`, and `checkpoint_sha256`, by which it is
joined to a run), `preprocess`, `score_threshold`, and `images`: for each `image` (POSIX path below
the folder that the device was given), `width`, `height`, and `detections` of `label` (1-based),
`score` and `box` ([x1, y1, x2, y2] in pixels).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlx.common.errors import DataError
from tlx.common.files import read_json
from tlx.config.schema import DetectorConfig
from tlx.data.formats.annotations import Item
from tlx.evaluation.evaluator import Evaluator, Figures
from tlx.runtime.postprocess import Found, keep_best
from tlx.runtime.preprocess import DETECTNET
from tlx.runtime.tensors import as_tensors

VERSION = 1


@dataclass(frozen=True)
class DeviceDetections:
    """A file of detections.

    Attributes:
        path: of the file. header: all of it but the pictures. images: entries by their path.
    """

    path: Path
    header: dict[str, Any]
    images: dict[str, dict[str, Any]]


def read_detections(path: Path) -> DeviceDetections:
    """Read a file; `DataError` where it is damaged or of another version."""
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: the detections cannot be read: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise DataError(f"{path} is no object with `images`: it is not a file of detections")
    if content.get("version") != VERSION:
        raise DataError(f"{path} is of version {content.get('version')}; {VERSION} is read")
    images: dict[str, dict[str, Any]] = {}
    for place, entry in enumerate(content["images"]):
        if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
            raise DataError(f"{path}: images[{place}] has no `image`")
        if entry["image"] in images:
            raise DataError(f"{path}: {entry['image']} stands there twice")
        images[entry["image"]] = entry
    header = {key: value for key, value in content.items() if key != "images"}
    return DeviceDetections(path, header, images)


def joined_to(
    stored: DeviceDetections, checkpoint_sha256: str | None, path: Path
) -> dict[str, Any]:
    """Whether the device ran the very checkpoint that is named, by its digest.

    Returns:
        `checkpoint_sha256`: of the checkpoint whose network ran, None where the file does not say;
        `reason`: why the figures are not known to be of the named one, None where they are.
    """
    model = stored.header.get("model")
    stated = model.get("checkpoint_sha256") if isinstance(model, dict) else None
    reason = None
    if stated is None:
        reason = (
            f"{stored.path} does not say of which checkpoint its model was made: these figures are "
            f"not known to be of {path}; let a present jetson_benchmark.py write it again"
        )
    elif stated != checkpoint_sha256:
        reason = (
            f"{stored.path} was written with the checkpoint {str(stated)[:12]}…, not with that of "
            f"{path} ({str(checkpoint_sha256)[:12]}…): these figures are of the former"
        )
    return {"checkpoint_sha256": stated, "reason": reason}


def evaluate_detections(
    stored: DeviceDetections, items: list[Item], classes: list[str], cfg: DetectorConfig
) -> Figures:
    """All figures of a split; `DataError` where a picture of it is not in the file.

    What was found with tlx's rules gets NMS here: where the device applied it already, it changes
    nothing. Clusters of `detectnet` are taken as they are.
    """
    evaluator = Evaluator(classes)
    for item, entry in zip(items, _entries(stored, items), strict=True):
        found = _found(stored, entry, item, len(classes), cfg)
        evaluator.update([as_tensors(found)], [item])
    return evaluator.compute()


def _entries(stored: DeviceDetections, items: list[Item]) -> list[dict[str, Any]]:
    """The entry of each picture: that with the longest common end of the path."""
    names: list[str | None] = []
    for item in items:
        parts = item.image.parts
        ends = ("/".join(parts[first:]) for first in range(1, len(parts)))
        names.append(next((end for end in ends if end in stored.images), None))
    missing = [item.image for item, name in zip(items, names, strict=True) if name is None]
    if missing:
        raise DataError(
            f"{stored.path} lacks {len(missing)} of the {len(items)} pictures of this split, the "
            f"first {missing[0]}: run the device on all of them"
        )
    seen: dict[str, Item] = {}
    for item, name in zip(items, names, strict=True):
        assert name is not None
        if name in seen:
            raise DataError(
                f"{stored.path}: {name} may be {seen[name].image} or {item.image}: give the device "
                "the folder that holds both"
            )
        seen[name] = item
    return [stored.images[name] for name in seen]


def _found(
    stored: DeviceDetections, entry: dict[str, Any], item: Item, classes: int, cfg: DetectorConfig
) -> Found:
    where = f"{stored.path}: {entry['image']}"
    if [entry.get("width"), entry.get("height")] != list(item.size):
        raise DataError(
            f"{where} is {entry.get('width')}x{entry.get('height')} there and "
            f"{item.size[0]}x{item.size[1]} in the data set: another picture, or one that is turned"
        )
    try:
        rows = entry["detections"]
        boxes = np.array([row["box"] for row in rows], np.float32).reshape(-1, 4)
        scores = np.array([row["score"] for row in rows], np.float32)
        labels = np.array([row["label"] for row in rows], np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: damaged detections ({error!r})") from error
    if len(labels) and not 1 <= labels.min() <= labels.max() <= classes:
        raise DataError(f"{where}: a label is not within 1..{classes}")
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise DataError(f"{where}: a box or score is no number")
    order = np.argsort(-scores, kind="stable")
    boxes = np.clip(boxes[order] / np.array([*item.size, *item.size], np.float32), 0.0, 1.0)
    found = Found(boxes, scores[order], labels[order])
    if stored.header.get("preprocess") == DETECTNET:
        return found
    return keep_best(found, cfg.nms_iou, cfg.max_detections)
