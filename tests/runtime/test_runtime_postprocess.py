"""Post-processing in numpy against that in torch, and detectnet's by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tlx.models.postprocess import select_all as select_all_torch
from tlx.runtime.detectnet import cluster, nearest
from tlx.runtime.postprocess import Found, keep_best, select_all


def outputs(classes: int, priors: int = 500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores (2, P, C + 1) and boxes (2, P, 4) that overlap much and leave the picture."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(2, priors, classes + 1)).astype(np.float32) * 3
    scores = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    centres, sides = rng.uniform(-0.1, 1.1, (2, priors, 2)), rng.uniform(0, 0.5, (2, priors, 2))
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], -1)
    return scores, boxes.astype(np.float32)


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize(
    "options",
    [{}, {"score_threshold": 0.3}, {"nms_iou": 0.7}, {"max_detections": 7}, {"candidates": 20}],
)
def test_numpy_gives_what_torch_gives(classes: int, options: dict) -> None:
    scores, boxes = outputs(classes)
    wanted = select_all_torch(torch.from_numpy(scores), torch.from_numpy(boxes), **options)
    for one, other in zip(select_all(scores, boxes, **options), wanted, strict=True):
        assert len(one.scores) > 5
        assert np.array_equal(one.scores, other.scores.numpy())
        assert np.array_equal(one.boxes, other.boxes.numpy())
        assert np.array_equal(one.labels, other.labels.numpy())
        assert (one.boxes.dtype, one.labels.dtype) == (np.float32, np.int64)


def test_nothing_above_the_threshold_is_nothing() -> None:
    scores, boxes = outputs(2)
    found = select_all(scores, boxes, score_threshold=1.0)[0]
    assert found.boxes.shape == (0, 4)
    assert found.scores.shape == found.labels.shape == (0,)


def kept(boxes: list[list[float]], labels: list[int], iou: float, limit: int = 10) -> list[float]:
    """Scores of what is kept of boxes whose scores fall from .9 by .1."""
    scores = np.array([0.9, 0.8, 0.7, 0.6], np.float32)[: len(boxes)]
    found = Found(np.array(boxes, np.float32) / 30, scores, np.array(labels))
    return keep_best(found, iou, limit).scores.round(1).tolist()


def test_nms_by_hand() -> None:
    # IoU of the second with the first: 80 / 120 = .667; the third lies elsewhere.
    boxes: list[list[float]] = [[0, 0, 10, 10], [0, 2, 10, 12], [20, 0, 30, 10]]
    assert kept(boxes, [1, 1, 1], 0.6) == pytest.approx([0.9, 0.7])
    assert kept(boxes, [1, 1, 1], 0.7) == pytest.approx([0.9, 0.8, 0.7])
    assert kept(boxes, [1, 2, 1], 0.6) == pytest.approx([0.9, 0.8, 0.7])
    assert kept(boxes, [1, 1, 1], 0.7, limit=2) == pytest.approx([0.9, 0.8])
    assert kept([[5, 5, 5, 5], [5, 5, 5, 5]], [1, 1], 0.45) == pytest.approx([0.9, 0.8])  # no area


def test_equal_scores_come_in_the_order_of_the_priors() -> None:
    scores = np.tile(np.array([0.2, 0.8], np.float32), (50, 1))
    boxes = np.array([[i / 50, 0, (i + 1) / 50, 1] for i in range(50)], np.float32)
    found = select_all(scores[None], boxes[None], max_detections=30)[0]
    assert np.array_equal(found.boxes, boxes[:30])


def test_nearest_neighbour_is_the_devices_arithmetic() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (7, 401, 3), dtype=np.uint8)
    shown = nearest(image, 300)
    assert shown.shape == (300, 300, 3)
    # int(x * (401 / 300)) in float32, as `gpuTensorNorm` computes it on the GPU.
    for y in (0, 43, 299):
        for x in (0, 1, 2, 149, 299):
            row = int(np.float32(y) * np.float32(7 / 300))
            column = int(np.float32(x) * np.float32(401 / 300))
            assert (shown[y, x] == image[row, column]).all()


SIZE = (256, 128)  # powers of two, so that pixels are exact in 0..1


def raw(*rows: tuple[float, float, tuple[float, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of (score of class 1, score of class 2, box in pixels) -> scores and boxes of priors."""
    scores = np.array([[1 - a - b, a, b] for a, b, _ in rows], np.float32)
    boxes = np.array([box for *_, box in rows], np.float32).reshape(-1, 4)
    return scores, boxes / np.array([*SIZE, *SIZE], np.float32)


