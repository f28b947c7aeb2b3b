"""A model as a function from frames to detections, which says how long its stages took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from tlx.data.formats.pictures import stated_bits
from tlx.data.framing import Framing
from tlx.live.meter import Meter
from tlx.models.postprocess import Detections
from tlx.runtime import Runtime, open_model
from tlx.runtime.description import postprocess_options
from tlx.runtime.framed import of_picture
from tlx.runtime.opening import default_backend, split_backend
from tlx.runtime.postprocess import Found, select_all
from tlx.runtime.preprocess import normalize, resize, scaling
from tlx.runtime.tensors import as_tensors

AT_ONCE = 16  # inputs
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
        framing: how frames are shown to it: as it was trained, but for other tiles where the
            user asks for them.
        bits: that 16-bit picture files use, by the data it was trained on; None: all.
    """

    def __init__(self, runtime: Runtime, framing: Framing | None = None) -> None:
        self.runtime = runtime
        self.framing = runtime.meta.framing if framing is None else framing
        self.classes = list(runtime.meta.classes)
        self.bits = stated_bits(runtime.meta.config)
        self.stages: dict[str, float] = {}

    def __call__(self, frames: list[np.ndarray], /) -> list[Detections]:
        crops = [self.framing.crops(frame) for frame in frames]
        inputs = [crop for shown in crops for crop in shown]
        # As many at a time as there are frames: the tiles of large ones would take all memory.
        size = max(len(frames), AT_ONCE)
        self.stages = dict.fromkeys(("resize", "network", "nms"), 0.0)
        found = iter([
            one
            for start in range(0, len(inputs), size)
            for one in self._found(inputs[start : start + size])
        ])  # fmt: skip
        start = time.perf_counter()
        pictures = [
            as_tensors(self._of_picture([next(found) for _ in shown], frame.shape))
            for frame, shown in zip(frames, crops, strict=True)
        ]
        self.stages["nms"] += time.perf_counter() - start
        return pictures

    def _found(self, crops: list[np.ndarray]) -> list[Found]:
        """The detections in each input, in 0..1 of it; adds to `stages`."""
        meta = self.runtime.meta
        start = time.perf_counter()
        bars = self.framing.letterbox
        shown = [resize(crop, meta.input_size, letterbox=bars) for crop in crops]
        images = np.stack([normalize(picture, *scaling(meta)) for picture in shown])
        prepared = time.perf_counter()
        if self.runtime.nms_inside:
            found = self.runtime.detect(images)
            computed = time.perf_counter()
        else:
            scores, boxes = self.runtime.raw(images)
            computed = time.perf_counter()
            found = select_all(scores, boxes, **meta.postprocess)
        self.stages["resize"] += prepared - start
        self.stages["network"] += computed - prepared
        self.stages["nms"] += time.perf_counter() - computed
        return found

    def _of_picture(self, shown: list[Found], shape: tuple[int, ...]) -> Found:
        rules = {**postprocess_options({}), **self.runtime.meta.postprocess}
        return of_picture(
            shown, self.framing, (shape[1], shape[0]), self.runtime.meta.input_size,
            rules["nms_iou"], rules["max_detections"],
        )  # fmt: skip


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
    path: Path, device: str = "", backend: str | None = None, trust: bool = False,
    tile: int | None = None, tile_overlap: float | None = None,
) -> RuntimeModel:  # fmt: skip
    """What `model=` and `backend=` name; raises `TlxError` as `tlx.runtime.open_model` does.

    Args:
        tile, tile_overlap: see `Framing.with_tiles`; None: as the model was trained.

    Without a `device`, checkpoints run on the GPU where there is one, exported models on the CPU.
    """
    name, precision = split_backend(backend)
    if not device:
        torchs = (name or default_backend(path)) == "torch"
        device = "cuda" if torchs and torch.cuda.is_available() else "cpu"
    runtime = open_model(path, name, device, precision=precision, trust=trust)
    return RuntimeModel(runtime, runtime.meta.framing.with_tiles(tile, tile_overlap))


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
