"""The predictions file, and what counts as which kind of error on a picture."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tlx.common.errors import DataError
from tlx.data.formats.annotations import Item
from tlx.evaluation.predictions import collect
from tlx.evaluation.voc07 import Picture
from tlx.records.predictions import (
    Found,
    ImagePredictions,
    Predictions,
    Truth,
    log_loss,
    match,
    predictions_path,
    read_predictions,
    unshared,
    write_predictions,
)

GUN, PLATE = 1, 2
Box = tuple[float, float, float, float]
A: Box = (0, 0, 10, 10)
B: Box = (50, 50, 70, 60)
FAR: Box = (80, 80, 90, 90)


def seen(
    truth: list[tuple[Box, int]] | None = None,
    found: list[tuple[Box, int, float]] | None = None,
    ignored: list[bool] | None = None,
) -> ImagePredictions:
    """A picture of 100 x 100 px."""
    truth, found = truth or [], found or []
    return ImagePredictions(
        "a.png", "0" * 64, 100, 100,
        Truth(
            np.array([box for box, _ in truth], float).reshape(-1, 4),
            np.array([label for _, label in truth], np.int64),
            np.array(ignored or [False] * len(truth), bool),
        ),
        Found(
            np.array([box for box, _, _ in found], float).reshape(-1, 4),
            np.array([label for _, label, _ in found], np.int64),
            np.array([score for _, _, score in found], float),
        ),
    )  # fmt: skip


def item(image: Path, boxes: list[Box]) -> Item:
    count = len(boxes)
    return Item(
        image, np.array(boxes, np.float32).reshape(-1, 4), np.full(count, GUN, np.int64),
        np.zeros(count, bool), (100, 80), "ab" * 32,
    )  # fmt: skip


def picture(boxes: list[Box], scores: list[float]) -> Picture:
    none = torch.zeros(0)
    return Picture(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), torch.tensor(scores),
        torch.full((len(scores),), PLATE), none.reshape(0, 4), none, none,
    )  # fmt: skip


def test_what_a_run_saw_comes_back_rounded(tmp_path: Path) -> None:
    root, outside = tmp_path / "set", tmp_path / "elsewhere" / "b.png"
    items = [item(root / "test" / "a.png", [(1.23, 2, 3, 4.16)]), item(outside, [])]
    pictures = [picture([(1.26, 2, 3, 4)], [0.123456]), picture([A, B], [0.05, 0.0499])]
    write_predictions(tmp_path, collect(items, pictures, ["gun", "plate"], root))
    read = read_predictions(tmp_path)
    assert (read.split, read.score_floor, read.classes) == ("test", 0.05, ["gun", "plate"])
    first, second = read.images
    assert (first.image, second.image) == ("test/a.png", outside.as_posix())
    assert (first.sha256, first.width, first.height) == ("ab" * 32, 100, 80)
    assert first.truth.boxes.tolist() == [[1.2, 2, 3, 4.2]]
    assert first.truth.labels.tolist() == [GUN]
    assert first.found.boxes.tolist() == [[1.3, 2, 3, 4]]
    assert first.found.scores.tolist() == [0.1235]
    assert second.truth.boxes.shape == (0, 4)
    assert second.found.scores.tolist() == [0.05], "a score under the floor was kept"
    lines = predictions_path(tmp_path).read_text().splitlines()
    assert len(lines) == 4, "one picture a line"
    json.loads("\n".join(lines))


def test_a_file_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the run is not finished"):
        read_predictions(tmp_path)
    write_predictions(tmp_path, Predictions("test", 0.05, ["gun"], [seen([(A, 1)], [(A, 1, 0.5)])]))
    path = predictions_path(tmp_path)
    sound = json.loads(path.read_text())

    def refused(change: Any, message: str) -> None:
        data = json.loads(json.dumps(sound))
        change(data)
        path.write_text(json.dumps(data))
        with pytest.raises(DataError, match=message):
            read_predictions(tmp_path)

    def in_picture(part: str, key: str, value: Any) -> Any:
        return lambda data: data["images"][0][part].update({key: value})

    refused(lambda data: data.update(version=2), "version 2")
    refused(lambda data: data.pop("classes"), "its head is damaged")
    refused(lambda data: data["images"][0].pop("width"), "picture 1 is damaged")
    refused(in_picture("truth", "labels", [2]), "label is not between 1 and 1")
    refused(in_picture("truth", "labels", [1, 1]), "2 values for 1 boxes")
    refused(in_picture("found", "scores", []), "0 values for 1 boxes")
    refused(in_picture("found", "boxes", [[1, 2, 3]]), "picture 1 is damaged")
    refused(in_picture("found", "boxes", [[1, 2, 3, float("nan")]]), "not finite")
    path.write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        read_predictions(tmp_path)


def test_every_detection_and_object_has_one_kind() -> None:
    half_off: Box = (55, 50, 75, 60)  # IoU with B: 15 x 10 / (200 + 200 - 150) = .6
    far_off: Box = (62, 50, 82, 60)  # 8 x 10 / (200 + 200 - 80) = .25
    image = seen(
        [(A, GUN), (B, PLATE), ((0, 50, 10, 60), GUN), ((0, 80, 20, 90), PLATE), (FAR, GUN)],
        [
            (A, GUN, 0.9),
            ((0, 50, 10, 60), PLATE, 0.8),  # the other class
            ((12, 80, 32, 90), PLATE, 0.7),  # IoU .25
            (half_off, PLATE, 0.6),
            (far_off, PLATE, 0.5),  # of an object that is found: still low IoU, as in TIDE
            (A, GUN, 0.4),  # a duplicate
            ((30, 30, 40, 40), GUN, 0.35),  # nothing there
            (FAR, GUN, 0.29),  # too weak to be shown
        ],
    )
    found = match(image)
    assert [(p.found, p.truth) for p in found.hits] == [(0, 0), (3, 1)]
    assert found.hits[1].iou == pytest.approx(0.6)
    assert [(p.found, p.truth) for p in found.wrong_class] == [(1, 2)]
    assert [(p.found, p.truth) for p in found.low_iou] == [(2, 3), (4, 1)]
    assert found.low_iou[0].iou == pytest.approx(0.25)
    assert found.false_alarms == [5, 6]
    assert found.missed == [4]
    assert found.errors == 6
    assert match(image, 0.29).missed == []


def test_ignored_objects_are_neither_missed_nor_counted() -> None:
    part: Box = (0, 0, 4, 4)  # IoU with A is .16, but all of it lies in A, a crowd
    image = seen([(A, GUN), (B, GUN)], [(part, GUN, 0.9), (part, GUN, 0.8)], [True, True])
    found = match(image)
    assert found.ignored == [0, 1]
    assert found.errors == 0
    assert match(seen([(A, GUN)], [(part, PLATE, 0.9)], [True])).false_alarms == [0]
    assert log_loss(image, 0.05) == 0


def test_a_real_object_is_preferred_to_an_ignored_one() -> None:
    found = match(seen([(A, GUN), ((0, 0, 10, 9), GUN)], [(A, GUN, 0.9)], [True, False]))
    assert [(p.found, p.truth) for p in found.hits] == [(0, 1)]


def test_the_best_score_takes_the_object_and_half_overlap_is_enough() -> None:
    # (0, 0, 10, 5) has an IoU of exactly .5 with A; the exact box is a duplicate, for it is weaker.
    found = match(seen([(A, GUN)], [(A, GUN, 0.5), ((0, 0, 10, 5), GUN, 0.6)]))
    assert [(p.found, p.truth, p.iou) for p in found.hits] == [(1, 0, 0.5)]
    assert found.false_alarms == [0]


def test_each_of_two_neighbours_gets_its_own_detection() -> None:
    other: Box = (2, 0, 12, 10)  # IoU with A: 8 / 12
    found = match(seen([(A, GUN), (other, GUN)], [(other, GUN, 0.9), (other, GUN, 0.8)]))
    assert [(p.found, p.truth) for p in found.hits] == [(0, 1), (1, 0)]


def test_pictures_without_objects_or_detections() -> None:
    assert match(seen()).errors == 0
    assert match(seen([(A, GUN)])).missed == [0]
    assert match(seen(found=[(A, GUN, 0.9)])).false_alarms == [0]
    assert log_loss(seen(), 0.05) == 0


def test_log_loss_by_hand() -> None:
    image = seen(
        [(A, GUN), (B, GUN), (FAR, GUN)],
        [(A, GUN, 0.9), (A, GUN, 0.2), (B, PLATE, 0.6), (FAR, GUN, 0.06)],
    )
    # Found with .9 and with .06; B is not; errors are the duplicate of .2 and the plate of .6.
    by_hand = -(math.log(0.9) + math.log(0.06) + math.log(0.05) + math.log(0.8) + math.log(0.4))
    assert log_loss(image, 0.05) == pytest.approx(by_hand)
    certain = log_loss(seen(found=[(A, GUN, 1.0)]), 0.05)
    assert certain == pytest.approx(-math.log(1e-4)), "a score stored as 1.0 is at least .9999"


def test_two_runs_disagree_on_what_only_one_of_them_shows() -> None:
    first = seen(found=[(A, GUN, 0.9), (B, GUN, 0.8), (FAR, GUN, 0.2)])
    second = seen(found=[((0, 0, 10, 8), GUN, 0.5), (B, PLATE, 0.8), (FAR, GUN, 0.9)])
    assert unshared(first, second) == ([1], [1, 2])
    assert unshared(first, first) == ([], [])
    assert unshared(seen(), second) == ([], [0, 1, 2])