def pixels(boxes: np.ndarray) -> list[list[float]]:
    return (boxes * np.array([*SIZE, *SIZE], np.float32)).round(3).tolist()


def test_clusters_unite_boxes_and_keep_the_higher_score() -> None:
    # Intersection 90 of 100: .9 of the larger area.
    found = cluster(*raw((0.6, 0, (10, 10, 20, 20)), (0.8, 0, (11, 10, 21, 20))), SIZE)
    assert pixels(found.boxes) == [[10, 10, 21, 20]]
    assert found.scores == pytest.approx([0.8])
    assert found.labels.tolist() == [1]


def test_the_share_is_of_the_larger_area_and_must_exceed_three_quarters() -> None:
    inside = cluster(*raw((0.6, 0, (0, 0, 40, 40)), (0.9, 0, (0, 0, 30, 40))), SIZE)
    assert len(inside.boxes) == 2  # 1200 / 1600 is .75 and no more
    more = cluster(*raw((0.6, 0, (0, 0, 40, 40)), (0.9, 0, (0, 0, 31, 40))), SIZE)
    assert pixels(more.boxes) == [[0, 0, 40, 40]]


def test_the_union_is_compared_with_the_next_box() -> None:
    # The third overlaps the first by 80 %, the union of first and second by 80/110: too little.
    boxes = (0, 0, 10, 10), (0, 1, 10, 11), (2, 0, 12, 10)
    found = cluster(*raw(*((0.9, 0, box) for box in boxes)), SIZE)
    assert pixels(found.boxes) == [[0, 0, 10, 11], [2, 0, 12, 10]]
    # In another order of the priors, other clusters: first and third unite.
    turned = cluster(*raw(*((0.9, 0, box) for box in (boxes[0], boxes[2], boxes[1]))), SIZE)
    assert pixels(turned.boxes) == [[0, 0, 12, 10], [0, 1, 10, 11]]


def test_classes_stay_apart_and_each_prior_has_its_best_one() -> None:
    box = (10, 10, 50, 50)
    found = cluster(*raw((0.5, 0, box), (0, 0.7, box), (0.3, 0.6, box), (0.49, 0, box)), SIZE)
    assert found.labels.tolist() == [2, 1]
    assert found.scores == pytest.approx([0.7, 0.5])  # the threshold itself counts


def test_boxes_of_two_classes_by_both_clusterings() -> None:
    first, second = (10, 10, 30, 30), (11, 10, 31, 30)
    better_last = raw((0.6, 0, first), (0, 0.8, second))
    better_first = raw((0.8, 0, first), (0, 0.6, second))
    for scores, boxes in (better_last, better_first):
        both = cluster(scores, boxes, SIZE)
        assert sorted(both.labels.tolist()) == [1, 2]
        assert both.scores.tolist() == pytest.approx([0.8, 0.6])
    for (scores, boxes), label, box in ((better_last, 2, second), (better_first, 1, first)):
        (one,) = cluster(scores, boxes, SIZE, clustering="interclass").labels.tolist()
        found = cluster(scores, boxes, SIZE, clustering="interclass")
        assert one == label
        assert found.scores.tolist() == pytest.approx([0.8])
        # The better box as it is, and no union.
        assert (found.boxes[0] * np.array([*SIZE, *SIZE])).tolist() == pytest.approx(box)
    apart = raw((0.6, 0, first), (0, 0.8, (30, 30, 50, 50)))
    assert len(cluster(*apart, SIZE, clustering="interclass").labels) == 2
    alike = raw((0.6, 0, first), (0.8, 0, second))
    united = cluster(*alike, SIZE, clustering="interclass")
    assert np.array_equal(united.boxes, cluster(*alike, SIZE).boxes)


def test_boxes_end_at_the_last_pixel() -> None:
    found = cluster(*raw((0.9, 0, (-5, -3, 260, 128))), SIZE)
    assert pixels(found.boxes) == [[0, 0, 255, 127]]
    assert cluster(*raw((0.4, 0.1, (0, 0, 1, 1))), SIZE).boxes.shape == (0, 4)
