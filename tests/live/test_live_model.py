"""A runtime as the model of `tlx.predict`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tlx.live.model import RuntimeModel
from tlx.runtime.base import Raw, Runtime
from tlx.runtime.meta import ModelMeta
from tlx.runtime.postprocess import Found

SIDE, CLASSES = 32, ["gun"]
SCORES = np.array([[[0.1, 0.9], [0.9, 0.1], [0.98, 0.02]]], np.float32)
BOXES = np.array([[[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1], [0, 0.5, 0.2, 0.9]]], np.float32)


def meta(**postprocess: Any) -> ModelMeta:
    known = {"classes": CLASSES, "input_size": SIDE, "mean": (127.5,) * 3, "std": (127.5,) * 3}
    return ModelMeta(**known, postprocess=postprocess)  # type: ignore[arg-type]


class Fixed(Runtime):
    backend = "fixed"

    def run(self, images: np.ndarray) -> Raw:
        return SCORES.repeat(len(images), 0), BOXES.repeat(len(images), 0)


class WithNms(Fixed):
    nms_inside = True

    def run(self, images: np.ndarray) -> Raw:
        raise AssertionError("the graph has no raw outputs")

    def detect(self, images: np.ndarray, **options: Any) -> list[Found]:
        return [Found(BOXES[0, :1], SCORES[0, :1, 1], np.ones(1, np.int64)) for _ in images]


FRAMES = [np.zeros((20, 30, 3), np.uint8)] * 2


@pytest.mark.parametrize(("least", "count"), [(0.01, 3), (0.05, 2), (0.5, 1)])
def test_the_models_own_threshold_holds(least: float, count: int) -> None:
    found = RuntimeModel(Fixed(meta(score_threshold=least), None))(FRAMES)
    assert [len(each.scores) for each in found] == [count] * 2


def test_a_graph_with_nms_inside_is_asked_for_detections() -> None:
    found = RuntimeModel(WithNms(meta(), None))(FRAMES)
    assert [each.labels.tolist() for each in found] == [[1], [1]]
