"""Agreement of copies, against cases that are worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tlx.data.formats.annotations import Item
from tlx.data.label_noise import label_noise


def item(digest: str, *boxes: tuple[float, float, float, float], label: int = 1) -> Item:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    labels = np.full(len(boxes), label, np.int64)
    return Item(Path(digest), array, labels, np.zeros(len(boxes), bool), (100, 100), digest)


FULL = (0, 0, 100, 100)


def test_without_copies_there_is_nothing_to_compare() -> None:
    assert label_noise([item("a", FULL), item("b", FULL)]) is None
    assert label_noise([item("a"), item("a")]) is None


def test_equal_copies_agree() -> None:
    noise = label_noise([item("a", FULL, (0, 0, 10, 10)), item("a", (0, 0, 10, 10), FULL)])
    assert noise == {"files": 2, "boxes": 4, "median_iou": 1.0, "share_75": 1.0, "map": 1.0}


def test_a_box_of_three_quarters_passes_six_of_ten_thresholds() -> None:
    # IoU .75: .50, .55, .60, .65, .70 and .75 are reached
    noise = label_noise([item("a", FULL), item("a", (0, 0, 100, 75)), item("b", FULL)])
    assert noise == pytest.approx(
        {"files": 2, "boxes": 2, "median_iou": 0.75, "share_75": 1.0, "map": 0.6}
    )


def test_a_box_without_a_counterpart_counts_against_both() -> None:
    noise = label_noise([item("a", FULL, (0, 0, 10, 10)), item("a", FULL)])
    # Three boxes, one match: 2 / 3 at every threshold; overlaps 1, 1 and 0
    assert noise == pytest.approx(
        {"files": 2, "boxes": 3, "median_iou": 1.0, "share_75": 2 / 3, "map": 2 / 3}
    )


def test_another_class_is_no_counterpart() -> None:
    noise = label_noise([item("a", FULL), item("a", FULL, label=2)])
    assert noise is not None
    assert (noise["median_iou"], noise["map"]) == (0.0, 0.0)


def test_three_copies_make_three_pairs() -> None:
    noise = label_noise([item("a", FULL), item("a", FULL), item("a", (0, 0, 100, 50))])
    assert noise is not None
    # One pair agrees wholly; two have an IoU of .5, which only the lowest threshold passes.
    assert (noise["files"], noise["boxes"]) == (3, 6)
    assert noise["map"] == pytest.approx((1 + 2 * 0.1) / 3)
