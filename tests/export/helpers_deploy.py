"""A checkpoint of the tiny set, an export of it, and a detector by colour that really detects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.models.helpers_engine import detector_of
from tlx.config.schema import RunConfig
from tlx.config.typed import plain
from tlx.data.membership import Membership
from tlx.data.module import build_data
from tlx.models.detectors.ssd.ssd import SSD
from tlx.records.checkpoint import checkpoint_meta
from tlx.runtime.base import Raw, Runtime
from tlx.runtime.meta import ModelMeta

CLASSES = ["blue", "red"]  # of the tiny set, sorted
SIDE = 96
_FILLS = {"blue": (30, 30, 220), "red": (220, 30, 30)}


def save_tiny_checkpoint(path: Path, config: Any, seed: int = 0) -> SSD:
    """A detector of random weights in the state in which a run on the tiny set leaves its own."""
    detector = detector_of("mobilenet_v1", seed=seed)
    values = plain(config) if config else {}
    state = {f"detector.{key}": value for key, value in detector.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = checkpoint_meta(detector, Membership(tuple(CLASSES), _members(config)), values)
    torch.save({"tlx": meta, "state_dict": state}, path)
    return detector


def _members(config: Any) -> Mapping[str, tuple[str, ...]]:
    return build_data(config.data, Path(config.cache_dir)).membership.splits if config else {}


class ColourRuntime(Runtime):
    """Finds the rectangles of the tiny set by their colours; two priors, one a class.

    Args:
        score: of what it finds.
    """

    backend = "colour"

    def __init__(self, config: RunConfig, score: float = 0.9) -> None:
        values: Any = plain(config)
        meta = ModelMeta(tuple(CLASSES), SIDE, (127.5,) * 3, (127.5,) * 3, config=values,
                         dataset=_members(config))  # fmt: skip
        super().__init__(meta, batch=None)
        self.score = score

    def run(self, images: np.ndarray) -> Raw:
        """See `Runtime.run`."""
        scores, boxes = np.zeros((len(images), 2, 3), np.float32), np.zeros((len(images), 2, 4))
        scores[..., 0] = 1
        for place, image in enumerate(images * 127.5 + 127.5):
            for label, name in enumerate(CLASSES, start=1):
                fill = np.array(_FILLS[name]).reshape(3, 1, 1)
                rows, columns = np.nonzero((np.abs(image - fill) < 40).all(0))
                if len(rows):
                    ends = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                    boxes[place, label - 1] = np.array(ends) / SIDE
                    scores[place, label - 1, [0, label]] = 1 - self.score, self.score
        return scores, boxes.astype(np.float32)
