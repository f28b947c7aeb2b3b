"""mAP of a whole split, per class, and the VOC2007 measure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tlx.data.formats.annotations import Item
from tlx.evaluation.evaluator import NO_OBJECTS, Evaluator
from tlx.evaluation.voc07 import Picture, average_precision
from tlx.models.postprocess import Detections

SIZE = (200, 100)


def item(boxes: list[list[float]], labels: list[int], difficult: list[bool] | None = None) -> Item:
    return Item(
        image=Path("x.png"),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.array(labels, np.int64),
        difficult=np.array(difficult or [False] * len(labels), bool),
        size=SIZE,
        digest="",
    )


def found(boxes: list[list[float]], scores: list[float], labels: list[int]) -> Detections:
    scale = torch.tensor([*SIZE, *SIZE], dtype=torch.float32)
    return Detections(
        torch.tensor(boxes).reshape(-1, 4) / scale, torch.tensor(scores), torch.tensor(labels)
    )


A, B, C = [10.0, 10.0, 50.0, 50.0], [100.0, 20.0, 160.0, 80.0], [60.0, 60.0, 90.0, 90.0]


def test_perfect_detections_score_one_and_an_absent_class_says_why() -> None:
    evaluator = Evaluator(["gun", "plate", "absent"])
    evaluator.update(
        [found([A, B], [0.9, 0.8], [1, 2]), found([], [], [])], [item([A, B], [1, 2]), item([], [])]
    )
    figures = evaluator.compute()
    assert figures["map"] == pytest.approx(1.0)
    assert figures["voc07_ap50"] == 1.0
    assert figures["images"] == 2
    assert figures["per_class"]["gun"]["ap_50"] == pytest.approx(1.0)
    absent = figures["per_class"]["absent"]
    assert absent == {
        "boxes": 0, "difficult": 0, "ap": None, "ap_50": None, "voc07_ap50": None,
        "reason": NO_OBJECTS,
    }  # fmt: skip


def test_a_split_without_objects_has_no_figure() -> None:
    evaluator = Evaluator(["gun"])
    evaluator.update([found([A], [0.9], [1])], [item([], [])])
    assert evaluator.compute()["map"] is None
    assert evaluator.compute_coco() == {"map": None, "map_50": None, "map_75": None}


def test_not_the_mean_of_batches() -> None:
    """A false alarm in one batch outranks a hit in the other: only the pooled ranking sees it."""
    pictures = [
        (found([A], [0.5], [1]), item([A], [1])),
        (found([C, A], [0.9, 0.2], [1, 1]), item([A], [1])),
    ]
    pooled = Evaluator(["gun"])
    means = []
    for detections, truth in pictures:
        pooled.update([detections], [truth])
        single = Evaluator(["gun"])
        single.update([detections], [truth])
        means.append(single.compute()["map_50"])
    # Ranking: false .9, true .5, true .2 -> precision envelope 2/3 up to recall 1.
    assert pooled.compute()["map_50"] == pytest.approx(2 / 3, abs=1e-6)
    assert sum(means) / 2 == pytest.approx(0.75, abs=1e-6)


def picture(
    boxes: list[list[float]], scores: list[float], truth: list[list[float]],
    difficult: list[bool] | None = None,
) -> Picture:  # fmt: skip
    return Picture(
        torch.tensor(boxes).reshape(-1, 4), torch.tensor(scores), torch.ones(len(scores)),
        torch.tensor(truth).reshape(-1, 4), torch.ones(len(truth)),
        torch.tensor(difficult or [False] * len(truth)),
    )  # fmt: skip


def test_voc07_by_hand() -> None:
    # True at rank 1, false at 2, true at 3; 4 objects: recall .25 at precision 1, .5 at 2/3.
    pictures = [picture([A, C, B], [0.9, 0.8, 0.7], [A, B]), picture([], [], [A, B])]
    # Points 0, .1, .2 see precision 1; .3, .4, .5 see 2/3; the rest nothing.
    assert average_precision(pictures, 1) == pytest.approx((3 * 1 + 3 * 2 / 3) / 11)
    assert average_precision(pictures, 2) is None


def test_voc07_counts_a_second_detection_of_an_object_as_false() -> None:
    twice = [picture([A, A], [0.9, 0.8], [A])]
    assert average_precision(twice, 1) == 1.0  # the recall is full before the false one
    other_order = [picture([A, A, B], [0.9, 0.8, 0.7], [A, B])]
    assert average_precision(other_order, 1) == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)


def test_voc07_ignores_difficult_objects_and_wants_more_than_half_overlap() -> None:
    assert average_precision([picture([A, B], [0.9, 0.8], [A, B], [True, False])], 1) == 1.0
    half = [[0.0, 0.0, 10.0, 5.0]]
    assert average_precision([picture(half, [0.9], [[0.0, 0.0, 10.0, 10.0]])], 1) == 0.0
