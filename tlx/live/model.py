"""A model as a function from frames to detections, which says how long its stages took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from tlx.data.formats.pictures import stated_bits
from tlx.live.meter import Meter
from tlx.models.postprocess import Detections
from tlx.runtime import Runtime, open_model
from tlx.runtime.opening import default_backend, split_backend
from tlx.runtime.postprocess import select_all
from tlx.runtime.preprocess import normalize, resize, scaling

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


class RuntimeModel:
    """A checkpoint or an exported model: resize and normalise, network, threshold and NMS.

    Attributes:
        bits: that 16-bit picture files use, by the data it was trained on; None: all.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.classes = list(runtime.meta.classes)
        self.bits = stated_bits(runtime.meta.config)
        self.stages: dict[str, float] = {}

    def __call__(self, frames: list[np.ndarray], /) -> list[Detections]:
        meta = self.runtime.meta
        start = time.perf_counter()
        pictures = [resize(frame, meta.input_size) for frame in frames]
        images = np.stack([normalize(picture, *scaling(meta)) for picture in pictures])
        prepared = time.perf_counter()
        if self.runtime.nms_inside:
            selected = self.runtime.detect(images)
            computed = time.perf_counter()
        else:
            scores, boxes = self.runtime.raw(images)
            computed = time.perf_counter()
            selected = select_all(scores, boxes, **meta.postprocess)
        found = [
            Detections(*(torch.from_numpy(a) for a in (f.boxes, f.scores, f.labels)))
            for f in selected
        ]
        self.stages = {
            "resize": prepared - start,
            "network": computed - prepared,
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


def load_model(
    path: Path, device: str = "", backend: str | None = None, trust: bool = False
) -> RuntimeModel:
    """What `model=` and `backend=` name; raises `TlxError` as `tlx.runtime.open_model` does.

    Without a `device`, checkpoints run on the GPU where there is one, exported models on the CPU.
    """
    name, precision = split_backend(backend)
    if not device:
        torchs = (name or default_backend(path)) == "torch"
        device = "cuda" if torchs and torch.cuda.is_available() else "cpu"
    return RuntimeModel(open_model(path, name, device, precision=precision, trust=trust))


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
