"""A model as a function from frames to detections, which says how long its stages took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from tlx.checkpoint import find_checkpoint, load_detector
from tlx.data.augment import EvalTransform
from tlx.data.dataset import stack_pictures
from tlx.detector.postprocess import Detections, select_all
from tlx.detector.ssd import SSD
from tlx.live.meter import Meter

CHECKPOINT_ENDINGS = {"", ".ckpt"}
Detect = Callable[[list[np.ndarray]], list[Detections]]


class Model(Protocol):
    """Frames, uint8 (H, W, 3) RGB of any sizes, to their detections.

    Attributes:
        classes: names by label - 1. stages: seconds of each stage of the last call.
    """

    classes: list[str]
    stages: dict[str, float]

    def __call__(self, frames: list[np.ndarray], /) -> list[Detections]:
        """Detections of each frame, best first."""


class TorchModel:
    """A detector of tlx under PyTorch."""

    def __init__(self, detector: SSD, classes: list[str], device: torch.device) -> None:
        self.detector, self.classes, self.device = detector.to(device).eval(), classes, device
        self.stages: dict[str, float] = {}
        self._transform = EvalTransform(detector.input_size)

    def __call__(self, frames: list[np.ndarray], /) -> list[Detections]:
        none = np.zeros((0, 4)), np.zeros(0, np.int64)
        start = time.perf_counter()
        images = stack_pictures([self._transform(frame, *none)[0] for frame in frames])
        resized = time.perf_counter()
        scores, boxes = self.detector.raw(self.detector.normalize(images.to(self.device)))
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        computed = time.perf_counter()
        found = [
            Detections(d.boxes.cpu(), d.scores.cpu(), d.labels.cpu())
            for d in select_all(scores, boxes)
        ]
        self.stages = {
            "resize": resized - start,
            "network": computed - resized,
            "nms": time.perf_counter() - computed,
        }
        return found


class PlainModel:
    """Any function as a model: one stage, `detect`."""

    def __init__(self, detect: Detect, classes: Sequence[str]) -> None:
        self.detect, self.classes = detect, list(classes)
        self.stages: dict[str, float] = {}

    def __call__(self, frames: list[np.ndarray], /) -> list[Detections]:
        start = time.perf_counter()
        found = self.detect(frames)
        self.stages = {"detect": time.perf_counter() - start}
        return found


def open_model(path: Path, device: torch.device, backend: str | None = None) -> Model:
    """A run's folder, a checkpoint, or an exported model; raises `TlxError` as their readers do."""
    if backend is None and (path.suffix in CHECKPOINT_ENDINGS or path.is_dir()):
        detector, meta = load_detector(find_checkpoint(path))
        return TorchModel(detector, meta["classes"], device)
    # Late: checkpoints need none of the runtimes.
    from tlx.live.runtime_model import RuntimeModel
    from tlx.runtime import open_model as open_runtime

    return RuntimeModel(open_runtime(path, backend, device.type))


def detect(
    model: Model, frames: list[np.ndarray], threshold: float, meter: Meter
) -> list[Detections]:
    """Detections of at least `threshold`, with the stages' times in `meter`."""
    kept = []
    for found in model(frames):
        keep = found.scores >= threshold
        kept.append(Detections(found.boxes[keep], found.scores[keep], found.labels[keep]))
    for stage, seconds in model.stages.items():
        meter.add(stage, seconds, len(frames))
    return kept
