"""Heads that all maps share: RetinaNet's towers (Lin et al. 2017, arXiv:1708.02002, sec. 4).

As `WeightSharedConvolutionalBoxPredictor` of TensorFlow's Object Detection API: the convolutions
are the same on every map, their batch norms are each map's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from tlx.models.detectors.ssd.export_parts import ExportHeads
from tlx.models.detectors.ssd.heads import rows_of_cells
from tlx.models.detectors.ssd.layers import ConvNorm, Hidden, MapNorm
from tlx.models.fold import folded

PRIOR = 0.01  # of an object at an anchor, before training (sec. 3.3)


class Tower(nn.Module):
    """`depth` convolutions that the maps share, then the predictor.

    Args:
        maps: how many there are. outputs: of the predictor, a cell.
    """

    def __init__(self, width: int, depth: int, maps: int, outputs: int, *, separable: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ConvNorm(width, width, separable=separable) for _ in range(depth)
        )
        for layer in self.layers:
            layer.bn = nn.Identity()  # each map has its own
        self.norms = nn.ModuleList(
            nn.ModuleList(MapNorm(width, eps=1e-3) for _ in range(depth)) for _ in range(maps)
        )
        self.predict = nn.Conv2d(width, outputs, 3, padding=1)
        nn.init.normal_(self.predict.weight, std=0.01)
        assert self.predict.bias is not None
        nn.init.zeros_(self.predict.bias)

    def forward(self, x: Tensor, place: int) -> Tensor:
        """Map number `place`, (N, width, H, W) -> (N, outputs, H, W)."""
        for layer, norm in self._layers(place):
            x = layer.act(norm(layer.conv(layer.depthwise(x))))
        predicted: Tensor = self.predict(x)
        return predicted

    def _layers(self, place: int) -> Iterator[tuple[Any, nn.Module]]:
        norms: Any = self.norms[place]
        return zip(self.layers, norms, strict=True)

    def folded_for(self, place: int) -> nn.Module:
        """What it does to one map, folded."""
        layers = []
        for shared, norm in self._layers(place):
            layer = deepcopy(shared)
            layer.bn = norm
            layers.append(layer)
        return folded(nn.Sequential(*layers, self.predict))


class SharedHeads(nn.Module):
    """One tower for classes and one for boxes; maps of other channels are brought to `width`.

    Args:
        channels: of each map. classes: background not counted. anchors: per cell of every map.
    """

    def __init__(
        self, channels: Sequence[int], classes: int, anchors: int, *,
        width: int, depth: int, separable: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.columns = classes
        self.hidden = nn.ModuleList(
            nn.Identity() if c == width else Hidden(c, width) for c in channels
        )
        maps = len(channels)
        self.classify = Tower(width, depth, maps, anchors * classes, separable=separable)
        self.regress = Tower(width, depth, maps, anchors * 4, separable=separable)
        assert self.classify.predict.bias is not None
        nn.init.constant_(self.classify.predict.bias, -math.log((1 - PRIOR) / PRIOR))

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps -> logits (N, P, classes) and offsets (N, P, 4); order row, column, anchor."""
        maps = [layer(x) for layer, x in zip(self.hidden, maps, strict=True)]
        logits = [rows_of_cells(self.classify(x, i), self.columns) for i, x in enumerate(maps)]
        offsets = [rows_of_cells(self.regress(x, i), 4) for i, x in enumerate(maps)]
        return torch.cat(logits, 1), torch.cat(offsets, 1)

    def exported(self) -> ExportHeads:
        """Towers for each map, as a plain feed-forward module of a batch of one, folded."""
        places = range(len(self.hidden))
        prepare = [h.exported() if isinstance(h, Hidden) else nn.Identity() for h in self.hidden]
        return ExportHeads(
            prepare, [self.classify.folded_for(i) for i in places],
            [self.regress.folded_for(i) for i in places], self.columns,
        )  # fmt: skip
