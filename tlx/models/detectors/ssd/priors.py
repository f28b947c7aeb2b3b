"""SSD prior boxes (Liu et al. 2016, arXiv:1512.02325, sec. 2.2) with the mb1-ssd table.

Order of the priors: feature map, row, column, anchor. It is the order of the network's outputs,
of pytorch-ssd checkpoints and of what `detectnet` reads; changing it breaks all three.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

ASPECT_RATIOS = (2, 3)
ANCHORS_PER_CELL = 2 + 2 * len(ASPECT_RATIOS)

# mb1-ssd at 300 px: (smallest, largest) box side in pixels for each of the six maps.
_TABLE_300 = ((60, 105), (105, 150), (150, 195), (195, 240), (240, 285), (285, 330))
_STEPS_300 = (16, 32, 64, 100, 150, 300)
_CELLS_300 = [19, 10, 5, 3, 2, 1]


@dataclass(frozen=True)
class PriorMap:
    """The priors of one feature map: cells per side, input pixels per cell, box sides in pixels."""

    cells: int
    step: int
    smallest: float
    largest: float


def prior_maps(input_size: int, cells: list[int]) -> list[PriorMap]:
    """The prior table for a square input of `input_size` pixels.

    At 300 px it is the table of the mb1-ssd reference; at any other size, or where the maps are
    others (VGG-16's first is at stride 8), the sides run from 20 to 90 % of the input in equal
    steps, the first map from 10 %, as pytorch-ssd computes them. With fewer than three maps they
    run from 10 to 90 % in equal steps.
    """
    if input_size == 300 and cells == _CELLS_300:
        rows = zip(cells, _STEPS_300, _TABLE_300, strict=True)
        return [PriorMap(n, step, low, high) for n, step, (low, high) in rows]
    maps = len(cells)
    if maps > 2:
        step = (90 - 20) // (maps - 2)
        percent = [10] + [20 + i * step for i in range(maps)]
    else:
        percent = [10 + i * 80 // maps for i in range(maps + 1)]
    return [
        PriorMap(n, math.ceil(input_size / n), input_size * low / 100, input_size * high / 100)
        for n, low, high in zip(cells, percent, percent[1:], strict=False)
    ]


def cells_of_maps(input_size: int, strides: Iterable[int], extras: int) -> list[int]:
    """Cells per side of each map, first of the backbone's, by their strides, then of the extras.

    Every convolution with stride 2 halves, rounding up, with either convention of padding.
    """
    sides, side = [], input_size
    for stride in strides:
        side = input_size
        while stride > 1:
            side, stride = -(-side // 2), stride // 2
        sides.append(side)
    for _ in range(extras):
        side = -(-side // 2)
        sides.append(side)
    return sides


def make_priors(input_size: int, cells: list[int]) -> Tensor:
    """All priors as float32 (P, 4) in centre form (cx, cy, w, h), 0..1 of the input, clamped.

    Per cell: a square of the smallest side, a square of sqrt(smallest * largest), then for each
    aspect ratio r the smallest side stretched to w*sqrt(r), h/sqrt(r) and the other way round.
    """
    rows: list[tuple[float, float, float, float]] = []
    for m in prior_maps(input_size, cells):
        scale = input_size / m.step
        side = m.smallest / input_size
        middle = math.sqrt(m.smallest * m.largest) / input_size
        shapes = [(side, side), (middle, middle)]
        for ratio in map(math.sqrt, ASPECT_RATIOS):
            shapes += [(side * ratio, side / ratio), (side / ratio, side * ratio)]
        for y in range(m.cells):
            for x in range(m.cells):
                centre = ((x + 0.5) / scale, (y + 0.5) / scale)
                rows += [(*centre, w, h) for w, h in shapes]
    return torch.tensor(rows, dtype=torch.float32).clamp_(0.0, 1.0)
