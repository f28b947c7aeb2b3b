"""Boxes that a trained model proposes: nothing of them is saved before somebody has taken it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tlx.common.errors import ConfigError
from tlx.data.doubts import same_name
from tlx.live.meter import Meter

if TYPE_CHECKING:
    from tlx.live.model import Model


class Suggester:
    """A model as a source of boxes with the names of the set's classes.

    Args:
        threshold: least score that counts, 0..1.
        classes: of the set; what the model finds of other classes is left out.

    Raises:
        ConfigError: the model knows none of the classes.
    """

    def __init__(self, model: Model, threshold: float, classes: Sequence[str]) -> None:
        self.model, self.threshold = model, threshold
        ours = {same_name(name): name for name in classes}
        self._names = [ours.get(same_name(name)) for name in model.classes]
        if not any(self._names):
            raise ConfigError(
                f"model=… finds {', '.join(model.classes)}, and the set has {', '.join(classes)}: "
                "give a model of these classes, or leave it out"
            )
        self._lock = threading.Lock()

    def boxes(self, pixels: np.ndarray) -> list[dict[str, Any]]:
        """{"name", "corners", "score"}, corners in whole pixels of uint8 RGB (H, W, 3)."""
        from tlx.live.model import detect  # here: only who has a model has loaded torch

        height, width = pixels.shape[:2]
        with self._lock:
            found = detect(self.model, [pixels], self.threshold, Meter())[0]
        suggested = []
        for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
            name = self._names[int(label) - 1]
            ends = box.numpy().clip(0, 1) * np.array([width, height, width, height])
            left, top, right, bottom = (int(v) for v in ends.round())
            if name and left < right and top < bottom:
                corners, sure = [left, top, right, bottom], round(float(score), 3)
                suggested.append({"name": name, "corners": corners, "score": sure})
        return suggested
