"""torchvision's default boxes as priors, for the detectors that it publishes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator


def default_boxes(generator: DefaultBoxGenerator, input_size: int, cells: Sequence[int]) -> Tensor:
    """float32 (P, 4) in centre form, 0..1 of the input. Order: map, row, column, box."""
    from torchvision.models.detection.image_list import ImageList
    from torchvision.ops import box_convert

    picture = ImageList(torch.empty(1, 0, input_size, input_size), [(input_size, input_size)])
    corners = generator(picture, [torch.empty(1, 0, side, side) for side in cells])[0]
    return box_convert(corners / input_size, "xyxy", "cxcywh")
