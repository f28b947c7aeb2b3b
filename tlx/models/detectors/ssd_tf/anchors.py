"""The anchors of TensorFlow's Object Detection API for SSD.

`create_ssd_anchors` in `anchor_generators/multiple_grid_anchor_generator.py` of tensorflow/models,
research/object_detection, with the values of its configurations of SSD on MobileNet
(`samples/configs/ssd_mobilenet_v{1,2}_coco.config`).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

MIN_SCALE, MAX_SCALE = 0.2, 0.95
ASPECT_RATIOS = (1.0, 2.0, 0.5, 3.0, 0.3333)
# `reduce_boxes_in_lowest_layer`: (scale, ratio) of the largest map, None for its own scale.
_LOWEST: tuple[tuple[float | None, float], ...] = ((0.1, 1.0), (None, 2.0), (None, 0.5))


def shapes_of_maps(maps: int) -> list[list[tuple[float, float]]]:
    """Width and height, 0..1 of the input, of each anchor of a cell, for each of `maps` maps.

    One anchor more than ratios: a square between this map's scale and the next one's.
    """
    step = (MAX_SCALE - MIN_SCALE) / (maps - 1)
    scales = [MIN_SCALE + step * i for i in range(maps)] + [1.0]
    layers: list[list[tuple[float, float]]] = []
    for place, (scale, following) in enumerate(pairwise(scales)):
        if place == 0:
            kinds = [(own or scale, ratio) for own, ratio in _LOWEST]
        else:
            kinds = [(scale, ratio) for ratio in ASPECT_RATIOS]
            kinds.append((math.sqrt(scale * following), 1.0))
        layers.append([(side * math.sqrt(r), side / math.sqrt(r)) for side, r in kinds])
    return layers


def make_anchors(cells: list[int]) -> Tensor:
    """All anchors as float32 (P, 4) in centre form (cx, cy, w, h), 0..1 of a square input.

    Order: map, row, column, anchor. They are not clipped.

    Args:
        cells: per side of each map.
    """
    found = []
    for side, shapes in zip(cells, shapes_of_maps(len(cells)), strict=True):
        middles = (torch.arange(side, dtype=torch.float64) + 0.5) / side
        rows, columns = torch.meshgrid(middles, middles, indexing="ij")
        centres = torch.stack([columns, rows], -1).reshape(-1, 1, 2).expand(-1, len(shapes), 2)
        sizes = torch.tensor(shapes, dtype=torch.float64).expand(side * side, -1, 2)
        found.append(torch.cat([centres, sizes], -1).reshape(-1, 4))
    return torch.cat(found).float()
