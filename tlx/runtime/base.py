"""A model that runs: preprocessed pictures in, scores and boxes of all priors out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any

import numpy as np

from tlx.common.errors import WeightsError
from tlx.runtime.meta import ModelMeta
from tlx.runtime.postprocess import Found, select_all

Raw = tuple[np.ndarray, np.ndarray]


class Runtime(ABC):
    """One model under one backend.

    Attributes:
        backend: its name, as `open_model` takes it. meta: what the model says of itself.
        nms_inside: whether the graph gives detections; `raw` is then refused.
        batch: pictures that one call of the graph takes; None: any number.
    """

    backend: str
    nms_inside = False

    def __init__(self, meta: ModelMeta, batch: int | None = 1) -> None:
        self.meta, self.batch = meta, batch

    @abstractmethod
    def run(self, images: np.ndarray) -> Raw:
        """`raw` for as many pictures as the graph takes, C-contiguous, nothing checked."""

    def raw(self, images: np.ndarray) -> Raw:
        """Preprocessed float32 (B, 3, S, S) -> scores (B, P, C), background first, and boxes.

        Boxes (B, P, 4) are corner form in 0..1 of the picture, not clipped.

        Raises:
            ValueError: the pictures are not as this model takes them.
            WeightsError: the graph's outputs are not those that its description promises.
        """
        side = self.meta.input_size
        if images.dtype != np.float32 or images.ndim != 4 or images.shape[1:] != (3, side, side):
            raise ValueError(
                f"{images.dtype} {images.shape}: this model takes float32 (B, 3, {side}, {side})"
            )
        images = np.ascontiguousarray(images)
        if self.batch is None or self.batch == len(images):
            scores, boxes = self.run(images)
        else:
            parts = [self._part(images, start) for start in range(0, len(images), self.batch)]
            scores, boxes = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        expected = (len(images), boxes.shape[1], len(self.meta.classes) + 1)
        if scores.shape != expected or boxes.shape != (*expected[:2], 4):
            raise WeightsError(
                f"the graph returns scores {scores.shape} and boxes {boxes.shape} where its "
                f"description promises {expected} and {(*expected[:2], 4)}: export it again"
            )
        return scores, boxes

    def detect(self, images: np.ndarray, **options: Any) -> list[Found]:
        """Preprocessed pictures -> detections of each; options of `postprocess.select_all`."""
        return select_all(*self.raw(images), **options)

    def close(self) -> None:  # noqa: B027  most backends have nothing to give back
        """Give the graph's memory back; the runtime cannot be used afterwards."""

    def _part(self, images: np.ndarray, start: int) -> Raw:
        """A graph of fixed batch runs on its own number: the last part is filled up with zeros."""
        assert self.batch is not None
        part = images[start : start + self.batch]
        missing = self.batch - len(part)
        if missing:
            part = np.concatenate([part, np.zeros((missing, *part.shape[1:]), np.float32)])
        scores, boxes = self.run(part)
        return scores[: self.batch - missing], boxes[: self.batch - missing]

    def __enter__(self) -> Runtime:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def by_width(arrays: list[np.ndarray], names: list[str], classes: int) -> Raw:
    """A graph's two outputs as (scores, boxes), float32, with their batch axis.

    By name where both names are known, else by their last axis (boxes have 4 columns), else in the
    order of the contract: scores, boxes.

    Args:
        classes: background not counted.
    """
    if len(arrays) != 2:
        raise WeightsError(f"the graph returns {len(arrays)} tensors instead of scores and boxes")
    arrays = [np.asarray(array, np.float32) for array in arrays]
    arrays = [array[None] if array.ndim == 2 else array for array in arrays]
    if set(names) == {"scores", "boxes"}:
        swap = names[0] == "boxes"
    else:
        widths = [array.shape[-1] for array in arrays]
        swap = widths == [4, classes + 1] and classes + 1 != 4
    return (arrays[1], arrays[0]) if swap else (arrays[0], arrays[1])
