"""Figures of a classification against sums by hand."""

from __future__ import annotations

import math

import pytest
import torch

from tlx.classify.figures import Tally


def tally(found: list[int], true: list[int], classes: list[str], sure: float = 0.8) -> Tally:
    rest = (1 - sure) / (len(classes) - 1)
    rows = torch.full((len(found), len(classes)), rest)
    rows[range(len(found)), found] = sure
    out = Tally(classes)
    for part in (slice(0, 2), slice(2, None)):  # in two batches
        out.update(rows[part], torch.tensor(true)[part])
    return out


def test_by_hand() -> None:
    # a: 4 pictures, 3 found, 1 taken for b; b: 1 picture, found.
    figures = tally([0, 0, 0, 1, 1], [0, 0, 0, 0, 1], ["a", "b"]).full()
    assert figures["pictures"] == 5
    assert figures["accuracy"] == pytest.approx(4 / 5)
    assert figures["macro_accuracy"] == pytest.approx((3 / 4 + 1) / 2)
    expected = -(4 * math.log(0.8) + math.log(0.2)) / 5
    assert figures["cross_entropy"] == pytest.approx(expected, rel=1e-5)
    assert figures["confusion"]["pictures"] == [[3, 1], [0, 1]]
    b = figures["per_class"]["b"]
    assert (b["pictures"], b["found"]) == (1, 2)
    assert b["precision"] == pytest.approx(1 / 2)
    assert b["recall"] == pytest.approx(1)
    assert b["f1"] == pytest.approx(2 / 3)


def test_what_cannot_be_computed_is_null_with_a_reason() -> None:
    figures = tally([0, 0, 1], [0, 1, 1], ["a", "b", "c", "d"]).full()
    assert figures["macro_accuracy"] == pytest.approx((1 + 1 / 2) / 2)  # c and d have no pictures
    c = figures["per_class"]["c"]
    assert (c["recall"], c["precision"], c["f1"]) == (None, None, None)
    assert c["reason"] == "no picture of this class"
