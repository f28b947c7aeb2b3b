"""SSD's prediction heads: for every map one predictor of classes and one of box offsets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from tlx.models.detectors.ssd.export_parts import ExportHeads
from tlx.models.detectors.ssd.layers import Hidden, MapNorm, Projection
from tlx.models.fold import folded
from tlx.models.fold_norm import as_convolution

Predictor = Callable[[int, int], nn.Module]
"""Channels of a map and outputs a cell -> the layer that predicts them."""


def convolution(kernel: int) -> Predictor:
    """One convolution, as SSD's paper has it (3x3), or as TensorFlow's SSD (1x1)."""
    return lambda cin, cout: nn.Conv2d(cin, cout, kernel, padding=kernel // 2)


class Separable(nn.Module):
    """SSDLite's predictor: 3x3 depthwise, batch norm, ReLU6, 1x1 (Sandler et al. 2018, sec. 6.2).

    Args:
        bias: of the depthwise convolution. eps, momentum: of the batch norm; by default as
            torchvision's `ssdlite320_mobilenet_v3_large` has them.
    """

    def __init__(
        self, cin: int, cout: int, *, bias: bool = False, eps: float = 1e-3, momentum: float = 0.03
    ) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(cin, cin, 3, padding=1, groups=cin, bias=bias)
        self.bn = MapNorm(cin, eps=eps, momentum=momentum)
        self.act = nn.ReLU6()
        self.project = nn.Conv2d(cin, cout, 1)
        nn.init.kaiming_normal_(self.depthwise.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) -> (N, cout, H, W)."""
        return self.project(self.act(self.bn(self.depthwise(x))))


class Heads(nn.Module):
    """Predictors of classes and box offsets for each feature map.

    Args:
        channels: of each feature map. columns: of the logits. anchors: per cell of each map.
        predictor: makes the layers that predict.
        norms: for the first maps, layers that normalise them: linear bottlenecks end without an
            activation, on scales that differ by an order of magnitude between layers, and heads on
            such maps start with useless logits (SSD normalises conv4_3 for the same reason,
            sec. 3.1 of the paper).
        hidden: a layer for each map that changes its channels, or none.
    """

    def __init__(
        self, channels: Sequence[int], columns: int, anchors: Sequence[int],
        predictor: Predictor, *, norms: Sequence[nn.Module] = (), hidden: Sequence[Projection] = (),
    ) -> None:  # fmt: skip
        super().__init__()
        self.columns = columns
        self.hidden, self.norms = nn.ModuleList(hidden), nn.ModuleList(norms)
        if hidden:
            channels = [layer.project.out_channels for layer in hidden]
        counts = list(zip(channels, anchors, strict=True))
        self.classify = nn.ModuleList(predictor(c, n * columns) for c, n in counts)
        self.regress = nn.ModuleList(predictor(c, n * 4) for c, n in counts)
        for predictors in (self.classify, self.regress):
            initialize_predictors(predictors)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps -> logits (N, P, columns) and offsets (N, P, 4); order row, column, anchor."""
        if self.hidden:
            maps = [layer(x) for layer, x in zip(self.hidden, maps, strict=True)]
        normed = [norm(x) for norm, x in zip(self.norms, maps, strict=False)]
        maps = normed + maps[len(normed) :]
        logits = [
            rows_of_cells(head(x), self.columns)
            for head, x in zip(self.classify, maps, strict=True)
        ]
        offsets = [rows_of_cells(head(x), 4) for head, x in zip(self.regress, maps, strict=True)]
        return torch.cat(logits, 1), torch.cat(offsets, 1)

    def exported(self) -> ExportHeads:
        """The same as a plain feed-forward module of a batch of one, batch norm folded."""
        prepare: list[nn.Module] = [nn.Identity() for _ in self.classify]
        for place, layer in enumerate(self.hidden):
            assert isinstance(layer, Projection)
            prepare[place] = layer.exported()
        for place, norm in enumerate(self.norms):
            plain = as_convolution(norm) if isinstance(norm, nn.BatchNorm2d) else folded(norm)
            prepare[place] = nn.Sequential(prepare[place], plain)
        classify, regress = ([folded(p) for p in ps] for ps in (self.classify, self.regress))
        return ExportHeads(prepare, classify, regress, self.columns)


def rows_of_cells(x: Tensor, width: int) -> Tensor:
    """(N, anchors * width, H, W) -> (N, H * W * anchors, width)."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, width)


def initialize_predictors(predictors: nn.ModuleList) -> None:
    """Small weights at the end: every prior starts undecided, and the trunk is not shaken."""
    for predictor in predictors:
        last = [layer for layer in predictor.modules() if isinstance(layer, nn.Conv2d)][-1]
        nn.init.normal_(last.weight, std=0.01)
        assert last.bias is not None
        nn.init.zeros_(last.bias)


__all__ = ["Heads", "Hidden", "Predictor", "Separable", "convolution", "rows_of_cells"]
