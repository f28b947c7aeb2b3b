"""Detections in numpy as those in torch, for what measures and draws them."""

from __future__ import annotations

import numpy as np
import torch

from tlx.models.postprocess import Detections
from tlx.runtime.postprocess import Found


def as_tensors(found: Found) -> Detections:
    """The same detections as torch tensors, which share the arrays' memory."""
    arrays = (found.boxes, found.scores, found.labels)
    boxes, scores, labels = (torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)
    return Detections(boxes, scores, labels)
