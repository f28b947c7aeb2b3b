"""The parts of SSD behind the backbone: extra feature maps and the prediction heads."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlx.models.detectors.ssd.priors import ANCHORS_PER_CELL

# (1x1 reduction, 3x3 stride-2 output) channels of the four extra maps, as in mb1-ssd.
EXTRA_CHANNELS = ((256, 512), (128, 256), (128, 256), (128, 256))
EXTRA_NAMES = tuple(f"extra_{i}" for i in range(1, len(EXTRA_CHANNELS) + 1))


class ExtraBlock(nn.Module):
    """1x1 then 3x3 stride-2 convolution, ReLU after each, no batch norm."""

    def __init__(self, cin: int, middle: int, cout: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(cin, middle, 1)
        self.expand = nn.Conv2d(middle, cout, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) -> (N, cout, ceil(H/2), ceil(W/2))."""
        return F.relu(self.expand(F.relu(self.reduce(x))))


def make_extras(cin: int) -> nn.ModuleDict:
    """The four extra blocks on top of the backbone's last map."""
    blocks = {}
    for name, (middle, cout) in zip(EXTRA_NAMES, EXTRA_CHANNELS, strict=True):
        blocks[name] = ExtraBlock(cin, middle, cout)
        cin = cout
    return nn.ModuleDict(blocks)


class MapNorm(nn.BatchNorm2d):
    """A batch norm that takes its stored statistics where a map has one value a channel.

    The deepest map is one pixel, so that a batch of one picture has nothing to take them from.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)


class Hidden(nn.Module):
    """A map normalised, projected to `width` channels, normalised again, ReLU.

    Maps of a backbone that was not made for the heads differ in scale by an order of magnitude and
    have few directions that matter: 3x3 heads on them alone are starved, most of all where the
    backbone is frozen and cannot adapt (Vasconcelos et al. 2022, arXiv:2204.00484, find frozen
    backbones as good as trained ones where the parts behind them have capacity).
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.norm = MapNorm(channels)
        self.project = nn.Conv2d(channels, width, 1, bias=False)
        self.project_norm = MapNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, width, H, W)."""
        return F.relu(self.project_norm(self.project(self.norm(x))))


class Heads(nn.Module):
    """A convolution per feature map for classes and one for box offsets.

    Args:
        channels: of each feature map. classes: background included.
        anchors: per cell of each map; None: `ANCHORS_PER_CELL` everywhere.
        kernel: side of the convolutions, odd.
        normalize: how many of the first maps are normalised first. Linear bottlenecks end without
            an activation, on scales that differ by an order of magnitude between layers; heads on
            such maps start with useless logits (SSD normalises conv4_3 for the same reason,
            sec. 3.1 of the paper).
        hidden: channels of a hidden layer before the convolutions, which normalises all maps; 0:
            none.
    """

    def __init__(
        self, channels: list[int], classes: int, normalize: int = 0, hidden: int = 0, *,
        anchors: list[int] | None = None, kernel: int = 3,
    ) -> None:  # fmt: skip
        super().__init__()
        self.classes = classes
        self.hidden = nn.ModuleList(Hidden(c, hidden) for c in channels if hidden)
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in channels[:normalize] if not hidden)
        anchors = anchors or [ANCHORS_PER_CELL] * len(channels)
        counts = [(hidden or c, n) for c, n in zip(channels, anchors, strict=True)]
        self.classify = nn.ModuleList(
            nn.Conv2d(c, n * classes, kernel, padding=kernel // 2) for c, n in counts
        )
        self.regress = nn.ModuleList(
            nn.Conv2d(c, n * 4, kernel, padding=kernel // 2) for c, n in counts
        )

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps -> logits (N, P, classes) and offsets (N, P, 4); order row, column, anchor."""
        maps = (
            [layer(x) for layer, x in zip(self.hidden, maps, strict=True)] if self.hidden else maps
        )
        normed = [norm(x) for norm, x in zip(self.norms, maps, strict=False)]
        maps = normed + maps[len(normed) :]
        logits = [
            _flatten(head(x), self.classes) for head, x in zip(self.classify, maps, strict=True)
        ]
        offsets = [_flatten(head(x), 4) for head, x in zip(self.regress, maps, strict=True)]
        return torch.cat(logits, 1), torch.cat(offsets, 1)


def _flatten(x: Tensor, width: int) -> Tensor:
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, width)


def initialize_extras(extras: nn.ModuleDict) -> None:
    """He initialisation (arXiv:1502.01852): four ReLU blocks deep, the maps keep their scale."""
    for layer in extras.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            _zero_bias(layer)


def initialize_heads(heads: Heads) -> None:
    """Small weights: every prior starts undecided, so early steps do not shake the trunk."""
    for last in (*heads.classify, *heads.regress):
        assert isinstance(last, nn.Conv2d)
        nn.init.normal_(last.weight, std=0.01)
        _zero_bias(last)
    for layer in heads.hidden.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")


def _zero_bias(layer: nn.Conv2d) -> None:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
