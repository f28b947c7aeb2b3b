"""From what the network found in each of its inputs to what it found in each picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tlx.data.formats.annotations import Item
from tlx.data.framing import Framing
from tlx.models.postprocess import Detections
from tlx.runtime.framed import of_picture
from tlx.runtime.postprocess import Found
from tlx.runtime.tensors import as_tensors


class Gather:
    """Detections of a split's inputs, in the order of `Loaders.evaluation`.

    Args:
        items: the pictures. side: of the input, px. nms_iou, limit: see `of_picture`.
    """

    def __init__(
        self, items: Sequence[Item], framing: Framing, side: int, nms_iou: float, limit: int
    ) -> None:
        self.items, self.framing, self.side = items, framing, side
        self.nms_iou, self.limit = nms_iou, limit
        self._done = 0
        self._waiting: list[Found] = []  # of tiles whose picture has more of them

    @property
    def complete(self) -> bool:
        """Whether every picture has come out: figures would be of fewer, without a word."""
        return self._done == len(self.items)

    def add(self, found: Sequence[Detections]) -> tuple[list[Detections], list[Item]]:
        """The next inputs' detections -> those of the pictures that are complete, in 0..1."""
        if self.framing.plain:
            items = list(self.items[self._done : self._done + len(found)])
            self._done += len(found)
            return list(found), items
        complete, items = [], []
        for one in found:
            self._waiting.append(_as_arrays(one))
            item = self.items[self._done]
            if len(self._waiting) == len(self.framing.parts(item.size)):
                merged = of_picture(
                    self._waiting, self.framing, item.size, self.side, self.nms_iou, self.limit
                )
                complete.append(as_tensors(merged))
                items.append(item)
                self._waiting = []
                self._done += 1
        return complete, items


def _as_arrays(found: Detections) -> Found:
    tensors = (found.boxes, found.scores, found.labels)
    boxes, scores, labels = (np.asarray(tensor.detach().cpu()) for tensor in tensors)
    return Found(boxes.astype(np.float32), scores.astype(np.float32), labels)
