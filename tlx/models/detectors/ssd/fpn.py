"""A feature pyramid as the neck (Lin et al. 2017, arXiv:1612.03144), and its anchors.

As in the models `ssd_mobilenet_v1_fpn_640` and `ssd_mobilenet_v2_fpnlite_640` of TensorFlow's
Object Detection API (`models/feature_map_generators.py`, `fpn_top_down_feature_maps`): maps of
strides 8, 16 and 32 joined from the top down, two more by strided convolutions. Other than there,
the backbone's maps are normalised before they are projected (`Projection`): they may be frozen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlx.common.errors import ConfigError
from tlx.models.backbones.base import Backbone
from tlx.models.detectors.ssd.layers import ConvNorm, Projection
from tlx.models.inference import Neck

STRIDES = (8, 16, 32)  # of the backbone's maps that are joined, as far as it has them
MAPS = 5  # with the further ones, each half of the one before
NAME = "fpn"

# `multiscale_anchor_generator` of the zoo's configurations.
ANCHOR_SCALE = 4.0  # side of the smallest anchor, in strides
SCALES_PER_OCTAVE = 2
ASPECT_RATIOS = (1.0, 2.0, 0.5)
ANCHORS_PER_CELL = SCALES_PER_OCTAVE * len(ASPECT_RATIOS)


class FPN(Neck):
    """The pyramid's maps of `width` channels, of strides 8, 16, 32, 64 and 128.

    Args:
        channels, cells: channels, and cells per side, of the backbone's maps, largest first.
        separable: depthwise separable convolutions, as the "fpnlite" models have.
    """

    def __init__(
        self, channels: Sequence[int], cells: Sequence[int], width: int, *, separable: bool
    ) -> None:
        super().__init__()
        self.cells = tuple(cells)
        self.lateral = nn.ModuleList(Projection(c, width) for c in channels)
        self.smooth = nn.ModuleList(ConvNorm(width, width, separable=separable) for _ in channels)
        more = range(MAPS - len(channels))
        self.coarse = nn.ModuleList(
            ConvNorm(width, width, stride=2, separable=separable) for _ in more
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """The backbone's maps (N, C_i, cells_i, cells_i) -> `MAPS` of `width` channels."""
        joined = [layer(x) for layer, x in zip(self.lateral, maps, strict=True)]
        for place in reversed(range(len(joined) - 1)):
            side = self.cells[place]  # no size read from the graph: exported files have constants
            joined[place] = joined[place] + F.interpolate(joined[place + 1], size=(side, side))
        found = [layer(x) for layer, x in zip(self.smooth, joined, strict=True)]
        for layer in self.coarse:
            found.append(layer(found[-1]))
        return found

    def for_inference(self) -> nn.Module:
        """Folded, with the norms before the projections in these too."""
        copy = super().for_inference()
        copy.lateral = nn.ModuleList(layer.exported() for layer in self.lateral)  # type: ignore[operator]
        return copy


def pyramid_taps(backbone: Backbone) -> list[int]:
    """The last block of each of `STRIDES`; VGG-16, as SSD has it, ends at 16.

    Raises `ConfigError` for a backbone without a map of stride 8.
    """
    last = {stride: index for index, stride in enumerate(backbone.strides)}
    if STRIDES[0] not in last:
        raise ConfigError(
            f"detector.neck=fpn needs a map of stride {STRIDES[0]}, which this backbone lacks; "
            "detector.neck=extras takes any"
        )
    return [last[stride] for stride in STRIDES if stride in last]


def pyramid_anchors(input_size: int, cells: Sequence[int]) -> Tensor:
    """Anchors of the pyramid's maps: float32 (P, 4), centre form, 0..1 of the input, not clipped.

    Order: map, row, column, then scale, then ratio.

    Args:
        cells: per side of each map, the first of stride `STRIDES[0]`.
    """
    found = []
    for level, side in enumerate(cells):
        stride = STRIDES[0] * 2**level
        shapes = []
        for octave in range(SCALES_PER_OCTAVE):
            size = ANCHOR_SCALE * stride * 2 ** (octave / SCALES_PER_OCTAVE) / input_size
            shapes += [(size * math.sqrt(r), size / math.sqrt(r)) for r in ASPECT_RATIOS]
        middles = (torch.arange(side, dtype=torch.float64) + 0.5) * stride / input_size
        rows, columns = torch.meshgrid(middles, middles, indexing="ij")
        centres = torch.stack([columns, rows], -1).reshape(-1, 1, 2).expand(-1, len(shapes), 2)
        sizes = torch.tensor(shapes, dtype=torch.float64).expand(side * side, -1, 2)
        found.append(torch.cat([centres, sizes], -1).reshape(-1, 4))
    return torch.cat(found).float()
