"""An exported model under any runtime as a function from frames to detections."""

from __future__ import annotations

import time

import numpy as np
import torch

from tlx.detector.postprocess import Detections
from tlx.runtime.base import Runtime
from tlx.runtime.postprocess import select_all
from tlx.runtime.preprocess import TLX, normalize, resize, scaling


class RuntimeModel:
    """Resize and normalise, the graph, then thresholds and NMS in numpy.

    Args:
        preprocess: `tlx`, or `detectnet` for the input that jetson-inference would give.
    """

    def __init__(self, runtime: Runtime, preprocess: str = TLX) -> None:
        self.runtime, self.preprocess = runtime, preprocess
        self.classes = list(runtime.meta.classes)
        self.stages: dict[str, float] = {}

    def __call__(self, frames: list[np.ndarray], /) -> list[Detections]:
        meta, mode = self.runtime.meta, self.preprocess
        start = time.perf_counter()
        pictures = [resize(frame, meta.input_size, mode) for frame in frames]
        images = np.stack([normalize(picture, *scaling(meta, mode)) for picture in pictures])
        prepared = time.perf_counter()
        scores, boxes = self.runtime.raw(images)
        computed = time.perf_counter()
        found = [
            Detections(*(torch.from_numpy(a) for a in (f.boxes, f.scores, f.labels)))
            for f in select_all(scores, boxes)
        ]
        self.stages = {
            "resize": prepared - start,
            "network": computed - prepared,
            "nms": time.perf_counter() - computed,
        }
        return found
