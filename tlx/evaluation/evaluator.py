"""Collect detections over a whole split, then compute every figure once.

A mean of per-batch mAPs is not the mAP of the split, so nothing is computed before the end.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torchmetrics.detection import MeanAveragePrecision

from tlx.data.formats.annotations import Item
from tlx.evaluation.voc07 import Picture, average_precision
from tlx.models.postprocess import Detections

Figures = dict[str, Any]
COCO_FIGURES = ("map", "map_50", "map_75")
NO_OBJECTS = "no object of this class in the evaluated split"


class Evaluator:
    """mAP over a split: COCO (IoU .5:.95, .5, .75), VOC07 AP@.5, and both per class."""

    def __init__(self, classes: list[str]) -> None:
        self.classes = classes
        self.pictures: list[Picture] = []

    def update(self, detections: list[Detections], items: list[Item]) -> None:
        """Add pictures; detections are in 0..1 and are scaled to the picture's own pixels.

        COCO's small/medium/large and the pictures of failures both speak in original pixels.
        """
        for found, item in zip(detections, items, strict=True):
            scale = torch.tensor([item.size[0], item.size[1]] * 2, dtype=torch.float32)
            self.pictures.append(
                Picture(
                    boxes=found.boxes.float().cpu() * scale,
                    scores=found.scores.float().cpu(),
                    labels=found.labels.cpu(),
                    true_boxes=torch.from_numpy(item.boxes).reshape(-1, 4),
                    true_labels=torch.from_numpy(item.labels),
                    difficult=torch.from_numpy(item.difficult),
                )
            )

    def compute_coco(self) -> Figures:
        """COCO's mAP, mAP@.5 and mAP@.75 in 0..1; None where there is no object at all."""
        result = self._coco(extended=False)
        return {name: _figure(result[name]) for name in COCO_FIGURES}

    def compute(self) -> Figures:
        """Everything a record holds of an evaluation (docs/record.md, `test`)."""
        result = self._coco(extended=True)
        seen = result["classes"].reshape(-1).tolist()
        # precision: (IoU, recall, class, area, max detections); -1 marks "no object"
        precision = result["precision"]
        per_class = {}
        for label, name in enumerate(self.classes, start=1):
            boxes, difficult = self._boxes(label)
            row: Figures = {
                "boxes": boxes, "difficult": difficult, "ap": None, "ap_50": None,
                "voc07_ap50": None,
            }  # fmt: skip
            if boxes:
                column = precision[:, :, seen.index(label), 0, -1]
                row["ap"] = _figure(column.mean())
                row["ap_50"] = _figure(column[0].mean())
                row["voc07_ap50"] = average_precision(self.pictures, label)
            row["reason"] = NO_OBJECTS if row["ap"] is None else None
            per_class[name] = row
        voc07 = [r["voc07_ap50"] for r in per_class.values() if r["voc07_ap50"] is not None]
        return {
            **{name: _figure(result[name]) for name in COCO_FIGURES},
            "voc07_ap50": sum(voc07) / len(voc07) if voc07 else None,
            "per_class": per_class,
            "images": len(self.pictures),
            "boxes": sum(len(p.true_labels) for p in self.pictures),
        }

    def _boxes(self, label: int) -> tuple[int, int]:
        """How many boxes a class has, and how many of them are difficult: neither hit nor miss."""
        of_class = [p.true_labels == label for p in self.pictures]
        difficult = (
            mine & p.difficult.bool() for mine, p in zip(of_class, self.pictures, strict=True)
        )
        return sum(int(m.sum()) for m in of_class), sum(int(d.sum()) for d in difficult)

    def _coco(self, *, extended: bool) -> dict[str, Any]:
        metric = MeanAveragePrecision(
            box_format="xyxy", backend="faster_coco_eval", extended_summary=extended
        )
        metric.warn_on_many_detections = False
        metric.update(
            [{"boxes": p.boxes, "scores": p.scores, "labels": p.labels} for p in self.pictures],
            [
                {"boxes": p.true_boxes, "labels": p.true_labels, "iscrowd": p.difficult.long()}
                for p in self.pictures
            ],
        )
        return metric.compute()


def _figure(value: Any) -> float | None:
    """A metric as a float; -1 and NaN, which mean "no object to find", as None."""
    number = float(value)
    return None if number < 0 or math.isnan(number) else number
