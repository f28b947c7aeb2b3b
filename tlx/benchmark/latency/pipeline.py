"""A picture's way from its file to its detections, in named stages that are timed one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlx.common.errors import ConfigError
from tlx.config.schema import DetectorConfig
from tlx.data.formats.annotations import Item
from tlx.data.formats.pictures import decode
from tlx.data.framing import Framing
from tlx.models.postprocess import CANDIDATES
from tlx.runtime.base import Runtime
from tlx.runtime.framed import of_picture
from tlx.runtime.postprocess import Found, select
from tlx.runtime.preprocess import normalize, resize

STAGES = ("read", "resize", "normalise", "network", "decode", "nms")
NO_LIMIT = 1 << 30  # px: pictures are read at their own size


@dataclass(frozen=True)
class Pipeline:
    """One arm.

    Attributes:
        stages: what each stage makes of what the one before gave; the first gets the item. A stage
            that is left out is done inside of another: decoding, where the graph has it.
        close: gives memory back.
    """

    model: str
    backend: str
    stages: Mapping[str, Callable[[Any], Any]]
    close: Callable[[], None] = lambda: None

    def __call__(self, item: Item) -> tuple[Found, list[float]]:
        """The picture's detections, and the seconds of every stage of `STAGES`."""
        value: Any = item
        seconds = []
        for stage in STAGES:
            start = time.perf_counter()
            if stage in self.stages:
                value = self.stages[stage](value)
            seconds.append(time.perf_counter() - start)
        return value, seconds


class Bars:
    """The resize of a model, and the way back from its input to the picture that was resized last.

    Raises `ConfigError` for a model of tiles: one input a picture is timed.
    """

    def __init__(self, framing: Framing, side: int) -> None:
        if framing.tile:
            raise ConfigError(
                f"a model that was trained on {framing.words} takes several inputs a picture, and "
                "one is timed here: tlx predict says how long pictures take it"
            )
        self.framing, self.side = framing, side
        self.size = (side, side)

    def resize(self, image: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) -> (side, side, 3)."""
        self.size = (image.shape[1], image.shape[0])
        return resize(image, self.side, letterbox=self.framing.letterbox)

    def off(self, found: Found) -> Found:
        """Detections in 0..1 of the input -> of the picture."""
        return of_picture([found], self.framing, self.size, self.side)


def read(item: Item) -> np.ndarray:
    """The file of an item -> uint8 RGB (H, W, 3), upright where its boxes are."""
    return decode(item.image, rotate=item.rotate, max_side=NO_LIMIT, bits=item.bits)


def runtime_pipeline(model: str, name: str, runtime: Runtime, cfg: DetectorConfig) -> Pipeline:
    """tlx's own: numpy around any runtime."""
    meta = runtime.meta
    bars = Bars(meta.framing, meta.input_size)
    buffer = np.empty((1, 3, meta.input_size, meta.input_size), np.float32)

    def normalise(image: np.ndarray) -> np.ndarray:
        normalize(image, meta.mean, meta.std, out=buffer[0])
        return buffer

    def nms(raw: tuple[np.ndarray, np.ndarray]) -> Found:
        scores, boxes = raw
        return bars.off(
            select(
                scores[0], boxes[0], cfg.score_threshold, cfg.nms_iou, cfg.max_detections,
                CANDIDATES,
            )
        )  # fmt: skip

    stages: dict[str, Callable[[Any], Any]] = {
        "read": read,
        "resize": bars.resize,
        "normalise": normalise,
    }
    if runtime.nms_inside:
        stages["network"] = lambda images: bars.off(runtime.detect(images)[0])
    else:
        stages |= {"network": runtime.raw, "nms": nms}
    return Pipeline(model, name, stages, runtime.close)
