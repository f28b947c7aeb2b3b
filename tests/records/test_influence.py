"""Pseudo-values of test pictures against COCO's own figures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.detection import MeanAveragePrecision

from tlx.records.predictions import Found, ImagePredictions, Predictions, Truth
from tlx.records.predictions.influence import COCO_IOUS, pseudo_values


def drawn(seed: int, pictures: int, classes: int = 2) -> Predictions:
    """Hits with shaky corners, misses, doubles and false alarms; some objects are ignored."""
    rng = np.random.default_rng(seed)
    images = []
    for number in range(pictures):
        count = int(rng.integers(0, 4))
        corner, size = rng.uniform(0, 60, (count, 2)), rng.uniform(15, 35, (count, 2))
        boxes = np.hstack([corner, corner + size])
        labels = rng.integers(1, classes + 1, count)
        keep = rng.random(count) < 0.7
        shaky = boxes[keep] + rng.normal(0, 2, (keep.sum(), 4))
        wrong = rng.uniform(0, 60, (int(rng.integers(0, 3)), 2))
        found = np.vstack([shaky, np.hstack([wrong, wrong + 25]), shaky[:1]]).reshape(-1, 4)
        of = np.concatenate(
            [labels[keep], rng.integers(1, classes + 1, len(wrong)), labels[keep][:1]]
        )
        scores = -np.sort(-rng.uniform(0.1, 1, len(found)))
        order = rng.permutation(len(found))
        images.append(
            ImagePredictions(
                f"{number}.png", f"{number:064x}", 100, 100,
                Truth(boxes, labels, rng.random(count) < 0.1),
                Found(found[order], of[order], scores),
            )
        )  # fmt: skip
    return Predictions("test", 0.05, [f"c{k}" for k in range(classes)], images)


def area(predictions: Predictions, images: list[ImagePredictions], ious: list[float]) -> float:
    """COCO's mAP, with precision read at so many recalls that it is the whole area."""
    recalls = torch.linspace(0, 1, 20_001, dtype=torch.float64).tolist()
    metric = MeanAveragePrecision(iou_thresholds=ious, rec_thresholds=recalls)
    for image in images:
        found, truth = image.found, image.truth
        metric.update(
            [{"boxes": torch.from_numpy(found.boxes).float(),
              "scores": torch.from_numpy(found.scores).float(),
              "labels": torch.from_numpy(found.labels)}],
            [{"boxes": torch.from_numpy(truth.boxes).float(),
              "labels": torch.from_numpy(truth.labels),
              "iscrowd": torch.from_numpy(truth.ignored).int()}],
        )  # fmt: skip
    return float(metric.compute()["map"])


@pytest.mark.parametrize("ious", [(0.5,), COCO_IOUS])
def test_pseudo_values_are_those_of_coco_without_each_picture(ious: tuple[float, ...]) -> None:
    predictions = drawn(0, 14)
    images = predictions.images
    values = pseudo_values(predictions, ious)
    assert values is not None
    whole = area(predictions, images, list(ious))
    expected = [
        14 * whole - 13 * area(predictions, images[:p] + images[p + 1 :], list(ious))
        for p in range(14)
    ]
    assert values == pytest.approx(expected, abs=5e-3)


def test_without_pictures_or_objects_there_is_nothing() -> None:
    assert pseudo_values(drawn(0, 1)) is None
    nothing = drawn(1, 5)
    for image in nothing.images:
        image.truth.ignored[:] = True
    assert pseudo_values(nothing) is None
