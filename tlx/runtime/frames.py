"""A model as a function of pictures: what live programs and services call."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tlx.detector.postprocess import Detections
from tlx.runtime.base import Runtime
from tlx.runtime.postprocess import Found
from tlx.runtime.preprocess import TLX, check_mode, prepare


class FrameDetector:
    """`detect(frames)` over any runtime.

    Args:
        mode: `tlx` or `detectnet`; see `tlx.runtime.preprocess`.
    """

    def __init__(self, runtime: Runtime, mode: str = TLX) -> None:
        self.runtime, self.mode = runtime, check_mode(mode)
        self.options = dict(runtime.meta.postprocess)

    def __call__(self, frames: Sequence[np.ndarray]) -> list[Detections]:
        """uint8 RGB pictures (H, W, 3) of any sizes -> detections of each, boxes in 0..1."""
        if not frames:
            return []
        images = np.stack([prepare(frame, self.runtime.meta, self.mode) for frame in frames])
        return [as_tensors(found) for found in self.runtime.detect(images, **self.options)]


def as_tensors(found: Found) -> Detections:
    """The same detections as torch tensors, which share the arrays' memory."""
    arrays = (found.boxes, found.scores, found.labels)
    boxes, scores, labels = (torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)
    return Detections(boxes, scores, labels)
