"""The blocks behind the backbone of TensorFlow's SSD."""

from __future__ import annotations

from torch import Tensor, nn

from tlx.models.backbones.base import Conventions
from tlx.models.backbones.mobilenet_v1 import ConvBN
from tlx.models.detectors.ssd.extras import EXTRA_NAMES
from tlx.models.detectors.ssd.layers import MapNorm

# (1x1 reduction, 3x3 stride-2 output) channels: `multi_resolution_feature_maps` in
# `models/feature_map_generators.py`, of layer depths 512, 256, 256, 128.
EXTRA_CHANNELS = ((256, 512), (128, 256), (128, 256), (64, 128))


class ExtraBlock(nn.Module):
    """1x1 then 3x3 stride-2 convolution, each with batch norm and activation."""

    def __init__(self, cin: int, middle: int, cout: int, conventions: Conventions) -> None:
        super().__init__()
        self.reduce = ConvBN(cin, middle, 1, 1, 1, conventions)
        self.expand = ConvBN(middle, cout, 3, 2, 1, conventions)
        for layer in (self.reduce, self.expand):  # the last maps may be one cell
            layer.bn = MapNorm(layer.bn.num_features, eps=conventions.bn_eps)

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) -> (N, cout, ceil(H/2), ceil(W/2))."""
        return self.expand(self.reduce(x))


def make_extras(cin: int, conventions: Conventions) -> nn.ModuleDict:
    """The four extra blocks on top of the backbone's last map, He-initialised."""
    blocks = nn.ModuleDict()
    for name, (middle, cout) in zip(EXTRA_NAMES, EXTRA_CHANNELS, strict=True):
        blocks[name] = ExtraBlock(cin, middle, cout, conventions)
        cin = cout
    for layer in blocks.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return blocks
